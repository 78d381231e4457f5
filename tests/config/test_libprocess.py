"""``LIBPROCESS_*`` variables, as Mesos' own processes read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.config import load
from shim.config.libprocess import CIPHERS, tls_settings
from shim.errors import ConfigError

PREFIX = "LIBPROCESS_SSL_"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH": "true"}, True),
        ({"LIBPROCESS_require_peer_address_ip_match": "1"}, True),
        ({"LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH": "0"}, False),
        ({"LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH": ""}, False),
    ],
)
def test_libprocess_variable_of_the_peer_address(environ: dict[str, str], expected: bool) -> None:
    config = load(["--master=m:5050"], environ)
    assert config.require_peer_address_ip_match is expected


def test_an_invalid_libprocess_variable_is_an_error() -> None:
    name = "LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH"
    with pytest.raises(ConfigError, match=f"{name}=maybe"):
        load(["--master=m:5050"], {name: "maybe"})


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name in ("cert", "key", "ca"):
        (tmp_path / name).write_text("")
    return {
        f"{PREFIX}ENABLED": "1",
        f"{PREFIX}CERT_FILE": str(tmp_path / "cert"),
        f"{PREFIX}KEY_FILE": f"file://{tmp_path / 'key'}",
        f"{PREFIX}CA_FILE": str(tmp_path / "ca"),
    }


def test_tls_is_off_unless_it_is_enabled(files: dict[str, str]) -> None:
    assert tls_settings({}) is None
    assert tls_settings({**files, f"{PREFIX}ENABLED": "false"}) is None
    assert load(["--master=m:5050"], {}).tls is None


def test_defaults_of_tls_are_those_of_mesos(files: dict[str, str]) -> None:
    found = load(["--master=m:5050"], files).tls
    assert found is not None
    assert Path(found.key_file).name == "key"
    assert not any((found.verify_server_cert, found.require_client_cert, found.verify_ipadd))
    assert not found.support_downgrade
    assert found.validation_scheme == "legacy"
    assert (found.ciphers, found.versions) == (CIPHERS, ("1.2",))


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("VERIFY_CERT", "verify_server_cert"),
        ("VERIFY_SERVER_CERT", "verify_server_cert"),
        ("REQUIRE_CERT", "require_client_cert"),
        ("require_client_cert", "require_client_cert"),
        ("REQUIRE_CERT", "verify_server_cert"),
        ("VERIFY_IPADD", "verify_ipadd"),
        ("SUPPORT_DOWNGRADE", "support_downgrade"),
    ],
)
def test_switches_of_tls(files: dict[str, str], name: str, attribute: str) -> None:
    found = tls_settings({**files, PREFIX + name: "true"})
    assert getattr(found, attribute) is True


def test_choices_of_tls(files: dict[str, str]) -> None:
    chosen = {
        "CIPHERS": "AES256-SHA",
        "ECDH_CURVES": "P-521:secp384r1",
        "VERIFICATION_DEPTH": "2",
        "HOSTNAME_VALIDATION_SCHEME": "openssl",
        "ENABLE_TLS_V1_2": "0",
        "ENABLE_TLS_V1_3": "1",
    }
    found = tls_settings({**files, **{PREFIX + name: value for name, value in chosen.items()}})
    assert found is not None
    assert (found.ciphers, found.ecdh_curves) == ("AES256-SHA", ("P-521", "secp384r1"))
    assert found.verification_depth == 2
    assert (found.validation_scheme, found.versions) == ("openssl", ("1.3",))


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("ENABLED", "yes", "neither true nor false"),
        ("KEY_FILE", "/no/such/key", "not a file"),
        ("CERT_FILE", "/etc", "not a file"),
        ("CERT_FILE", "", "is missing"),
        ("CA_DIR", "/dev/null", "not a directory"),
        ("HOSTNAME_VALIDATION_SCHEME", "none", "neither legacy nor openssl"),
        ("ENABLE_SSL_V3", "1", "SSL 3"),
        ("VERIFICATION_DEPTH", "-1", "not a whole number"),
        ("VERIFICATION_DEPTH", "9" * 5000, "not a whole number"),
        ("ENABLE_TLS_V1_2", "0", "no version of TLS is left"),
    ],
)
def test_a_wrong_variable_of_tls_is_named(
    files: dict[str, str], name: str, value: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{PREFIX}{name}.*{why}"):
        tls_settings({**files, PREFIX + name: value})
