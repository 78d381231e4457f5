# shellcheck shell=bash
# Sourced by start.sh: the demo's network on a Docker Engine with its fixed addresses, and --agents N,
# several agents at one endpoint.

layout() { python_script demo_layout.py "$@"; }

# unused_subnets COUNT: as Docker would choose them, so that they overlap with no other network or route.
unused_subnets() {
  local number names=
  for ((number = 1; number <= $1; number++)); do
    names="$names ${PROJECT}_subnet-$$-$number"
  done
  # shellcheck disable=SC2086  # one word a network
  set -- $names
  for number; do
    docker network create "$number" >/dev/null && docker network inspect \
      -f '{{(index .IPAM.Config 0).Subnet}}' "$number"
  done
  docker network rm "$@" >/dev/null
}

# Sets SUBNETS (one line: the subnet of the project and of each further agent) and the variables of
# the first.
# A master identifies an agent by its address, so the shim gets the same one at every start.
choose_network() {
  local found wanted=${AGENTS_HERE:-1}
  # shellcheck disable=SC2086  # one word a network
  set -- ${SUBNETS:-${SUBNET:-}}
  # shellcheck disable=SC2046
  [ $# -ge "$wanted" ] || set -- "$@" $(unused_subnets $((wanted - $#)))
  SUBNETS=$*
  export SUBNET=${1:-}
  found=$(layout addresses "$SUBNET") || die "SUBNET=$SUBNET: the network needs at least 64 IPv4 addresses"
  read -r GATEWAY SHIM_ADDRESS DYNAMIC_RANGE <<<"$found"
  HOST_ADDRESS=$(tasks_answer_at)
  export GATEWAY SHIM_ADDRESS DYNAMIC_RANGE HOST_ADDRESS
  [ "${HA:-}" != 1 ] || choose_ha_addresses
}

# A certificate names the address of the server or machine that has it. A Consul server that comes back with
# another address is refused, until the others have given up the old one after most of a minute.
choose_ha_addresses() {
  read -r MASTER_ADDRESS MASTER2_ADDRESS MASTER3_ADDRESS MARATHON_ADDRESS MACHINE_ADDRESS \
    MACHINE2_ADDRESS CONSUL_ADDRESS CONSUL2_ADDRESS CONSUL3_ADDRESS <<<"$(layout ha "$SUBNET")"
  export MASTER_ADDRESS MASTER2_ADDRESS MASTER3_ADDRESS MARATHON_ADDRESS MACHINE_ADDRESS MACHINE2_ADDRESS \
    CONSUL_ADDRESS CONSUL2_ADDRESS CONSUL3_ADDRESS
}

# The address of published ports and HOST tasks, for containers and for a browser on that host.
tasks_answer_at() {
  if [ -z "$(engine_socket)" ]; then
    engine_host
  elif [ "$(uname -s)" = Linux ]; then
    echo "$GATEWAY"
  else
    # On Docker Desktop no address works both in containers and in this machine's browser.
    echo host.docker.internal
  fi
}

# Whether the agent's port has to be published at its host name as well.
publishes_host_address() {
  [ "${HOST_ADDRESS:-}" = "${GATEWAY:-}" ] && [ "${BIND_ADDRESS:-127.0.0.1}" != 0.0.0.0 ]
}

agent_services() {
  local number
  for ((number = 2; number <= ${AGENTS_HERE:-1}; number++)); do
    echo "shim-agent$number"
  done
}

# Sets SHIM_RESOURCES and SHIM_PORTS of the first agent, and writes the services of the others.
write_agents() {
  local count=${AGENTS_HERE:-1} number=0 resources ports subnet shares
  [ "$count" -gt 1 ] || return 0
  case $count in *[!0-9]*) wrong "--agents $count: a number is wanted" ;; esac
  ! on_triton || die "--agents needs a Docker Engine; on Triton see compose/README.md, Several agents"
  [ "${HA:-}" != 1 ] || die "--agents with --ha: see compose/README.md, Several agents"
  # shellcheck disable=SC2046  # two words
  shares=$(layout share "$count" $(docker info -f '{{.NCPU}} {{.MemTotal}}') "$SHIM_PORTS") ||
    die "SHIM_PORTS=$SHIM_PORTS cannot be shared by $count agents"
  while read -r resources ports; do
    number=$((number + 1))
    if [ "$number" = 1 ]; then
      export SHIM_RESOURCES=$resources SHIM_PORTS=$ports
      continue
    fi
    subnet=$(cut -d ' ' -f "$number" <<<"$SUBNETS")
    AGENTS=$((AGENTS + 1))
    layout agent "$ROOT/compose/agent.yml" "$number" "$SHIM_ID" "$resources" "$ports" \
      "$(layout further "$SHIM_ADDRESS" "$AGENTS")" "$subnet" >"$(demo_dir)/agent$number.yml"
  done <<<"$shares"
}
