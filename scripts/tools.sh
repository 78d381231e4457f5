# shellcheck shell=bash
# Sourced by lib.sh: the tools by name.

# busybox is copied into images FROM scratch. A dynamic binary finds no libc there.
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
  systemd) have systemd-analyze ;;
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
  promtool) echo prometheus ;;
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

# All packages at once is fastest. If that fails, each alone: one missing package must not
# prevent the others.
apt_install_each() {
  local package
  apt_install "$@" && return 0
  [ $# -gt 1 ] || return 1
  for package; do
    apt_install "$package" || true
  done
}

# ensure_tools NAME…: installs what it can. missing_tools lists the rest.
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
