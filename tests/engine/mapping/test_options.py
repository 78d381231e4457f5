from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shim.engine.mapping.options import BY_KEY, OPTIONS, SHORT
from shim.engine.mapping.spec_builder import TritonSupport
from shim.errors import InvalidTask
from tests.engine.mapping.tasks import body, host, mapping, parameters, refusal, resources, spec

DATA = Path(__file__).parents[2] / "data"
FLAGS = (DATA / "docker-run-flags.txt").read_text().split()
RECORDS = json.loads((DATA / "docker-cli.json").read_text())
PARAMETER = "container.docker.parameters[0]"


@pytest.mark.parametrize("flag", FLAGS)
def test_every_long_flag_of_docker_run_has_a_row(flag: str) -> None:
    assert flag in BY_KEY


def test_rows_are_unique_and_sorted() -> None:
    keys = [option.key for option in OPTIONS]
    assert keys == sorted(set(keys))
    assert set(SHORT.values()) <= set(keys)


# ---- compared with what the docker client sends (scripts/record-docker-cli) ------------------

STRICTER = {
    "blkio-weight=5": "the engine refuses it later, in other words",
    "oom-score-adj=2000": "the engine refuses it later, in other words",
    "publish=0": "no port",
    "volume=data:b": "the engine refuses it later, in other words",
    "ip=nowhere": "the engine refuses it later, in other words",
}
DIFFERENT = {
    "kernel-memory=64m": "the client dropped it, older engines have it",
    "read-only=true": "the sandbox directory stays writable",
}
"""Where the mapping differs from the client on purpose, and why."""


def normalized(call: dict[str, Any]) -> dict[str, Any]:
    """Return a create body without empty fields, in the mapping's spelling."""
    result: dict[str, Any] = _pruned(call)
    host_config = result.get("HostConfig", {})
    for name in ("CapAdd", "CapDrop"):
        if name in host_config:
            host_config[name] = [text.removeprefix("CAP_") for text in host_config[name]]
    if not host_config.get("SecurityOpt", True):
        del host_config["SecurityOpt"]
    if not result.get("NetworkingConfig", {}).get("EndpointsConfig"):
        result.pop("NetworkingConfig", None)
    elif "Links" in host_config:
        del host_config["Links"]  # the client repeats a named network's links here
    result.pop("MacAddress", None)  # for engines older than the recording client's
    return {name: value for name, value in result.items() if value not in ({}, None)}


def _pruned(value: Any, deep: bool = False) -> Any:
    """Drop nulls, zeros and empties inside objects whose empty fields mean nothing."""
    if isinstance(value, list):
        return [_pruned(item, deep) for item in value]
    if not isinstance(value, dict):
        return value
    inner = {
        key: _pruned(item, deep or key in ("EndpointsConfig", "DeviceRequests", "Mounts"))
        for key, item in value.items()
    }
    if not deep:
        return inner
    return {key: item for key, item in inner.items() if item not in (None, "", 0, {}, [])}


def difference(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {k: difference(old.get(k), v) for k, v in new.items() if old.get(k) != v}
    return new


def parameters_body(options: list[str]) -> dict[str, Any]:
    """What the parameters change in the body, the environment without the agent's variables."""
    plain, made = body(), dict(body(parameters(*options)))
    made["Env"] = [entry for entry in made["Env"] if not entry.startswith("MESOS_")] or plain["Env"]
    return dict(difference(plain, made))


def sample_id(record: dict[str, Any]) -> str:
    return " ".join(record["options"])


ACCEPTED = [record for record in RECORDS if "error" not in record]
REFUSED = [record for record in RECORDS if "error" in record]


@pytest.mark.parametrize("record", ACCEPTED, ids=sample_id)
def test_an_option_sends_what_the_docker_client_sends(record: dict[str, Any]) -> None:
    options = record["options"]
    if options[0] in STRICTER:
        assert refusal(parameters(*options)).endswith(f"{PARAMETER} {options[0]!r}")
    elif options[0] in DIFFERENT:
        assert normalized(parameters_body(options)) != normalized(record.get("body", {}))
    else:
        assert normalized(parameters_body(options)) == normalized(record.get("body", {}))


@pytest.mark.parametrize("record", REFUSED, ids=sample_id)
def test_what_the_docker_client_refuses_is_refused(record: dict[str, Any]) -> None:
    assert "container.docker.parameters" in refusal(parameters(*record["options"]))


def test_the_recorded_calls_cover_the_table() -> None:
    """Every option that goes to the engine was sent once by the real client."""
    sampled = {option.partition("=")[0] for record in ACCEPTED for option in record["options"]}
    windows = {"cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops"}
    rest = {option.key for option in OPTIONS if option.local == "yes"} - sampled - windows
    assert rest == set()


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ("cpu-count=2", "CpuCount", 2),
        ("cpu-percent=50", "CpuPercent", 50),
        ("io-maxbandwidth=1k", "IOMaximumBandwidth", 1024),
        ("io-maxiops=10", "IOMaximumIOps", 10),
    ],
)
def test_options_of_windows(option: str, field: str, value: int) -> None:
    assert host(parameters(option))[field] == value


