# shellcheck shell=bash
# Sourced by lib.sh: Debian packages.

APT_SECONDS=1800
APT_LOCK_SECONDS=300

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

# Once in a run. A failing source is no error: another source may have the package.
apt_refresh() {
  [ -z "${APT_REFRESHED:-}" ] || return 0
  APT_REFRESHED=1
  apt_run update || say "apt-get update failed: $(tail -n 1 "$RUN/apt.log")"
}

why_not_installed() {
  if [ "${NO_INSTALL:-}" = 1 ]; then
    echo "--no-install is set"
  elif ! on_debian; then
    echo "no apt-get here"
  elif ! is_root; then
    echo "not root"
  else
    echo "could not be installed or started, see above"
  fi
}

apt_install() {
  can_install || return 1
  apt_refresh
  say "installing from Debian: $*"
  apt_run install --no-install-recommends "$@" && return 0
  say "could not install $*: $(tail -n 1 "$RUN/apt.log")"
  return 1
}

# --- Consul: Debian dropped it after bullseye

# Installs one package from an older suite of this machine's mirror. apt's own configuration is not
# changed: when the mirror drops the old suite, `apt-get update` must still work, and no other
# package may come from that suite.
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

# Installed if this machine's suite has its dependencies, else only unpacked.
install_old_consul() {
  local dir=$RUN/bullseye
  rm -rf "$dir"
  say "fetching consul from Debian bullseye"
  if ! apt_fetch_from_suite bullseye consul "$dir"; then
    say "consul could not be fetched from Debian bullseye: $(tail -n 1 "$RUN/apt.log" 2>/dev/null)"
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
