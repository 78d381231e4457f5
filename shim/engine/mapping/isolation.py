"""``linux_info``, ``rlimit_info``, ``tty_info`` and ``docker.privileged``.

A stock agent ignores the first three for Docker containers; here they are honoured.
"""

from __future__ import annotations

from shim.engine.mapping.resources import MIB
from shim.engine.mapping.spec_builder import Field, SpecBuilder, Triton, invalid
from shim.engine.mapping.values.units import INT64_MAX
from shim.protos.mesos_pb2 import CapabilityInfo, LinuxInfo, RLimitInfo

UNLIMITED = -1

FIELDS = (
    Field("container.docker.privileged", "HostConfig.Privileged", "", Triton.NO),
    Field(
        "container.linux_info.effective_capabilities, container.linux_info.capability_info,"
        " container.linux_info.bounding_capabilities",
        "HostConfig.CapAdd, HostConfig.CapDrop",
        "exactly these: `ALL` is dropped, then they are added; the first that is set counts",
        Triton.NO,
    ),
    Field("container.linux_info.shm_size", "HostConfig.ShmSize", "in MiB", Triton.NO),
    Field(
        "container.linux_info.ipc_mode",
        "HostConfig.IpcMode",
        "`PRIVATE`, or `SHARE_PARENT`: the engine host's",
        Triton.NO,
    ),
    Field(
        "container.linux_info.share_pid_namespace",
        "HostConfig.PidMode",
        "true: the engine host's",
        Triton.NO,
    ),
    Field(
        "container.linux_info.seccomp",
        "HostConfig.SecurityOpt",
        "`unconfined`; a profile's name is refused, it names a file of a host",
        Triton.NO,
    ),
    Field("container.linux_info.share_cgroups", "-", "false is a warning", Triton.HINT, "not used"),
    Field(
        "container.rlimit_info.rlimits",
        "HostConfig.Ulimits",
        "`RLMT_NOFILE` is `nofile`; what is not set is unlimited",
        Triton.NO,
    ),
    Field("container.tty_info", "Tty", "a window size is a warning"),
)


def map_isolation(draft: SpecBuilder) -> None:
    container = draft.container
    if container.docker.privileged and draft.honoured(
        Triton.NO, "container.docker.privileged", True
    ):
        draft.put("HostConfig.Privileged", True)
    if container.HasField("linux_info"):
        _map_linux(draft, container.linux_info)
    for i, limit in enumerate(container.rlimit_info.rlimits):
        _map_rlimit(draft, limit, f"container.rlimit_info.rlimits[{i}]")
    if container.HasField("tty_info"):
        draft.body["Tty"] = True
        if container.tty_info.HasField("window_size"):
            draft.warn("container.tty_info.window_size: not used, nobody looks at the terminal")


def _map_linux(draft: SpecBuilder, linux: LinuxInfo) -> None:
    field = "container.linux_info"
    _map_capabilities(draft, linux)
    _map_seccomp(draft, linux)
    if linux.HasField("shm_size") and draft.honoured(
        Triton.NO, f"{field}.shm_size", linux.shm_size
    ):
        draft.put("HostConfig.ShmSize", linux.shm_size * MIB)
    if linux.HasField("ipc_mode"):
        _map_ipc(draft, linux.ipc_mode)
    if linux.share_pid_namespace and draft.honoured(
        Triton.NO, f"{field}.share_pid_namespace", True
    ):
        draft.put("HostConfig.PidMode", "host")
    if not linux.share_cgroups:
        draft.warn(f"{field}.share_cgroups false: not used, a container's cgroup is its own")


def _map_ipc(draft: SpecBuilder, mode: LinuxInfo.IpcMode.ValueType) -> None:
    field, name = "container.linux_info.ipc_mode", LinuxInfo.IpcMode.Name(mode)
    modes = {LinuxInfo.PRIVATE: "private", LinuxInfo.SHARE_PARENT: "host"}
    if mode not in modes:
        invalid("Unknown IPC mode", field, name)
    if draft.honoured(Triton.NO, field, name):
        draft.put("HostConfig.IpcMode", modes[mode])


def _map_capabilities(draft: SpecBuilder, linux: LinuxInfo) -> None:
    for name in ("effective_capabilities", "capability_info", "bounding_capabilities"):
        if linux.HasField(name):
            info: CapabilityInfo = getattr(linux, name)
            break
    else:
        return
    field = f"container.linux_info.{name}"
    names = [CapabilityInfo.Capability.Name(capability) for capability in info.capabilities]
    if "UNKNOWN" in names:
        invalid("Unknown capability", field, ", ".join(names))
    if draft.honoured(Triton.NO, field, ", ".join(names)):
        draft.put("HostConfig.CapDrop", ["ALL"])
        draft.put("HostConfig.CapAdd", names)


def _map_seccomp(draft: SpecBuilder, linux: LinuxInfo) -> None:
    field = "container.linux_info.seccomp"
    if linux.seccomp.profile_name:
        name = linux.seccomp.profile_name
        invalid("A seccomp profile is a file of a host", f"{field}.profile_name", name)
    if linux.seccomp.unconfined and draft.honoured(Triton.NO, f"{field}.unconfined", True):
        draft.append("HostConfig.SecurityOpt", "seccomp=unconfined")


def _map_rlimit(draft: SpecBuilder, limit: RLimitInfo.RLimit, field: str) -> None:
    kind = RLimitInfo.RLimit.Type.Name(limit.type)
    if kind == "UNKNOWN":
        invalid("Unknown resource limit", f"{field}.type", kind)
    soft, hard = (
        getattr(limit, name) if limit.HasField(name) else UNLIMITED for name in ("soft", "hard")
    )
    soft, hard = (UNLIMITED if value > INT64_MAX else value for value in (soft, hard))
    if hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
        invalid("The soft limit must not be above the hard one", f"{field}.soft", soft)
    if draft.honoured(Triton.NO, field, kind):
        name = kind.removeprefix("RLMT_").lower()
        draft.append("HostConfig.Ulimits", {"Name": name, "Soft": soft, "Hard": hard})
