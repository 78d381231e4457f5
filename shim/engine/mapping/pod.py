"""Task groups: the infra container of an executor, and the namespaces that its tasks share.

The tasks join the infra container, never one another: a namespace is gone for good when the
container that made it ends. ``network`` has the network that they share. On Triton nothing can be
joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shim.engine.api import ContainerSpec
from shim.engine.mapping.resources import MIB
from shim.engine.mapping.spec_builder import (
    FieldRow,
    SpecBuilder,
    TritonSupport,
    reject,
)
from shim.model.container import Ref
from shim.model.ids import ExecutorKey
from shim.model.orders import Launch, MemberOf
from shim.protos.mesos_pb2 import ExecutorInfo, LinuxInfo, TaskInfo

_LINUX = "container.linux_info"

FIELDS = (
    FieldRow(
        "executor.container.linux_info.shm_size, executor.container.linux_info.ipc_mode,"
        " executor.container.linux_info.share_pid_namespace",
        "HostConfig.ShmSize, HostConfig.IpcMode, HostConfig.PidMode",
        "of the infra container of a task group, whose IPC namespace is `shareable`",
        TritonSupport.UNSUPPORTED,
    ),
    FieldRow(
        "container.linux_info.ipc_mode, container.linux_info.share_pid_namespace of a task in a"
        " task group",
        "HostConfig.IpcMode, HostConfig.PidMode",
        "the infra container's (IPC also when no mode is set), or the engine host's where the"
        " executor shares that; `PRIVATE`: its own",
        TritonSupport.UNSUPPORTED,
    ),
)


_OF_ITS_OWN = ("Hostname", "Domainname", "MacAddress", "ExposedPorts", "NetworkingConfig")
_OF_ITS_OWN_HOST_CONFIG = (
    "PortBindings",
    "PublishAllPorts",
    "Dns",
    "DnsSearch",
    "DnsOptions",
    "ExtraHosts",
    "Links",
)
"""Options of the create body that a container with another's network cannot have."""


def is_infra(ref: Ref, task: TaskInfo) -> bool:
    """Whether a launch is that of an infra container (see ``executor.executor_launch``)."""
    return isinstance(ref.key, ExecutorKey) and task.executor.type == ExecutorInfo.DEFAULT


def with_address(spec: ContainerSpec, order: Launch, addresses: Sequence[str]) -> ContainerSpec:
    """Return the spec with MESOS_CONTAINER_IP, the first address of the infra container.

    ``addresses``: of the container ``spec.starts_after``.
    """
    joined = order.executor is not None and spec.starts_after == order.executor.ref.name
    if not joined or not addresses:
        return spec
    env = [*spec.body["Env"], f"MESOS_CONTAINER_IP={addresses[0]}"]
    return replace(spec, body={**spec.body, "Env": env})


def refuse_own_network(builder: SpecBuilder) -> None:
    """InvalidTask for an option that belongs to the container whose network is shared."""
    host = builder.body.get("HostConfig", {})
    found = [name for name in _OF_ITS_OWN if builder.body.get(name)]
    found += [f"HostConfig.{name}" for name in _OF_ITS_OWN_HOST_CONFIG if host.get(name)]
    if found:
        reject("A task in a task group has its executor's network", "container", found[0])


# --- namespaces -----------------------------------------------------------------------------


def map_infra(builder: SpecBuilder) -> None:
    """Set what the tasks of the executor can join. The infra container itself is unlimited."""
    linux = builder.container.linux_info
    shared = linux.ipc_mode == LinuxInfo.SHARE_PARENT
    builder.set("HostConfig.IpcMode", "host" if shared else "shareable")
    if linux.HasField("shm_size"):
        builder.set("HostConfig.ShmSize", linux.shm_size * MIB)
    if linux.share_pid_namespace:
        builder.set("HostConfig.PidMode", "host")


def map_namespaces(builder: SpecBuilder, member: MemberOf) -> None:
    """Set the IPC and process namespaces of a task in a task group, and the size of its shm."""
    linux, executor = builder.container.linux_info, member.executor.container.linux_info
    if builder.settings.triton:
        for name in ("shm_size", "ipc_mode", "share_pid_namespace"):
            if executor.HasField(name):
                field = f"executor.{_LINUX}.{name}"
                builder.check_support(TritonSupport.UNSUPPORTED, field, _shown(executor, name))
    _map_ipc(builder, linux, executor)
    if linux.share_pid_namespace:
        field, host = f"{_LINUX}.share_pid_namespace", executor.share_pid_namespace
        _join(builder, "HostConfig.PidMode", field, True, host=host)


def _map_ipc(builder: SpecBuilder, linux: LinuxInfo, executor: LinuxInfo) -> None:
    field, name = f"{_LINUX}.ipc_mode", _shown(linux, "ipc_mode")
    host = executor.ipc_mode == LinuxInfo.SHARE_PARENT
    private = linux.ipc_mode == LinuxInfo.PRIVATE
    if linux.HasField("shm_size"):
        if not private:
            reject("Only a container with ipc_mode PRIVATE has its own", f"{_LINUX}.shm_size")
        if builder.check_support(TritonSupport.UNSUPPORTED, f"{_LINUX}.shm_size", linux.shm_size):
            builder.set("HostConfig.ShmSize", linux.shm_size * MIB)
    if linux.ipc_mode == LinuxInfo.SHARE_PARENT:
        _join(builder, "HostConfig.IpcMode", field, name, host=host)
    elif private and not builder.settings.triton:
        builder.set("HostConfig.IpcMode", "private")
    elif linux.HasField("ipc_mode") and not private:
        reject("Unknown IPC mode", field, name)
    elif builder.infra:
        _join(builder, "HostConfig.IpcMode", field, name, host=host)


def _shown(linux: LinuxInfo, name: str) -> object:
    return LinuxInfo.IpcMode.Name(linux.ipc_mode) if name == "ipc_mode" else getattr(linux, name)


def _join(builder: SpecBuilder, path: str, field: str, value: object, *, host: bool) -> None:
    """Share a namespace of the executor. ``host``: the executor itself shares the engine host's."""
    if not builder.check_support(TritonSupport.UNSUPPORTED, field, value):
        return
    if host:
        builder.set(path, "host")
    elif builder.infra:
        builder.set(path, f"container:{builder.infra}")
        builder.starts_after = builder.infra
    else:
        reject("The executor is on the host's network and has no namespace to share", field, value)