# ---- order and precedence -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        (["memory=64m", "memory=32m"], "Memory", 32 * 2**20),
        (["cpu-shares=5"], "CpuShares", 5),
        (["privileged=true", "privileged=false"], "Privileged", False),
        (["memory-swappiness=5", "memory-swappiness=-1"], "MemorySwappiness", None),
    ],
)
def test_the_last_value_of_a_scalar_wins_over_the_agents_value(
    options: list[str], field: str, value: object
) -> None:
    made = host(resources(cpus=1, mem=128) + parameters(*options))
    assert made.get(field) == value


def test_lists_grow_in_order() -> None:
    made = host(parameters("cap-add=B", "dns=10.0.0.2", "cap-add=A", "dns=10.0.0.1"))
    assert made["CapAdd"] == ["B", "A"]
    assert made["Dns"] == ["10.0.0.2", "10.0.0.1"]


def test_environment_of_parameters_comes_after_the_agents() -> None:
    made = spec(parameters("env=B=1", "env=A=1", "env=MESOS_SANDBOX=x", "env=B=2", "env=HOME"))
    assert made.body["Env"][-3:] == ["A=1", "MESOS_SANDBOX=x", "B=2"]
    assert len(made.body["Env"]) == 5
    assert made.warnings == ("parameter env 'HOME' has no value and is dropped: give NAME=VALUE",)


def test_an_entrypoint_replaces_the_shell() -> None:
    made = body('command { shell: true value: "x" }' + parameters("entrypoint=/bin/bash"))
    assert (made["Entrypoint"], made["Cmd"]) == (["/bin/bash"], ["-c", "x"])


def test_cpus_replaces_the_computed_quota() -> None:
    made = host(resources(cpus=1) + parameters("cpus=2"), enable_cfs=True)
    assert made["NanoCpus"] == 2 * 10**9
    assert "CpuQuota" not in made


def test_port_mappings_and_published_ports_together() -> None:
    made = body(mapping(0, 80) + parameters("publish=8080:81"))
    assert made["ExposedPorts"] == {"80/tcp": {}, "81/tcp": {}}
    assert made["HostConfig"]["PortBindings"] == {"81/tcp": [{"HostIp": "", "HostPort": "8080"}]}


def test_the_first_network_replaces_the_tasks_and_further_ones_are_added() -> None:
    made = body(parameters("ip=10.9.0.5", "net=back", "network=name=front,alias=a", "net-alias=n"))
    assert made["HostConfig"]["NetworkMode"] == "back"
    assert made["NetworkingConfig"]["EndpointsConfig"] == {
        "back": {"IPAMConfig": {"IPv4Address": "10.9.0.5"}, "Aliases": ["n"]},
        "front": {"Aliases": ["a"]},
    }


def test_options_of_both_forms_of_a_network_add_up() -> None:
    options = ("ip6=fd00::5", "net-alias=a", "network=name=back,ip=10.9.0.5,alias=b")
    endpoints = body(parameters(*options))["NetworkingConfig"]["EndpointsConfig"]
    assert endpoints["back"] == {
        "IPAMConfig": {"IPv6Address": "fd00::5", "IPv4Address": "10.9.0.5"},
        "Aliases": ["a", "b"],
    }


