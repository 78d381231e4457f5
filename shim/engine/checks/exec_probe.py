"""Probes that run in the container: the task's own command, or a script for HTTP and TCP.

The script uses the first tool that the image has: curl, wget, bash or nc. It prints the output of
the tool and a last line ``= TOOL EXITCODE``. Addresses and paths are arguments of the script,
never part of its text.
"""

from __future__ import annotations

import asyncio
import math
import re

from shim import limits
from shim.engine.api import Engine, ExecResult
from shim.engine.checks.probe_result import ProbeResult, ProbeStatus
from shim.engine.checks.spec import CheckTarget, CommandCheck, HttpCheck, TcpCheck
from shim.errors import NotFound, Permanent, Transient

_HTTP = r"""
host=$1 port=$2 scheme=$3 path=$4 seconds=$5 bare=$6 redirects=$7
url="$scheme://$host:$port$path"
with_curl() {
  curl -s -S -L --max-redirs "$redirects" -k -g -m "$seconds" -o /dev/null \
    -w '\nHTTP/ %{http_code}\n' "$url"
}
with_wget() {
  set -- -S -t 1 -O /dev/null
  [ "$scheme" = https ] && set -- --no-check-certificate "$@"
  wget -T "$seconds" "$@" "$url"
  code=$?
  # A static busybox may crash on -T: Debian's 1.35 does.
  [ "$code" -lt 128 ] || { timeout "$seconds" wget "$@" "$url"; code=$?; }
  return "$code"
}
with_bash() {
  bash -c 'exec 3<>"/dev/tcp/$0/$1" || exit 7
    printf "GET %s HTTP/1.0\r\nHost: %s:%s\r\n\r\n" "$2" "$0" "$1" >&3
    read -r version code rest <&3; echo "$version $code"' "$bare" "$port" "${path:-/}"
}
with_nc() {
  { printf 'GET %s HTTP/1.0\r\nHost: %s:%s\r\n\r\n' "${path:-/}" "$bare" "$port"; sleep 1; } |
    nc -w "$seconds" "$bare" "$port" | { read -r version code rest; echo "$version $code"; }
}
tool=none code=0
for next in curl wget bash nc; do
  command -v "$next" >/dev/null 2>&1 || continue
  case "$scheme $next" in "https bash" | "https nc") continue ;; esac
  tool=$next
  output=$("with_$next" 2>&1); code=$?
  echo "$output"
  case "$code $output" in "7 "* | *[Rr]efused* | *HTTP/*\ [1-5][0-9][0-9]*) break ;; esac
done
echo "= $tool $code"
"""

_TCP = r"""
if command -v bash >/dev/null 2>&1; then
  bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$6" "$2" 2>&1 && echo connected
  echo "= bash $?"
elif [ -r /proc/net/tcp ]; then
  hex=$(printf ':%04X' "$2")
  for table in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$table" ] && while read -r slot local remote state rest; do
      case "$state$local" in 0A*"$hex") echo connected ;; esac
    done <"$table"
  done
  echo "= table 0"
else
  echo "= none 0"
fi
"""

_LAST = re.compile(rb"^= (\w+) (\d+)\s*\Z", re.MULTILINE)
_STATUS = re.compile(rb"HTTP/[\d.]* +([1-5]\d\d)\b")
_REFUSED = re.compile(rb"connection refused", re.IGNORECASE)
_TOO_MANY_REDIRECTS = re.compile(
    rb"maximum .*redirects followed|redirections exceeded|too many redirections", re.IGNORECASE
)
"""The errors of curl, GNU wget and busybox wget. The limits of wget are its own."""


class ExecProbe:
    """Runs probes in containers, at most ``at_once`` at a time."""

    def __init__(self, engine: Engine, at_once: int) -> None:
        self._engine = engine
        self._slots = asyncio.Semaphore(at_once)

    async def probe(self, target: CheckTarget, name: str, timeout: float) -> ProbeResult:
        """Run one probe. HTTP and TCP go to the container's loopback address.

        ``timeout`` is in seconds. IMPOSSIBLE: the image has no tool for HTTP or TCP.
        """
        if isinstance(target, CommandCheck):
            return await self._run(name, target, timeout)
        result = await self._run(name, CommandCheck(script(target, timeout)), timeout)
        if result.status is not ProbeStatus.ANSWERED:
            return result
        return parse_output(target, result.detail.encode())

    async def _run(self, name: str, command: CommandCheck, timeout: float) -> ProbeResult:
        async with self._slots:
            try:
                async with asyncio.timeout(timeout):
                    result = await self._exec(name, command, timeout)
            except TimeoutError:
                return ProbeResult(ProbeStatus.NO_ANSWER, detail=f"no answer within {timeout:g} s")
            except (NotFound, Transient) as error:
                return ProbeResult(ProbeStatus.UNKNOWN, detail=str(error))
            except Permanent as error:
                return ProbeResult(ProbeStatus.NO_ANSWER, detail=str(error))
        return ProbeResult(
            ProbeStatus.ANSWERED, result.exit_code, result.output.decode("utf-8", "replace")
        )

    async def _exec(self, name: str, command: CommandCheck, timeout: float) -> ExecResult:
        """The engine's own timeout is longer: its errors say nothing about the task."""
        beyond = timeout + limits.ENGINE_CALL_TIMEOUT
        return await self._engine.exec(name, command.argv, command.env, beyond)


def script(target: HttpCheck | TcpCheck, timeout: float) -> tuple[str, ...]:
    """Return the command that probes ``target`` with a tool of the image."""
    bare = "::1" if target.ipv6 else "127.0.0.1"
    host = f"[{bare}]" if target.ipv6 else bare
    seconds = str(max(1, math.ceil(timeout)))
    scheme, path = (target.scheme, target.path) if isinstance(target, HttpCheck) else ("", "")
    text = _HTTP if isinstance(target, HttpCheck) else _TCP
    redirects = str(limits.CHECK_REDIRECTS)
    return (
        *("/bin/sh", "-c", text, "sh"),
        *(host, str(target.port), scheme, path, seconds, bare, redirects),
    )


def parse_output(target: HttpCheck | TcpCheck, output: bytes) -> ProbeResult:
    """Return the result that the script's output describes."""
    last = _LAST.search(output)
    if last is None or last[1] == b"none":
        return ProbeResult(ProbeStatus.IMPOSSIBLE, detail="the image has no tool to probe with")
    printed = output[: last.start()]
    if isinstance(target, TcpCheck):
        return ProbeResult(ProbeStatus.ANSWERED if b"connected" in printed else ProbeStatus.REFUSED)
    text = " ".join(printed.decode("utf-8", "replace").split())[:200]
    if _TOO_MANY_REDIRECTS.search(printed):
        return ProbeResult(ProbeStatus.NO_ANSWER, detail=text)
    statuses = _STATUS.findall(printed)
    if statuses:
        return ProbeResult(ProbeStatus.ANSWERED, int(statuses[-1]))
    refused = _REFUSED.search(printed) or (last[1], last[2]) in ((b"curl", b"7"), (b"bash", b"7"))
    return ProbeResult(ProbeStatus.REFUSED if refused else ProbeStatus.NO_ANSWER, detail=text)
