# shellcheck shell=bash
# Sourced by start.sh: ZooKeeper, Mesos master, Marathon, Consul and the shim as containers.

UP_SECONDS=600
CONSUL_SECONDS=120
MASTER_SECONDS=180
MARATHON_SECONDS=300
SHIM_DRAIN_SECONDS=90
DOWN_SECONDS=180

compose_files() {
  local kind=local more
  ! on_triton || kind=triton
  printf '%s\n' -f "$ROOT/compose/docker-compose.yml" -f "$ROOT/compose/docker-compose.$kind.yml"
  ! publishes_host_address || printf '%s\n' -f "$ROOT/compose/docker-compose.host.yml"
  [ "${HA:-}" != 1 ] || printf '%s\n' -f "$ROOT/compose/docker-compose.ha.yml"
  for more in "$(demo_dir)"/datacenters.yml "$(demo_dir)"/agent*.yml; do
    [ ! -r "$more" ] || printf '%s\n' -f "$more"
  done
}

# compose SECONDS ARGS…: all its output goes to stderr.
compose() {
  local seconds=$1 file files=()
  shift
  while IFS= read -r file; do
    files+=("$file")
  done < <(compose_files)
  limit "$seconds" "${COMPOSE[@]}" --project-directory "$ROOT/compose" --env-file "$ROOT/compose/.env" \
    "${files[@]}" "$@" </dev/null >&2 9>&-
}

# Exports the variables that the compose files read.
compose_environment() {
  local socket
  SHIM_ID=$(demo_owner)
  # shellcheck disable=SC2153  # start.sh sets PROJECT
  export COMPOSE_PROJECT_NAME=$PROJECT SHIM_ID
  ha_environment
  monitoring_environment
  # The first request of a Triton endpoint for a container waits for its machine.
  export COMPOSE_HTTP_TIMEOUT=600 DOCKER_CLIENT_TIMEOUT=600
  if on_triton; then
    export TASK_NETWORK=bridge
    triton_certificates
    return
  fi
  export TASK_NETWORK=${PROJECT}_default
  socket=$(engine_socket)
  if [ -n "$socket" ]; then
    export DOCKER_SOCKET=$socket
    # In the virtual machine of Docker Desktop the socket belongs to root.
    [ "$(uname -s)" != Linux ] || DOCKER_GID=$(stat -L -c %g "$socket")
    export DOCKER_GID=${DOCKER_GID:-0}
  else
    # Ports published on the loopback address of that machine cannot be reached from here.
    export BIND_ADDRESS=${BIND_ADDRESS:-0.0.0.0}
  fi
  choose_network
  MARATHON_URL=$(scheme)://$(engine_host):$MARATHON_PORT/
  export MARATHON_URL
}

project_containers() { docker ps -aq --filter "label=com.docker.compose.project=$PROJECT"; }

compose_ports() {
  [ -n "$(engine_socket)" ] || return 0
  need_free_port "${BIND_ADDRESS:-127.0.0.1}" "$CONSUL_PORT" Consul --consul-port CONSUL_PORT
  need_free_port "${BIND_ADDRESS:-127.0.0.1}" "$MASTER_PORT" "the master" --master-port MASTER_PORT
  need_free_port "${BIND_ADDRESS:-127.0.0.1}" "$MARATHON_PORT" Marathon --marathon-port MARATHON_PORT
  need_free_port "${BIND_ADDRESS:-127.0.0.1}" "$AGENT_PORT" "the agent" --agent-port AGENT_PORT
  monitoring_ports
  [ -n "${HA:-}" ] || return 0
  need_free_port "${BIND_ADDRESS:-127.0.0.1}" "$MASTER2_PORT" "a master" "in compose/.env" MASTER2_PORT
  need_free_port "${BIND_ADDRESS:-127.0.0.1}" "$MASTER3_PORT" "a master" "in compose/.env" MASTER3_PORT
  need_free_port "${BIND_ADDRESS:-127.0.0.1}" "$AGENT2_PORT" "the second machine" "in compose/.env" AGENT2_PORT
}

# address SERVICE PORT PUBLISHED: the address of the service for clients on this machine.
address() {
  if on_triton; then
    triton_address "$1" "$2"
  else
    echo "$(engine_host):$3"
  fi
}

