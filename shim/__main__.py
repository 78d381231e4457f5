"""``python -m shim``: the same as the command ``mesos-shim``."""

from shim.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
