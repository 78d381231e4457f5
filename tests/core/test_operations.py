"""Operations: applied once, reported until acknowledged, through restarts and failovers."""

from __future__ import annotations

import pytest

from shim import limits
from shim.core.operations import Operations
from shim.core.timers import RegistrationTimer
from shim.model.records import DropOperation, SaveOperation, SaveResources, SaveVolume
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import Offer, OperationState
from shim.wire import codec
from tests.core.harness import MASTER, Shim, of, sent
from tests.core.reserved import (
    acknowledge,
    apply,
    disk,
    message,
    operation,
    reports,
    shim_with_disk,
    states,
    volume,
    with_volume,
)


def test_an_operation_of_the_operator_is_applied_and_reported() -> None:
    shim = shim_with_disk()
    decision = apply(shim, "RESERVE", disk(100.0))
    assert [type(record) for record in decision.records] == [SaveResources, SaveOperation]
    (report,) = reports(decision)
    assert states(decision) == ["OPERATION_FINISHED"]
    assert report.latest_status == report.status
    assert not report.HasField("framework_id")
    assert not report.status.HasField("operation_id")
    assert codec.encode(report, shim.settings.capabilities)
    assert acknowledge(shim).records == [DropOperation(report.operation_uuid.value)]
    assert not shim.disk.operations


def test_the_report_to_a_framework_has_its_ids() -> None:
    shim = shim_with_disk()
    (report,) = reports(apply(shim, "RESERVE", disk(100.0), framework="F"))
    assert report.framework_id.value == "F"
    assert report.status.operation_id.value.startswith("operation ")


def test_what_an_operation_does_is_durable_before_it_is_reported() -> None:
    shim = shim_with_disk()
    apply(shim, "RESERVE", disk(100.0))
    decision = apply(shim, "CREATE", volume())
    kinds = [type(record) for record in decision.records]
    assert kinds == [SaveResources, SaveVolume, SaveOperation]
    assert len(reports(decision)) == 1


def test_an_unacknowledged_status_is_repeated_with_longer_and_longer_waits() -> None:
    shim = shim_with_disk()
    (first,) = reports(apply(shim, "RESERVE", disk(100.0)))
    began = shim.time
    times: list[float] = []
    while len(times) < 8:
        shim.time = shim.core.deadline() or 0.0
        shim.ping()
        (again,) = sent(m.UpdateOperationStatusMessage, shim.wait(0.0)) or (None,)
        if again is not None:
            assert again == first
            times.append(shim.time - began)
    waits = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert waits[:4] == [10.0, 20.0, 40.0, 80.0]
    assert waits[-1] == limits.UPDATE_RETRY_MAX
    acknowledge(shim, apply(shim, "UNRESERVE", disk(100.0)))


def test_an_acknowledgement_of_another_status_changes_nothing() -> None:
    shim = shim_with_disk()
    (report,) = reports(apply(shim, "RESERVE", disk(100.0)))
    other = m.AcknowledgeOperationStatusMessage()
    other.operation_uuid.value = report.operation_uuid.value
    other.status_uuid.value = b"\x01" * 16
    assert not shim.receive(other).records
    other.operation_uuid.value = b"\x02" * 16
    assert not shim.receive(other).records
    assert len(shim.core.operations) == 1


def test_an_operation_that_comes_twice_is_applied_once() -> None:
    shim = shim_with_disk()
    again = message(operation("RESERVE", disk(100.0)))
    shim.receive(again)
    decision = shim.receive(again)
    assert not decision.records
    (kept,) = shim.core.reservations.resources
    assert kept.scalar.value == 100.0


@pytest.mark.parametrize("framework", ["", "F"])
def test_a_restart_reports_the_operation_and_sends_its_status(framework: str) -> None:
    shim = shim_with_disk()
    (first,) = reports(apply(shim, "RESERVE", disk(100.0), framework=framework))
    shim.restart()
    decision = shim.register()
    (update,) = sent(m.UpdateSlaveMessage, decision.orders)
    (reported,) = update.operations.operations
    assert reported.uuid == first.operation_uuid
    assert reported.latest_status == first.status
    assert reported.framework_id.value == framework
    assert list(reported.statuses) == [first.status]
    assert codec.encode(update, shim.settings.capabilities)
    assert reports(decision) == [first]
    kinds = [type(order.message) for order in decision.orders if hasattr(order, "message")]
    assert kinds.index(m.UpdateSlaveMessage) < kinds.index(m.UpdateOperationStatusMessage)


def test_an_agent_without_operations_says_so_after_each_registration() -> None:
    shim = Shim()
    (update,) = sent(m.UpdateSlaveMessage, shim.decision.orders)
    assert update.HasField("operations")
    assert update.HasField("resource_providers")
    assert not update.operations.operations
    assert not update.update_oversubscribed_resources
    assert update.resource_version_uuid.value == shim.settings.resource_version
    shim.detect(None)
    assert sent(m.UpdateSlaveMessage, shim.register().orders) == [update]


