"""Persistent volumes: their names, who may mount them, and what ends them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from shim.core.context import PodNetwork
from shim.core.volumes import problem
from shim.model import facts
from shim.model.container import Container, Phase, Ref
from shim.model.orders import Launch, LaunchExecutor, Notice, RemoveVolume
from shim.model.records import DropVolume, SaveVolume
from shim.model.volume import Volume as EndpointVolume
from shim.model.volume import is_persistent, persistent_volume_name, volume_name
from shim.protos import journal_pb2
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import (
    ContainerInfo,
    ExecutorInfo,
    Resource,
    TaskInfo,
    TaskState,
    TaskStatus,
    Volume,
)
from tests.core.executor_harness import ExecutorShim, inner_task, update_of
from tests.core.harness import Shim, container, framework_info, of, sent
from tests.core.reserved import (
    OWNER,
    acknowledge,
    apply,
    disk,
    info_with_disk,
    name_of,
    shim_with_disk,
    states,
    task_with,
    volume,
    with_volume,
)


def test_a_name_is_lower_case_short_and_no_other_volumes() -> None:
    parts = [("a", "b"), ("ab", ""), ("", "ab"), ("A", "b"), ("a", "B"), ("a/b", "c"), ("a", "b/c")]
    names = {persistent_volume_name(OWNER, *each, 0) for each in parts}
    names |= {persistent_volume_name(OWNER, *each, 1) for each in parts}
    names |= {persistent_volume_name("another", *each, 0) for each in parts}
    names |= {volume_name(OWNER, *each) for each in parts}
    assert len(names) == 4 * len(parts)
    assert all(re.fullmatch(r"[a-z0-9-]{1,63}", name) for name in names)
    assert is_persistent(name_of(), OWNER)
    assert not is_persistent(volume_name(OWNER, "executor"), OWNER)
    assert not is_persistent(name_of(), "another")


def test_the_launch_mounts_the_volume_where_this_task_wants_it() -> None:
    shim = with_volume(shim_with_disk())
    wanted = volume()
    wanted.disk.volume.container_path = "/var/lib/db"
    wanted.disk.volume.mode = Volume.RO
    shim.run(task_with(wanted))
    (mount,) = shim.last(Launch).volumes
    assert (mount.name, mount.role, mount.persistence_id) == (name_of(), "prod", "v")
    assert (mount.container_path, mount.read_only, mount.size_mb) == ("/var/lib/db", True, 100.0)


def test_destroy_removes_the_volume_at_once_when_nothing_mounts_it() -> None:
    shim = with_volume(shim_with_disk())
    decision = apply(shim, "DESTROY", volume())
    assert of(RemoveVolume, decision.orders) == [RemoveVolume(name_of())]
    assert states(decision) == ["OPERATION_FINISHED"]
    assert shim.core.view.volumes == {name_of(): False}
    assert shim.handle(facts.VolumeRemoved(name_of())).records == [DropVolume(name_of())]
    assert not shim.core.view.volumes
    assert not shim.handle(facts.VolumeRemoved(name_of())).records


def test_the_removal_waits_for_the_container_that_may_still_mount_it() -> None:
    shim = with_volume(shim_with_disk())
    ref = shim.running_task(task_with(volume()))
    shim.shutdown_framework()
    assert not of(RemoveVolume, apply(shim, "DESTROY", volume()).orders)
    shim.handle(facts.ContainerExited(ref, 0))
    assert shim.removed(ref).orders == [RemoveVolume(name_of())]


def test_a_removal_goes_on_after_a_restart_until_the_endpoint_has_it_no_more() -> None:
    shim = with_volume(shim_with_disk())
    apply(shim, "DESTROY", volume())
    for _ in range(2):
        decision = shim.restart()
        assert of(RemoveVolume, decision.orders) == [RemoveVolume(name_of(), again=True)]
    shim.handle(facts.VolumeRemoved(name_of()))
    assert not of(RemoveVolume, shim.restart().orders)


def test_created_again_during_the_removal_it_has_another_name() -> None:
    shim = with_volume(shim_with_disk())
    apply(shim, "DESTROY", volume())
    apply(shim, "CREATE", volume())
    shim.run(task_with(volume()))
    assert shim.last(Launch).volumes[0].name == name_of(generation=1)
    shim.handle(facts.VolumeRemoved(name_of()))
    shim.restart()
    shim.register()
    shim.run(task_with(volume(), name="t2"))
    (saved,) = map(journal_pb2.PersistentVolume.FromString, shim.disk.volumes.values())
    assert saved.generation == 1
    assert shim.core.view.volumes == {name_of(generation=1): True}


def test_created_again_after_the_removal_it_has_the_first_name_again() -> None:
    shim = with_volume(shim_with_disk())
    apply(shim, "DESTROY", volume())
    shim.handle(facts.VolumeRemoved(name_of()))
    apply(shim, "CREATE", volume())
    assert shim.core.view.volumes == {name_of(): True}


def test_nothing_but_destroy_removes_a_volume() -> None:
    shim = with_volume(shim_with_disk())
    given = []
    ref = shim.running_task(task_with(volume()))
    given += shim.shutdown_framework().orders
    given += shim.handle(facts.ContainerExited(ref, 0)).orders
    given += shim.removed(ref).orders
    given += shim.restart(container(ref, Phase.EXITED)).orders
    shim.register()
    given += shim.receive(m.ShutdownMessage(message="Agent has been marked gone")).orders
    given += shim.restart().orders
    shim.detect()
    (request,) = sent(m.RegisterSlaveMessage, shim.wait(1.0))
    assert len(request.checkpointed_resources) == 1
    assert not of(RemoveVolume, given)


def test_cleanup_removes_no_volume() -> None:
    shim = with_volume(shim_with_disk())
    shim.running_task(task_with(volume()))
    cleaning = Shim(registered=False, info=info_with_disk(), shim_id=OWNER, cleanup=True)
    cleaning.disk = shim.disk
    assert not of(RemoveVolume, cleaning.restart().orders)
    assert cleaning.disk.volumes.keys() == {name_of()}


def test_a_lost_work_dir_keeps_the_volume_and_names_it_with_the_command() -> None:
    shim = shim_with_disk()
    left = [EndpointVolume(name_of(name)) for name in ("v", "w")]
    other = [EndpointVolume("db"), EndpointVolume(volume_name(OWNER, "executor", "/data"))]
    decision = shim.handle(facts.VolumesFound((*left, *other)))
    texts = [order.text for order in of(Notice, decision.orders)]
    assert len(texts) == 2
    assert all(f"docker volume rm {each.name}" in "".join(texts) for each in left)
    assert not of(RemoveVolume, decision.orders)


def test_known_volumes_are_not_named_and_thousands_are_counted() -> None:
    shim = with_volume(shim_with_disk())
    assert not shim.handle(facts.VolumesFound((EndpointVolume(name_of()),))).orders
    many = tuple(EndpointVolume(name_of(str(number))) for number in range(1000))
    texts = [order.text for order in of(Notice, shim.handle(facts.VolumesFound(many)).orders)]
    assert len(texts) == 21
    assert texts[-1].startswith("980 more volumes")


def test_a_master_without_operations_sends_the_whole_list() -> None:
    shim = shim_with_disk()
    old = volume()
    del old.reservations[:]
    old.role, old.reservation.principal = "prod", "p"
    decision = shim.receive(m.CheckpointResourcesMessage(resources=[old]))
    assert of_kind(decision.records, SaveVolume) == [name_of()]
    shim.run(task_with(old))
    assert shim.last(Launch).volumes[0].name == name_of()
    assert not shim.receive(m.CheckpointResourcesMessage(resources=[old])).records
    decision = shim.receive(m.CheckpointResourcesMessage())
    assert not of(RemoveVolume, decision.orders), "a task has it"
    assert shim.core.view.volumes == {name_of(): False}


def of_kind(records: Iterable[object], kind: type[SaveVolume]) -> list[str]:
    return [record.name for record in records if isinstance(record, kind)]


def test_a_journal_of_before_there_were_records_of_volumes_opens() -> None:
    shim = with_volume(shim_with_disk())
    shim.disk.volumes.clear()
    shim.restart()
    assert shim.core.view.volumes == {name_of(): True}


def test_two_tasks_share_a_shared_volume() -> None:
    shim = shim_with_disk()
    apply(shim, "RESERVE", disk(100.0))
    apply(shim, "CREATE", volume(shared=True))
    first = shim.running_task(task_with(volume(shared=True), name="a"))
    second = shim.running_task(task_with(volume(shared=True), name="b"))
    shim.shutdown_framework()
    shim.receive(m.CheckpointResourcesMessage())
    for ref, orders in ((first, []), (second, [RemoveVolume(name_of())])):
        shim.handle(facts.ContainerExited(ref, 0))
        assert of(RemoveVolume, shim.removed(ref).orders) == orders


def test_a_launch_knows_whether_another_container_may_mount_its_volume() -> None:
    shim = shim_with_disk()
    apply(shim, "RESERVE", disk(100.0))
    apply(shim, "CREATE", volume(shared=True))
    shim.run(task_with(volume(shared=True), name="a"))
    assert not shim.last(Launch).volumes[0].in_use
    first = shim.last(Launch).ref
    shim.restart(container(first, Phase.RUNNING))
    shim.register()
    shim.run(task_with(volume(shared=True), name="b"))
    assert shim.last(Launch).volumes[0].in_use, "the task of before the restart has it"


def test_one_task_may_use_a_shared_volume_twice_but_not_another_one() -> None:
    shim = shim_with_disk()
    apply(shim, "RESERVE", disk(200.0))
    apply(shim, "CREATE", volume("s", shared=True), volume("v"))
    shim.run(task_with(volume("s", shared=True), volume("s", shared=True)))
    assert len(shim.last(Launch).volumes) == 2
    shim.run(task_with(volume(), volume(), name="twice"))
    assert "disk of role prod (volume 'v')" in shim.last_status("twice").message


def on_disk(source: Resource.DiskInfo.Source.Type.ValueType) -> Resource:
    made = volume("v")
    made.disk.source.type = source
    return made


BAD = [
    (volume("", 100.0), "prod", "TaskInfo.resources[0].disk.persistence.id is empty"),
    (volume("v", 0.0), "prod", "TaskInfo.resources[0]: volume 'v' has the size 0 MB"),
    (volume("v", -1.0), "prod", "TaskInfo.resources[0]: volume 'v' has the size -1 MB"),
    (
        volume("v", role="db"),
        "web",
        "TaskInfo.resources[0]: volume 'v' is of role 'db', not of the task's role 'web'",
    ),
    (
        on_disk(Resource.DiskInfo.Source.MOUNT),
        "prod",
        "TaskInfo.resources[0]: volume 'v' is on a disk with the source MOUNT, and this agent has "
        "no disks of a host: it makes volumes at its Docker endpoint",
    ),
    (volume("v", role="db"), "db/a", ""),
    (disk(0.0), "web", ""),
]


@pytest.mark.parametrize(("resource", "role", "text"), BAD)
def test_a_volume_that_a_task_cannot_use_is_named(resource: Resource, role: str, text: str) -> None:
    assert problem([resource], role) == text


def test_a_task_with_a_volume_of_another_role_is_rejected_before_anything_is_made() -> None:
    shim = with_volume(shim_with_disk())
    info = task_with(volume())
    info.resources[-1].allocation_info.role = "web"
    decision = shim.run(info)
    assert not of(Launch, decision.orders)
    (status,) = shim.statuses
    assert status.reason == TaskStatus.REASON_TASK_INVALID
    assert "of role 'prod', not of the task's role 'web'" in status.message


def test_a_task_with_an_unknown_volume_is_rejected() -> None:
    shim = shim_with_disk()
    shim.run(task_with(volume()))
    assert shim.statuses[0].reason == TaskStatus.REASON_RESOURCES_UNKNOWN


def test_sums_are_right_through_operations_restart_and_failover() -> None:
    """Whatever happens: reserved disk and free disk are the agent's disk."""
    shim = shim_with_disk()

    def reserved(request: m.RegisterSlaveMessage | m.ReregisterSlaveMessage) -> float:
        total = sum(r.scalar.value for r in request.slave.resources if r.name == "disk")
        assert total == 1000.0
        assert all(not r.reservations for r in request.checkpointed_resources), "the old format"
        return sum(r.scalar.value for r in request.checkpointed_resources)

    steps = [
        ("RESERVE", disk(300.0), 300.0),
        ("CREATE", volume("a", 100.0), 300.0),
        ("CREATE", volume("b", 150.0), 300.0),
        ("DESTROY", volume("a", 100.0), 300.0),
        ("UNRESERVE", disk(120.0), 180.0),
        ("DESTROY", volume("b", 150.0), 180.0),
        ("UNRESERVE", disk(180.0), 0.0),
    ]
    for kind, resource, expected in steps:
        acknowledge(shim, apply(shim, kind, resource))
        shim.restart()
        shim.detect()
        (request,) = sent(m.ReregisterSlaveMessage, shim.wait(1.0))
        assert reserved(request) == expected, (kind, resource)
        shim.answer_registration()
        shim.detect(None)
        shim.register()
        assert sum(r.scalar.value for r in shim.core.reservations.resources) == expected
    decision = apply(shim, "RESERVE", disk(1000.1))
    assert states(decision) == ["OPERATION_ERROR"]


