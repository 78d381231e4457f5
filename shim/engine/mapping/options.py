"""``container.docker.parameters``: every long flag of ``docker run`` as a key, in one table.

To be held against the reference of ``docker run``, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shim.engine.mapping import folds
from shim.engine.mapping.spec_builder import NET, SpecBuilder, Triton
from shim.engine.mapping.values import conversions, grammars, publish, units

YES, HINT, NO, NOTE = Triton.YES, Triton.HINT, Triton.NO, Triton.NOTE
REFUSED = Triton.REFUSED

Fold = Callable[[SpecBuilder, str, Any], None]
"""How a converted value enters the draft, at the option's API path."""


@dataclass(frozen=True, slots=True)
class Option:
    """One row: the flag, its place in the API, how its text is read and how it is put there."""

    key: str
    api: str
    convert: Callable[[str], Any]
    fold: Fold
    triton: Triton
    note: str = ""
    since: str = "1.20"
    """API version that has it: an older one would drop it without a word."""
    local: str = "yes"


def _client(key: str, note: str, convert: Callable[[str], Any] = str) -> Option:
    """A flag that speaks to the docker client; switched off it says nothing and is accepted."""

    def refuse(draft: SpecBuilder, path: str, value: Any) -> None:
        if value is not False:
            raise ValueError(f"Option {key} is for the docker client: {note}")

    return Option(key, "-", convert, refuse, NOTE, f"refused: {note}", local="refused")


def _flag(key: str, api: str, triton: Triton, note: str = "", since: str = "1.20") -> Option:
    return Option(key, api, units.boolean, folds.last, triton, note, since)


_HC = "HostConfig"
_CHECK = "Healthcheck"

