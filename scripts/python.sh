# shellcheck shell=bash
# Sourced by lib.sh: a Python that is new enough, and .venv.

VENV=$ROOT/.venv
PIP_SECONDS=900
PYMESOS=pymesos==0.3.15

# Sets PYTHON to a Python that is new enough. A name on the PATH may be a wrapper that does not run.
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
  # --clear: an unfinished .venv has no pip.
  say "making .venv with $("$PYTHON" --version)"
  "$PYTHON" -m venv --clear "$VENV" || die "could not make .venv"
}

# The path is included: an editable install in a copied tree refers to the original tree.
venv_wants() {
  local file
  printf '%s\n%s\n' "$ROOT" "$PYMESOS"
  for file in setup.cfg pyproject.toml; do
    [ ! -f "$ROOT/$file" ] || cksum <"$ROOT/$file"
  done
}

# pymesos depends on http-parser, whose C extension does not build on Python 3.11 and newer. With
# --no-deps it is left out, and shim/run has a replacement.
pip_install() {
  (cd "$ROOT" && limit "$PIP_SECONDS" "$VENV/bin/python" -m pip install -q "$@") >&2
}

# ensure_venv [EXTRA]: the package, and what the extra of that name needs.
ensure_venv() {
  local extra=${1:-} stamp=$VENV/installed${1:+-$1}
  venv_is_whole || make_venv
  [ "$(cat "$stamp" 2>/dev/null)" != "$(venv_wants)" ] || return 0
  say "installing this package${extra:+ and its $extra tools} into .venv (at most $PIP_SECONDS s)"
  pip_install -e ".${extra:+[$extra]}" || die "pip could not install this package"
  pip_install --use-pep517 --no-deps "$PYMESOS" || die "pip could not install $PYMESOS"
  venv_wants | tee "$VENV/installed" >"$stamp"
}
