"""What ``/version`` says: the Mesos release whose behaviour is matched, and who really answers."""

from __future__ import annotations

from shim import __version__
from shim.http.protojson import Json

BUILD: Json = {"build_date": "", "build_time": 0.0, "build_user": f"mesos-shim {__version__}"}
"""Goes with ``version``, which the agent also registers with."""