OPTIONS = (
    Option(
        "add-host",
        f"{_HC}.ExtraHosts",
        grammars.host_entry,
        folds.each,
        YES,
        "`host:ip` or `host=ip`",
    ),
    Option(
        "annotation", f"{_HC}.Annotations", conversions.pair, folds.merge, HINT, "`k=v`", "1.43"
    ),
    _client("attach", "nobody is attached"),
    Option("blkio-weight", f"{_HC}.BlkioWeight", conversions.weight, folds.last, HINT, "10..1000"),
    Option(
        "blkio-weight-device",
        f"{_HC}.BlkioWeightDevice",
        grammars.path_and(conversions.weight, "Weight"),
        folds.each,
        HINT,
        "`path:weight`",
    ),
    Option("cap-add", f"{_HC}.CapAdd", str, folds.each, NO),
    Option("cap-drop", f"{_HC}.CapDrop", str, folds.each, NO),
    Option("cgroup-parent", f"{_HC}.CgroupParent", str, folds.last, HINT),
    Option(
        "cgroupns",
        f"{_HC}.CgroupnsMode",
        conversions.one_of("host", "private"),
        folds.last,
        NO,
        "",
        "1.41",
    ),
    _client("cidfile", "it would write a file"),
    Option("cpu-count", f"{_HC}.CpuCount", units.whole, folds.last, HINT, "Windows"),
    Option("cpu-percent", f"{_HC}.CpuPercent", units.whole, folds.last, HINT, "Windows"),
    Option("cpu-period", f"{_HC}.CpuPeriod", units.whole, folds.last, HINT, "microseconds"),
    Option("cpu-quota", f"{_HC}.CpuQuota", units.whole, folds.last, HINT, "microseconds"),
    Option(
        "cpu-rt-period", f"{_HC}.CpuRealtimePeriod", units.whole, folds.last, HINT, "microseconds"
    ),
    Option(
        "cpu-rt-runtime", f"{_HC}.CpuRealtimeRuntime", units.whole, folds.last, HINT, "microseconds"
    ),
    Option(
        "cpu-shares", f"{_HC}.CpuShares", units.whole, folds.last, HINT, "replaces the computed one"
    ),
    Option(
        "cpus",
        f"{_HC}.NanoCpus",
        units.nano_cpus,
        folds.last,
        HINT,
        "decimal; the quota computed from resources is dropped for it",
        "1.25",
    ),
    Option("cpuset-cpus", f"{_HC}.CpusetCpus", str, folds.last, HINT),
    Option("cpuset-mems", f"{_HC}.CpusetMems", str, folds.last, HINT),
    _client("detach", "the agent always watches its tasks", units.boolean),
    _client("detach-keys", "nobody is attached"),
    Option(
        "device",
        f"{_HC}.Devices",
        str,
        folds.device,
        NO,
        "`src[:dst][:rwm]`; a CDI name `vendor/class=name` goes into `HostConfig.DeviceRequests`",
    ),
    Option("device-cgroup-rule", f"{_HC}.DeviceCgroupRules", str, folds.each, NO, "", "1.28"),
    Option(
        "device-read-bps",
        f"{_HC}.BlkioDeviceReadBps",
        grammars.path_and(units.size, "Rate"),
        folds.each,
        HINT,
        "`path:size`",
    ),
    Option(
        "device-read-iops",
        f"{_HC}.BlkioDeviceReadIOps",
        grammars.path_and(units.whole, "Rate"),
        folds.each,
        HINT,
        "`path:number`",
    ),
    Option(
        "device-write-bps",
        f"{_HC}.BlkioDeviceWriteBps",
        grammars.path_and(units.size, "Rate"),
        folds.each,
        HINT,
        "`path:size`",
    ),
    Option(
        "device-write-iops",
        f"{_HC}.BlkioDeviceWriteIOps",
        grammars.path_and(units.whole, "Rate"),
        folds.each,
        HINT,
        "`path:number`",
    ),
    _client("disable-content-trust", "signatures are the client's matter", units.boolean),
    Option("dns", f"{_HC}.Dns", units.address, folds.each, YES, "an address; no default DNS then"),
    Option("dns-opt", f"{_HC}.DnsOptions", str, folds.each, NO, "no default DNS then"),
    Option("dns-option", f"{_HC}.DnsOptions", str, folds.each, NO, "no default DNS then"),
    Option(
        "dns-search", f"{_HC}.DnsSearch", str, folds.each, YES, "`.`: none; no default DNS then"
    ),
    Option("domainname", "Domainname", str, folds.last, YES),
    Option(
        "entrypoint", "Entrypoint", conversions.one_word, folds.last, YES, "one word; empty: none"
    ),
    Option("env", "Env", str, folds.env, YES, "`K=V`; a bare `K` is dropped with a warning"),
    _client("env-file", "there is no host whose file it could be"),
    Option(
        "expose", "ExposedPorts", publish.expose, folds.merge, YES, "`p`, `p/proto`, `a-b/proto`"
    ),
    Option(
        "gpus",
        f"{_HC}.DeviceRequests",
        grammars.gpus,
        folds.each,
        NO,
        "`all`, a number, or `device=,driver=,capabilities=,count=,options=`",
        "1.40",
    ),
    Option("group-add", f"{_HC}.GroupAdd", str, folds.each, NO),
    Option(
        "health-cmd",
        f"{_CHECK}.Test",
        conversions.shell,
        folds.last,
        HINT,
        "by the engine's shell",
        "1.24",
    ),
    Option(
        "health-interval",
        f"{_CHECK}.Interval",
        units.duration,
        folds.last,
        HINT,
        "duration",
        "1.24",
    ),
    Option("health-retries", f"{_CHECK}.Retries", units.whole, folds.last, HINT, "", "1.24"),
    Option(
        "health-start-interval",
        f"{_CHECK}.StartInterval",
        units.duration,
        folds.last,
        HINT,
        "duration",
        "1.44",
    ),
    Option(
        "health-start-period",
        f"{_CHECK}.StartPeriod",
        units.duration,
        folds.last,
        HINT,
        "duration",
        "1.29",
    ),
    Option(
        "health-timeout", f"{_CHECK}.Timeout", units.duration, folds.last, HINT, "duration", "1.24"
    ),
    _client("help", "it starts nothing"),
    Option(
        "hostname", "Hostname", str, folds.last, YES, "with host networking the engine refuses it"
    ),
    Option("init", f"{_HC}.Init", units.boolean, folds.last, NO, "", "1.25"),
    Option(
        "interactive",
        "-",
        units.boolean,
        folds.ignored,
        NOTE,
        "a warning: stdin is empty, as under a stock agent",
        local="not used",
    ),
    Option("io-maxbandwidth", f"{_HC}.IOMaximumBandwidth", units.size, folds.last, HINT, "Windows"),
    Option("io-maxiops", f"{_HC}.IOMaximumIOps", units.whole, folds.last, HINT, "Windows"),
    Option("ip", f"{NET}.IPAMConfig.IPv4Address", units.ipv4, folds.last, NO, "user networks only"),
    Option(
        "ip6", f"{NET}.IPAMConfig.IPv6Address", units.ipv6, folds.last, NO, "user networks only"
    ),
    Option("ipc", f"{_HC}.IpcMode", str, folds.last, NO),
    Option("isolation", f"{_HC}.Isolation", str, folds.last, NO, "Windows"),
    Option(
        "kernel-memory", f"{_HC}.KernelMemory", units.size, folds.last, HINT, "gone in new engines"
    ),
    Option(
        "label",
        "Labels",
        str,
        folds.label,
        YES,
        "`k=v`, or `k`; the agent's own labels are refused; on Triton `triton.*` and `com.joyent.*`"
        " have a meaning",
    ),
    _client("label-file", "there is no host whose file it could be"),
    Option(
        "link",
        f"{_HC}.Links or {NET}.Links",
        str,
        folds.link,
        NOTE,
        "`name[:alias]`; by network: default bridge or a named one. On Triton only on the default"
        " network",
    ),
    Option("link-local-ip", f"{NET}.IPAMConfig.LinkLocalIPs", units.address, folds.each, NO),
    Option(
        "log-driver",
        f"{_HC}.LogConfig.Type",
        str,
        folds.log_driver,
        YES,
        "others than json-file, local, journald leave the sandbox without output: a warning",
    ),
    Option(
        "log-opt", f"{_HC}.LogConfig.Config", conversions.option_pair, folds.merge, YES, "`k=v`"
    ),
    Option(
        "mac-address", f"{NET}.MacAddress", grammars.mac_address, folds.last, NO, "and `MacAddress`"
    ),
    Option(
        "memory",
        f"{_HC}.Memory",
        units.size,
        folds.last,
        YES,
        "replaces the computed; the package on Triton",
    ),
    Option("memory-reservation", f"{_HC}.MemoryReservation", units.size, folds.last, HINT, "size"),
    Option("memory-swap", f"{_HC}.MemorySwap", conversions.swap, folds.last, HINT, "size, or -1"),
    Option(
        "memory-swappiness",
        f"{_HC}.MemorySwappiness",
        conversions.within(-1, 100),
        folds.swappiness,
        HINT,
        "0..100",
    ),
    Option(
        "mount",
        f"{_HC}.Mounts",
        grammars.mount,
        folds.each,
        REFUSED,
        "`type=,source=,target=,readonly,...`; on Triton use `volume`",
        "1.25",
    ),
    _client("name", "the agent names its containers"),
    Option(
        "net",
        f"{_HC}.NetworkMode",
        grammars.network,
        folds.network,
        NOTE,
        "the first replaces the task's network, further ones add one (not on Triton); also"
        " `name=,alias=,ip=,...`",
    ),
    Option("net-alias", f"{NET}.Aliases", str, folds.each, NO, "user networks only"),
    Option("network", f"{_HC}.NetworkMode", grammars.network, folds.network, NOTE, "as `net`"),
    Option("network-alias", f"{NET}.Aliases", str, folds.each, NO, "user networks only"),
    Option(
        "no-healthcheck",
        f"{_CHECK}.Test",
        units.boolean,
        folds.no_healthcheck,
        HINT,
        "excludes `health-*`",
        "1.24",
    ),
    _flag("oom-kill-disable", f"{_HC}.OomKillDisable", NO),
    Option(
        "oom-score-adj",
        f"{_HC}.OomScoreAdj",
        conversions.within(-1000, 1000),
        folds.last,
        HINT,
        "-1000..1000",
        "1.22",
    ),
    Option("pid", f"{_HC}.PidMode", str, folds.last, NO, "`host` or `container:x`"),
    Option("pids-limit", f"{_HC}.PidsLimit", units.whole, folds.last, NO, "", "1.23"),
    Option("platform", "query `platform`", str, folds.platform, NO, "also of the pull", "1.41"),
    _flag("privileged", f"{_HC}.Privileged", NO),
    Option(
        "publish",
        f"{_HC}.PortBindings",
        publish.publish,
        folds.publish,
        NOTE,
        "`[ip:][hostPort]:containerPort[/proto]`, ranges, or `published=,target=,protocol=`; not"
        " checked against the task's `ports`. On Triton: a public address, no remapping",
    ),
    _flag("publish-all", f"{_HC}.PublishAllPorts", YES, "on Triton: a public address"),
    _client("pull", "use force_pull_image"),
    _client("quiet", "nothing is printed", units.boolean),
    _flag("read-only", f"{_HC}.ReadonlyRootfs", NO, "the sandbox directory stays writable"),
    Option(
        "restart",
        "-",
        grammars.restart,
        folds.restart,
        NOTE,
        "dropped with a warning: restarting a task is the framework's",
        local="not used",
    ),
    _client("rm", "the agent removes its containers", units.boolean),
    Option("runtime", f"{_HC}.Runtime", str, folds.last, NO),
    Option(
        "security-opt",
        f"{_HC}.SecurityOpt",
        str,
        folds.security_opt,
        NO,
        "`seccomp=FILE` is refused (JSON, `unconfined` are not); `systempaths=unconfined` clears"
        " `HostConfig.MaskedPaths` and `HostConfig.ReadonlyPaths`",
    ),
    Option("shm-size", f"{_HC}.ShmSize", units.size, folds.last, NO, "size", "1.22"),
    _client("sig-proxy", "signals come from the agent", units.boolean),
    Option(
        "stop-signal", "StopSignal", str, folds.last, NO, "used when the task is killed", "1.21"
    ),
    Option(
        "stop-timeout",
        "StopTimeout",
        units.whole,
        folds.last,
        HINT,
        "seconds; the task's grace period counts when the agent stops it",
        "1.25",
    ),
    Option("storage-opt", f"{_HC}.StorageOpt", conversions.pair, folds.merge, NO, "`k=v`", "1.24"),
    Option("sysctl", f"{_HC}.Sysctls", conversions.pair, folds.merge, NO, "`k=v`", "1.24"),
    Option("tmpfs", f"{_HC}.Tmpfs", conversions.tmpfs, folds.merge, NO, "`path[:options]`", "1.22"),
    _flag("tty", "Tty", YES, "stdout and stderr become one stream"),
    Option("ulimit", f"{_HC}.Ulimits", grammars.ulimit, folds.each, NO, "`name=soft[:hard]`"),
    _client("use-api-socket", "the engine's socket is not given away", units.boolean),
    Option("user", "User", str, folds.last, YES),
    Option(
        "userns", f"{_HC}.UsernsMode", conversions.one_of("", "host"), folds.last, NO, "", "1.23"
    ),
    Option("uts", f"{_HC}.UTSMode", conversions.one_of("", "host"), folds.last, NO),
    Option(
        "volume",
        f"{_HC}.Binds or Volumes",
        str,
        folds.volume,
        NOTE,
        "`src:dst[:mode]`, or `dst` for an anonymous one; no host directories on Triton",
    ),
    Option(
        "volume-driver",
        f"{_HC}.VolumeDriver",
        str,
        folds.volume_driver,
        NOTE,
        "`tritonnfs` on Triton",
    ),
    Option("volumes-from", f"{_HC}.VolumesFrom", str, folds.each, YES, "at most one on Triton"),
    Option("workdir", "WorkingDir", str, folds.last, YES),
)

BY_KEY: Mapping[str, Option] = {option.key: option for option in OPTIONS}

SHORT = {
    "a": "attach", "c": "cpu-shares", "d": "detach", "e": "env", "h": "hostname",
    "i": "interactive", "l": "label", "m": "memory", "p": "publish", "P": "publish-all",
    "q": "quiet", "t": "tty", "u": "user", "v": "volume", "w": "workdir",
}  # fmt: skip
"""One-letter names, which a stock agent does not take, as a courtesy."""