def test_while_no_master_is_there_nothing_is_sent_and_the_retries_stop() -> None:
    shim = shim_with_disk()
    (first,) = reports(apply(shim, "RESERVE", disk(100.0)))
    shim.detect(None)
    assert not sent(m.UpdateOperationStatusMessage, shim.wait(100.0))
    decision = shim.register()
    assert reports(decision) == [first]
    assert sent(m.UpdateOperationStatusMessage, shim.wait(11.0)) == [first]


def test_an_operation_that_arrives_before_the_answer_is_reported_with_the_next_request() -> None:
    shim = shim_with_disk()
    shim.ping(connected=False)
    (request,) = sent(m.ReregisterSlaveMessage, shim.wait(1.0))
    assert not request.checkpointed_resources
    decision = apply(shim, "RESERVE", disk(100.0))
    assert not reports(decision)
    assert len(reports(shim.answer_registration())) == 1
    (request,) = sent(m.ReregisterSlaveMessage, shim.wait(limits.REREGISTER_DELAY))
    assert len(request.checkpointed_resources) == 1


def test_an_operation_that_does_not_fit_is_in_error_and_the_master_is_told_the_truth() -> None:
    shim = shim_with_disk()
    decision = apply(shim, "CREATE", volume())
    assert states(decision) == ["OPERATION_ERROR"]
    assert "does not have disk" in reports(decision)[0].status.message
    assert not shim.core.reservations.resources
    assert RegistrationTimer.REREGISTER in shim.core.ctx.timers


def test_growing_a_volume_is_an_error_where_volumes_have_a_size() -> None:
    grow = Offer.Operation(type=Offer.Operation.GROW_VOLUME)
    grow.grow_volume.volume.CopyFrom(volume())
    grow.grow_volume.addition.CopyFrom(disk(50.0))
    for resizes, state in ((False, "OPERATION_ERROR"), (True, "OPERATION_FINISHED")):
        shim = with_volume(shim_with_disk(resizes_volumes=resizes))
        apply(shim, "RESERVE", disk(50.0))
        assert states(shim.receive(message(grow))) == [state]
    (kept,) = shim.core.reservations.resources
    assert kept.scalar.value == 150.0
    assert not of(type(shim.decision.orders[0]), []), "no order but messages"


def test_the_master_asks_about_an_operation_that_never_arrived() -> None:
    shim = shim_with_disk()
    (known,) = reports(apply(shim, "RESERVE", disk(100.0)))
    ask = m.ReconcileOperationsMessage()
    ask.operations.add().operation_uuid.value = known.operation_uuid.value
    ask.operations.add().operation_uuid.value = b"\x17" * 16
    (answer,) = reports(shim.receive(ask))
    assert answer.operation_uuid.value == b"\x17" * 16
    assert OperationState.Name(answer.status.state) == "OPERATION_DROPPED"
    assert not answer.status.HasField("uuid")
    assert codec.encode(answer, shim.settings.capabilities)


def test_a_framework_asks_about_operations() -> None:
    shim = shim_with_disk()
    (known,) = reports(apply(shim, "RESERVE", disk(100.0), framework="F"))
    ask = m.ReconcileOperationsMessage()
    ask.framework_id.value = "F"
    ask.operations.add().operation_id.CopyFrom(known.status.operation_id)
    ask.operations.add().operation_id.value = "never seen"
    found, unknown = reports(shim.receive(ask))
    assert found.status.operation_id == known.status.operation_id
    assert OperationState.Name(found.status.state) == "OPERATION_FINISHED"
    assert OperationState.Name(unknown.status.state) == "OPERATION_UNKNOWN"
    assert unknown.status.operation_id.value == "never seen"
    for answer in (found, unknown):
        assert not answer.status.HasField("uuid")
        assert answer.framework_id.value == "F"
        assert codec.encode(answer, shim.settings.capabilities)


def test_operations_end_with_the_agent_id() -> None:
    shim = shim_with_disk()
    apply(shim, "RESERVE", disk(100.0))
    shim.receive(m.ShutdownMessage(message="Agent has been marked gone"))
    assert not shim.disk.operations
    assert shim.disk.resources.resources


def test_a_drain_waits_for_operations() -> None:
    shim = shim_with_disk()
    report = apply(shim, "RESERVE", disk(100.0))
    shim.drain()
    assert shim.core.tasks.drain is not None
    acknowledge(shim, report)
    assert shim.core.tasks.drain is None


@pytest.mark.parametrize("uuid", [b"", b"short"])
def test_a_malformed_operation_is_counted_and_ignored(uuid: bytes) -> None:
    shim = shim_with_disk()
    malformed = message(operation("RESERVE", disk(100.0)))
    malformed.operation_uuid.value = uuid
    assert not shim.receive(malformed).records
    assert shim.core.ctx.counters["invalid_operations"] == 1
    assert isinstance(shim.core.operations, Operations)


def test_an_operation_of_a_master_that_does_not_lead_is_ignored() -> None:
    shim = shim_with_disk()
    shim.detect(None)
    decision = shim.receive(message(operation("RESERVE", disk(100.0))), MASTER)
    assert not decision.records
    shim.register()
    assert not shim.core.reservations.resources