scheme() { if [ "${HA:-}" = 1 ]; then echo https; else echo http; fi; }
consul_url() { echo "$(scheme)://$CONSUL"; }
master_url() { echo "$(scheme)://$MESOS_MASTER"; }
marathon_url() { echo "$(scheme)://$MARATHON"; }
consul_leads() { [ -n "$(probe get "$(consul_url)/v1/status/leader" | tr -d '"')" ]; }
# Of several masters only the leader knows the agents; the others redirect to it.
agents_are_there() {
  local port host=${MESOS_MASTER%:*}
  for port in ${MESOS_MASTER##*:} ${HA:+$MASTER2_PORT $MASTER3_PORT}; do
    if [ "$(probe agents "$(scheme)://$host:$port/slaves")" = "$AGENTS" ]; then
      MESOS_MASTER=$host:$port
      return 0
    fi
  done
  return 1
}

# All agents are registered, or the shim cannot start.
agents_are_settled() { agents_are_there || shim_crashes; }

# Compose restarts a crashing shim, so its exit alone does not show.
shim_crashes() {
  local container restarts
  container=$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$PROJECT" \
    --filter label=com.docker.compose.service=shim | head -n 1)
  restarts=$(docker inspect -f '{{.RestartCount}}' "$container" 2>/dev/null) && [ "$restarts" -gt 3 ]
}

marathon_answers() { probe get "$(marathon_url)/v2/info" >/dev/null; }

# came_up WHAT SECONDS URL COMMAND…
came_up() {
  local what=$1 seconds=$2 url=$3
  shift 3
  wait_for "$what" "$seconds" "$@" || return 1
  say "$what: $url"
  show "$url"
}

# Opens the page in a browser, on a machine with a desktop.
show() {
  [ -z "${CI:-}${NO_BROWSER:-}" ] || return 0
  if [ "$(uname -s)" = Darwin ]; then
    open "$1" >/dev/null 2>&1 || true
  elif [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && have xdg-open; then
    xdg-open "$1" >/dev/null 2>&1 9>&- || true
  fi
}

save_compose() {
  save_settings compose HA CONSUL MESOS_MASTER MARATHON AGENTS TRITON TASK_NETWORK \
    CONSUL_PORT MASTER_PORT MARATHON_PORT AGENT_PORT MASTER2_PORT MASTER3_PORT AGENT2_PORT \
    MONITORING PROMETHEUS_PORT GRAFANA_PORT SUBNETS AGENTS_HERE SERVICES OFFERED_PORTS DOCKER_HOST \
    DOCKER_CERT_PATH DOCKER_TLS_VERIFY
}

compose_wait() {
  CONSUL=$(address consul 8500 "$CONSUL_PORT")
  MESOS_MASTER=$(address master 5050 "$MASTER_PORT")
  MARATHON=$(address marathon 8080 "$MARATHON_PORT")
  save_compose
  came_up "Consul" "$CONSUL_SECONDS" "$(consul_url)/ui/" consul_leads &&
    wait_for "$AGENTS agent(s) to register" "$MASTER_SECONDS" agents_are_settled &&
    came_up "the master, with $AGENTS agent(s)" 1 "$(master_url)/" agents_are_there &&
    came_up "Marathon" "$MARATHON_SECONDS" "$(marathon_url)/ui/" marathon_answers &&
    monitoring_wait || return 1
  save_compose
}

compose_start() {
  mkdir -p "$(demo_dir)"
  compose_environment
  OFFERED_PORTS=$SHIM_PORTS
  ! on_triton || OFFERED_PORTS=$TRITON_PORTS
  write_datacenters
  write_agents
  write_monitoring
  write_samples
  # After a start that failed half way, containers of this project have the ports.
  [ -n "$(project_containers)" ] || compose_ports
  # shellcheck disable=SC2034  # demo_is_whole reads it
  SERVICES=$(compose_services)
  save_compose
  say "starting containers (at most $UP_SECONDS s)"
  if ! { ha_close_secrets && ha_consul && compose "$UP_SECONDS" up -d && join_default_network "$(service_container consul)" &&
    compose_wait; }; then
    compose 120 ps || true
    compose 120 logs --no-color --tail=3 || true
    die "not all services started; logs: bash start.sh logs -p $PROJECT; remove them:" \
      "bash start.sh stop -p $PROJECT"
  fi
  compose_summary
}

# All services of the files, as one line.
compose_services() {
  local file files=()
  while IFS= read -r file; do
    files+=("$file")
  done < <(compose_files)
  limit 60 "${COMPOSE[@]}" --project-directory "$ROOT/compose" --env-file "$ROOT/compose/.env" \
    "${files[@]}" config --services </dev/null 2>/dev/null 9>&- | sort -u | paste -sd ' ' -
}

# The samples with the images and names of this project, in .run/PROJECT/apps.
write_samples() {
  local file apps
  apps=$(demo_dir)/apps
  mkdir -p "$apps"
  for file in "$ROOT"/compose/apps/*.json; do
    sed -e "s|\"nginx:alpine\"|\"$SAMPLE_IMAGE\"|" -e "s|mesos_consul_1|${PROJECT}_consul_1|" "$file" \
      >"$apps/${file##*/}"
  done
}

# Docker links work only within the default network, which BRIDGE containers use.
join_default_network() {
  on_triton || [ "${HA:-}" = 1 ] || docker network connect bridge "$1" 2>/dev/null || true
}

# Lines of the summary that differ with --ha, where clients need passwords and certificates.
consul_lines() {
  if [ "${HA:-}" = 1 ]; then
    cat <<END
Passwords     . $(quoted "${1}.run/$PROJECT/secrets/operator.sh")
              curl --cacert "\$CONSUL_CACERT" --cert "\$CONSUL_CLIENT_CERT" --key "\$CONSUL_CLIENT_KEY" \\
                -u "\$MESOS_HTTP_AUTH" https://$MESOS_MASTER/slaves
              curl --cacert "\$CONSUL_CACERT" --cert "\$CONSUL_CLIENT_CERT" --key "\$CONSUL_CLIENT_KEY" \\
                -H "X-Consul-Token: \$CONSUL_HTTP_TOKEN" https://$CONSUL/v1/catalog/service/nginx
END
  else
    cat <<END
              curl http://$CONSUL/v1/catalog/service/nginx
Couchbase     bash $(quoted "${1}compose/apps/couchbase.sh") http://$MARATHON http://$CONSUL
END
  fi
}

compose_summary() {
  local home=$ROOT/ start project='' authority=
  [ "${HA:-}" != 1 ] || authority="--cacert $(quoted "$SECRETS/operator/ca.pem") "
  [ "$PWD" != "$ROOT" ] || home=
  [ "$PROJECT" = mesos ] || project=" -p $PROJECT"
  start="bash $(quoted "${home}start.sh")"
  cat <<END

Mesos with Marathon and Consul is running.

  Consul     $(consul_url)/ui/
  master     $(master_url)/
  Marathon   $(marathon_url)/ui/$(monitoring_lines)

Use it        eval "\$(bash $(quoted "${home}env.sh") $PROJECT)"
Hello world   curl ${authority}-X POST -H 'Content-Type: application/json' -d @$(quoted "${home}.run/$PROJECT/apps/nginx.json") $(marathon_url)/v2/apps
$(consul_lines "$home")
Look          $start status$project
              $start logs$project
Stop          $start stop$project
END
  if on_triton; then
    say "master, Marathon and Consul need no password and have public addresses: for tests only"
  fi
}

shim_is_over() { [ -z "$(service_container "$1")" ]; }

# SIGUSR1 makes an agent kill its tasks and exit; the restart policy would start it again.
ask_to_drain() {
  local container
  container=$(service_container "$1")
  [ -n "$container" ] || return 0
  on_triton || docker update --restart=no "$container" >/dev/null
  docker kill --signal USR1 "$container" >/dev/null
}

# All agents at once, so that no task starts again at another agent. The frameworks still run and
# acknowledge the ends.
drain() {
  local service
  for service; do
    ask_to_drain "$service"
  done
  for service; do
    wait_for "$service to end its tasks" "$SHIM_DRAIN_SECONDS" shim_is_over "$service" || true
  done
}

compose_stop() {
  local service services left
  find_compose || die "needs Docker Compose to stop what it started: $WHY"
  compose_environment
  services="$(datacenter_services) $(agent_services)"
  ha_stop_standby
  # shellcheck disable=SC2086  # one word a service
  drain shim ${HA:+shim2} $services
  # No agent may start a task again. A network can be removed only after its last container.
  # shellcheck disable=SC2086  # one word a service
  compose "$DOWN_SECONDS" rm -s -f shim ${HA:+shim2} $services || true
  # The label of a task's container ends with the name of its agent's service; empty for the first.
  for service in shim $services; do
    left=$(docker ps -aq --filter "label=mesos-shim.id=$SHIM_ID${service#shim}")
    [ -n "$left" ] || continue
    say "removing $(wc -l <<<"$left") containers of tasks of $service"
    # shellcheck disable=SC2086  # one word a container
    docker rm -f -v $left >/dev/null
  done
  compose "$DOWN_SECONDS" down -v --remove-orphans || die "some containers could not be removed; run this again"
  rm -rf "$(demo_dir)"
}

compose_status() {
  find_compose || die "$WHY"
  compose_environment
  compose 120 ps 2>&1
  tell "Consul has a leader: $(consul_url)/ui/" "Consul does NOT answer" consul_leads
  tell "$AGENTS agent(s) registered: $(master_url)/" "NOT all agents are registered" agents_are_there
  ha_status
  tell "Marathon answers: $(marathon_url)/ui/" "Marathon does NOT answer" marathon_answers
  monitoring_status
  probe tasks "$(master_url)/tasks" || echo "the master does NOT answer"
  probe queue "$(marathon_url)/v2/queue" "$OFFERED_PORTS" || true
}

compose_logs() {
  find_compose || die "$WHY"
  compose_environment
  [ -t 1 ] || set -- --no-color "$@"
  compose "$LOG_SECONDS" logs --tail=100 "$@" 2>&1
}

# A day: -f is ended by Ctrl-C.
LOG_SECONDS=86400
