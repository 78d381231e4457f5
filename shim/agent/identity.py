"""The agent's identity across restarts: shim id, hostname, address and reservations."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from shim.agent.address_change import AddressChange
from shim.config.addresses import Addresses
from shim.errors import FatalError
from shim.model.records import SaveShimId, Snapshot
from shim.protos.mesos_pb2 import SlaveInfo
from shim.wire.resource_rules import checkpoint_problems

_MACHINE_ID = Path("/etc/machine-id")


def machine_digest(source: Path = _MACHINE_ID) -> str:
    """Eight hexadecimal digits for this machine, the same at each start.

    Machines with the same hostname differ in their machine id. Clones of one image have the same
    machine id and differ in their hostname. The digest is made from both.
    """
    try:
        machine_id = source.read_text().strip()
    except (OSError, UnicodeDecodeError):
        machine_id = ""
    return hashlib.sha256(f"{machine_id} {socket.gethostname()}".encode()).hexdigest()[:8]


def shim_id(
    snapshot: Snapshot,
    flag: str,
    hostname: str,
    port: int,
    machine_digest: Callable[[], str] = machine_digest,
) -> tuple[str, SaveShimId]:
    """The id that marks all containers of this shim, and the record that keeps it.

    The id never changes for one work_dir: under another id the shim would not find its own
    containers. Without a journal it is derived from hostname, port and machine, so that a shim
    that lost its work_dir finds the containers it left. The machine is part of it because many
    machines are called ``localhost``: a shim removes containers with its id and without a task.

    ``flag`` is ``--shim_id``. Raises FatalError if it differs from the id in the journal.
    """
    kept = snapshot.shim_id
    if kept and flag and kept != flag:
        raise FatalError(f"--shim_id={flag}: this work_dir belongs to shim {kept}")
    derived = re.sub(r"[^\w.-]", "-", f"{hostname}-{port}-{machine_digest()}", flags=re.ASCII)
    chosen = kept or flag or derived
    return chosen, SaveShimId(chosen)


def keep_hostname(snapshot: Snapshot, flag: str, found: Addresses) -> Addresses:
    """``found`` with the hostname of the last start, unless ``--hostname`` (``flag``) is given.

    A looked-up name must not change: DNS may give another one for a while.
    """
    if flag or snapshot.agent is None:
        return found
    return replace(found, hostname=snapshot.agent.info.hostname)


def address_change(snapshot: Snapshot, info: SlaveInfo, ip: str) -> AddressChange | None:
    """How the agent's host name or IP differs from the registered one; None if it does not."""
    kept = snapshot.agent
    if kept is None:
        return None
    for flag, old, new in (
        ("--hostname", kept.info.hostname, info.hostname),
        ("--advertise_ip", kept.ip, ip),
    ):
        if old != new:
            return AddressChange(kept.info.id.value, flag, old, new)
    return None


def check_reservations(snapshot: Snapshot, info: SlaveInfo) -> None:
    """Raise FatalError if reservations and volumes exceed the resources that are offered.

    A master may abort when an agent reports such reservations.
    """
    reserved = snapshot.resources.resources
    problems = "; ".join(checkpoint_problems("reserved", reserved, info.resources))
    if problems:
        raise FatalError(
            f"--resources: {problems.replace('slave.resources has', 'is offered')}. Frameworks "
            "reserved it on this agent: offer as much as before, have it unreserved, or use "
            "another --work_dir"
        )
