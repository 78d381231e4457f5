#!/usr/bin/env bash
# eval "$(bash env.sh PROJECT)" sets COMPOSE_PROJECT_NAME, CONSUL, MESOS_MASTER and MARATHON of
# a demo that start.sh started, and says so. Where nothing runs, the eval fails.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/scripts/lib.sh"
. "$ROOT/scripts/settings.sh"

# Printed for eval: a failure here would be lost, its output alone is evaluated.
refuse() {
  say "$*"
  echo false
  exit 1
}

[ $# -le 1 ] || refuse "usage: eval \"\$(bash env.sh PROJECT)\", not $# projects"
PROJECT=${1:-mesos}
need_project_name "$PROJECT" || refuse "$PROJECT is not a project's name"
unset CONSUL MESOS_MASTER MARATHON
load_settings
demo_is_up || refuse "$PROJECT does not run; start it: bash start.sh -p $PROJECT"

echo "export COMPOSE_PROJECT_NAME=$PROJECT"
said="COMPOSE_PROJECT_NAME=$PROJECT"
for name in CONSUL MESOS_MASTER MARATHON; do
  value=${!name:-}
  if [ -n "$value" ]; then
    printf 'export %s=%q\n' "$name" "$value"
    said="$said $name=$value"
  else
    # An earlier eval may have set it for another project.
    echo "unset $name"
  fi
done
printf 'echo %q\n' "set: $said"
