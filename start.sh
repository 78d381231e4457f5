#!/usr/bin/env bash
# Starts Mesos on one Docker endpoint. `bash start.sh --help` lists the commands and flags.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/scripts/lib.sh"
. "$ROOT/scripts/ask.sh"
. "$ROOT/scripts/settings.sh"
. "$ROOT/scripts/triton.sh"
. "$ROOT/scripts/datacenters.sh"
. "$ROOT/scripts/ha.sh"
. "$ROOT/scripts/network.sh"
. "$ROOT/scripts/compose_checks.sh"
. "$ROOT/scripts/monitoring.sh"
. "$ROOT/scripts/compose.sh"
. "$ROOT/scripts/embedded.sh"

usage() {
  cat <<'END'
usage: bash start.sh [start] [FLAGS]   set everything up and start it
       bash start.sh status [-p NAME]  what runs
       bash start.sh logs [-f]         the newest lines of all logs; -f follows them
       bash start.sh stop [-p NAME]    take everything down, containers included

  --compose            Mesos master, Marathon, Consul, ZooKeeper and the shim as containers
  --embedded           only an embedded master and the agent, as one process on this machine
                       (without either: --compose if its images are available)
  --ha                 --compose with three of each server, two shims, TLS, passwords and tokens
  --monitoring         --compose with Prometheus and Grafana: alerts and a dashboard of the agents
  -p, --project NAME   the name of the demo; several can run on different ports (mesos)
  --datacenters LIST   one more agent for each NAME=ENDPOINT,... (on Triton: NAME,...)
  --agents N           N agents at one Docker Engine, each with a part of its resources (1)
  --no-install         install no system packages (NO_INSTALL=1)

  --master-port N --agent-port N --marathon-port N --consul-port N --web-port N
  --prometheus-port N --grafana-port N
                       ports of this machine. compose/.env has their defaults, and every image
                       and memory limit; the environment overrides them: MASTER_PORT=6050
END
}

wrong() {
  say "$*; see bash start.sh --help"
  exit 2
}

parse() {
  VERB='' MODE='' HA='' MONITORING='' FOLLOW=()
  while [ $# -gt 0 ]; do
    case $1 in
    start | status | logs | stop)
      [ -z "$VERB" ] || wrong "$VERB and $1: give one of start, status, logs and stop"
      VERB=$1
      ;;
    -h | --help) usage && exit ;;
    -f) FOLLOW=(-f) ;;
    --compose | --embedded) MODE=${1#--} ;;
    --ha) HA=1 MODE=compose ;;
    --monitoring) MONITORING=1 MODE=compose ;;
    --no-install) export NO_INSTALL=1 ;;
    --*=*)
      local flag=${1%%=*} value=${1#*=}
      shift
      set -- "$flag" "$value" "$@"
      continue
      ;;
    -p | --project | --datacenters | --agents | --*-port)
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
  --datacenters) DATACENTERS=$2 ;;
  --agents) AGENTS_HERE=$2 ;;
  --master-port) export MASTER_PORT=$2 ;;
  --agent-port) export AGENT_PORT=$2 ;;
  --marathon-port) export MARATHON_PORT=$2 ;;
  --consul-port) export CONSUL_PORT=$2 ;;
  --web-port) export WEB_PORT=$2 ;;
  --prometheus-port) export PROMETHEUS_PORT=$2 ;;
  --grafana-port) export GRAFANA_PORT=$2 ;;
  *) wrong "unknown argument: $1" ;;
  esac
}

# Sets MODE. A mode that a flag names must be possible. Without a flag, the log says why compose is
# not possible.
choose_mode() {
  case $MODE in
  embedded) ;;
  compose) compose_is_possible || die "--compose: $WHY" ;;
  *)
    MODE=compose
    compose_is_possible && return
    [ -z "${DATACENTERS:-}${AGENTS_HERE:-}" ] || die "--datacenters and --agents need --compose: $WHY"
    say "$WHY: starting the embedded demo instead (--compose insists)"
    MODE=embedded
    ;;
  esac
}

start() {
  if demo_is_up && demo_is_whole; then
    say "it is running already"
    "${KIND}_summary"
    return
  fi
  ensure_engine || exit 1
  choose_mode
  [ "${KIND:-$MODE}" = "$MODE" ] ||
    die "parts of the $KIND demo $PROJECT are still there; first: bash start.sh stop -p $PROJECT"
  "${MODE}_start"
}

stop() {
  if [ ! -d "$(demo_dir)" ]; then
    say "nothing runs in project $PROJECT$(other_projects)"
    return
  fi
  "${KIND:-embedded}_stop"
  say "stopped; nothing is left"
}

PROJECT=${COMPOSE_PROJECT_NAME:-mesos}
parse "$@"
need_project_name "$PROJECT" ||
  wrong "--project $PROJECT: lower case letters, digits, - and _ only"
MONITORING_WANTED=$MONITORING
load_settings
# A running demo without it gets what is missing.
[ "$MONITORING_WANTED" != 1 ] || [ "${MONITORING:-}" = 1 ] || MONITORING=1 SERVICES=
SHIM_PORTS=${SHIM_PORTS:-${OFFERED_PORTS:-}}
load_defaults

case $VERB in
start | stop)
  lock_checkout
  "$VERB"
  ;;
*)
  if ! demo_is_up; then
    echo "project $PROJECT is not running$(other_projects): bash start.sh -p $PROJECT starts it"
    exit 3
  fi
  "${KIND}_$VERB" ${FOLLOW[@]+"${FOLLOW[@]}"}
  ;;
esac
