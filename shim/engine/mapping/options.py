"""The table of ``docker run`` options: every long flag as a key of ``container.docker.parameters``.

The rows follow the reference of ``docker run``, sorted by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shim.engine.mapping import setters
from shim.engine.mapping.setters import append_value, set_value, update_object
from shim.engine.mapping.spec_builder import NET, SpecBuilder, TritonSupport
from shim.engine.mapping.values import ports, scalars, structured

YES, IGNORED, UNSUPPORTED = TritonSupport.YES, TritonSupport.IGNORED, TritonSupport.UNSUPPORTED
SEE_NOTE, REFUSED = TritonSupport.SEE_NOTE, TritonSupport.REFUSED

Setter = Callable[[SpecBuilder, str, Any], None]
"""Puts a parsed value into the spec, at the option's API path."""


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table: a flag, its parser, and its place in the Engine API."""

    key: str
    api: str
    parse: Callable[[str], Any]
    """Raises ValueError."""
    set: Setter
    triton: TritonSupport
    note: str = ""
    since: str = "1.20"
    """The first API version with the option. An older engine drops it silently."""
    local: str = "yes"
    """What a local engine does with the option."""


def _client(key: str, note: str, parse: Callable[[str], Any] = str) -> Option:
    """Return the row of a flag of the docker client: refused unless it is switched off."""

    def refuse(builder: SpecBuilder, path: str, value: Any) -> None:
        if value is not False:
            raise ValueError(f"Option {key} is for the docker client: {note}")

    return Option(key, "-", parse, refuse, SEE_NOTE, f"refused: {note}", local="refused")


def _flag(key: str, api: str, triton: TritonSupport, note: str = "", since: str = "1.20") -> Option:
    return Option(key, api, scalars.boolean, set_value, triton, note, since)


_HC = "HostConfig"
_CHECK = "Healthcheck"

OPTIONS = (
    Option(
        "add-host",
        f"{_HC}.ExtraHosts",
        structured.host_entry,
        append_value,
        YES,
        "`host:ip` or `host=ip`",
    ),
    Option(
        "annotation",
        f"{_HC}.Annotations",
        structured.pair,
        update_object,
        IGNORED,
        "`k=v`",
        "1.43",
    ),
    _client("attach", "no client attaches to a task"),
    Option(
        "blkio-weight",
        f"{_HC}.BlkioWeight",
        scalars.blkio_weight,
        set_value,
        IGNORED,
        "10..1000",
    ),
    Option(
        "blkio-weight-device",
        f"{_HC}.BlkioWeightDevice",
        structured.device_path_and(scalars.blkio_weight, "Weight"),
        append_value,
        IGNORED,
        "`path:weight`",
    ),
    Option("cap-add", f"{_HC}.CapAdd", str, append_value, UNSUPPORTED),
    Option("cap-drop", f"{_HC}.CapDrop", str, append_value, UNSUPPORTED),
    Option("cgroup-parent", f"{_HC}.CgroupParent", str, set_value, IGNORED),
    Option(
        "cgroupns",
        f"{_HC}.CgroupnsMode",
        scalars.one_of("host", "private"),
        set_value,
        UNSUPPORTED,
        "",
        "1.41",
    ),
    _client("cidfile", "the agent writes no such file"),
    Option("cpu-count", f"{_HC}.CpuCount", scalars.whole, set_value, IGNORED, "Windows"),
    Option("cpu-percent", f"{_HC}.CpuPercent", scalars.whole, set_value, IGNORED, "Windows"),
    Option("cpu-period", f"{_HC}.CpuPeriod", scalars.whole, set_value, IGNORED, "microseconds"),
    Option("cpu-quota", f"{_HC}.CpuQuota", scalars.whole, set_value, IGNORED, "microseconds"),
    Option(
        "cpu-rt-period",
        f"{_HC}.CpuRealtimePeriod",
        scalars.whole,
        set_value,
        IGNORED,
        "microseconds",
    ),
    Option(
        "cpu-rt-runtime",
        f"{_HC}.CpuRealtimeRuntime",
        scalars.whole,
        set_value,
        IGNORED,
        "microseconds",
    ),
    Option(
        "cpu-shares",
        f"{_HC}.CpuShares",
        scalars.whole,
        set_value,
        IGNORED,
        "replaces the computed one",
    ),
    Option(
        "cpus",
        f"{_HC}.NanoCpus",
        scalars.nano_cpus,
        set_value,
        IGNORED,
        "decimal; the quota computed from resources is dropped for it",
        "1.25",
    ),
    Option("cpuset-cpus", f"{_HC}.CpusetCpus", str, set_value, IGNORED),
    Option("cpuset-mems", f"{_HC}.CpusetMems", str, set_value, IGNORED),
    _client("detach", "the agent always watches its tasks", scalars.boolean),
    _client("detach-keys", "no client attaches to a task"),
    Option(
        "device",
        f"{_HC}.Devices",
        str,
        setters.add_device,
        UNSUPPORTED,
        "`src[:dst][:rwm]`; a CDI name `vendor/class=name` goes into `HostConfig.DeviceRequests`",
    ),
    Option(
        "device-cgroup-rule",
        f"{_HC}.DeviceCgroupRules",
        str,
        append_value,
        UNSUPPORTED,
        "",
        "1.28",
    ),
    Option(
        "device-read-bps",
        f"{_HC}.BlkioDeviceReadBps",
        structured.device_path_and(scalars.size, "Rate"),
        append_value,
        IGNORED,
        "`path:size`",
    ),
    Option(
        "device-read-iops",
        f"{_HC}.BlkioDeviceReadIOps",
        structured.device_path_and(scalars.whole, "Rate"),
        append_value,
        IGNORED,
        "`path:number`",
    ),
    Option(
        "device-write-bps",
        f"{_HC}.BlkioDeviceWriteBps",
        structured.device_path_and(scalars.size, "Rate"),
        append_value,
        IGNORED,
        "`path:size`",
    ),
    Option(
        "device-write-iops",
        f"{_HC}.BlkioDeviceWriteIOps",
        structured.device_path_and(scalars.whole, "Rate"),
        append_value,
        IGNORED,
        "`path:number`",
    ),
    _client(
        "disable-content-trust",
        "image signatures are verified by the docker client",
        scalars.boolean,
    ),
    Option(
        "dns",
        f"{_HC}.Dns",
        scalars.address,
        append_value,
        YES,
        "an address; no default DNS then",
    ),
    Option(
        "dns-opt",
        f"{_HC}.DnsOptions",
        str,
        append_value,
        UNSUPPORTED,
        "no default DNS then",
    ),
    Option(
        "dns-option",
        f"{_HC}.DnsOptions",
        str,
        append_value,
        UNSUPPORTED,
        "no default DNS then",
    ),
    Option(
        "dns-search",
        f"{_HC}.DnsSearch",
        str,
        append_value,
        YES,
        "`.`: none; no default DNS then",
    ),
    Option("domainname", "Domainname", str, set_value, YES),
    Option(
        "entrypoint",
        "Entrypoint",
        structured.entrypoint,
        set_value,
        YES,
        "one word; empty: none",
    ),
    Option("env", "Env", str, setters.set_env, YES, "`K=V`; a bare `K` is dropped with a warning"),
    _client("env-file", "the agent cannot read files of the docker client"),
    Option(
        "expose",
        "ExposedPorts",
        ports.expose,
        update_object,
        YES,
        "`p`, `p/proto`, `a-b/proto`",
    ),
    Option(
        "gpus",
        f"{_HC}.DeviceRequests",
        structured.gpus,
        append_value,
        UNSUPPORTED,
        "`all`, a number, or `device=,driver=,capabilities=,count=,options=`",
        "1.40",
    ),
    Option("group-add", f"{_HC}.GroupAdd", str, append_value, UNSUPPORTED),
    Option(
        "health-cmd",
        f"{_CHECK}.Test",
        structured.health_command,
        set_value,
        IGNORED,
        "by the engine's shell",
        "1.24",
    ),
    Option(
        "health-interval",
        f"{_CHECK}.Interval",
        scalars.duration,
        set_value,
        IGNORED,
        "duration",
        "1.24",
    ),
    Option("health-retries", f"{_CHECK}.Retries", scalars.whole, set_value, IGNORED, "", "1.24"),
    Option(
        "health-start-interval",
        f"{_CHECK}.StartInterval",
        scalars.duration,
        set_value,
        IGNORED,
        "duration",
        "1.44",
    ),
    Option(
        "health-start-period",
        f"{_CHECK}.StartPeriod",
        scalars.duration,
        set_value,
        IGNORED,
        "duration",
        "1.29",
    ),
    Option(
        "health-timeout",
        f"{_CHECK}.Timeout",
        scalars.duration,
        set_value,
        IGNORED,
        "duration",
        "1.24",
    ),
    _client("help", "it starts no container"),
    Option(
        "hostname",
        "Hostname",
        str,
        set_value,
        YES,
        "with host networking the engine refuses it",
    ),
    Option("init", f"{_HC}.Init", scalars.boolean, set_value, UNSUPPORTED, "", "1.25"),
    Option(
        "interactive",
        "-",
        scalars.boolean,
        setters.drop_interactive,
        SEE_NOTE,
        "a warning: stdin is empty, as under a stock agent",
        local="not used",
    ),
    Option(
        "io-maxbandwidth",
        f"{_HC}.IOMaximumBandwidth",
        scalars.size,
        set_value,
        IGNORED,
        "Windows",
    ),
    Option("io-maxiops", f"{_HC}.IOMaximumIOps", scalars.whole, set_value, IGNORED, "Windows"),
    Option(
        "ip",
        f"{NET}.IPAMConfig.IPv4Address",
        scalars.ipv4,
        set_value,
        UNSUPPORTED,
        "user networks only",
    ),
    Option(
        "ip6",
        f"{NET}.IPAMConfig.IPv6Address",
        scalars.ipv6,
        set_value,
        UNSUPPORTED,
        "user networks only",
    ),
    Option("ipc", f"{_HC}.IpcMode", str, set_value, UNSUPPORTED),
    Option("isolation", f"{_HC}.Isolation", str, set_value, UNSUPPORTED, "Windows"),
    Option(
        "kernel-memory",
        f"{_HC}.KernelMemory",
        scalars.size,
        set_value,
        IGNORED,
        "gone in new engines",
    ),
    Option(
        "label",
        "Labels",
        str,
        setters.set_label,
        YES,
        "`k=v`, or `k`; the agent's own labels are refused; on Triton `triton.*` and `com.joyent.*`"
        " have a meaning",
    ),
    _client("label-file", "the agent cannot read files of the docker client"),
    Option(
        "link",
        f"{_HC}.Links or {NET}.Links",
        str,
        setters.add_link,
        SEE_NOTE,
        "`name[:alias]`; by network: default bridge or a named one. On Triton only on the default"
        " network",
    ),
    Option(
        "link-local-ip",
        f"{NET}.IPAMConfig.LinkLocalIPs",
        scalars.address,
        append_value,
        UNSUPPORTED,
    ),
    Option(
        "log-driver",
        f"{_HC}.LogConfig.Type",
        str,
        setters.set_log_driver,
        YES,
        "others than json-file, local, journald leave the sandbox without output: a warning",
    ),
    Option(
        "log-opt",
        f"{_HC}.LogConfig.Config",
        structured.option_pair,
        update_object,
        YES,
        "`k=v`",
    ),
    Option(
        "mac-address",
        f"{NET}.MacAddress",
        structured.mac_address,
        set_value,
        UNSUPPORTED,
        "and `MacAddress`",
    ),
    Option(
        "memory",
        f"{_HC}.Memory",
        scalars.size,
        set_value,
        YES,
        "replaces the computed; the package on Triton",
    ),
    Option(
        "memory-reservation",
        f"{_HC}.MemoryReservation",
        scalars.size,
        set_value,
        IGNORED,
        "size",
    ),
    Option("memory-swap", f"{_HC}.MemorySwap", scalars.swap, set_value, IGNORED, "size, or -1"),
    Option(
        "memory-swappiness",
        f"{_HC}.MemorySwappiness",
        scalars.integer_in(-1, 100),
        setters.set_swappiness,
        IGNORED,
        "0..100",
    ),
    Option(
        "mount",
        f"{_HC}.Mounts",
        structured.mount,
        append_value,
        REFUSED,
        "`type=,source=,target=,readonly,...`; on Triton use `volume`",
        "1.25",
    ),
    _client("name", "the agent names its containers"),
    Option(
        "net",
        f"{_HC}.NetworkMode",
        structured.network,
        setters.add_network,
        SEE_NOTE,
        "the first replaces the task's network, further ones add one (not on Triton); also"
        " `name=,alias=,ip=,...`",
    ),
    Option("net-alias", f"{NET}.Aliases", str, append_value, UNSUPPORTED, "user networks only"),
    Option(
        "network",
        f"{_HC}.NetworkMode",
        structured.network,
        setters.add_network,
        SEE_NOTE,
        "as `net`",
    ),
    Option(
        "network-alias",
        f"{NET}.Aliases",
        str,
        append_value,
        UNSUPPORTED,
        "user networks only",
    ),
    Option(
        "no-healthcheck",
        f"{_CHECK}.Test",
        scalars.boolean,
        setters.set_no_healthcheck,
        IGNORED,
        "excludes `health-*`",
        "1.24",
    ),
    _flag("oom-kill-disable", f"{_HC}.OomKillDisable", UNSUPPORTED),
    Option(
        "oom-score-adj",
        f"{_HC}.OomScoreAdj",
        scalars.integer_in(-1000, 1000),
        set_value,
        IGNORED,
        "-1000..1000",
        "1.22",
    ),
    Option("pid", f"{_HC}.PidMode", str, set_value, UNSUPPORTED, "`host` or `container:x`"),
    Option("pids-limit", f"{_HC}.PidsLimit", scalars.whole, set_value, UNSUPPORTED, "", "1.23"),
    Option(
        "platform",
        "query `platform`",
        str,
        setters.set_platform,
        UNSUPPORTED,
        "also of the pull",
        "1.41",
    ),
    _flag("privileged", f"{_HC}.Privileged", UNSUPPORTED),
    Option(
        "publish",
        f"{_HC}.PortBindings",
        ports.publish,
        setters.publish_ports,
        SEE_NOTE,
        "`[ip:][hostPort]:containerPort[/proto]`, ranges, or `published=,target=,protocol=`; not"
        " checked against the task's `ports`. On Triton: a public address, no remapping",
    ),
    _flag("publish-all", f"{_HC}.PublishAllPorts", YES, "on Triton: a public address"),
    _client("pull", "use force_pull_image"),
    _client("quiet", "nothing is printed", scalars.boolean),
    _flag(
        "read-only", f"{_HC}.ReadonlyRootfs", UNSUPPORTED, "the sandbox directory stays writable"
    ),
    Option(
        "restart",
        "-",
        structured.restart,
        setters.drop_restart,
        SEE_NOTE,
        "dropped with a warning: the framework restarts tasks, not the engine",
        local="not used",
    ),
    _client("rm", "the agent removes its containers", scalars.boolean),
    Option("runtime", f"{_HC}.Runtime", str, set_value, UNSUPPORTED),
    Option(
        "security-opt",
        f"{_HC}.SecurityOpt",
        str,
        setters.add_security_opt,
        UNSUPPORTED,
        "`seccomp=FILE` is refused (JSON, `unconfined` are not); `systempaths=unconfined` clears"
        " `HostConfig.MaskedPaths` and `HostConfig.ReadonlyPaths`",
    ),
    Option("shm-size", f"{_HC}.ShmSize", scalars.size, set_value, UNSUPPORTED, "size", "1.22"),
    _client("sig-proxy", "signals come from the agent", scalars.boolean),
    Option(
        "stop-signal",
        "StopSignal",
        str,
        set_value,
        UNSUPPORTED,
        "used when the task is killed",
        "1.21",
    ),
    Option(
        "stop-timeout",
        "StopTimeout",
        scalars.whole,
        set_value,
        IGNORED,
        "seconds; the task's grace period counts when the agent stops it",
        "1.25",
    ),
    Option(
        "storage-opt",
        f"{_HC}.StorageOpt",
        structured.pair,
        update_object,
        UNSUPPORTED,
        "`k=v`",
        "1.24",
    ),
    Option(
        "sysctl",
        f"{_HC}.Sysctls",
        structured.pair,
        update_object,
        UNSUPPORTED,
        "`k=v`",
        "1.24",
    ),
    Option(
        "tmpfs",
        f"{_HC}.Tmpfs",
        structured.tmpfs,
        update_object,
        UNSUPPORTED,
        "`path[:options]`",
        "1.22",
    ),
    _flag("tty", "Tty", YES, "stdout and stderr become one stream"),
    Option(
        "ulimit",
        f"{_HC}.Ulimits",
        structured.ulimit,
        append_value,
        UNSUPPORTED,
        "`name=soft[:hard]`",
    ),
    _client("use-api-socket", "tasks get no access to the engine's socket", scalars.boolean),
    Option("user", "User", str, set_value, YES),
    Option(
        "userns",
        f"{_HC}.UsernsMode",
        scalars.one_of("", "host"),
        set_value,
        UNSUPPORTED,
        "",
        "1.23",
    ),
    Option("uts", f"{_HC}.UTSMode", scalars.one_of("", "host"), set_value, UNSUPPORTED),
    Option(
        "volume",
        f"{_HC}.Binds or Volumes",
        str,
        setters.add_volume,
        SEE_NOTE,
        "`src:dst[:mode]`, or `dst` for an anonymous one; no host directories on Triton",
    ),
    Option(
        "volume-driver",
        f"{_HC}.VolumeDriver",
        str,
        setters.set_volume_driver,
        SEE_NOTE,
        "`tritonnfs` on Triton",
    ),
    Option(
        "volumes-from",
        f"{_HC}.VolumesFrom",
        str,
        append_value,
        YES,
        "at most one on Triton",
    ),
    Option("workdir", "WorkingDir", str, set_value, YES),
)

BY_KEY: Mapping[str, Option] = {option.key: option for option in OPTIONS}

SHORT = {
    "a": "attach", "c": "cpu-shares", "d": "detach", "e": "env", "h": "hostname",
    "i": "interactive", "l": "label", "m": "memory", "p": "publish", "P": "publish-all",
    "q": "quiet", "t": "tty", "u": "user", "v": "volume", "w": "workdir",
}  # fmt: skip
"""One-letter names, accepted beyond what a stock agent accepts."""
