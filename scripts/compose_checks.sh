# shellcheck shell=bash
# Sourced by start.sh: checks whether the demo can run as containers. A failing check sets WHY.
# shellcheck disable=SC2034  # start.sh reads WHY, compose.sh COMPOSE

ASK_SECONDS=60
PULL_SECONDS=1800
BUILD_SECONDS=900

engine_socket() {
  local host
  host=$(engine_url)
  [ "${host#unix://}" = "$host" ] || echo "${host#unix://}"
}

engine_url() {
  echo "${DOCKER_HOST:-$(docker context inspect -f '{{.Endpoints.docker.Host}}' 2>/dev/null ||
    echo unix:///var/run/docker.sock)}"
}

# The address of published ports for clients on this machine.
engine_host() {
  local url host
  url=$(engine_url)
  case $url in
  unix://*)
    host=${BIND_ADDRESS:-127.0.0.1}
    [ "$host" != 0.0.0.0 ] || host=127.0.0.1
    echo "$host"
    ;;
  *)
    host=${url#*://}
    echo "${host%%[:/]*}"
    ;;
  esac
}

# Sets COMPOSE.
find_compose() {
  if limit "$ASK_SECONDS" docker compose version >/dev/null 2>&1; then
    COMPOSE=(docker compose)
  elif have docker-compose; then
    COMPOSE=(docker-compose)
  else
    WHY="there is no Docker Compose (Debian: apt-get install docker-compose)"
    return 1
  fi
}

# 1.28 is the first version that knows profiles. Only a start asks: docker-compose takes half a second.
compose_is_new_enough() {
  local version
  [ "${COMPOSE[0]}" = docker-compose ] || return 0
  version=$(limit "$ASK_SECONDS" docker-compose version --short 2>/dev/null) || {
    WHY="docker-compose does not run (Debian: apt-get install docker-compose)"
    return 1
  }
  case $version in
  1.[0-9] | 1.[0-9].* | 1.1[0-9].* | 1.2[0-7].*)
    WHY="docker-compose $version is too old: 1.28 or newer is needed"
    return 1
    ;;
  esac
}

compose_images() {
  printf '%s\n' "$CONSUL_IMAGE" "$ZOOKEEPER_IMAGE" "$MASTER_IMAGE" "$MARATHON_IMAGE"
  [ "${MONITORING:-}" != 1 ] || printf '%s\n' "$PROMETHEUS_IMAGE" "$GRAFANA_IMAGE"
  if shim_is_built; then
    printf '%s\n' "$BASE_IMAGE"
  else
    printf '%s\n' "$SHIM_IMAGE"
  fi
}

shim_is_built() { [ "${SHIM_IMAGE##*:}" = local ]; }

# have_image IMAGE: the engine has it, or pulls it.
have_image() {
  local said
  ! docker image inspect "$1" >/dev/null 2>&1 || return 0
  say "pulling $1 (at most $PULL_SECONDS s)"
  mkdir -p "$RUN"
  limit "$PULL_SECONDS" docker pull "$1" </dev/null 2>"$RUN/pull.log" >&2 9>&- && return 0
  said=$(tail -n 1 "$RUN/pull.log")
  WHY="image $1 is neither here nor can it be pulled (${said:-after $PULL_SECONDS s})"
  return 1
}

build_shim() {
  shim_is_built || return 0
  if on_triton; then
    WHY="Triton cannot build the shim's image: push one to a registry and name it in SHIM_IMAGE"
    return 1
  fi
  say "building $SHIM_IMAGE from this checkout (at most $BUILD_SECONDS s)"
  compose "$BUILD_SECONDS" build shim && return 0
  WHY="the shim's image could not be built, see above"
  return 1
}

# All checks before a container is started.
compose_is_possible() {
  local image
  have docker || { WHY="there is no docker command (Debian: docker.io or docker-cli)" && return 1; }
  have python3 || { WHY="there is no python3" && return 1; }
  find_compose && compose_is_new_enough || return 1
  ! on_triton || triton_is_consistent || return 1
  for image in $(compose_images); do
    have_image "$image" || return 1
  done
  if [ "${HA:-}" = 1 ] && on_triton; then
    WHY="--ha mounts its secrets, which Triton cannot: see compose/README.md"
    return 1
  fi
  if [ "${MONITORING:-}" = 1 ] && on_triton; then
    WHY="--monitoring mounts its files, which Triton cannot: see compose/deploy/README.md"
    return 1
  fi
  [ -z "${HA:-}" ] || [ -z "${DATACENTERS:-}" ] || die "--datacenters with --ha: see compose/README.md"
  compose_environment
  ha_prepare
  build_shim
}