def pod_shim() -> Shim:
    return with_volume(shim_with_disk(pod_network=PodNetwork.SHARED), "own", "pods")


def test_a_pod_mounts_the_volumes_of_its_executor_and_of_its_tasks() -> None:
    shim = pod_shim()
    message = group_message(shim)
    decision = shim.receive(message)
    (infra,) = of(LaunchExecutor, decision.orders)
    assert [mount.persistence_id for mount in infra.volumes] == ["pods"]
    (member,) = of(Launch, decision.orders)
    assert member.executor is not None
    assert [mount.persistence_id for mount in member.volumes] == ["own"]
    assert [mount.persistence_id for mount in member.executor.volumes] == ["pods"]


def test_the_removal_of_a_pods_volume_waits_for_the_executor_also_after_a_restart() -> None:
    shim = pod_shim()
    (infra,) = of(LaunchExecutor, shim.receive(group_message(shim)).orders)
    running = container_of_executor(infra.ref)
    shim.handle(facts.ContainerStarted(infra.ref, running))
    shim.restart(running)
    shim.register()
    shim.receive(m.CheckpointResourcesMessage())
    assert not of(RemoveVolume, shim.decision.orders)
    given = shim.removed(infra.ref).orders
    assert of(RemoveVolume, given) == [RemoveVolume(name_of("pods"))]


