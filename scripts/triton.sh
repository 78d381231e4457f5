# shellcheck shell=bash
# Sourced by start.sh: the differences when DOCKER_HOST is a Triton data center.

# Only Triton's engine reports an account.
triton_account() { limit 60 docker info 2>/dev/null | sed -n 's/^ *SDCAccount: *//p'; }

# Asked once; TRITON holds the answer, yes or no.
on_triton() {
  if [ -z "${TRITON:-}" ]; then
    TRITON=no
    [ -z "$(triton_account)" ] || TRITON=yes
  fi
  [ "$TRITON" = yes ]
}

# Both tools must use the same account and data center, or machines start in an unexpected one.
triton_is_consistent() {
  local profile account url datacenter ours
  have triton || { say "no triton command: its profile is not compared with the Docker client" && return 0; }
  profile=$(limit 20 triton profile get 2>/dev/null) || {
    WHY="triton profile get failed: choose a profile (triton profile set-current NAME)"
    return 1
  }
  account=$(sed -n 's/^ *account: *//p' <<<"$profile")
  url=$(sed -n 's/^ *url: *//p' <<<"$profile")
  ours=$(triton_account)
  if [ "$account" != "$ours" ]; then
    WHY="the Docker client uses account $ours, the triton profile $account; run: eval \"\$(triton env)\""
    return 1
  fi
  datacenter=${url#*://}
  if [ "${datacenter%%.*}" != "$(triton_datacenter)" ]; then
    WHY="DOCKER_HOST is in data center $(triton_datacenter), the triton profile in ${datacenter%%.*};"
    WHY="$WHY run: eval \"\$(triton env)\""
    return 1
  fi
}

# The first label of the endpoint's name.
triton_datacenter() {
  local host=${DOCKER_HOST#*://}
  echo "${host%%.*}"
}

# Volumes cannot carry files of this machine to Triton, so the shim's environment has their content.
triton_certificates() {
  local dir=${DOCKER_CERT_PATH:-$HOME/.docker}
  [ -r "$dir/key.pem" ] || die "DOCKER_CERT_PATH=$dir: no key.pem there; make one with mesos-shim certs"
  TLSCA=$(cat "$dir/ca.pem") TLSCERT=$(cat "$dir/cert.pem") TLSKEY=$(cat "$dir/key.pem")
  export TLSCA TLSCERT TLSKEY
}

# The account's id if CNS is enabled, else nothing.
cns_account() {
  have triton || return 0
  limit 20 triton account get 2>/dev/null |
    awk -F': *' '$1 == "id" { id = $2 } $1 == "triton_cns_enabled" && $2 == "true" { on = 1 }
      END { if (on) print id }'
}

# triton_address SERVICE PORT: by its CNS name, else by its own IP.
triton_address() {
  local account container
  account=$(cns_account)
  if [ -n "$account" ]; then
    echo "$PROJECT-$1.svc.$account.$(triton_datacenter).${CNS_ZONE:-triton.zone}:$2"
    return
  fi
  container=$(service_container "$1")
  echo "$(docker inspect -f '{{.NetworkSettings.IPAddress}}' "$container"):$2"
}
