"""Signals to the process of a session, which no engine has a call for.

A shell in the same container looks through ``/proc`` for processes with the session's mark in their
environment: the session's own process and its children.
"""

from __future__ import annotations

import asyncio

from shim import limits
from shim.errors import Permanent, Transient
from shim.http.operator_api.processes import Processes
from shim.http.operator_api.sessions import Session

MARK = "MESOS_SHIM_SESSION"
"""Variable in the environment of each session's process."""

_SCRIPT = r"""
found=3
for process in /proc/[0-9]*; do
    if tr "\000" "\n" 2>/dev/null <"$process/environ" | grep -qxF "$1"; then
        kill -"$2" "${process#/proc/}" && found=0
    fi
done
exit $found
"""
_NOBODY = 3
"""The script's exit code when it has found no process."""


async def signal_session(processes: Processes, session: Session, signal: int) -> bool:
    """Whether a process was there. Transient; Permanent where no shell can be run."""
    argv = ["sh", "-c", _SCRIPT, "sh", f"{MARK}={session.mark}", str(signal)]
    try:
        async with asyncio.timeout(limits.SIGNAL_TIMEOUT):
            process = await processes.start_exec(session.ref.name, argv, {}, user=session.user)
            try:
                said = b""
                while (piece := await process.read()) is not None:
                    said = (said + piece[1])[: limits.EXEC_OUTPUT_BYTES]
                code = await process.exit_code()
            finally:
                process.close()
    except TimeoutError:
        raise Transient(f"no signal sent within {limits.SIGNAL_TIMEOUT:g} s") from None
    if code not in (0, _NOBODY):
        raise Permanent(f"no signal can be sent: {said.decode(errors='replace').strip()}")
    return code == 0
