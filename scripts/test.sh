#!/usr/bin/env bash
# bash scripts/test.sh [--no-install] [pytest args…]
# Makes this machine ready for the tests, as far as it may, and runs them. Tests whose tools
# are missing are skipped: SHIM_TEST_HAVE tells pytest which ones are there.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TOOLS="docker registry consul zookeeper compose curl chromium shellcheck busybox ssh ip"

in_list() { case " $2 " in *" $1 "*) ;; *) return 1 ;; esac; }

# Sets SHIM_TEST_HAVE and LEFT_OUT.
take_stock() {
  local tool missing
  missing=$(missing_tools "$@" | tr '\n' ' ')
  SHIM_TEST_HAVE=''
  LEFT_OUT=''
  for tool; do
    if in_list "$tool" "$missing"; then
      LEFT_OUT="$LEFT_OUT, $tool (Debian: $(tool_package "$tool"))"
    else
      SHIM_TEST_HAVE="$SHIM_TEST_HAVE $tool"
    fi
  done
  export SHIM_TEST_HAVE=${SHIM_TEST_HAVE# }
  LEFT_OUT=${LEFT_OUT#, }
}

report() {
  say "testing with: ${SHIM_TEST_HAVE:-no tools}"
  [ -z "$LEFT_OUT" ] || say "missing, $(why_not_installed): $LEFT_OUT; tests that need them are skipped"
  [ -z "${MESOS_MASTER_BIN:-}" ] || say "MESOS_MASTER_BIN is set: tests that want a real master use it"
}

pytest_args=()
for arg; do
  if [ "$arg" = --no-install ]; then
    NO_INSTALL=1
  else
    pytest_args+=("$arg")
  fi
done

cd "$ROOT"
lock_checkout
ensure_venv test
# shellcheck disable=SC2086  # one word a tool
{
  ensure_tools $TOOLS
  take_stock $TOOLS
}
unlock_checkout
report
# An empty array counts as unset for bash before 4.4, which Macs still have.
exec "$VENV/bin/python" -m pytest tests ${pytest_args[@]+"${pytest_args[@]}"}
