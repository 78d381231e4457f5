"""Why a custom executor runs and does not register: can its container reach this agent at all?

The agent knows which addresses have sent it requests. If the container's is not among them, a
script in the container calls the address that the agent advertises, with a tool of the image.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable

from shim import limits
from shim.engine.api import Engine
from shim.errors import NotFound, Permanent, Transient
from shim.model.facts import Fact, SilenceExplained
from shim.model.ids import Pid
from shim.model.orders import ExplainSilence

_SCRIPT = r"""
host=$1 port=$2 seconds=$3
with_curl() { curl -s -S -o /dev/null -m "$seconds" "http://$host:$port/health"; }
with_wget() { wget -q -T "$seconds" -O /dev/null "http://$host:$port/health"; }
with_python3() {
  python3 -c 'import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), int(sys.argv[3]))' \
    "$host" "$port" "$seconds"
}
with_bash() { bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$host" "$port"; }
for tool in curl wget python3 bash; do
  command -v "$tool" >/dev/null 2>&1 || continue
  output=$("with_$tool" 2>&1) && { echo "= reached"; exit; }
  echo "$output"
  echo "= failed"
  exit
done
echo "= unknown"
"""
_LAST = re.compile(r"^= (\w+)\s*\Z", re.MULTILINE)
_DETAIL_CHARS = 200


class PeerAddresses:
    """The addresses that sent requests to this agent, the latest ``limits.PIDS_REMEMBERED``."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()

    def note(self, address: str | None) -> None:
        if address is None:
            return
        self._seen[address] = None
        self._seen.move_to_end(address)
        if len(self._seen) > limits.PIDS_REMEMBERED:
            self._seen.popitem(last=False)

    def __contains__(self, address: str) -> bool:
        return address in self._seen


class SilenceExplainer:
    def __init__(
        self, engine: Engine, agent: Pid, peers: PeerAddresses, post: Callable[[Fact], None]
    ) -> None:
        self._engine = engine
        self._agent = agent
        self._peers = peers
        self._post = post

    async def explain(self, order: ExplainSilence) -> None:
        """Post what was found out."""
        own, where = f"{self._agent.ip}:{self._agent.port}", ", ".join(order.addresses)
        container = f"its container ({where or 'on the network of the host'})"
        if any(address in self._peers for address in order.addresses):
            text = f"{container} reaches this agent at {own}; the executor itself is silent"
        else:
            outcome, detail = await self._call_agent(order.ref.name)
            advice = "containers must reach the advertised address: see --advertise_ip"
            if outcome == "reached":
                text = f"{container} reaches this agent at {own}; the executor itself is silent"
            elif outcome == "failed":
                text = f"{container} cannot reach this agent at {own} ({detail}); {advice}"
            else:
                text = f"no request of {container} arrived at {own}; {advice}"
        self._post(SilenceExplained(order.ref, text))

    async def _call_agent(self, name: str) -> tuple[str, str]:
        """``reached``, ``failed`` or ``unknown``, and the output of the tool."""
        seconds = limits.EXECUTOR_SILENCE_TIMEOUT / 2
        words = (self._agent.ip, str(self._agent.port), str(int(seconds)))
        argv = ("/bin/sh", "-c", _SCRIPT, "sh", *words)
        try:
            async with asyncio.timeout(seconds + 1):
                result = await self._engine.exec(name, argv, {}, limits.ENGINE_CALL_TIMEOUT)
        except (TimeoutError, NotFound, Transient, Permanent):
            return "unknown", ""
        output = result.output.decode("utf-8", "replace")
        last = _LAST.search(output)
        if last is None:
            return "unknown", ""
        return last[1], " ".join(output[: last.start()].split())[:_DETAIL_CHARS]
