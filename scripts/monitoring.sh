# shellcheck shell=bash
# Sourced by start.sh: --monitoring, Prometheus and Grafana as Compose's profile of that name.

MONITORING_SECONDS=120

# Exports what the compose files and Compose itself read.
monitoring_environment() {
  [ "${MONITORING:-}" = 1 ] || return 0
  PROMETHEUS_CONFIG=$(demo_dir)/prometheus.yml
  export PROMETHEUS_CONFIG COMPOSE_PROFILES=monitoring
}

# Every agent is a target: the first one's port is a setting, the others have the default. The certificates
# of --ha name addresses.
write_monitoring() {
  [ "${MONITORING:-}" = 1 ] || return 0
  local service
  {
    echo "global: {scrape_interval: 5s, evaluation_interval: 5s}"
    echo "rule_files: [mesos-shim.rules.yml]"
    echo "scrape_configs:"
    echo "  - job_name: mesos-shim"
    if [ "${HA:-}" = 1 ]; then
      cat <<END
    scheme: https
    tls_config: {ca_file: /secrets/ca.pem, cert_file: /secrets/cert.pem, key_file: /secrets/key.pem}
    basic_auth: {username: operator, password_file: /secrets/password}
    static_configs: [targets: ["$MACHINE_ADDRESS:$AGENT_PORT", "$MACHINE2_ADDRESS:$AGENT_PORT"]]
END
      return
    fi
    echo "    static_configs:"
    echo "      - targets:"
    echo "          - shim:$AGENT_PORT"
    for service in $(datacenter_services) $(agent_services); do
      echo "          - $service:5051"
    done
  } >"$PROMETHEUS_CONFIG"
}

monitoring_ports() {
  [ "${MONITORING:-}" = 1 ] || return 0
  need_free_port "${BIND_ADDRESS:-127.0.0.1}" "$PROMETHEUS_PORT" Prometheus --prometheus-port PROMETHEUS_PORT
  need_free_port "${BIND_ADDRESS:-127.0.0.1}" "$GRAFANA_PORT" Grafana --grafana-port GRAFANA_PORT
}

prometheus_url() { echo "http://$(engine_host):$PROMETHEUS_PORT"; }
grafana_url() { echo "http://$(engine_host):$GRAFANA_PORT"; }
prometheus_answers() { probe get "$(prometheus_url)/-/ready" >/dev/null; }
grafana_answers() { probe get "$(grafana_url)/api/health" >/dev/null; }

monitoring_wait() {
  [ "${MONITORING:-}" = 1 ] || return 0
  came_up "Prometheus" "$MONITORING_SECONDS" "$(prometheus_url)/targets" prometheus_answers &&
    came_up "Grafana" "$MONITORING_SECONDS" "$(grafana_url)/d/mesos-shim" grafana_answers
}

monitoring_status() {
  [ "${MONITORING:-}" = 1 ] || return 0
  tell "Prometheus answers: $(prometheus_url)/targets" "Prometheus does NOT answer" prometheus_answers
  tell "Grafana answers: $(grafana_url)/d/mesos-shim" "Grafana does NOT answer" grafana_answers
}

# Lines of the summary, each behind the end of another.
monitoring_lines() {
  [ "${MONITORING:-}" != 1 ] ||
    printf '\n  %s' "Prometheus $(prometheus_url)/alerts" "Grafana    $(grafana_url)/d/mesos-shim"
}
