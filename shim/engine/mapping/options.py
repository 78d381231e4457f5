"""``container.docker.parameters``: every long flag of ``docker run`` as a key, in one table.

A parameter is ``--key=value`` after all that the agent itself says: a scalar's last value wins,
also over the agent's; lists grow; a flag that speaks to the ``docker`` client is refused by name.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shim.engine import units
from shim.engine.mapping import forms
from shim.engine.mapping.draft import NET, Draft, Triton, invalid, no_nul
from shim.engine.mapping.labels import RESERVED_LABELS
from shim.engine.mapping.volumes import NFS

YES, HINT, NO, NOTE = Triton.YES, Triton.HINT, Triton.NO, Triton.NOTE
REFUSED = Triton.REFUSED

Fold = Callable[[Draft, str, Any], None]
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


def last(draft: Draft, path: str, value: Any) -> None:
    draft.put(path, value)


def each(draft: Draft, path: str, value: Any) -> None:
    draft.append(path, value)


def merge(draft: Draft, path: str, value: Any) -> None:
    draft.merge(path, value)


def _publish(draft: Draft, path: str, value: list[forms.Publish]) -> None:
    for item in value:
        binding = {"HostIp": item.host_ip, "HostPort": item.host_port}
        if draft.rules.triton:
            _check_triton_publish(item)
            binding = {"HostIp": "", "HostPort": ""}
        draft.merge("ExposedPorts", {item.port: {}})
        draft.append(f"{path}.{item.port}", binding)


def _check_triton_publish(item: forms.Publish) -> None:
    if item.host_ip:
        raise ValueError("On Triton a port is published on an address of the container's own")
    if item.host_port not in ("", item.port.partition("/")[0]):
        raise ValueError(
            "Remapping of port numbers not allowed: on Triton every container has its own address"
        )


def _env(draft: Draft, path: str, text: str) -> None:
    name, equals, value = text.partition("=")
    if not name:
        raise ValueError("An environment variable needs a name")
    if equals:
        draft.set_env(name, value)
    else:
        draft.warn(f"parameter env {name!r} has no value, and there is no client to take one from")


def _label(draft: Draft, path: str, text: str) -> None:
    key, _, value = text.partition("=")
    if not key:
        raise ValueError("A label needs a key")
    if key in RESERVED_LABELS:
        raise ValueError("This label is the agent's own")
    draft.labels[key] = value


def _link(draft: Draft, path: str, text: str) -> None:
    draft.links.append(text)


def _volume(draft: Draft, path: str, text: str) -> None:
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise ValueError("Not a volume (source:destination[:mode] or destination)")
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    if not target.startswith("/") or source.startswith((".", "~")):
        raise ValueError("A relative path is nowhere: there is no client to be relative to")
    if source.startswith("/") and draft.rules.triton:
        raise ValueError("Triton has no host directories")
    if source:
        draft.append("HostConfig.Binds", text)
    else:
        draft.merge("Volumes", {target: {}})


def _volume_driver(draft: Draft, path: str, text: str) -> None:
    if draft.rules.triton and text not in (NFS, "local"):
        raise ValueError(f"Triton has no volume driver but {NFS}")
    draft.put(path, text)


def _device(draft: Draft, path: str, text: str) -> None:
    if forms.is_cdi(text):
        draft.append("HostConfig.DeviceRequests", {"Driver": "cdi", "DeviceIDs": [text]})
    else:
        draft.append(path, forms.device(text))


def _security_opt(draft: Draft, path: str, text: str) -> None:
    name, _, value = text.partition("=" if "=" in text else ":")
    if name == "systempaths" and value == "unconfined":
        draft.put("HostConfig.MaskedPaths", [])
        draft.put("HostConfig.ReadonlyPaths", [])
        return
    if name == "seccomp" and value not in ("unconfined", "builtin") and not value.startswith("{"):
        raise ValueError("A seccomp profile is a file of the client, and there is none")
    draft.append(path, text)


def _network(draft: Draft, path: str, value: tuple[str, dict[str, Any]]) -> None:
    """The first replaces the task's network (see ``apply_parameters``), further ones add one."""
    name, options = value
    if draft.rules.triton:
        raise ValueError("A container is on one network on Triton")
    draft.more_networks[name] = options


