# shellcheck shell=bash
# Sourced by lib.sh: the tools by name.

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
