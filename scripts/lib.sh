# shellcheck shell=bash
# Sourced by the scripts of this repository: finds or installs what they need on this machine.
# All messages go to stderr, so that the stdout of a script can be passed to eval.
# NO_INSTALL=1 forbids installing system packages; PYTHON names the interpreter to use.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RUN=$ROOT/.run
# dockerd and iptables are in sbin, which is not in the PATH after `su` without `-`.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Timeouts are variables named …_SECONDS, set in the script that waits.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
# quoted WORD: the word, quoted for a shell.
quoted() { printf '%q' "$1"; }
# The shim's id, unique for this checkout on this machine. Two shims with one id at the same endpoint
# remove each other's containers.
# shellcheck disable=SC2153  # start.sh sets PROJECT
demo_owner() { echo "demo-$PROJECT-$(printf '%s %s' "$(uname -n)" "$ROOT" | cksum | cut -d ' ' -f 1)"; }
is_root() { [ "$(id -u)" = 0 ]; }
on_debian() { [ -r /etc/debian_version ] && have apt-get; }
can_install() { [ "${NO_INSTALL:-}" != 1 ] && is_root && on_debian; }

# limit SECONDS COMMAND…: --foreground keeps Ctrl-C working; a Mac has no timeout(1).
limit() {
  local seconds=$1
  shift
  if timeout --foreground 1 true 2>/dev/null; then
    timeout --foreground --kill-after=10 "$seconds" "$@"
  else
    "$@"
  fi
}

# wait_for DESCRIPTION SECONDS COMMAND…: repeats COMMAND until it succeeds; 1 after SECONDS.
wait_for() {
  local what=$1 seconds=$2 end=$((SECONDS + $2))
  shift 2
  "$@" && return 0
  say "waiting at most $seconds s for $what"
  while [ "$SECONDS" -lt "$end" ]; do
    sleep 0.5
    "$@" && return 0
  done
  say "timeout after $seconds s: $what"
  return 1
}

# --- one run at a time: two runs in one checkout would both create .venv

LOCK_SECONDS=1800

lock_checkout() {
  mkdir -p "$RUN"
  have flock || return 0
  exec 9>"$RUN/lock"
  flock -n 9 && return 0
  say "waiting at most $LOCK_SECONDS s for another run that prepares this checkout"
  flock -w "$LOCK_SECONDS" 9 || die "another run still holds $RUN/lock"
}
unlock_checkout() { exec 9>&-; }

for part in debian python engine tools processes; do
  # shellcheck source=/dev/null
  . "$ROOT/scripts/$part.sh"
done
unset part
