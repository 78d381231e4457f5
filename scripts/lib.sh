# shellcheck shell=bash
# Sourced by the scripts of this repository: what a machine needs, and how it gets it.
# Everything said goes to stderr, so that a caller's stdout stays fit for eval.
# NO_INSTALL=1 forbids installing system packages; PYTHON names the interpreter to use.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RUN=$ROOT/.run
VENV=$ROOT/.venv
# dockerd and the iptables it calls live in sbin, which `su` without `-` leaves out.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Each of these ends a wait for something outside our hands.
APT_SECONDS=1800
APT_LOCK_SECONDS=300
PIP_SECONDS=900
ENGINE_SECONDS=60

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }
on_debian() { [ -r /etc/debian_version ] && have apt-get; }
can_install() { [ "${NO_INSTALL:-}" != 1 ] && is_root && on_debian; }

# limit SECONDS COMMAND…: --foreground keeps Ctrl-C working; a Mac has no timeout(1).
limit() {
  local seconds=$1
  shift
  if timeout --foreground 1 true 2>/dev/null; then
    timeout --foreground --kill-after=10 "$seconds" "$@"
  else
    "$@"
  fi
}

# wait_for DESCRIPTION SECONDS COMMAND…: 1 when the time is up.
wait_for() {
  local what=$1 seconds=$2 end=$((SECONDS + $2))
  shift 2
  "$@" && return 0
  say "waiting at most $seconds s for $what"
  while [ "$SECONDS" -lt "$end" ]; do
    sleep 0.5
    "$@" && return 0
  done
  say "gave up after $seconds s: $what"
  return 1
}

# --- one at a time: two runs in one checkout would make .venv under each other's feet

lock_checkout() {
  mkdir -p "$RUN"
  have flock || return 0
  exec 9>"$RUN/lock"
  flock -n 9 && return 0
  say "waiting at most $APT_SECONDS s for another run that prepares this checkout"
  flock -w "$APT_SECONDS" 9 || die "another run still holds $RUN/lock"
}
unlock_checkout() { exec 9>&-; }

# --- Debian packages

# apt_run ARGS…: output goes to .run/apt.log. DPkg::Lock::Timeout does not cover apt's own
# locks on its lists and archives, hence the loop.
apt_run() {
  local log=$RUN/apt.log end=$((SECONDS + APT_LOCK_SECONDS)) told=
  mkdir -p "$RUN"
  until LC_ALL=C DEBIAN_FRONTEND=noninteractive limit "$APT_SECONDS" \
    apt-get -qq -y -o DPkg::Lock::Timeout="$APT_LOCK_SECONDS" "$@" </dev/null >"$log" 2>&1 9>&-; do
    grep -q 'Could not get lock' "$log" && [ "$SECONDS" -lt "$end" ] || return 1
    [ -n "$told" ] || say "waiting at most $APT_LOCK_SECONDS s for another apt to finish"
    told=1
    sleep 2
  done
}

# Once a run; a source that fails does not matter if the package is in another one.
apt_refresh() {
  [ -z "${APT_REFRESHED:-}" ] || return 0
  APT_REFRESHED=1
  apt_run update || say "apt-get update failed: $(tail -n 1 "$RUN/apt.log")"
}

apt_install() {
  can_install || return 1
  apt_refresh
  say "installing from Debian: $*"
  apt_run install --no-install-recommends "$@" && return 0
  say "could not install $*: $(tail -n 1 "$RUN/apt.log")"
  return 1
}

# --- Python

# Sets PYTHON to a Python that is new enough; a name on PATH may be a shim that does not run.
find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
  else
    set -- python3 python3.14 python3.13 python3.12 python3.11
  fi
  for candidate; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      PYTHON=$candidate
      return 0
    fi
  done
  return 1
}

need_python() {
  find_python && return 0
  [ -n "${PYTHON:-}" ] || have python3 || { apt_install python3 && find_python && return 0; }
  die "needs Python 3.11 or newer, found $("${PYTHON:-python3}" --version 2>/dev/null || echo none);" \
    "install one (on Debian: python3 python3-venv) or set PYTHON to its path"
}

