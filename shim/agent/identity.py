"""Who this shim is, from one start to the next."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from shim.config.addresses import Addresses
from shim.errors import FatalError
from shim.model.records import SaveShimId, Snapshot
from shim.protos.mesos_pb2 import SlaveInfo
from shim.wire.resource_rules import checkpoint_problems

_MACHINE_ID = Path("/etc/machine-id")


def machine(source: Path = _MACHINE_ID) -> str:
    """Eight digits for this machine, the same at each start. Two with one host name differ in
    their machine id; two made from one image, which have one machine id, in their names."""
    try:
        identity = source.read_text().strip()
    except (OSError, UnicodeDecodeError):
        identity = ""
    return hashlib.sha256(f"{identity} {socket.gethostname()}".encode()).hexdigest()[:8]


def shim_id(
    snapshot: Snapshot,
    wanted: str,
    hostname: str,
    port: int,
    machine: Callable[[], str] = machine,
) -> tuple[str, SaveShimId]:
    """The owner mark on our containers, and the record that keeps it.

    Once chosen it stays: under another one we would not find our own containers again. Without a
    journal it is made from hostname, port and machine, so that a shim that lost its work_dir still
    recognises what it left behind, and only that: many a machine is called ``localhost``, and
    what bears our mark and is no task of ours is removed. ``wanted`` is ``--shim_id``; raises
    FatalError if it differs from what this work_dir was used with.
    """
    kept = snapshot.shim_id
    if kept and wanted and kept != wanted:
        raise FatalError(f"--shim_id={wanted}: this work_dir belongs to shim {kept}")
    made = re.sub(r"[^\w.-]", "-", f"{hostname}-{port}-{machine()}", flags=re.ASCII)
    chosen = kept or wanted or made
    return chosen, SaveShimId(chosen)


def keep_hostname(snapshot: Snapshot, wanted: str, found: Addresses) -> Addresses:
    """A name that was only looked up stays what it was: DNS may say otherwise for a while.

    ``wanted`` is ``--hostname``, which is not overruled.
    """
    if wanted or snapshot.agent is None:
        return found
    return replace(found, hostname=snapshot.agent.info.hostname)


def check_unchanged(snapshot: Snapshot, info: SlaveInfo, ip: str) -> None:
    """A master that remembers an agent dismisses one that comes back as another machine.

    Raises FatalError naming the flag, and what it was.
    """
    kept = snapshot.agent
    if kept is None:
        return
    for flag, old, new in (
        ("--hostname", kept.info.hostname, info.hostname),
        ("--advertise_ip", kept.ip, ip),
    ):
        if old != new:
            raise FatalError(
                f"{flag}={new}: agent {kept.info.id.value} is registered with {old}, and a master "
                f"kills all tasks of an agent that comes back with another one. Start with "
                f"{flag}={old}, or drain it (SIGUSR1) and use another --work_dir"
            )


def check_reservations(snapshot: Snapshot, info: SlaveInfo) -> None:
    """A master is only told of reservations and volumes that fit what is offered: it may abort.

    Raises FatalError naming what is offered too little of.
    """
    reserved = snapshot.resources.resources
    problems = "; ".join(checkpoint_problems("reserved", reserved, info.resources))
    if problems:
        raise FatalError(
            f"--resources: {problems.replace('slave.resources has', 'is offered')}. Frameworks "
            "reserved it on this agent: offer as much as before, have it unreserved, or use "
            "another --work_dir"
        )
