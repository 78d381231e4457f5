#!/bin/sh
# Runs in the load generator's container: finds a node in Consul, and writes and reads.
# CONSUL (host:port), COUCHBASE_USER, COUCHBASE_PASS.
set -eu
PATH=/opt/couchbase/bin:$PATH
trap 'exit 0' TERM INT

node() {
  # Of Consul's answer: the services' addresses, not those of Consul's own nodes.
  curl -sf "http://$CONSUL/v1/catalog/service/couchbase" |
    grep -o '"ServiceAddress": *"[0-9.]*"' | head -n 1 | cut -d '"' -f 4
}

while :; do
  found=$(node) || found=
  if [ -n "$found" ]; then
    echo "load: on $found"
    cbworkloadgen -n "$found:8091" -u "$COUCHBASE_USER" -p "$COUCHBASE_PASS" \
      -b default -i 10000 -r 0.5 -t 2 || true
  else
    echo "load: no node in Consul yet"
  fi
  sleep 2 &
  wait $!
done
