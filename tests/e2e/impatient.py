"""The agent, with minutes made seconds: ``python -m tests.e2e.impatient agent …``."""

from __future__ import annotations

import sys

from shim import limits

limits.WITHOUT_TASK_ALARM = limits.EXIT_STATUS_WAIT = 1.0
limits.POLL_INTERVAL = limits.RELIST_INTERVAL = 0.2

if __name__ == "__main__":
    from shim import cli

    sys.exit(cli.main())
