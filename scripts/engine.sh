# shellcheck shell=bash
# Sourced by lib.sh: a Docker Engine that answers.

ENGINE_SECONDS=60

# For a machine without the docker command. Only that command supports TLS and contexts.
engine_ping() {
  find_python || return 1
  "$PYTHON" - "${DOCKER_HOST:-unix:///var/run/docker.sock}" 2>/dev/null <<'PY'
import socket, sys

scheme, _, where = sys.argv[1].partition("://")
if scheme == "unix":
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(5)
    link.connect(where)
else:
    host, _, port = where.partition(":")
    link = socket.create_connection((host, int(port or 2375)), 5)
link.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
sys.exit(link.recv(64).split(b" ")[1:2] != [b"200"])
PY
}

engine_answers() { limit 10 docker version >/dev/null 2>&1 || engine_ping; }

# runs_as FILE NAME: the process whose id is in FILE is alive and is NAME.
runs_as() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]
}

# After a crash or a reboot another process may have the id in such a file. dockerd would then not
# start, or wait for a containerd that does not run.
forget_dead_engine() {
  runs_as /var/run/docker.pid dockerd || rm -f /var/run/docker.pid
  runs_as /var/run/docker/containerd/containerd.pid containerd ||
    rm -f /var/run/docker/containerd/containerd.pid
}

# No --host: it would clash with "hosts" in the daemon's own configuration file.
spawn_engine() {
  mkdir -p "$RUN"
  say "starting dockerd (log .run/dockerd.log)"
  forget_dead_engine
  (cd / && exec setsid nohup dockerd) >"$RUN/dockerd.log" 2>&1 </dev/null 9>&- &
  echo $! >"$RUN/dockerd.pid"
}

# A dockerd that another program starts at the same moment ends this one; its answer counts as well.
engine_settled() {
  engine_answers || ! { kill -0 "$(cat "$RUN/dockerd.pid")" 2>/dev/null ||
    runs_as /var/run/docker.pid dockerd; }
}

start_engine() {
  if [ -d /run/systemd/system ]; then
    limit "$ENGINE_SECONDS" systemctl start docker >&2 || return 1
    wait_for "the Docker Engine to answer" "$ENGINE_SECONDS" engine_answers
    return
  fi
  spawn_engine
  if wait_for "the Docker Engine to answer" "$ENGINE_SECONDS" engine_settled && engine_answers; then
    ! runs_as "$RUN/dockerd.pid" dockerd ||
      say "dockerd answers (pid $(cat "$RUN/dockerd.pid")); it is left running"
    return 0
  fi
  say "dockerd was started but does not answer; the end of its log:"
  tail -n 5 "$RUN/dockerd.log" >&2
  return 1
}

# With AppArmor enabled in the kernel, dockerd needs apparmor_parser to start a container.
engine_packages() {
  echo docker.io
  if grep -qs Y /sys/module/apparmor/parameters/enabled && ! have apparmor_parser; then
    echo apparmor
  fi
}

# One line: why no engine answers, and the command that helps.
engine_trouble() {
  local start="systemctl start docker"
  [ -d /run/systemd/system ] || start="dockerd &"
  is_local_engine || {
    echo "no Docker Engine answers at DOCKER_HOST=$DOCKER_HOST: start it there, or for this" \
      "machine's own run: unset DOCKER_HOST"
    return
  }
  if [ "$(uname -s)" != Linux ]; then
    echo "no Docker Engine answers: start Docker Desktop, then run this again"
  elif [ -S /var/run/docker.sock ] && [ ! -w /var/run/docker.sock ]; then
    echo "$(id -un) may not use /var/run/docker.sock; run: sudo usermod -aG docker $(id -un)," \
      "log in again, and start this again"
  elif have dockerd && is_root; then
    echo "no Docker Engine answers; run: $start"
  elif have dockerd; then
    echo "no Docker Engine answers; run: sudo $start"
  elif on_debian; then
    echo "no Docker Engine answers and this run may not install one ($(why_not_installed));" \
      "run: $(is_root || echo sudo\ )apt-get install docker.io"
  else
    echo "no Docker Engine answers; install one: https://docs.docker.com/engine/install/"
  fi
}

is_local_engine() {
  case ${DOCKER_HOST:-unix:///var/run/docker.sock} in
  unix:///var/run/docker.sock | unix:///run/docker.sock) ;;
  *) return 1 ;;
  esac
}

# Starts or installs an engine if none answers. 1 with one line about the reason.
ensure_engine() {
  engine_answers && return 0
  if is_local_engine && is_root; then
    if ! have dockerd && can_install; then
      say "no Docker Engine answers here: installing one"
      # shellcheck disable=SC2046  # one word a package
      apt_install $(engine_packages) || return 1
    fi
    if have dockerd; then
      start_engine
      return
    fi
  fi
  say "$(engine_trouble)"
  return 1
}
