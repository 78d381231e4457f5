#!/bin/sh
# TLSCA, TLSCERT and TLSKEY hold the endpoint's certificates, where no volume can carry them:
# they become files that only the shim can read, and leave its environment.
set -eu
umask 077

if [ -n "${TLSCERT:-}" ]; then
  DOCKER_CERT_PATH=$(mktemp -d)
  export DOCKER_CERT_PATH
  printf '%s\n' "${TLSCA:?TLSCERT needs TLSCA beside it}" >"$DOCKER_CERT_PATH/ca.pem"
  printf '%s\n' "$TLSCERT" >"$DOCKER_CERT_PATH/cert.pem"
  printf '%s\n' "${TLSKEY:?TLSCERT needs TLSKEY beside it}" >"$DOCKER_CERT_PATH/key.pem"
fi
unset TLSCA TLSCERT TLSKEY
exec mesos-shim "$@"
