# shellcheck shell=bash
# Sourced by start.sh: --ha, three servers of each kind that authenticate with certificates,
# credentials and tokens, and an agent of two machines.

HA_CONSUL_SECONDS=180

ha_secrets_dir() { echo "$(demo_dir)/secrets"; }

# Creates the secrets at the first start; sets the variables of compose/docker-compose.ha.yml.
ha_environment() {
  [ "${HA:-}" = 1 ] || return 0
  SECRETS=$(ha_secrets_dir)
  export SECRETS CONSUL_TARGET=8501 MARATHON_TARGET=8443
  if [ -r "$SECRETS/operator.sh" ]; then
    # shellcheck source=/dev/null
    . "$SECRETS/operator.sh"
  fi
  export CONSUL_MANAGEMENT=${CONSUL_HTTP_TOKEN:-} JOURNAL_SECRET=${JOURNAL_SECRET:-}
}

ha_prepare() {
  [ "${HA:-}" = 1 ] || return 0
  ensure_venv
  mkdir -p "$(demo_dir)"
  "$VENV/bin/python" "$ROOT/scripts/ha_secrets.py" make "$(ha_secrets_dir)" "$(engine_host),$GATEWAY" \
    "$MASTER_ADDRESS,$MASTER2_ADDRESS,$MASTER3_ADDRESS" "$MARATHON_ADDRESS" \
    "$SHIM_ADDRESS,$MACHINE_ADDRESS,$MACHINE2_ADDRESS" ||
    die "--ha: could not make certificates and credentials"
  ha_environment
}

ha_grant() {
  "$VENV/bin/python" "$ROOT/scripts/ha_secrets.py" grant "$SECRETS" "https://127.0.0.1:$CONSUL_PORT" \
    2>/dev/null
}

# Only the shim's user may read its passwords: the agent warns about secrets that others can read.
ha_close_secrets() {
  [ "${HA:-}" = 1 ] || return 0
  docker run --rm --user 0 --network none --entrypoint /bin/sh -v "$SECRETS/shim:/secrets" "$SHIM_IMAGE" \
    -c 'cd /secrets && chown 10001:10001 credential.json http.json && chmod 600 credential.json http.json' \
    >/dev/null 9>&-
}

# Consul first: the shim's token needs its permissions before the shim uses it. ZooKeeper elects a leader
# meanwhile.
ha_consul() {
  [ "${HA:-}" = 1 ] || return 0
  compose "$UP_SECONDS" up -d consul consul2 consul3 zookeeper zookeeper2 zookeeper3 &&
    wait_for "three Consul servers to elect a leader and take the shim's token" \
      "$HA_CONSUL_SECONDS" ha_grant
}

# ha_machines: SERVICE PORT of each machine that may lead the agent.
ha_machines() { printf '%s\n' "shim $AGENT_PORT" "shim2 $AGENT2_PORT"; }

# A machine that waits would take over from one that drains.
ha_stop_standby() {
  local service port
  [ "${HA:-}" = 1 ] || return 0
  while read -r service port; do
    [ "$(probe leader "https://$(engine_host):$port/leader")" != "stands by" ] ||
      compose "$DOWN_SECONDS" stop "$service" || true
  done < <(ha_machines)
}

ha_status() {
  local service port url role
  [ "${HA:-}" = 1 ] || return 0
  while read -r service port; do
    url=https://$(engine_host):$port/leader
    role=$(probe leader "$url") || role="does NOT answer"
    echo "$service $role: $url"
  done < <(ha_machines)
}
