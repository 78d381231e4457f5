#!/usr/bin/env bash
# Mesos on one Docker endpoint, in moments. `bash start.sh --help` says what it can do.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/scripts/lib.sh"
. "$ROOT/scripts/embedded.sh"

usage() {
  cat <<'END'
usage: bash start.sh [start] [FLAGS]   set everything up and start it
       bash start.sh status [FLAGS]    what runs
       bash start.sh logs [-f]         the newest lines of all logs; -f goes on
       bash start.sh stop [FLAGS]      take everything down, containers included

  -p, --project NAME   several can run side by side, on ports of their own (mesos)
  --master-port N      MASTER_PORT (5050)
  --agent-port N       AGENT_PORT (5051)
  --web-port N         WEB_PORT, where the sample task answers (31080)
  --no-install         NO_INSTALL=1: install no system packages

SAMPLE_IMAGE names the image of the sample task, a web server on port 80 (nginx:alpine).
END
}

wrong() {
  say "$*; bash start.sh --help says what there is"
  exit 2
}

# value FLAG REST…: the flag's value, glued on with = or the next word.
parse() {
  VERB='' LOG_ARGS=()
  while [ $# -gt 0 ]; do
    case $1 in
    start | status | logs | stop)
      [ -z "$VERB" ] || wrong "one of start, status, logs and stop, not $VERB and $1"
      VERB=$1
      ;;
    -h | --help) usage && exit ;;
    -f) LOG_ARGS+=("$1") ;;
    --no-install) export NO_INSTALL=1 ;;
    --*=*)
      local flag=${1%%=*} value=${1#*=}
      shift
      set -- "$flag" "$value" "$@"
      continue
      ;;
    -p | --project | --master-port | --agent-port | --web-port)
      [ -n "${2:-}" ] || wrong "$1 needs a value"
      take "$1" "$2"
      shift
      ;;
    *) wrong "unknown argument: $1" ;;
    esac
    shift
  done
  : "${VERB:=start}"
}

take() {
  case $1 in
  -p | --project) PROJECT=$2 ;;
  --master-port) MASTER_PORT=$2 ;;
  --agent-port) AGENT_PORT=$2 ;;
  --web-port) WEB_PORT=$2 ;;
  esac
}

PROJECT=${COMPOSE_PROJECT_NAME:-mesos}
: "${MASTER_PORT:=5050}" "${AGENT_PORT:=5051}" "${WEB_PORT:=31080}" "${SAMPLE_IMAGE:=nginx:alpine}"
parse "$@"
case $PROJECT in
*[!a-z0-9_-]* | [!a-z0-9]*) wrong "--project $PROJECT: lower case letters, digits, - and _ only" ;;
esac

case $VERB in
start)
  lock_checkout
  embedded_start
  ;;
stop)
  lock_checkout
  if [ -d "$(embedded_dir)" ]; then
    embedded_stop
    say "stopped; nothing is left"
  else
    say "nothing runs"
  fi
  ;;
status) embedded_status ;;
logs) embedded_logs ${LOG_ARGS[@]+"${LOG_ARGS[@]}"} ;;
esac