def test_a_task_that_ends_while_its_pod_is_queued_releases_its_volume() -> None:
    shim = pod_shim()
    shim.receive(group_message(shim))
    shim.kill("t")
    shim.receive(m.CheckpointResourcesMessage())
    assert not of(RemoveVolume, shim.decision.orders), "its launch may be making the volume"
    given = shim.removed(shim.ref("t")).orders
    assert of(RemoveVolume, given) == [RemoveVolume(name_of("own"))]


def group_message(shim: Shim) -> m.RunTaskGroupMessage:
    message = m.RunTaskGroupMessage(launch_executor=True)
    message.framework.CopyFrom(framework_info("F"))
    message.executor.executor_id.value = "e"
    message.executor.framework_id.value = "F"
    message.executor.type = ExecutorInfo.DEFAULT
    message.executor.container.type = ContainerInfo.MESOS
    message.executor.container.network_infos.add(name="bridge")
    message.executor.resources.append(volume("pods"))
    message.executor.resources[0].allocation_info.role = "prod"
    message.task_group.tasks.append(task_with(volume("own")))
    return message


def container_of_executor(ref: Ref) -> Container:
    labels = {
        "mesos-shim.id": OWNER,
        "org.apache.mesos.framework_id": ref.key.framework_id,
        "org.apache.mesos.executor_id": "e",
        "org.apache.mesos.container_id": ref.container_id,
    }
    return Container(ref.name, "0123", Phase.RUNNING, labels, addresses=("172.17.0.9",))


