#!/usr/bin/env bash
# bash compose/apps/couchbase.sh [MARATHON CONSUL]
# A Couchbase cluster and a load generator as Marathon apps. The scripts that make the nodes one
# cluster are put into Consul, where the containers find them. Without arguments the addresses
# are those that env.sh sets.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
marathon=${1:-${MARATHON:-}}
consul=${2:-${CONSUL:-}}
SECONDS_EACH=30 # for one request

if [ -z "$marathon" ] || [ -z "$consul" ]; then
  echo "usage: bash couchbase.sh MARATHON CONSUL, or first: eval \"\$(bash env.sh mesos)\"" >&2
  exit 2
fi
marathon=http://${marathon#http://}
consul=http://${consul#http://}
image=${COUCHBASE_IMAGE:-$(sed -n 's/^COUCHBASE_IMAGE=//p' "$here/../.env")}

ask() { curl -fsS --max-time "$SECONDS_EACH" "$@"; }

# A name that an earlier cluster left would be waited for in vain.
ask -X DELETE "$consul/v1/kv/apps/couchbase?recurse" >/dev/null
for script in bootstrap load; do
  ask -X PUT --data-binary "@$here/couchbase/$script.sh" "$consul/v1/kv/apps/couchbase/$script" >/dev/null
done
for app in app load; do
  sed "s|@COUCHBASE_IMAGE@|$image|" "$here/couchbase/$app.json" |
    ask -X POST -H 'Content-Type: application/json' -d @- "$marathon/v2/apps" >/dev/null
done
cat <<END
The cluster and its load generator are on their way.
  nodes     curl '$consul/v1/health/service/couchbase?passing'
  progress  $marathon/ui/#/apps
  console   port 8091 of any node; Administrator, password
  more      curl -X PUT -H 'Content-Type: application/json' -d '{"instances": 5}' $marathon/v2/apps/couchbase
END
