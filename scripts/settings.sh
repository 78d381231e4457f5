# shellcheck shell=bash
# Sourced by start.sh and env.sh: the settings of a demo, and those of a running one.

# Defaults for everything the environment does not set, for us and for Compose.
load_defaults() {
  local name value
  while IFS='=' read -r name value; do
    case $name in
    '' | '#'*) ;;
    *) [ -n "${!name:-}" ] || export "$name=$value" ;;
    esac
  done <"$ROOT/compose/.env"
}

need_project_name() {
  case $1 in
  *[!a-z0-9_-]* | [!a-z0-9]*) return 1 ;;
  esac
}

demo_dir() { echo "$RUN/$PROJECT"; }

# save_settings KIND NAME…: saves variables for later commands, also from another shell.
save_settings() {
  local name
  {
    echo "export KIND=$1"
    shift
    for name; do
      [ -z "${!name+set}" ] || printf 'export %s=%q\n' "$name" "${!name}"
    done
  } >"$(demo_dir)/settings"
}

# Sets KIND and the variables saved with it.
load_settings() {
  KIND=
  # shellcheck source=/dev/null
  [ ! -r "$(demo_dir)/settings" ] || . "$(demo_dir)/settings"
}

# service_container SERVICE: the id of its running container.
service_container() {
  docker ps -q --no-trunc --filter "label=com.docker.compose.project=$PROJECT" \
    --filter "label=com.docker.compose.service=$1" 2>/dev/null | head -n 1
}

# The end of a sentence: the running projects of this checkout, if there are any.
other_projects() {
  local file names=
  for file in "$RUN"/*/settings; do
    [ -r "$file" ] || continue
    file=${file%/settings}
    names="$names ${file##*/}"
  done
  [ -z "$names" ] || echo "; running here:$names (name one: -p NAME)"
}

demo_is_up() {
  case $KIND in
  embedded) pid_in "$(demo_dir)/dev.pid" >/dev/null ;;
  compose)
    # Of --ha any master: one may be away.
    [ -n "$(service_container master)${HA:+$(service_container master2)$(service_container master3)}" ]
    ;;
  *) false ;;
  esac
}

# services_running: the services whose container runs. One that has restarted several times and is
# not healthy restarts over and over: it does not run.
services_running() {
  local ids
  ids=$(docker ps -q --filter status=running --filter "label=com.docker.compose.project=$PROJECT")
  [ -n "$ids" ] || return 0
  # shellcheck disable=SC2086  # one word a container
  docker inspect -f '{{index .Config.Labels "com.docker.compose.service"}} {{.RestartCount}} {{with .State.Health}}{{.Status}}{{else}}healthy{{end}}' $ids 2>/dev/null |
    awk '$2 <= 3 || $3 == "healthy" { print $1 }' | sort -u
}

# Whether every started service runs; start.sh starts missing ones again. SERVICES was saved.
demo_is_whole() {
  [ "$KIND" != compose ] ||
    [ "$(services_running)" = "$(tr ' ' '\n' <<<"${SERVICES:-}" | sort -u)" ]
}