def test_a_custom_executor_mounts_its_volumes_and_those_of_its_first_task() -> None:
    shim = ExecutorShim(info=info_with_disk(), shim_id=OWNER)
    with_volume(shim, "own", "first", "later")
    shim.run_inside(inner_with(volume("first")))
    (launched,) = of(LaunchExecutor, shim.decision.orders)
    assert [mount.persistence_id for mount in launched.volumes] == ["first"]
    shim.run_inside(inner_with(volume("later"), name="t2"), launch=False)
    (status,) = shim.statuses
    assert status.reason == TaskStatus.REASON_TASK_INVALID
    assert "runs without the persistent volumes 'later'" in status.message
    shim.receive(m.CheckpointResourcesMessage())
    assert of(RemoveVolume, shim.decision.orders) == [
        RemoveVolume(name_of("own")),
        RemoveVolume(name_of("later")),
    ]
    given = shim.removed(launched.ref).orders
    assert of(RemoveVolume, given) == [RemoveVolume(name_of("first"))]


def test_an_executor_keeps_the_volumes_of_its_first_task_through_a_restart() -> None:
    """The task that brought them has ended meanwhile."""
    shim = ExecutorShim(info=info_with_disk(), shim_id=OWNER)
    with_volume(shim, "first")
    shim.run_inside(inner_with(volume("first")))
    shim.executor_started()
    shim.subscribe()
    shim.report(update_of("t", TaskState.TASK_FINISHED))
    shim.acknowledge_all("t")
    ref = shim.custom().ref
    shim.restart(container_of_executor(ref))
    shim.register()
    shim.subscribe()
    shim.run_inside(inner_with(volume("first"), name="t2"), launch=False)
    assert not shim.statuses
    shim.receive(m.CheckpointResourcesMessage())
    assert not of(RemoveVolume, shim.decision.orders), "its container mounts it"


def test_the_field_of_an_executor_or_of_a_member_is_named() -> None:
    for place in ("ExecutorInfo 'e'", "TaskInfo 't'"):
        shim = pod_shim()
        message = group_message(shim)
        resources = message.executor.resources
        if place == "TaskInfo 't'":
            resources = message.task_group.tasks[0].resources
        resources[-1].scalar.value = 0.0
        shim.receive(message)
        text = f"{place}.resources[{len(resources) - 1}]: volume"
        assert shim.statuses[-1].message.startswith(text), shim.statuses[-1].message
    custom = ExecutorShim(info=info_with_disk(), shim_id=OWNER)
    with_volume(custom)
    info = inner_with(volume())
    info.resources[-1].allocation_info.role = "web"
    custom.run_inside(info)
    (status,) = custom.statuses
    assert "TaskInfo 't'.resources" in status.message
    assert "is of role 'prod', not of the task's role 'web'" in status.message


def inner_with(resource: Resource, name: str = "t") -> TaskInfo:
    info = inner_task(name)
    info.resources.add().CopyFrom(resource)
    info.resources[-1].allocation_info.role = "prod"
    return info
