from __future__ import annotations

from pathlib import Path

import pytest

from shim.config import Config, load
from shim.config.flags import FLAGS
from shim.config.resources import Ports
from shim.errors import ConfigError
from shim.model.settings import CheckMode, RegisterMode, StaticMaster, ZooKeeperMaster


def config(*argv: str, **environ: str) -> Config:
    return load(["--master=10.0.0.1:5050", *argv], environ)


def test_the_defaults() -> None:
    found = config()
    assert found.master == StaticMaster("10.0.0.1", 5050)
    assert (found.port, found.advertise_port, found.ip, found.hostname) == (5051, None, "", "")
    assert found.work_dir == Path("/var/lib/mesos-shim")
    assert found.fetcher_cache_dir == Path("/var/lib/mesos-shim/fetch")
    assert (found.docker_remove_delay, found.executor_registration_timeout) == (0.0, 900.0)
    assert (found.engine, found.recover, found.triton_unsupported) == (
        "auto",
        "reconnect",
        "refuse",
    )
    assert (found.docker_kill_orphans, found.docker_tls_verify) == (True, None)
    assert (found.resources, found.ports, found.domain) == ((), Ports("none", ()), None)
    assert (found.credential, found.discovery, found.max_inflight) == (None, None, None)
    assert found.metrics_max_tasks == 1000
    assert found.http_credentials == {}


def test_values_are_typed() -> None:
    found = config(
        "--docker_stop_timeout=1.5secs",
        "--fetcher_cache_size=1MB",
        "--max_inflight=3",
        "--metrics_max_tasks=0",
        "--work_dir=/w",
        "--no-docker_kill_orphans",
        "--attributes=rack:r1",
    )
    assert (found.docker_stop_timeout, found.fetcher_cache_size) == (1.5, 2**20)
    assert (found.max_inflight, found.docker_kill_orphans) == (3, False)
    assert found.metrics_max_tasks == 0
    assert found.fetcher_cache_dir == Path("/w/fetch")
    assert found.attributes[0].name == "rack"


def test_a_master_is_required() -> None:
    with pytest.raises(ConfigError, match="--master is missing"):
        load([], {})


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--port=x", "--port=x: not a port"),
        ("--port=", "--port=: empty"),
        ("--default_role=\udcff", "--default_role=\udcff: not UTF-8"),
        ("--sandbox_directory=/\udcff", "--sandbox_directory=/\udcff: not UTF-8"),
        ("--registration_backoff_factor=1", "--registration_backoff_factor=1: not a duration"),
        ("--engine=podman", "--engine=podman: not one of auto, docker, triton"),
        ("--resources=cpus", "--resources=cpus: 'cpus' is not name:value"),
        ("--resources=cpus:-1", "--resources=cpus:-1: cpus: -1.0 is not an amount"),
        ("--ports=[2-1]", r"--ports=\[2-1\]: ranges: 2-1"),
        ("--ports=all", "--ports=all"),
        ("--attributes=x", "--attributes=x: 'x' is not name:value"),
        ("--domain={}", "--domain={}: needs fault_domain"),
        ("--default_role=a b", "--default_role=a b: 'a b' is not a role"),
        ("--default_container_dns=[]", "--default_container_dns=..: "),
        ("--consul=ftp://x", "--consul='ftp://x'"),
        ("--metrics_max_tasks=-1", "--metrics_max_tasks=-1: not a whole number from 0 to 999999"),
        ("--triton_unsupported=maybe", "not one of refuse, warn"),
    ],
)
def test_errors_name_flag_and_value(argument: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(argument)


def test_errors_name_the_environment_variable() -> None:
    with pytest.raises(ConfigError, match="MESOS_PORT=x: not a port"):
        config(MESOS_PORT="x")


@pytest.mark.parametrize("flag", [f for f in FLAGS.values() if f.secret], ids=lambda f: f.name)
def test_errors_do_not_show_secrets(flag: object) -> None:
    name = flag.name  # type: ignore[attr-defined]
    value = "zk://u:hunter2@" if name == "master" else '{"secret": "hunter2"'
    with pytest.raises(ConfigError) as caught:
        load([f"--{name}={value}", *(["--master=m:1"] if name != "master" else [])], {})
    assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_texts_and_repr_show_no_secret() -> None:
    found = load(
        [
            "--master=zk://me:hunter2@zk1/mesos",
            '--credential={"principal": "p", "secret": "hunter3"}',
            '--http_credentials={"credentials": [{"principal": "q", "secret": "hunter4"}]}',
            '--docker_config={"auths": {"r": {"auth": "dTpodW50ZXI1"}}}',
            "--consul=c:8500",
        ],
        {"CONSUL_HTTP_TOKEN": "hunter6"},
    )
    assert isinstance(found.master, ZooKeeperMaster)
    for secret in ("hunter", "dTpodW50ZXI1"):
        assert secret not in repr(found)
        assert secret not in repr(found.texts)
    assert {*found.secrets} == {f"hunter{number}" for number in range(2, 7)}
    assert found.texts["master"] == "zk://***@zk1:2181/mesos"


def test_consul_flags_and_environment() -> None:
    found = config("--consul_register=labelled", CONSUL_HTTP_ADDR="https://c:8501").discovery
    assert found is not None
    assert (found.url, found.register, found.checks) == (
        "https://c:8501",
        RegisterMode.LABELLED,
        CheckMode.MESOS,
    )


def test_texts_hold_every_flag_that_is_set() -> None:
    found = config("--port=1").texts
    assert (found["port"], found["master"]) == ("1", "master@10.0.0.1:5050")
    assert "ip" not in found
    assert found["executor_registration_timeout"] == "15mins"


PORTS = "--resources=cpus:1;ports:[31000-31001]"


@pytest.mark.parametrize(
    ("argv", "mode", "ranges", "named"),
    [
        ((), "none", (), False),
        (("--ports=virtual",), "virtual", ((1, 65535),), False),
        (("--ports=[31000-31001,80]",), "real", ((80, 80), (31000, 31001)), False),
        ((PORTS,), "real", (), True),
        ((PORTS, "--ports=none"), "none", (), False),
        ((PORTS, "--ports=virtual"), "virtual", (), True),
    ],
)
def test_ports_come_from_either_flag(
    argv: tuple[str, ...], mode: str, ranges: object, named: bool
) -> None:
    found = config(*argv)
    assert found.ports == (mode, ranges)
    assert ("ports" in [resource.name for resource in found.resources]) is named
    assert bool(found.notes) is (PORTS in argv)


def test_ports_in_both_flags_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"--ports=\[1-2\]: --resources names ports too"):
        config(PORTS, "--ports=[1-2]")
