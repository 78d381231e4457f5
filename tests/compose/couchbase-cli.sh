#!/bin/sh
# In the place of couchbase-cli: the cluster's members are keys in Consul. As the real one, it
# knows a cluster only at its members.
set -eu
KV=http://$CONSUL/v1/kv/stub/members

verb=$1 node=${3%:*} added=
shift
while [ $# -gt 0 ]; do
  [ "$1" != --server-add ] || added=${2%:*}
  shift
done

is_member() { curl -sf "$KV/$1" >/dev/null; }

case $verb in
cluster-init)
  [ "$(curl -sf "$KV?keys" || echo none)" = none ]
  curl -sf -X PUT -d 1 "$KV/$node"
  ;;
server-list)
  is_member "$node"
  curl -sf "$KV?keys" | tr ',' '\n' | sed 's|.*members/\([0-9.]*\).*|ns_1@\1 \1:8091 healthy active|'
  ;;
server-add)
  is_member "$node"
  curl -sf -X PUT -d 1 "$KV/$added"
  ;;
bucket-create | rebalance) is_member "$node" ;;
*) exit 2 ;;
esac
