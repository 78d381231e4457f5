"""The client certificate in use: its text, its renewal, its expiry."""

from __future__ import annotations

import logging
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from shim import cli
from shim.certs import login_files, ssh_wire
from shim.certs.certificate import new_style, old_style
from shim.engine.triton.login import ClientLogin
from shim.errors import ConfigError
from tests.support.login import write_login

KEY = ec.generate_private_key(ec.SECP256R1())
NOW = datetime(2026, 5, 1, tzinfo=UTC)
WHERE = login_files.LoginEndpoint("tcp://localhost:1", True, None)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def write(directory: Path, days: int = 365, account: str = "alice") -> None:
    write_login(directory, new_style(account, KEY, NOW, days), WHERE)


def test_a_login_shows_its_account_signer_and_last_day(tmp_path: Path) -> None:
    write(tmp_path)
    login = ClientLogin(tmp_path, now=Clock())
    key = ssh_wire.fingerprint(KEY.public_key())
    text = f"the certificate {tmp_path}/cert.pem of account alice (signed by key {key}, "
    assert str(login).startswith(text), "as `mesos-shim certs` prints it"
    assert "expires 2027-05-01" in str(login)
    assert login.days_left == 365
    write_login(tmp_path, old_style("bob", KEY, NOW - timedelta(400)), WHERE)
    assert "self-signed, expired 2026-03-27" in str(ClientLogin(tmp_path, now=Clock()))


@pytest.mark.parametrize("with_env_sh", [True, False])
def test_the_command_for_a_renewal_is_valid(
    tmp_path: Path, with_env_sh: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    certs = tmp_path / "with space"
    certs.mkdir()
    write(certs)
    if not with_env_sh:
        (certs / "env.sh").unlink()
    login = ClientLogin(certs)
    command = login.renewal.split("`")[1]
    key = tmp_path / "id"
    key.write_bytes(old_style("alice", KEY, NOW).key_pem)
    assert ("--url" in command) is not with_env_sh, "env.sh remembers it"
    words = shlex.split(
        command.replace("FILE", str(key)).replace("CLOUDAPI", "https://localhost:1")
    )
    assert cli.main(words[1:]) == (0 if with_env_sh else 2)
    asked = "https://localhost:1/" + ("v1.21/info" if with_env_sh else "alice/services")
    assert asked in "".join(capsys.readouterr()), "the command sent its first request"


def test_changed_files_are_loaded(tmp_path: Path) -> None:
    write(tmp_path)
    login = ClientLogin(tmp_path, now=Clock())
    before = login.context()
    assert login.context() is before
    write(tmp_path, account="bob")
    assert login.context() is not before
    assert "account bob" in str(login)


def test_files_that_do_not_fit_together_yet_are_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path)
    login = ClientLogin(tmp_path, now=Clock())
    before, certificate = login.context(), (tmp_path / "cert.pem").read_bytes()
    write(tmp_path, account="bob")
    renewed = (tmp_path / "cert.pem").read_bytes()
    (tmp_path / "cert.pem").write_bytes(certificate)
    assert login.context() is before
    assert login.context() is before
    assert caplog.text.count("cannot be used, the old one stays") == 1
    (tmp_path / "cert.pem").unlink()
    assert login.context() is before
    (tmp_path / "cert.pem").write_bytes(renewed)
    assert login.context() is not before


def test_expiry_is_warned_of_once_a_day_in_the_last_month(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, days=31)
    clock = Clock()
    login = ClientLogin(tmp_path, now=clock)
    with caplog.at_level(logging.WARNING):
        login.context()
        assert not caplog.records
        clock.now += timedelta(days=2)
        login.context()
        login.context()
        assert len(caplog.records) == 1
        clock.now += timedelta(days=1)
        login.context()
        assert len(caplog.records) == 2
    assert "certs --renew" in caplog.text


def test_unusable_files_are_a_config_error(tmp_path: Path) -> None:
    for missing in ("cert.pem", "key.pem"):
        write(tmp_path)
        (tmp_path / missing).unlink()
        with pytest.raises(ConfigError, match=f"/{missing}: No such file or directory"):
            ClientLogin(tmp_path)
    write(tmp_path)
    (tmp_path / "key.pem").write_text("nonsense")
    with pytest.raises(ConfigError, match="no usable certificates in"):
        ClientLogin(tmp_path)
