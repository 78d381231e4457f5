# shellcheck shell=bash
# Sourced by start.sh: checks of ports, pages and services.

# python_script NAME ARGS…: with the project's Python, or any other: it needs the standard library only.
python_script() {
  local python=$VENV/bin/python name=$1
  shift
  [ -x "$python" ] || python=${PYTHON:-python3}
  "$python" "$ROOT/scripts/$name" "$@"
}

probe() { python_script probe.py "$@"; }

# need_free_port ADDRESS PORT WHAT FLAG VARIABLE
need_free_port() {
  case $2 in '' | *[!0-9]*) die "$4 or $5: $2 is not a port" ;; esac
  probe free "$1" "$2" >/dev/null || return 0
  die "port $2, wanted for $3, is taken by another program; give another one: $4 N (or $5=N)"
}

# tell YES NO COMMAND…: prints YES if COMMAND succeeds, else NO.
tell() {
  local yes=$1 no=$2
  shift 2
  if "$@"; then echo "$yes"; else echo "$no"; fi
}
