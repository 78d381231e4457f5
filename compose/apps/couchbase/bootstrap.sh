#!/bin/sh
# Runs in each node's container, beside the server: makes one cluster of all nodes.
# The node whose key Consul takes first makes the cluster; every other one waits until a node of
# the cluster is found healthy in Consul, and joins it.
#
# CONSUL (host:port), COUCHBASE_USER, COUCHBASE_PASS, COUCHBASE_MEMORY (MB for data).
set -eu
PATH=/opt/couchbase/bin:$PATH

FIRST=http://$CONSUL/v1/kv/apps/couchbase/first
NODES="http://$CONSUL/v1/health/service/couchbase?passing"
TRIES=300 # of a second each, and then the task fails and is started again

say() { echo "bootstrap: $*"; }

# until_true WHAT COMMAND...
until_true() {
  what=$1 left=$TRIES
  shift
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    if [ "$left" -le 0 ]; then
      say "gave up waiting for $what"
      return 1
    fi
    sleep 1
  done
  say "$what: yes"
}

answers() { curl -sf "http://$1:8091/pools"; }

# The address that others reach us at: the one the container's name stands for.
own_address() { hostname -i | cut -d ' ' -f 1; }

# cas=0: only a key that is not there yet is written. Consul answers true or false.
is_first() { [ "$(curl -sf -X PUT -d "$1" "$FIRST?cas=0")" = true ]; }

healthy_nodes() {
  curl -sf "$NODES" | grep -o '"Address": *"[0-9.]*"' | cut -d '"' -f 4 | sort -u
}

# cli VERB ADDRESS ARGS...
cli() {
  verb=$1 address=$2
  shift 2
  couchbase-cli "$verb" -c "$address:8091" -u "$COUCHBASE_USER" -p "$COUCHBASE_PASS" "$@"
}

make_cluster() {
  cli cluster-init "$1" --cluster-username "$COUCHBASE_USER" \
    --cluster-password "$COUCHBASE_PASS" --cluster-ramsize "$COUCHBASE_MEMORY" --services data &&
    cli bucket-create "$1" --bucket default --bucket-type couchbase \
      --bucket-ramsize "$((COUCHBASE_MEMORY / 2))" --bucket-replica 1 --wait
}

# joins OWN: through the first healthy node that is a member. While another node's rebalance
# runs this is refused, and tried again.
joins() {
  for node in $(healthy_nodes); do
    if [ "$node" = "$1" ] || ! members=$(cli server-list "$node"); then
      continue
    fi
    case $members in *"$1:8091"*) return 0 ;; esac
    cli server-add "$node" --server-add "$1:8091" --server-add-username "$COUCHBASE_USER" \
      --server-add-password "$COUCHBASE_PASS" --services data
    cli rebalance "$node"
    return
  done
  return 1
}

bootstrap() {
  own=$(own_address)
  until_true "server at $own answers" answers "$own" || return 1
  if ! is_first "$own"; then
    until_true "joined the cluster" joins "$own"
    return
  fi
  say "first node: making the cluster"
  make_cluster "$own" || {
    # Give up the claim to be the first node, or no node would make the cluster.
    curl -sf -X DELETE "$FIRST"
    return 1
  }
}

/entrypoint.sh couchbase-server &
server=$!
trap 'kill "$server"' TERM INT
bootstrap || {
  kill "$server"
  exit 1
}
say "OK"
wait "$server"
