"""What ``/version`` says: the Mesos release whose behaviour is matched, and who really answers."""

from __future__ import annotations

import time
from pathlib import Path

from shim import __version__
from shim.http.protojson import Json

_INSTALLED = Path(__file__).stat().st_mtime

BUILD: Json = {
    "build_date": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(_INSTALLED)),
    "build_time": _INSTALLED,
    "build_user": f"mesos-shim {__version__}",
}
"""Goes with ``version``, which the agent also registers with."""
