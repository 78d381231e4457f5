"""The judge of persistent volumes: what it lets pass, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.model.records import AddTask, SaveOperation
from shim.protos.mesos_pb2 import (
    OPERATION_ERROR,
    OPERATION_FINISHED,
    Offer,
    Operation,
    OperationState,
    OperationStatus,
    TaskInfo,
)
from tests.sim.clock import Violation
from tests.sim.master import volume_resource
from tests.sim.volumes import Data, VolumeHistory

CREATE, DESTROY = Offer.Operation.CREATE, Offer.Operation.DESTROY


class History(VolumeHistory):
    """Volume 0, its operations and its tasks."""

    def __init__(self) -> None:
        super().__init__(lambda *words: None)
        self._numbers = iter(range(100))

    def send(self, kind: Offer.Operation.Type.ValueType) -> bytes:
        operation = Offer.Operation(type=kind)
        changed = operation.create.volumes if kind == CREATE else operation.destroy.volumes
        changed.append(volume_resource(0))
        uuid = bytes([next(self._numbers)])
        self.sent[uuid] = operation
        return uuid

    def record(self, uuid: bytes, state: OperationState.ValueType = OPERATION_FINISHED) -> None:
        operation = Operation(info=self.sent[uuid], latest_status=OperationStatus(state=state))
        operation.uuid.value = uuid
        self.commit([SaveOperation(uuid, operation.SerializeToString())])

    def apply(self, *kinds: Offer.Operation.Type.ValueType) -> None:
        for kind in kinds:
            self.record(self.send(kind))

    def run(self, found: set[Data]) -> None:
        """A task that uses the volume is accepted and started."""
        key = TaskKey(FrameworkId("F"), TaskId(f"t{next(self._numbers)}"))
        info = TaskInfo(name="t", resources=[volume_resource(0)])
        info.task_id.value, info.slave_id.value = key.task_id, "S"
        self.commit([AddTask(key, info.SerializeToString(), b"")])
        self.mounted(Ref(key, ContainerId("c")), found)


def test_a_lost_destroy_and_create_leave_the_volume_as_it_was() -> None:
    history, data = History(), set[Data]()
    history.apply(CREATE)
    history.run(data)
    history.send(DESTROY)
    history.send(CREATE)
    history.run(data)
    with pytest.raises(Violation, match="no master destroyed"):
        history.removed(data)


def test_a_refused_create_makes_no_other_volume() -> None:
    history, data = History(), set[Data]()
    history.apply(CREATE)
    history.run(data)
    history.record(history.send(CREATE), OPERATION_ERROR)
    history.run(data)
    history.apply(DESTROY)
    history.removed(data)


def test_data_of_a_destroyed_volume_is_found_again_and_left() -> None:
    history, data = History(), set[Data]()
    history.apply(CREATE)
    history.run(data)
    history.apply(DESTROY, CREATE)
    assert history.left({"name": data}) == ["name"]
    with pytest.raises(Violation, match="sees data of a destroyed volume"):
        history.run(data)


def test_a_task_misses_what_another_one_wrote() -> None:
    history = History()
    history.apply(CREATE)
    history.run(set())
    with pytest.raises(Violation, match="misses the data"):
        history.run(set())


def test_a_task_is_accepted_without_its_volume() -> None:
    history = History()
    history.apply(CREATE, DESTROY)
    with pytest.raises(Violation, match="does not exist"):
        history.run(set())


def test_after_a_lost_work_dir_a_volume_stays_until_it_is_created_and_destroyed_again() -> None:
    history, data = History(), set[Data]()
    history.apply(CREATE)
    history.run(data)
    history.wipe()
    with pytest.raises(Violation, match="no master destroyed"):
        history.removed(data)
    history.apply(CREATE)
    history.run(data)
    history.apply(DESTROY)
    history.removed(data)


@pytest.mark.parametrize(
    ("before", "kind", "state"),
    [
        ((), CREATE, OPERATION_ERROR),
        ((), DESTROY, OPERATION_FINISHED),
        ((CREATE,), CREATE, OPERATION_FINISHED),
        ((CREATE,), DESTROY, OPERATION_ERROR),
    ],
)
def test_an_operation_has_the_wrong_outcome(
    before: Sequence[Offer.Operation.Type.ValueType],
    kind: Offer.Operation.Type.ValueType,
    state: OperationState.ValueType,
) -> None:
    history = History()
    history.apply(*before)
    with pytest.raises(Violation, match="fit"):
        history.record(history.send(kind), state)


def test_an_operation_is_applied_twice() -> None:
    history = History()
    uuid = history.send(CREATE)
    history.record(uuid)
    with pytest.raises(Violation, match="or again"):
        history.record(uuid)


def test_a_status_is_sent_before_it_is_durable() -> None:
    history, status = History(), OperationStatus(state=OPERATION_FINISHED)
    uuid = history.send(CREATE)
    with pytest.raises(Violation, match="not durable"):
        history.check_status(uuid, status)
    history.record(uuid)
    history.check_status(uuid, status)
