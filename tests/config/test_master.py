from __future__ import annotations

import pytest

from shim.config.consul import consul_config
from shim.config.master import parse_journal, parse_master
from shim.errors import ConfigError
from shim.model.settings import (
    ConsulMaster,
    MasterLocation,
    StaticMaster,
    ZooKeeperMaster,
    ZooKeeperUrl,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m1:5050", StaticMaster("m1", 5050)),
        (" 10.0.0.1:5050\n", StaticMaster("10.0.0.1", 5050)),
        ("master@10.0.0.1:5050", StaticMaster("10.0.0.1", 5050)),
        ("zk://h1:2181/mesos", ZooKeeperMaster(("h1:2181",), "/mesos")),
        ("zk://h1,h2:2182/a/b/", ZooKeeperMaster(("h1:2181", "h2:2182"), "/a/b")),
        ("zk://u:p@ss/w@h1:1/m", ZooKeeperMaster(("h1:1",), "/m", "u:p@ss/w")),
    ],
)
def test_forms_of_master(text: str, expected: MasterLocation) -> None:
    assert parse_master(text) == expected
    assert parse_master(f"{text}\n") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m1",
        "m1:0",
        "m1:65536",
        "m1:http",
        "http://m1:5050",
        "a b:5050",
        "zk://",
        "zk:///mesos",
        "zk://h1:2181",
        "zk://h1:2181/",
        "zk://h1:x/mesos",
        "zk://h1,,h2/mesos",
        "zk://user@h1/mesos",
    ],
)
def test_other_texts_are_errors_that_name_the_value(text: str) -> None:
    with pytest.raises(ConfigError) as failure:
        parse_master(text)
    assert f"--master={text.replace('user@', '***@')}:" in str(failure.value)


def test_errors_and_repr_do_not_show_passwords() -> None:
    master = parse_master("zk://user:s3cret@h1:2181/mesos")
    assert str(master) == "zk://***@h1:2181/mesos"
    assert "s3cret" not in repr(master)
    with pytest.raises(ConfigError) as failure:
        parse_master("zk://user:s3c@ret@h1:2181/")
    assert "ret" not in str(failure.value)


def test_a_consul_url_names_a_service_and_a_consul_agent() -> None:
    consul = consul_config("c:8500", "none", "mesos", {})
    assert consul is not None
    url = "consul://c:8500/service/mesos-master"
    assert parse_master(url) == ConsulMaster(url, "mesos-master", consul)


@pytest.mark.parametrize(
    "url",
    [
        "consul://c:8500/kv/x",
        "consul://h:1/NAME",
        "consul://h:1/service/",
        "consul://h:1/service/a/b",
    ],
)
def test_other_consul_urls_are_errors_that_name_the_url(url: str) -> None:
    with pytest.raises(ConfigError, match=f"--master='{url}'"):
        parse_master(url)


def test_without_a_host_the_environment_gives_the_consul_address() -> None:
    with pytest.raises(ConfigError, match="CONSUL_HTTP_ADDR"):
        parse_master("consul:///service/mesos", {})
    master = parse_master("consul:///service/mesos", {"CONSUL_HTTP_ADDR": "h:1"})
    assert isinstance(master, ConsulMaster)
    assert master.consul.url == "http://h:1"


# --- the journal ----------------------------------------------------------------------------


def test_a_journal_is_sqlite_or_a_path_in_zookeeper() -> None:
    assert parse_journal("sqlite") is None
    found = parse_journal("zk://user:s3cret@z1,z2:2182/mesos/shim/")
    assert found == ZooKeeperUrl(("z1:2181", "z2:2182"), "/mesos/shim", "user:s3cret")
    assert "s3cret" not in f"{found} {found!r}"


@pytest.mark.parametrize(
    "text",
    [
        *("", "postgres", "zk://z1", "zk://z1/", "zk://u@z1/x", "zk://z:0/x", "zk://u:hunter2@/x"),
        *("zk://z1/a//b", "zk://z1/..", "zk://z1/./x", "zk://z1/a\0", "zk://u:hunter2@z1/a/../b"),
    ],
)
def test_another_journal_is_an_error_without_its_password(text: str) -> None:
    with pytest.raises(ConfigError, match="--journal=") as error:
        parse_journal(text)
    assert "hunter2" not in str(error.value)
