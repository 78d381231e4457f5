"""Which endpoint: flags, else the environment, else the docker context; and its certificates."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from docker.context import ContextAPI
from docker.tls import TLSConfig

from shim.engine.client.endpoint import resolve
from shim.errors import ConfigError
from tests.engine.client.certificates import Authority


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certs")
    authority = Authority()
    authority.write(directory / "ca.pem")
    authority.issue(directory / "cert.pem", directory / "key.pem", "client")
    return directory


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of the test's own, without the docker contexts of this machine."""
    directory = tmp_path / ".docker"
    directory.mkdir()
    (directory / "config.json").write_text("{}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    return directory


def test_by_default_it_is_the_local_socket() -> None:
    endpoint = resolve(environ={})
    assert (endpoint.url, endpoint.socket) == ("http://docker", "/var/run/docker.sock")
    assert endpoint.is_local
    assert endpoint.tls is None


@pytest.mark.parametrize(
    ("host", "url", "socket"),
    [
        ("unix:///run/other.sock", "http://docker", "/run/other.sock"),
        ("/run/other.sock", "http://docker", "/run/other.sock"),
        ("tcp://10.0.0.1:4243", "http://10.0.0.1:4243", ""),
        ("tcp://10.0.0.1", "http://10.0.0.1:2375", ""),
        ("10.0.0.1:4243", "http://10.0.0.1:4243", ""),
        ("http://engine.example/docker/", "http://engine.example:2375/docker", ""),
        ("https://engine.example", "https://engine.example:2376", ""),
        ("tcp://[::1]:4243", "http://[::1]:4243", ""),
    ],
)
def test_a_host_is_a_socket_or_a_url(host: str, url: str, socket: str) -> None:
    endpoint = resolve(host, environ={})
    assert (endpoint.url, endpoint.socket) == (url, socket)
    assert str(endpoint) == host
    assert endpoint.is_local == bool(socket)


@pytest.mark.parametrize(
    "host", ["ssh://me@there", "npipe:////./pipe/x", "tcp://", "tcp://h:port", "unix://x", "http://u:p@h"]
)  # fmt: skip
def test_an_invalid_host_is_named_with_its_flag(host: str) -> None:
    with pytest.raises(ConfigError, match="--docker_host") as caught:
        resolve(host, environ={})
    assert host in str(caught.value)


def test_the_flag_wins_over_the_environment() -> None:
    assert resolve("tcp://flag:1", environ={"DOCKER_HOST": "tcp://env:1"}).url == "http://flag:1"
    endpoint = resolve(environ={"DOCKER_HOST": "tcp://env:1"})
    assert endpoint.url == "http://env:1"


def test_certificates_imply_tls_with_verification(certs: Path) -> None:
    for endpoint in (
        resolve("tcp://h:2376", str(certs), environ={}),
        resolve(environ={"DOCKER_HOST": "tcp://h:2376", "DOCKER_CERT_PATH": str(certs)}),
        resolve("https://h:2376", str(certs), True, environ={}),
    ):
        assert endpoint.url == "https://h:2376"
        assert endpoint.tls is not None
        assert endpoint.tls.verify_mode is ssl.CERT_REQUIRED
        assert endpoint.tls.check_hostname
        assert [ca["subject"] for ca in endpoint.tls.get_ca_certs()]


@pytest.mark.parametrize("verify", [False, None])
def test_verification_is_off_only_where_it_is_switched_off(
    certs: Path, verify: bool | None
) -> None:
    environ = {"DOCKER_TLS_VERIFY": ""} if verify is None else {}
    endpoint = resolve("tcp://h", str(certs), verify, environ=environ)
    assert endpoint.tls is not None
    assert endpoint.tls.verify_mode is ssl.CERT_NONE


def test_tls_without_a_directory_uses_the_docker_configuration(certs: Path, home: Path) -> None:
    environ = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CONFIG": str(home)}
    plain = resolve("tcp://h", environ=environ)
    assert plain.url == "https://h:2376"
    assert plain.tls is not None
    (home / "ca.pem").write_bytes((certs / "ca.pem").read_bytes())
    trusting = resolve("tcp://h", environ=environ)
    assert trusting.tls is not None
    assert len(trusting.tls.get_ca_certs()) == 1


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(ConfigError, match=f"--docker_cert_path: '{missing}' is not a directory"):
        resolve("tcp://h", missing, environ={})
    with pytest.raises(ConfigError, match="DOCKER_CERT_PATH"):
        resolve("tcp://h", environ={"DOCKER_CERT_PATH": missing})


@pytest.mark.parametrize("broken", ["missing", "garbage", "encrypted"])
def test_an_unusable_key_is_refused_without_showing_it(
    certs: Path, tmp_path: Path, broken: str
) -> None:
    directory = tmp_path / "certs"
    directory.mkdir()
    for name in ("ca.pem", "cert.pem"):
        (directory / name).write_bytes((certs / name).read_bytes())
    if broken == "garbage":
        (directory / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\nSECRET\n")
    if broken == "encrypted":
        Authority().issue(directory / "cert.pem", directory / "key.pem", "x", passphrase=b"SECRET")
    with pytest.raises(ConfigError, match="--docker_cert_path: no usable certificates") as caught:
        resolve("tcp://h", str(directory), environ={})
    assert str(directory) in str(caught.value)
    assert "SECRET" not in str(caught.value)
    if broken == "missing":
        assert str(caught.value).endswith(f"{directory}/key.pem: No such file or directory")
    if broken == "encrypted":
        assert "passphrase" in str(caught.value)


def test_the_repr_of_an_endpoint_shows_no_key(certs: Path) -> None:
    assert "tls" not in repr(resolve("tcp://h", str(certs), environ={}))


# --- docker contexts ----------------------------------------------------------------------


def test_the_current_context_is_used(home: Path) -> None:
    ContextAPI.create_context("there", host="tcp://there:4243", skip_tls_verify=True)
    assert resolve(environ={}).socket
    ContextAPI.set_current_context("there")
    endpoint = resolve(environ={})
    assert endpoint.url == "http://there:4243"
    assert resolve(environ={"DOCKER_HOST": "tcp://env:1"}).url == "http://env:1"


def test_a_contexts_certificates_are_used(certs: Path) -> None:
    tls = TLSConfig(
        client_cert=(str(certs / "cert.pem"), str(certs / "key.pem")),
        ca_cert=str(certs / "ca.pem"),
        verify=True,
    )
    ContextAPI.create_context("safe", host="https://safe:2376", tls_cfg=tls)
    endpoint = resolve(environ={"DOCKER_CONTEXT": "safe"})
    assert endpoint.url == "https://safe:2376"
    assert endpoint.tls is not None
    assert endpoint.tls.verify_mode is ssl.CERT_REQUIRED
    assert len(endpoint.tls.get_ca_certs()) == 1


def test_a_context_can_switch_verification_off(certs: Path) -> None:
    tls = TLSConfig((str(certs / "cert.pem"), str(certs / "key.pem")), str(certs / "ca.pem"))
    ContextAPI.create_context("lax", host="https://lax:2376", tls_cfg=tls, skip_tls_verify=True)
    endpoint = resolve(environ={"DOCKER_CONTEXT": "lax"})
    assert endpoint.tls is not None
    assert endpoint.tls.verify_mode is ssl.CERT_NONE


def test_a_missing_context_is_named() -> None:
    with pytest.raises(ConfigError, match="docker context 'nowhere' does not exist"):
        resolve(environ={"DOCKER_CONTEXT": "nowhere"})


def test_a_broken_context_is_named(home: Path) -> None:
    ContextAPI.create_context("broken", host="tcp://there:4243")
    for meta in home.glob("contexts/meta/*/meta.json"):
        meta.write_text("{")
    with pytest.raises(ConfigError, match="docker context 'broken' cannot be read"):
        resolve(environ={"DOCKER_CONTEXT": "broken"})
