#!/usr/bin/env bash
# eval "$(bash env.sh PROJECT)" sets COMPOSE_PROJECT_NAME, CONSUL, MESOS_MASTER and MARATHON of
# a demo that start.sh started, and says so. Where nothing runs, the eval fails.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/scripts/lib.sh"

# Printed for eval: a failure here would be lost, its output alone is evaluated.
refuse() {
  say "$*"
  echo false
  exit 1
}

is_up() { [ -r "$settings" ] && pid_in "$RUN/$PROJECT/dev.pid" >/dev/null; }

[ $# -le 1 ] || refuse "usage: eval \"\$(bash env.sh PROJECT)\", not $# projects"
PROJECT=${1:-mesos}
case $PROJECT in
*[!a-z0-9_-]* | [!a-z0-9]*) refuse "$PROJECT is not a project's name" ;;
esac
settings=$RUN/$PROJECT/settings
is_up || refuse "$PROJECT does not run; start it: bash start.sh -p $PROJECT"

# In a shell of its own: what the settings hold for us does not concern the user.
(
  # shellcheck source=/dev/null
  . "$settings"
  echo "export COMPOSE_PROJECT_NAME=$PROJECT"
  said=
  for name in CONSUL MESOS_MASTER MARATHON; do
    value=${!name:-}
    if [ -n "$value" ]; then
      printf 'export %s=%q\n' "$name" "$value"
      said="$said $name=$value"
    else
      # Of another project perhaps, set by an earlier eval.
      echo "unset $name"
    fi
  done
  printf 'echo %q\n' "set: COMPOSE_PROJECT_NAME=$PROJECT$said"
)