def _restart(draft: Draft, path: str, name: str) -> None:
    if name not in ("", "no"):
        draft.warn(f"parameter restart {name!r} is dropped: restarting a task is the framework's")


def _no_healthcheck(draft: Draft, path: str, value: bool) -> None:
    if value:
        draft.put(path, ["NONE"])


def _platform(draft: Draft, path: str, text: str) -> None:
    draft.platform = text


def _log_driver(draft: Draft, path: str, text: str) -> None:
    draft.put(path, text)
    if text not in ("json-file", "local", "journald"):
        draft.warn(f"parameter log-driver {text!r}: stdout and stderr cannot be read back")


def _ignored(draft: Draft, path: str, value: bool) -> None:
    if value:
        draft.warn("parameter interactive: stdin is empty, as under a stock agent")


def _swappiness(draft: Draft, path: str, value: int) -> None:
    """-1 is the command line's word for the default, which some kernels refuse to be told."""
    if value == -1:
        draft.discard(path)
    else:
        draft.put(path, value)


def _pair(text: str) -> dict[str, str]:
    key, value = units.key_value(text)
    return {key: value}


def _option_pair(text: str) -> dict[str, str]:
    key, _, value = text.partition("=")
    if not key:
        raise ValueError("Not of the form key=value")
    return {key: value}