venv_is_whole() {
  "$VENV/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

make_venv() {
  need_python
  if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    local package
    package=$("$PYTHON" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    apt_install "$package" || die "needs $PYTHON with venv and ensurepip (on Debian: $package)"
  fi
  # --clear: one that was begun and never finished has no pip.
  say "making .venv with $("$PYTHON" --version)"
  "$PYTHON" -m venv --clear "$VENV" || die "could not make .venv"
}

# The path is part of it: an editable install in a copied tree still points at the first one.
venv_wants() {
  local file
  printf '%s\n' "$ROOT"
  for file in setup.cfg pyproject.toml; do
    [ ! -f "$ROOT/$file" ] || cksum <"$ROOT/$file"
  done
}

ensure_venv() {
  local stamp=$VENV/installed
  venv_is_whole || make_venv
  [ "$(cat "$stamp" 2>/dev/null)" != "$(venv_wants)" ] || return 0
  say "installing this package and its test tools into .venv (at most $PIP_SECONDS s)"
  (cd "$ROOT" && limit "$PIP_SECONDS" "$VENV/bin/python" -m pip install -q -e '.[test]') >&2 ||
    die "pip could not install .[test]"
  venv_wants >"$stamp"
}

# --- Docker Engine

# For a machine without the docker command; TLS and contexts are the command's business.
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

# After a crash or a reboot another process may have the old id, and dockerd would refuse
# to start or wait for a containerd that is not there.
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

# A second dockerd, started at the same moment from elsewhere, ends ours: its answer will do.
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
  say "dockerd was started but does not answer; its last words:"
  tail -n 5 "$RUN/dockerd.log" >&2
  return 1
}

# Where the kernel has AppArmor on, dockerd starts no container without its parser.
engine_packages() {
  echo docker.io
  if grep -qs Y /sys/module/apparmor/parameters/enabled && ! have apparmor_parser; then
    echo apparmor
  fi
}

ensure_engine() {
  engine_answers && return 0
  case ${DOCKER_HOST:-unix:///var/run/docker.sock} in
  unix:///var/run/docker.sock | unix:///run/docker.sock) ;;
  *) say "no Docker Engine answers at DOCKER_HOST=$DOCKER_HOST"; return 1 ;;
  esac
  if ! is_root; then
    say "no Docker Engine answers to $(id -un) (not running, or not allowed: group docker)"
    return 1
  fi
  if ! have dockerd; then
    # shellcheck disable=SC2046  # one word a package
    apt_install $(engine_packages) || return 1
  fi
  start_engine
}

# --- Consul: Debian dropped it after bullseye

# Takes one package from an older suite of the mirror this machine already uses. apt's own
# configuration stays as it is: the old suite may leave the mirror one day, and must not
# break every later `apt-get update`; nor may anything else come from it.
apt_fetch_from_suite() {
  local suite=$1 package=$2 dir=$3 mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  # shellcheck disable=SC2016  # apt's variable, not the shell's
  mirror=$(apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -n 1)
  [ -n "$mirror" ] || return 1
  mkdir -p "$dir/lists/partial" "$dir/cache"
  [ -r "$keyring" ] && keyring="[signed-by=$keyring]" || keyring=
  echo "deb $keyring $mirror $suite main" >"$dir/sources.list"
  set -- -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root
  apt_run "$@" update && (cd "$dir" && apt_run "$@" download "$package")
}

# Installed if this machine's own suite has what it depends on, else only unpacked.
install_old_consul() {
  local dir=$RUN/bullseye
  rm -rf "$dir"
  say "fetching consul from Debian bullseye"
  if ! apt_fetch_from_suite bullseye consul "$dir"; then
    say "Debian bullseye gave no consul: $(tail -n 1 "$RUN/apt.log" 2>/dev/null)"
    return 1
  fi
  apt_install "$dir"/consul_*.deb || dpkg -x "$dir"/consul_*.deb "$RUN/consul"
  rm -rf "$dir"
}

ensure_consul() {
  [ ! -x "$RUN/consul/usr/bin/consul" ] || PATH=$PATH:$RUN/consul/usr/bin
  have consul && return 0
  can_install || return 1
  apt_refresh
  if apt-get -s install consul >/dev/null 2>&1; then
    apt_install consul || return 1
  else
    install_old_consul || return 1
    [ ! -x "$RUN/consul/usr/bin/consul" ] || PATH=$PATH:$RUN/consul/usr/bin
  fi
  have consul
}

# --- the tools by name

# It is copied into images FROM scratch, where a dynamic one finds no libc.
busybox_is_static() {
  local said
  have busybox && have ldd || return 1
  said=$(LC_ALL=C ldd "$(command -v busybox)" 2>&1 || true)
  case $said in *"not a dynamic"* | *"statically linked"*) ;; *) return 1 ;; esac
}

tool_works() {
  case $1 in
  docker) engine_answers ;;
  registry) have docker-registry ;;
  busybox) busybox_is_static ;;
  zookeeper) have java && [ -r /usr/share/java/zookeeper.jar ] ;;
  compose) have docker-compose ;;
  ssh) have ssh-keygen ;;
  *) have "$1" ;;
  esac
}

tool_package() {
  case $1 in
  docker) echo docker.io ;;
  registry) echo docker-registry ;;
  busybox) echo busybox-static ;;
  compose) echo docker-compose ;;
  ssh) echo openssh-client ;;
  ip) echo iproute2 ;;
  *) echo "$1" ;;
  esac
}

missing_tools() {
  local tool
  for tool; do
    tool_works "$tool" || echo "$tool"
  done
}

# All at once is quickest, but one that cannot be had must not cost the others.
apt_install_each() {
  local package
  apt_install "$@" && return 0
  [ $# -gt 1 ] || return 1
  for package; do
    apt_install "$package" || true
  done
}

# ensure_tools NAME…: does what it can; ask missing_tools afterwards.
ensure_tools() {
  local tool packages=()
  for tool in $(missing_tools "$@"); do
    case $tool in
    docker | consul) ;;
    *) packages+=("$(tool_package "$tool")") ;;
    esac
  done
  if [ ${#packages[@]} -gt 0 ] && can_install; then
    apt_install_each "${packages[@]}" || true
  fi
  for tool; do
    case $tool in
    docker) ensure_engine || true ;;
    consul) ensure_consul || true ;;
    esac
  done
}
