"""Which persistent volumes there are, and what tasks wrote into them.

An operation counts from the commit that records it as finished. One that was lost, dropped or
refused changed nothing, whatever a master assumed when it sent it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from shim.model import records
from shim.model.container import Ref
from shim.model.ids import TaskKey
from shim.model.records import Record
from shim.protos.mesos_pb2 import (
    OPERATION_FINISHED,
    Offer,
    Operation,
    OperationState,
    OperationStatus,
    TaskInfo,
)
from tests.sim.clock import Violation

Data = tuple[int, int]
"""A volume's number, and how often it had been created when the data was written."""


class VolumeHistory:
    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say
        self.sent: dict[bytes, Offer.Operation] = {}
        """Operations that masters sent, by uuid."""
        self.written: set[Data] = set()
        """What tasks wrote into volumes."""
        self.destroyed: set[Data] = set()
        self._statuses: dict[bytes, OperationStatus] = {}
        """Of the operations that were ever durable."""
        self._creations: Counter[int] = Counter()
        self._present: dict[int, Data] = {}
        """The volumes that are created and not destroyed."""
        self._given: dict[TaskKey, Data] = {}
        """The volume that each task was accepted with."""
        self._wiped = False

    def wipe(self) -> None:
        """The work_dir is lost: the endpoint keeps the volumes, and no record knows them."""
        self._wiped = True
        self._present.clear()

    # --- commits --------------------------------------------------------------------------

    def commit(self, batch: Sequence[Record]) -> None:
        for record in batch:
            match record:
                case records.SaveOperation(uuid, value):
                    self._decided(uuid, Operation.FromString(value))
                case records.AddTask(key, info, _):
                    self._accepted(key, TaskInfo.FromString(info))

    def _decided(self, uuid: bytes, operation: Operation) -> None:
        if self.sent.get(uuid) != operation.info or uuid in self._statuses:
            raise Violation(
                f"an operation is recorded that was not sent, or again: {_name(operation)}"
            )
        self._statuses[uuid] = operation.latest_status
        creates = operation.info.type == Offer.Operation.CREATE
        changed = operation.info.create.volumes if creates else operation.info.destroy.volumes
        volume = number_of(changed[0].disk.persistence.id)
        fits = (volume in self._present) is not creates
        finished = operation.latest_status.state == OPERATION_FINISHED
        if fits is not finished:
            what = "fits" if fits else "does not fit"
            raise Violation(
                f"{_name(operation)} of volume {volume} {what}, and is recorded otherwise"
            )
        if not finished:
            return
        if creates:
            self._creations[volume] += 1
            self._present[volume] = (volume, self._creations[volume])
        else:
            self.destroyed.add(self._present.pop(volume))
        self._say("volume", volume, "is created" if creates else "is destroyed")

    def _accepted(self, key: TaskKey, info: TaskInfo) -> None:
        for resource in info.resources:
            if resource.disk.HasField("persistence"):
                volume = number_of(resource.disk.persistence.id)
                if volume not in self._present:
                    raise Violation(f"{key} is accepted, but its volume {volume} does not exist")
                self._given[key] = self._present[volume]

    def check_status(self, uuid: bytes, status: OperationStatus) -> None:
        """A status that is to be acknowledged is sent."""
        if self._statuses.get(uuid) != status:
            name = OperationState.Name(status.state)
            raise Violation(f"the status {name} of an operation is sent, and is not durable")

    # --- the endpoint ---------------------------------------------------------------------

    def mounted(self, ref: Ref, found: set[Data]) -> None:
        """The task finds what was written into the volume since its creation, and writes."""
        data = self._given[ref.task_key]
        if not self._wiped:
            if found - {data}:
                raise Violation(f"{ref} sees data of a destroyed volume: {found}")
            if data in self.written and data not in found:
                raise Violation(f"{ref} misses the data that was in its volume {data}")
        found.add(data)
        self.written.add(data)

    def removed(self, found: set[Data]) -> None:
        """The endpoint removes a volume: only one whose destruction is durable.

        After a lost work_dir a volume that is created again is the one that was kept.
        """
        kept = {data for data in found if not self._is_destroyed(data)}
        if kept:
            raise Violation(f"volumes {kept} are removed, and no master destroyed them")

    def _is_destroyed(self, data: Data) -> bool:
        if data in self.destroyed or not self._wiped:
            return data in self.destroyed
        volume, created = data
        return any(volume == other and created <= later for other, later in self.destroyed)

    def left(self, found: dict[str, set[Data]]) -> list[str]:
        """At the end: volumes at the endpoint with data that was destroyed."""
        if self._wiped:
            return []
        return [name for name, written in found.items() if written & self.destroyed]


def _name(operation: Operation) -> str:
    return Offer.Operation.Type.Name(operation.info.type)


def number_of(persistence_id: str) -> int:
    """The number of the volume ``v7`` is 7."""
    return int(persistence_id.removeprefix("v"))
