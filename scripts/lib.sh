# shellcheck shell=bash
# Sourced by the scripts of this repository: what a machine needs, and how it gets it.
# Everything said goes to stderr, so that a caller's stdout stays fit for eval.
# NO_INSTALL=1 forbids installing system packages; PYTHON names the interpreter to use.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RUN=$ROOT/.run
# dockerd and the iptables it calls live in sbin, which `su` without `-` leaves out.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# How long anything outside our hands may take stands as …_SECONDS where it is waited for.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
# quoted WORD: fit to be pasted into a shell.
quoted() { printf '%q' "$1"; }
# The shim's id: of this checkout on this machine. Others may have a demo of this name at the same
# endpoint, and of two shims with one id each removes the other's containers.
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

# wait_for DESCRIPTION SECONDS COMMAND…: 1 when the time is up.
wait_for() {
  local what=$1 seconds=$2 end=$((SECONDS + $2))
  shift 2
  "$@" && return 0
  say "waiting at most $seconds s for $what"
  while [ "$SECONDS" -lt "$end" ]; do
    sleep 0.5
    "$@" && return 0
  done
  say "gave up after $seconds s: $what"
  return 1
}

# --- one at a time: two runs in one checkout would make .venv under each other's feet

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