def _within(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        value = units.whole(text)
        if not low <= value <= high:
            raise ValueError(f"Not in {low}..{high}")
        return value

    return convert


def _one_of(*words: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in words:
            raise ValueError(f"Not one of {', '.join(words)}")
        return text

    return convert


def _swap(text: str) -> int:
    return -1 if text == "-1" else units.size(text)


def _weight(text: str) -> int:
    return 0 if text == "0" else _within(10, 1000)(text)


def _tmpfs(text: str) -> dict[str, str]:
    path, _, options = text.partition(":")
    if not path.startswith("/"):
        raise ValueError("Not an absolute path")
    return {path: options}


def _shell(text: str) -> list[str]:
    return ["CMD-SHELL", text]


def _words(text: str) -> list[str]:
    return [text]


def _client(key: str, note: str, convert: Callable[[str], Any] = str) -> Option:
    """A flag that speaks to the docker client; switched off it says nothing and is accepted."""

    def refuse(draft: Draft, path: str, value: Any) -> None:
        if value is not False:
            raise ValueError(f"Option {key} is for the docker client: {note}")

    return Option(key, "-", convert, refuse, NOTE, f"refused: {note}", local="refused")


def _flag(key: str, api: str, triton: Triton, note: str = "", since: str = "1.20") -> Option:
    return Option(key, api, units.boolean, last, triton, note, since)


_HC = "HostConfig"
_CHECK = "Healthcheck"

OPTIONS = (
    Option("add-host", f"{_HC}.ExtraHosts", forms.host_entry, each, YES, "`host:ip` or `host=ip`"),
    Option("annotation", f"{_HC}.Annotations", _pair, merge, HINT, "`k=v`", "1.43"),
    _client("attach", "nobody is attached"),
    Option("blkio-weight", f"{_HC}.BlkioWeight", _weight, last, HINT, "10..1000"),
    Option(
        "blkio-weight-device",
        f"{_HC}.BlkioWeightDevice",
        forms.path_and(_weight, "Weight"),
        each,
        HINT,
        "`path:weight`",
    ),
    Option("cap-add", f"{_HC}.CapAdd", str, each, NO),
    Option("cap-drop", f"{_HC}.CapDrop", str, each, NO),
    Option("cgroup-parent", f"{_HC}.CgroupParent", str, last, HINT),
    Option("cgroupns", f"{_HC}.CgroupnsMode", _one_of("host", "private"), last, NO, "", "1.41"),
    _client("cidfile", "it would write a file"),
    Option("cpu-count", f"{_HC}.CpuCount", units.whole, last, HINT, "Windows"),
    Option("cpu-percent", f"{_HC}.CpuPercent", units.whole, last, HINT, "Windows"),
    Option("cpu-period", f"{_HC}.CpuPeriod", units.whole, last, HINT, "microseconds"),
    Option("cpu-quota", f"{_HC}.CpuQuota", units.whole, last, HINT, "microseconds"),
    Option("cpu-rt-period", f"{_HC}.CpuRealtimePeriod", units.whole, last, HINT, "microseconds"),
    Option("cpu-rt-runtime", f"{_HC}.CpuRealtimeRuntime", units.whole, last, HINT, "microseconds"),
    Option("cpu-shares", f"{_HC}.CpuShares", units.whole, last, HINT, "replaces the computed one"),
    Option(
        "cpus",
        f"{_HC}.NanoCpus",
        units.nano_cpus,
        last,
        HINT,
        "decimal; the quota computed from resources is dropped for it",
        "1.25",
    ),
    Option("cpuset-cpus", f"{_HC}.CpusetCpus", str, last, HINT),
    Option("cpuset-mems", f"{_HC}.CpusetMems", str, last, HINT),
    _client("detach", "the agent always watches its tasks", units.boolean),
    _client("detach-keys", "nobody is attached"),
    Option(
        "device",
        f"{_HC}.Devices",
        str,
        _device,
        NO,
        "`src[:dst][:rwm]`; a CDI name `vendor/class=name` goes into `HostConfig.DeviceRequests`",
    ),
    Option("device-cgroup-rule", f"{_HC}.DeviceCgroupRules", str, each, NO, "", "1.28"),
    Option(
        "device-read-bps",
        f"{_HC}.BlkioDeviceReadBps",
        forms.path_and(units.size, "Rate"),
        each,
        HINT,
        "`path:size`",
    ),
    Option(
        "device-read-iops",
        f"{_HC}.BlkioDeviceReadIOps",
        forms.path_and(units.whole, "Rate"),
        each,
        HINT,
        "`path:number`",
    ),
    Option(
        "device-write-bps",
        f"{_HC}.BlkioDeviceWriteBps",
        forms.path_and(units.size, "Rate"),
        each,
        HINT,
        "`path:size`",
    ),
    Option(
        "device-write-iops",
        f"{_HC}.BlkioDeviceWriteIOps",
        forms.path_and(units.whole, "Rate"),
        each,
        HINT,
        "`path:number`",
    ),
    _client("disable-content-trust", "signatures are the client's matter", units.boolean),
    Option("dns", f"{_HC}.Dns", units.address, each, YES, "an address; no default DNS then"),
    Option("dns-opt", f"{_HC}.DnsOptions", str, each, NO, "no default DNS then"),
    Option("dns-option", f"{_HC}.DnsOptions", str, each, NO, "no default DNS then"),
    Option("dns-search", f"{_HC}.DnsSearch", str, each, YES, "`.`: none; no default DNS then"),
    Option("domainname", "Domainname", str, last, YES),
    Option("entrypoint", "Entrypoint", _words, last, YES, "one word; empty: none"),
    Option("env", "Env", str, _env, YES, "`K=V`; a bare `K` is dropped with a warning"),
    _client("env-file", "there is no host whose file it could be"),
    Option("expose", "ExposedPorts", forms.expose, merge, YES, "`p`, `p/proto`, `a-b/proto`"),
    Option(
        "gpus",
        f"{_HC}.DeviceRequests",
        forms.gpus,
        each,
        NO,
        "`all`, a number, or `device=,driver=,capabilities=,count=,options=`",
        "1.40",
    ),
    Option("group-add", f"{_HC}.GroupAdd", str, each, NO),
    Option("health-cmd", f"{_CHECK}.Test", _shell, last, HINT, "by the engine's shell", "1.24"),
    Option("health-interval", f"{_CHECK}.Interval", units.duration, last, HINT, "duration", "1.24"),
    Option("health-retries", f"{_CHECK}.Retries", units.whole, last, HINT, "", "1.24"),
    Option(
        "health-start-interval",
        f"{_CHECK}.StartInterval",
        units.duration,
        last,
        HINT,
        "duration",
        "1.44",
    ),
    Option(
        "health-start-period",
        f"{_CHECK}.StartPeriod",
        units.duration,
        last,
        HINT,
        "duration",
        "1.29",
    ),
    Option("health-timeout", f"{_CHECK}.Timeout", units.duration, last, HINT, "duration", "1.24"),
    _client("help", "it starts nothing"),
    Option("hostname", "Hostname", str, last, YES, "with host networking the engine refuses it"),
    Option("init", f"{_HC}.Init", units.boolean, last, NO, "", "1.25"),
    Option(
        "interactive",
        "-",
        units.boolean,
        _ignored,
        NOTE,
        "a warning: stdin is empty, as under a stock agent",
        local="not used",
    ),
    Option("io-maxbandwidth", f"{_HC}.IOMaximumBandwidth", units.size, last, HINT, "Windows"),
    Option("io-maxiops", f"{_HC}.IOMaximumIOps", units.whole, last, HINT, "Windows"),
    Option("ip", f"{NET}.IPAMConfig.IPv4Address", units.ipv4, last, NO, "user networks only"),
    Option("ip6", f"{NET}.IPAMConfig.IPv6Address", units.ipv6, last, NO, "user networks only"),
    Option("ipc", f"{_HC}.IpcMode", str, last, NO),
    Option("isolation", f"{_HC}.Isolation", str, last, NO, "Windows"),
    Option("kernel-memory", f"{_HC}.KernelMemory", units.size, last, HINT, "gone in new engines"),
    Option(
        "label",
        "Labels",
        str,
        _label,
        YES,
        "`k=v`, or `k`; the agent's own labels are refused; on Triton `triton.*` and `com.joyent.*`"
        " have a meaning",
    ),
    _client("label-file", "there is no host whose file it could be"),
    Option(
        "link",
        f"{_HC}.Links or {NET}.Links",
        str,
        _link,
        NOTE,
        "`name[:alias]`; by network: default bridge or a named one. On Triton only on the default"
        " network",
    ),
    Option("link-local-ip", f"{NET}.IPAMConfig.LinkLocalIPs", units.address, each, NO),
    Option(
        "log-driver",
        f"{_HC}.LogConfig.Type",
        str,
        _log_driver,
        YES,
        "others than json-file, local, journald leave the sandbox without output: a warning",
    ),
    Option("log-opt", f"{_HC}.LogConfig.Config", _option_pair, merge, YES, "`k=v`"),
    Option("mac-address", f"{NET}.MacAddress", forms.mac_address, last, NO, "and `MacAddress`"),
    Option(
        "memory",
        f"{_HC}.Memory",
        units.size,
        last,
        YES,
        "replaces the computed; the package on Triton",
    ),
    Option("memory-reservation", f"{_HC}.MemoryReservation", units.size, last, HINT, "size"),
    Option("memory-swap", f"{_HC}.MemorySwap", _swap, last, HINT, "size, or -1"),
    Option(
        "memory-swappiness",
        f"{_HC}.MemorySwappiness",
        _within(-1, 100),
        _swappiness,
        HINT,
        "0..100",
    ),
    Option(
        "mount",
        f"{_HC}.Mounts",
        forms.mount,
        each,
        REFUSED,
        "`type=,source=,target=,readonly,...`; on Triton use `volume`",
        "1.25",
    ),
    _client("name", "the agent names its containers"),
    Option(
        "net",
        f"{_HC}.NetworkMode",
        forms.network,
        _network,
        NOTE,
        "the first replaces the task's network, further ones add one (not on Triton); also"
        " `name=,alias=,ip=,...`",
    ),
    Option("net-alias", f"{NET}.Aliases", str, each, NO, "user networks only"),
    Option("network", f"{_HC}.NetworkMode", forms.network, _network, NOTE, "as `net`"),
    Option("network-alias", f"{NET}.Aliases", str, each, NO, "user networks only"),
    Option(
        "no-healthcheck",
        f"{_CHECK}.Test",
        units.boolean,
        _no_healthcheck,
        HINT,
        "excludes `health-*`",
        "1.24",
    ),
    _flag("oom-kill-disable", f"{_HC}.OomKillDisable", NO),
    Option(
        "oom-score-adj",
        f"{_HC}.OomScoreAdj",
        _within(-1000, 1000),
        last,
        HINT,
        "-1000..1000",
        "1.22",
    ),
    Option("pid", f"{_HC}.PidMode", str, last, NO, "`host` or `container:x`"),
    Option("pids-limit", f"{_HC}.PidsLimit", units.whole, last, NO, "", "1.23"),
    Option("platform", "query `platform`", str, _platform, NO, "also of the pull", "1.41"),
    _flag("privileged", f"{_HC}.Privileged", NO),
    Option(
        "publish",
        f"{_HC}.PortBindings",
        forms.publish,
        _publish,
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
        forms.restart,
        _restart,
        NOTE,
        "dropped with a warning: restarting a task is the framework's",
        local="not used",
    ),
    _client("rm", "the agent removes its containers", units.boolean),
    Option("runtime", f"{_HC}.Runtime", str, last, NO),
    Option(
        "security-opt",
        f"{_HC}.SecurityOpt",
        str,
        _security_opt,
        NO,
        "`seccomp=FILE` is refused (JSON, `unconfined` are not); `systempaths=unconfined` clears"
        " `HostConfig.MaskedPaths` and `HostConfig.ReadonlyPaths`",
    ),
    Option("shm-size", f"{_HC}.ShmSize", units.size, last, NO, "size", "1.22"),
    _client("sig-proxy", "signals come from the agent", units.boolean),
    Option("stop-signal", "StopSignal", str, last, NO, "used when the task is killed", "1.21"),
    Option(
        "stop-timeout",
        "StopTimeout",
        units.whole,
        last,
        HINT,
        "seconds; the task's grace period counts when the agent stops it",
        "1.25",
    ),
    Option("storage-opt", f"{_HC}.StorageOpt", _pair, merge, NO, "`k=v`", "1.24"),
    Option("sysctl", f"{_HC}.Sysctls", _pair, merge, NO, "`k=v`", "1.24"),
    Option("tmpfs", f"{_HC}.Tmpfs", _tmpfs, merge, NO, "`path[:options]`", "1.22"),
    _flag("tty", "Tty", YES, "stdout and stderr become one stream"),
    Option("ulimit", f"{_HC}.Ulimits", forms.ulimit, each, NO, "`name=soft[:hard]`"),
    _client("use-api-socket", "the engine's socket is not given away", units.boolean),
    Option("user", "User", str, last, YES),
    Option("userns", f"{_HC}.UsernsMode", _one_of("", "host"), last, NO, "", "1.23"),
    Option("uts", f"{_HC}.UTSMode", _one_of("", "host"), last, NO),
    Option(
        "volume",
        f"{_HC}.Binds or Volumes",
        str,
        _volume,
        NOTE,
        "`src:dst[:mode]`, or `dst` for an anonymous one; no host directories on Triton",
    ),
    Option(
        "volume-driver", f"{_HC}.VolumeDriver", str, _volume_driver, NOTE, "`tritonnfs` on Triton"
    ),
    Option("volumes-from", f"{_HC}.VolumesFrom", str, each, YES, "at most one on Triton"),
    Option("workdir", "WorkingDir", str, last, YES),
)

BY_KEY: Mapping[str, Option] = {option.key: option for option in OPTIONS}

SHORT = {
    "a": "attach", "c": "cpu-shares", "d": "detach", "e": "env", "h": "hostname",
    "i": "interactive", "l": "label", "m": "memory", "p": "publish", "P": "publish-all",
    "q": "quiet", "t": "tty", "u": "user", "v": "volume", "w": "workdir",
}  # fmt: skip
"""One-letter names, which a stock agent does not take, as a courtesy."""

_SECRETIVE = frozenset({"env", "label"})
"""Options whose values may be secrets: only the part before ``=`` is shown."""


def apply_parameters(draft: Draft) -> None:
    """Apply all parameters, in order, over what the rest of the task gave."""
    parameters = list(draft.container.docker.parameters)
    keys = [_key(parameter.key, i) for i, parameter in enumerate(parameters)]
    if "cpus" in keys:
        draft.discard("HostConfig.CpuQuota")
    network_replaced = False
    for i, (key, parameter) in enumerate(zip(keys, parameters, strict=True)):
        if key in ("net", "network") and not network_replaced:
            network_replaced = True
            _guard(draft, i, key, parameter.value, _replace_network)
        else:
            _guard(draft, i, key, parameter.value, BY_KEY[key].fold)
    _check_health(draft, keys)


def _key(text: str, i: int) -> str:
    key = SHORT.get(text, text)
    if key not in BY_KEY:
        near = difflib.get_close_matches(text, BY_KEY, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        invalid(
            f"Unknown option of docker run{hint}", f"container.docker.parameters[{i}].key", text
        )
    return key


def _guard(draft: Draft, i: int, key: str, text: str, fold: Fold) -> None:
    """Convert, ask the rules of the place, fold; a ValueError becomes the task's error."""
    option, field = BY_KEY[key], f"container.docker.parameters[{i}]"
    words = f"{key}={text.partition('=')[0] if key in _SECRETIVE else text}"
    no_nul(f"{field} {key}", text)
    try:
        value = option.convert(text)
        _check_version(draft, option)
        if _demands(draft, option, value) and draft.honoured(option.triton, field, words):
            fold(draft, option.api, value)
    except ValueError as error:
        invalid(str(error), field, words)


def _demands(draft: Draft, option: Option, value: Any) -> bool:
    """Switching off what a place does not have anyway asks it for nothing."""
    return not (value is False and draft.rules.triton and option.triton in (HINT, NO))


def _check_version(draft: Draft, option: Option) -> None:
    if not draft.rules.triton and not draft.rules.speaks(option.since):
        raise ValueError(
            f"Needs Docker API {option.since}, this engine speaks {draft.rules.api_version}"
        )


def _replace_network(draft: Draft, path: str, value: tuple[str, dict[str, Any]]) -> None:
    name, options = value
    if draft.rules.triton:
        if name == "none" or name.startswith("container:"):
            raise ValueError("Triton has no containers without a network of their own")
        name = draft.rules.default_network if name in ("host", "bridge", "default") else name
        if options and not draft.honoured(NO, f"network options of {name}", ", ".join(options)):
            options = {}
    draft.network = name
    for key, option in options.items():
        draft.add(f"{NET}.{key}", option)


def _check_health(draft: Draft, keys: list[str]) -> None:
    """No matter which comes first; so it is only known at the end."""
    values = zip(keys, draft.container.docker.parameters, strict=True)
    off = any(key == "no-healthcheck" and units.boolean(p.value) for key, p in values)
    health = [key for key in keys if key.startswith("health-")]
    if off and health:
        field = "container.docker.parameters"
        invalid("no-healthcheck excludes the other health options", field, ", ".join(health))
