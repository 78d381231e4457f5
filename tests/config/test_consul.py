from __future__ import annotations

import pytest

from shim.config.consul import consul_config
from shim.errors import ConfigError
from shim.model.settings import CheckMode, ConsulConfig, RegisterMode


def config(consul: str | None = None, **env: str) -> ConsulConfig | None:
    return consul_config(consul, "all", "mesos", env)


def test_without_an_address_there_is_no_registration() -> None:
    assert config() is None
    assert config(CONSUL_HTTP_TOKEN="t", CONSUL_HTTP_ADDR="") is None


@pytest.mark.parametrize(
    ("address", "env", "url"),
    [
        ("consul.example:8500", {}, "http://consul.example:8500"),
        ("consul.example", {}, "http://consul.example:8500"),
        ("http://c:1", {"CONSUL_HTTP_SSL": "true"}, "http://c:1"),
        ("https://c:8501/", {}, "https://c:8501"),
        ("c:8501", {"CONSUL_HTTP_SSL": "1"}, "https://c:8501"),
        ("[::1]:8500", {}, "http://[::1]:8500"),
        ("unix:///run/consul.sock", {}, "unix:///run/consul.sock"),
    ],
)
def test_addresses(address: str, env: dict[str, str], url: str) -> None:
    for made in (config(address, **env), config(None, CONSUL_HTTP_ADDR=address, **env)):
        assert made is not None
        assert made.url == url


def test_the_flag_wins_over_the_environment() -> None:
    made = config("flag:1", CONSUL_HTTP_ADDR="env:2")
    assert made is not None
    assert made.host == "flag"


def test_consuls_own_variables() -> None:
    made = consul_config(
        "https://c",
        "labelled",
        "consul",
        {
            "CONSUL_HTTP_TOKEN": "secret-1",
            "CONSUL_HTTP_TOKEN_FILE": "/t",
            "CONSUL_HTTP_AUTH": "user:secret-2",
            "CONSUL_HTTP_SSL_VERIFY": "false",
            "CONSUL_CACERT": "/ca",
            "CONSUL_CAPATH": "/cas",
            "CONSUL_CLIENT_CERT": "/cert",
            "CONSUL_CLIENT_KEY": "/key",
            "CONSUL_TLS_SERVER_NAME": "server.dc1.consul",
            "CONSUL_NAMESPACE": "team",
        },
    )
    assert made == ConsulConfig(
        "https",
        "c",
        8500,
        "",
        RegisterMode.LABELLED,
        CheckMode.CONSUL,
        "secret-1",
        "/t",
        "user:secret-2",
        False,
        "/ca",
        "/cas",
        "/cert",
        "/key",
        "server.dc1.consul",
        "team",
    )
    assert "secret" not in repr(made)


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (("ftp://c", "all", "mesos"), {}, "--consul='ftp://c'"),
        (("http://c/ui", "all", "mesos"), {}, "--consul='http://c/ui'"),
        (("c:99999", "all", "mesos"), {}, "--consul='c:99999'"),
        ((None, "all", "mesos"), {"CONSUL_HTTP_ADDR": "c:x"}, "CONSUL_HTTP_ADDR='c:x'"),
        (("c", "some", "mesos"), {}, "--consul_register='some'.*all, labelled, none"),
        (("c", "all", "both"), {}, "--consul_checks='both'.*mesos, consul"),
        (("c", "all", "mesos"), {"CONSUL_HTTP_SSL": "maybe"}, "CONSUL_HTTP_SSL='maybe'"),
        (("c", "all", "mesos"), {"CONSUL_CLIENT_CERT": "/c"}, "CONSUL_CLIENT_KEY=''"),
    ],
)
def test_errors_name_the_source_and_the_value(
    arguments: tuple[str, str, str], env: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        consul_config(*arguments, env)


@pytest.mark.parametrize(
    ("address", "env"),
    [
        ("http://user:hunter2@c:8500", {}),
        ("c", {"CONSUL_HTTP_AUTH": "hunter2"}),
        ("c", {"CONSUL_HTTP_TOKEN": "hunter2\n"}),
    ],
)
def test_errors_do_not_show_secrets(address: str, env: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="CONSUL_HTTP_") as caught:
        config(address, **env)
    assert "hunter2" not in str(caught.value)