def test_a_mac_address_is_set_for_old_and_for_new_engines() -> None:
    address = "92:d0:c6:0a:29:33"
    made = body(parameters("network=back", f"mac-address={address}"))
    assert made["MacAddress"] == address
    assert made["NetworkingConfig"]["EndpointsConfig"]["back"]["MacAddress"] == address


def test_a_link_goes_to_its_kind_of_network() -> None:
    assert host(parameters("link=db:d"))["Links"] == ["db:d"]
    made = body(parameters("link=db:d", "net=back"))
    assert made["NetworkingConfig"]["EndpointsConfig"]["back"]["Links"] == ["db:d"]
    assert "Links" not in made["HostConfig"]


def test_platform_is_not_in_the_body() -> None:
    made = spec(parameters("platform=linux/arm64"))
    assert made.platform == "linux/arm64"
    assert "platform" not in json.dumps(dict(made.body)).lower()


def outcome(option: str) -> object:
    try:
        return spec(parameters(option))
    except InvalidTask as error:
        return str(error)


@pytest.mark.parametrize(("letter", "key"), SHORT.items())
def test_one_letter_names(letter: str, key: str) -> None:
    value = {"env": "A=B", "label": "a=b", "memory": "64m", "publish": "80", "volume": "/b"}.get(
        key, "1"
    )
    assert outcome(f"{letter}={value}") == outcome(f"{key}={value}")


# ---- not for the engine ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("attach=stdout", "no client attaches to a task"),
        ("cidfile=/x", "the agent writes no such file"),
        ("detach=true", "the agent always watches its tasks"),
        ("detach-keys=a", "no client attaches to a task"),
        ("disable-content-trust=true", "image signatures are verified by the docker client"),
        ("env-file=/x", "the agent cannot read files of the docker client"),
        ("help=", "it starts no container"),
        ("label-file=/x", "the agent cannot read files of the docker client"),
        ("name=web", "the agent names its containers"),
        ("pull=always", "use force_pull_image"),
        ("quiet=true", "nothing is printed"),
        ("rm=true", "the agent removes its containers"),
        ("sig-proxy=true", "signals come from the agent"),
        ("use-api-socket=true", "tasks get no access to the engine's socket"),
    ],
)
@pytest.mark.parametrize("kind", ["docker", "triton"])
def test_options_of_the_docker_client_are_refused_by_name(option: str, why: str, kind: str) -> None:
    key = option.partition("=")[0]
    assert refusal(parameters(option), kind=kind) == (
        f"Option {key} is for the docker client: {why}: {PARAMETER} {option!r}"
    )


@pytest.mark.parametrize("key", ["detach", "rm", "sig-proxy", "quiet"])
def test_options_of_the_docker_client_are_accepted_when_switched_off(key: str) -> None:
    assert spec(parameters(f"{key}=false")) == spec()


@pytest.mark.parametrize("policy", ["always", "on-failure:3", "unless-stopped"])
@pytest.mark.parametrize("kind", ["docker", "triton"])
def test_restart_is_dropped_with_a_warning(policy: str, kind: str) -> None:
    made = spec(parameters(f"restart={policy}"), kind=kind)
    assert made.body == spec(kind=kind).body
    assert made.warnings == (
        f"parameter restart {policy.partition(':')[0]!r} is dropped: the framework restarts tasks,"
        " not the engine",
    )
    assert spec(parameters("restart=no")).warnings == ()


def test_interactive_is_only_a_warning() -> None:
    made = spec(parameters("interactive=true"))
    assert made.body == spec().body
    assert made.warnings == ("parameter interactive: stdin is empty, as under a stock agent",)


def test_a_log_driver_that_cannot_be_read_back_is_a_warning() -> None:
    assert spec(parameters("log-driver=local")).warnings == ()
    assert spec(parameters("log-driver=syslog")).warnings == (
        "parameter log-driver 'syslog': stdout and stderr cannot be read back",
    )


