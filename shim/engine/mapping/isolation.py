"""``linux_info``, ``rlimit_info``, ``tty_info`` and ``docker.privileged``.

A stock agent ignores the first three fields for Docker containers. This agent honours them.
"""

from __future__ import annotations

from shim.engine.mapping.pod import map_namespaces
from shim.engine.mapping.resources import MIB
from shim.engine.mapping.spec_builder import FieldRow, SpecBuilder, TritonSupport, reject
from shim.engine.mapping.values.scalars import INT64_MAX
from shim.protos.mesos_pb2 import CapabilityInfo, LinuxInfo, RLimitInfo

UNLIMITED = -1

FIELDS = (
    FieldRow("container.docker.privileged", "HostConfig.Privileged", "", TritonSupport.UNSUPPORTED),
    FieldRow(
        "container.linux_info.effective_capabilities, container.linux_info.capability_info,"
        " container.linux_info.bounding_capabilities",
        "HostConfig.CapAdd, HostConfig.CapDrop",
        "exactly these: `ALL` is dropped, then they are added; the first that is set counts",
        TritonSupport.UNSUPPORTED,
    ),
    FieldRow(
        "container.linux_info.shm_size", "HostConfig.ShmSize", "in MiB", TritonSupport.UNSUPPORTED
    ),
    FieldRow(
        "container.linux_info.ipc_mode",
        "HostConfig.IpcMode",
        "`PRIVATE`, or `SHARE_PARENT`: the engine host's",
        TritonSupport.UNSUPPORTED,
    ),
    FieldRow(
        "container.linux_info.share_pid_namespace",
        "HostConfig.PidMode",
        "true: the engine host's",
        TritonSupport.UNSUPPORTED,
    ),
    FieldRow(
        "container.linux_info.seccomp",
        "HostConfig.SecurityOpt",
        "`unconfined`; the name of a profile is refused",
        TritonSupport.UNSUPPORTED,
    ),
    FieldRow(
        "container.linux_info.share_cgroups",
        "-",
        "false is a warning",
        TritonSupport.IGNORED,
        "not used",
    ),
    FieldRow(
        "container.rlimit_info.rlimits",
        "HostConfig.Ulimits",
        "`RLMT_NOFILE` is `nofile`; what is not set is unlimited",
        TritonSupport.UNSUPPORTED,
    ),
    FieldRow("container.tty_info", "Tty, OpenStdin", "a window size is a warning"),
)


def map_isolation(builder: SpecBuilder) -> None:
    container = builder.container
    if container.docker.privileged and builder.check_support(
        TritonSupport.UNSUPPORTED, "container.docker.privileged", True
    ):
        builder.set("HostConfig.Privileged", True)
    if container.HasField("linux_info"):
        _map_linux(builder, container.linux_info)
    if builder.member is not None:
        map_namespaces(builder, builder.member)
    elif container.HasField("linux_info"):
        _map_namespaces(builder, container.linux_info)
    for i, limit in enumerate(container.rlimit_info.rlimits):
        _map_rlimit(builder, limit, f"container.rlimit_info.rlimits[{i}]")
    if container.HasField("tty_info"):
        builder.body["Tty"] = True
        builder.body["OpenStdin"] = True
        if container.tty_info.HasField("window_size"):
            builder.warn(
                "container.tty_info.window_size: not used, a client that attaches sets its own"
            )


def _map_linux(builder: SpecBuilder, linux: LinuxInfo) -> None:
    _map_capabilities(builder, linux)
    _map_seccomp(builder, linux)


def _map_namespaces(builder: SpecBuilder, linux: LinuxInfo) -> None:
    """Of a container that is in no task group."""
    field = "container.linux_info"
    if linux.HasField("shm_size") and builder.check_support(
        TritonSupport.UNSUPPORTED, f"{field}.shm_size", linux.shm_size
    ):
        builder.set("HostConfig.ShmSize", linux.shm_size * MIB)
    if linux.HasField("ipc_mode"):
        _map_ipc(builder, linux.ipc_mode)
    if linux.share_pid_namespace and builder.check_support(
        TritonSupport.UNSUPPORTED, f"{field}.share_pid_namespace", True
    ):
        builder.set("HostConfig.PidMode", "host")
    if not linux.share_cgroups:
        builder.warn(f"{field}.share_cgroups false: not used, a container's cgroup is its own")


def _map_ipc(builder: SpecBuilder, mode: LinuxInfo.IpcMode.ValueType) -> None:
    field, name = "container.linux_info.ipc_mode", LinuxInfo.IpcMode.Name(mode)
    modes = {LinuxInfo.PRIVATE: "private", LinuxInfo.SHARE_PARENT: "host"}
    if mode not in modes:
        reject("Unknown IPC mode", field, name)
    if builder.check_support(TritonSupport.UNSUPPORTED, field, name):
        builder.set("HostConfig.IpcMode", modes[mode])


def _map_capabilities(builder: SpecBuilder, linux: LinuxInfo) -> None:
    for name in ("effective_capabilities", "capability_info", "bounding_capabilities"):
        if linux.HasField(name):
            info: CapabilityInfo = getattr(linux, name)
            break
    else:
        return
    field = f"container.linux_info.{name}"
    names = [CapabilityInfo.Capability.Name(capability) for capability in info.capabilities]
    if "UNKNOWN" in names:
        reject("Unknown capability", field, ", ".join(names))
    if builder.check_support(TritonSupport.UNSUPPORTED, field, ", ".join(names)):
        builder.set("HostConfig.CapDrop", ["ALL"])
        builder.set("HostConfig.CapAdd", names)


def _map_seccomp(builder: SpecBuilder, linux: LinuxInfo) -> None:
    field = "container.linux_info.seccomp"
    if linux.seccomp.profile_name:
        name = linux.seccomp.profile_name
        reject(
            "Seccomp profile names are not supported, only unconfined",
            f"{field}.profile_name",
            name,
        )
    if linux.seccomp.unconfined and builder.check_support(
        TritonSupport.UNSUPPORTED, f"{field}.unconfined", True
    ):
        builder.append("HostConfig.SecurityOpt", "seccomp=unconfined")


def _map_rlimit(builder: SpecBuilder, limit: RLimitInfo.RLimit, field: str) -> None:
    kind = RLimitInfo.RLimit.Type.Name(limit.type)
    if kind == "UNKNOWN":
        reject("Unknown resource limit", f"{field}.type", kind)
    soft, hard = (
        getattr(limit, name) if limit.HasField(name) else UNLIMITED for name in ("soft", "hard")
    )
    soft, hard = (UNLIMITED if value > INT64_MAX else value for value in (soft, hard))
    if hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
        reject("The soft limit must not be above the hard one", f"{field}.soft", soft)
    if builder.check_support(TritonSupport.UNSUPPORTED, field, kind):
        name = kind.removeprefix("RLMT_").lower()
        builder.append("HostConfig.Ulimits", {"Name": name, "Soft": soft, "Hard": hard})
