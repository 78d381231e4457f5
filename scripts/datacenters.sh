# shellcheck shell=bash
# Sourced by start.sh: --datacenters, one more shim for each endpoint, at the same master.

# datacenter_pairs: a line NAME|ENDPOINT for each NAME=ENDPOINT,…. A Triton data center may be given
# by name only: its endpoint is DOCKER_HOST with NAME as the first label.
datacenter_pairs() {
  local word words
  IFS=, read -r -a words <<<"${DATACENTERS:-}"
  for word in ${words[@]+"${words[@]}"}; do
    case $word in
    =* | *=) ;;
    *=*) echo "${word%%=*}|${word#*=}" ;;
    *) ! on_triton || echo "$word|${DOCKER_HOST%%://*}://$word.${DOCKER_HOST#*.}" ;;
    esac
  done
}

datacenter_services() {
  local file
  file=$(demo_dir)/datacenters.yml
  [ ! -r "$file" ] || sed -n 's/^  \(shim-[a-z0-9-]*\):$/\1/p' "$file"
}

# One Compose service for each, so that Compose starts, restarts and removes it with the others.
# Sets AGENTS: how many agents shall register.
write_datacenters() {
  local name endpoint file
  file=$(demo_dir)/datacenters.yml
  AGENTS=1
  [ -n "${DATACENTERS:-}" ] || return 0
  echo "services:" >"$file.new"
  while IFS='|' read -r name endpoint; do
    case $name in
    agent[0-9]*) wrong "--datacenters: $name is the name of a further agent of --agents" ;;
    '' | *[!a-z0-9-]*) wrong "--datacenters: $name is not a name (lower case letters, digits, -)" ;;
    esac
    AGENTS=$((AGENTS + 1))
    datacenter_service "$name" "$endpoint" "$AGENTS" >>"$file.new"
  done < <(datacenter_pairs)
  [ "$AGENTS" -gt 1 ] || wrong "--datacenters $DATACENTERS: NAME=ENDPOINT,... is wanted here"
  mv "$file.new" "$file"
}

# Only one agent offers the ports of an endpoint.
datacenter_ports() {
  if [ "$1" = "unix://$(engine_socket)" ]; then
    echo none
  else
    # shellcheck disable=SC2016  # Compose replaces it
    echo '${SHIM_PORTS}'
  fi
}

# The address of the ports that its tasks publish.
datacenter_host() {
  local host=${1#*://}
  if [ "${1#unix://}" != "$1" ]; then
    echo "$HOST_ADDRESS"
  else
    echo "${host%%[:/]*}"
  fi
}

# datacenter_service NAME ENDPOINT NUMBER
datacenter_service() {
  cat <<END
  shim-$1:
    image: \${SHIM_IMAGE}
    restart: always
    mem_limit: \${SHIM_MEMORY}
    environment:
      MESOS_MASTER: zk://zookeeper:2181/mesos
      MESOS_CONSUL: http://consul:8500
      MESOS_PORTS: "$(if on_triton; then echo "$TRITON_PORTS"; else datacenter_ports "$2"; fi)"
      MESOS_HOSTNAME_LOOKUP: "false"
      MESOS_ATTRIBUTES: "datacenter:$1"
      MESOS_SHIM_ID: $SHIM_ID-$1
      DOCKER_HOST: $2
END
  if on_triton; then
    cat <<'END'
      DOCKER_TLS_VERIFY: "${DOCKER_TLS_VERIFY-1}"
      TLSCA:
      TLSCERT:
      TLSKEY:
    network_mode: bridge
    links: [zookeeper, consul]
END
    return
  fi
  cat <<END
      MESOS_HOSTNAME: "$(datacenter_host "$2")"
    networks:
      default:
        ipv4_address: $(layout further "$SHIM_ADDRESS" "$3")
END
  if [ "${2#unix://}" != "$2" ]; then
    cat <<END
    group_add: ["\${DOCKER_GID:-0}"]
    volumes:
      - ${2#unix://}:${2#unix://}
END
  fi
}