# ---- refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("memory=12q", "Not a size (like 512k, 64m or 1.5g)"),
        ("health-interval=soon", "Not a duration (like 1m30s or 250ms)"),
        ("init=", "Not a boolean (true or false)"),
        ("cpu-shares=many", "Not a whole number"),
        ("memory-swappiness=101", "Not in -1..100"),
        ("cgroupns=other", "Not one of host, private"),
        ("restart=sometimes", "Not a restart policy"),
        ("restart=on-failure:x", "Not a whole number"),
        ("sysctl=a", "Not of the form key=value"),
        ("tmpfs=run", "Not an absolute path"),
        ("volume=./a:/b", "Relative paths are not supported; give an absolute path"),
        ("volume=a:/b:ro:z", "Not a volume (source:destination[:mode] or destination)"),
        (
            "mount=type=bind,source=./a,target=/b",
            "Relative paths are not supported; give an absolute path",
        ),
        ("mount=type=bind,source,target=/b", "Key 'source' of a mount needs a value"),
        ("mount=source=a,target=/b,tmpfs-mode=9", "Not an octal file mode"),
        ("gpus=count=1,count=2", "Key 'count' is given twice"),
        ("network=", "Not a network's name"),
        ("network=ip=10.0.0.1", "A network needs a name"),
        ("publish=published=1,target=2,mode=odd", "Not a publish mode (ingress or host)"),
        ("publish=published=1,tarjet=2", "Unknown key 'tarjet' of a published port"),
        ("device=/dev/a:/dev/b:r:w", "Not a device (source[:destination][:permissions])"),
        ("device=/dev/a:/dev/b:q", "Device permissions are made of r, w and m"),
        (
            "security-opt=seccomp=/etc/profile.json",
            "seccomp=FILE is not supported; give the profile as JSON",
        ),
        (
            "security-opt=seccomp:profile.json",
            "seccomp=FILE is not supported; give the profile as JSON",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_reason(option: str, reason: str) -> None:
    assert refusal(parameters(option)) == f"{reason}: {PARAMETER} {option!r}"


@pytest.mark.parametrize(
    ("key", "hint"),
    [("memroy", " (did you mean 'memory'?)"), ("--env", " (did you mean 'env'?)"), ("?", "")],
)
def test_an_unknown_option_is_refused_with_the_nearest_one(key: str, hint: str) -> None:
    assert refusal(parameters(f"{key}=1")) == (
        f"Unknown option of docker run{hint}: {PARAMETER}.key {key!r}"
    )


def test_the_error_names_the_index_of_the_wrong_parameter() -> None:
    message = refusal(parameters("label=a=b", "memory=x"))
    assert "container.docker.parameters[1] 'memory=x'" in message


def test_no_healthcheck_excludes_the_other_health_options() -> None:
    assert refusal(parameters("no-healthcheck=true", "health-retries=3")) == (
        "no-healthcheck excludes the other health options: container.docker.parameters"
        " 'health-retries'"
    )
    made = body(parameters("no-healthcheck=false", "health-cmd=true"))
    assert made["Healthcheck"] == {"Test": ["CMD-SHELL", "true"]}


@pytest.mark.parametrize(
    ("option", "shown"),
    [("env==hush", "env="), ("env=A=hu\0sh", "env"), ("label==hush", "label=")],
)
def test_values_that_may_be_secret_are_not_shown(option: str, shown: str) -> None:
    message = refusal(parameters(option))
    assert shown in message
    assert "sh'" not in message
    assert "hu" not in message


def test_long_values_are_shortened_in_errors() -> None:
    assert len(refusal(parameters("memory=" + "9" * 5000))) < 300


@pytest.mark.parametrize(
    ("option", "since"),
    [("annotation=a=b", "1.43"), ("health-start-interval=1s", "1.44"), ("gpus=all", "1.40")],
)
def test_an_option_newer_than_the_engines_api_is_refused(option: str, since: str) -> None:
    assert refusal(parameters(option), api_version="1.39") == (
        f"Needs Docker API {since}, this engine speaks 1.39: {PARAMETER} {option!r}"
    )
    assert spec(parameters(option), api_version=since).warnings == ()
    assert spec(parameters(option)).warnings == ()


# ---- Triton ---------------------------------------------------------------------------------

SAMPLE = {
    option.partition("=")[0]: record["options"]
    for record in ACCEPTED
    for option in record["options"]
    if option not in STRICTER
} | {
    "cpu-count": ["cpu-count=1"],
    "cpu-percent": ["cpu-percent=1"],
    "io-maxbandwidth": ["io-maxbandwidth=1"],
    "io-maxiops": ["io-maxiops=1"],
}
"""A valid use of each option that goes to an engine."""


def rows(*kinds: TritonSupport) -> list[str]:
    return [o.key for o in OPTIONS if o.triton in kinds and o.local == "yes"]


@pytest.mark.parametrize("key", rows(TritonSupport.UNSUPPORTED))
def test_options_without_effect_on_triton_are_refused(key: str) -> None:
    option = next(option for option in SAMPLE[key] if option.startswith(f"{key}="))
    assert refusal(parameters(option), kind="triton") == (
        f"Triton would ignore it (--triton_unsupported=refuse): {PARAMETER} {option!r}"
    )


@pytest.mark.parametrize("key", rows(TritonSupport.UNSUPPORTED, TritonSupport.IGNORED))
def test_options_without_effect_on_triton_are_warnings_with_that_setting(key: str) -> None:
    option = next(option for option in SAMPLE[key] if option.startswith(f"{key}="))
    unsupported = "refuse" if BY_KEY[key].triton is TritonSupport.IGNORED else "warn"
    made = spec(parameters(option), kind="triton", triton_unsupported=unsupported)
    assert made.warnings == (f"Triton ignores it: {PARAMETER} {option!r}",)
    assert made.body == spec(kind="triton").body
    assert made.platform == ""


@pytest.mark.parametrize("key", ["privileged", "read-only", "init", "oom-kill-disable"])
def test_switching_off_a_feature_that_triton_lacks_is_accepted(key: str) -> None:
    assert spec(parameters(f"{key}=false"), kind="triton") == spec(kind="triton")


@pytest.mark.parametrize("key", rows(TritonSupport.YES))
def test_options_that_triton_reads_are_sent(key: str) -> None:
    option = next(option for option in SAMPLE[key] if option.startswith(f"{key}="))
    made = body(parameters(option), kind="triton")
    assert made != body(kind="triton")
    assert difference(body(kind="triton"), made) == difference(body(), body(parameters(option)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["publish=8080:80"],
            "Remapping of port numbers not allowed: on Triton every container has its own address:"
            f" {PARAMETER} 'publish=8080:80'",
        ),
        (
            ["publish=10.0.0.1:80:80"],
            "On Triton a port is published on the container's own address:"
            f" {PARAMETER} 'publish=10.0.0.1:80:80'",
        ),
        (["volume=/a:/b"], f"Triton has no host directories: {PARAMETER} 'volume=/a:/b'"),
        (
            ["volume-driver=flocker"],
            f"Triton has no volume driver but tritonnfs: {PARAMETER} 'volume-driver=flocker'",
        ),
        (
            ["mount=source=v,target=/b"],
            f"Not possible on Triton: {PARAMETER} 'mount=source=v,target=/b'",
        ),
        (
            ["net=back", "link=db"],
            "Triton links only on its default network: container.docker.parameters link 'db'",
        ),
        (
            ["network=name=back,ip=10.0.0.1"],
            "Triton would ignore it (--triton_unsupported=refuse): network options of back"
            " 'IPAMConfig'",
        ),
    ],
)
def test_refused_on_triton(options: list[str], message: str) -> None:
    assert refusal(parameters(*options), kind="triton") == message


def test_published_ports_on_triton() -> None:
    made = body(parameters("publish=80", "publish=443:443", "link=db"), kind="triton")
    empty = [{"HostIp": "", "HostPort": ""}]
    assert made["HostConfig"]["PortBindings"] == {"80/tcp": empty, "443/tcp": empty}
    assert made["HostConfig"]["Links"] == ["db"]


def test_named_and_anonymous_volumes_on_triton() -> None:
    made = body(
        parameters("volume=data:/a:ro", "volume=/b", "volume-driver=tritonnfs"), kind="triton"
    )
    assert made["HostConfig"]["Binds"] == ["data:/a:ro"]
    assert made["Volumes"] == {"/b": {}}
