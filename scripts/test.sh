#!/usr/bin/env bash
# bash scripts/test.sh [--no-install] [pytest args…]
# Installs what the tests need, as far as it may, and runs them on several workers.
# Tests whose tools are missing are skipped: SHIM_TEST_HAVE tells pytest which ones are there.
# `-m unit` selects those that need no tool; then nothing is installed. See tests/README.md.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

WORKERS=8
TOOLS="docker registry consul zookeeper compose curl chromium shellcheck busybox ssh ip prometheus promtool systemd"

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
# An empty array counts as unset for bash before 4.4, which Macs still have.
set -- ${pytest_args[@]+"${pytest_args[@]}"}

cd "$ROOT"
lock_checkout
ensure_venv test
case " $* " in
*" -m unit "*)
  # Unit tests compute, and a few of them wait: three workers for two cores.
  export SHIM_TEST_HAVE=''
  workers=$(($(getconf _NPROCESSORS_ONLN) * 3 / 2))
  ;;
*)
  # shellcheck disable=SC2086  # one word a tool
  {
    ensure_tools $TOOLS
    take_stock $TOOLS
  }
  report
  # End-to-end tests mostly wait: several workers for each core.
  workers=$WORKERS
  ;;
esac
unlock_checkout
case " $* " in *" -n"*) ;; *) set -- -n "$workers" "$@" ;; esac
# Without bytecode every worker and every agent would compile all modules again.
unset PYTHONDONTWRITEBYTECODE
exec "$VENV/bin/python" -m pytest tests "$@"
