"""The files of a login: written, installed, read back."""

from __future__ import annotations

import os
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shim.certs import login_files
from shim.certs.certificate import ClientCertificate, new_style
from shim.certs.login_files import LoginEndpoint
from shim.engine.triton.login import ClientLogin as Agent
from shim.errors import ConfigError
from tests.certs.conftest import KEYS
from tests.support.login import write_login

WHERE = LoginEndpoint("tcp://localhost:1", True, None)


def login(account: str = "alice") -> ClientCertificate:
    return new_style(account, KEYS["p256"], datetime.now(UTC))


def sourced(directory: Path, **before: str) -> dict[str, str]:
    """The variables of a shell that has read ``env.sh``."""
    script = ". ./env.sh && exec env"
    output = subprocess.check_output(["sh", "-c", script], cwd=directory, env=before, text=True)
    return dict(line.split("=", 1) for line in output.splitlines())


def test_a_new_directory_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_login(tmp_path / "out", login(), WHERE)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    for path in (tmp_path / "out").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_reader_never_sees_a_new_certificate_with_an_old_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = new_style("ca", KEYS["p256"], datetime.now(UTC)).certificate_pem
    write_login(tmp_path, login("alice"), WHERE)
    agent, seen = Agent(tmp_path), []
    replace = Path.replace

    def watched(self: Path, target: Any) -> Path:
        result = replace(self, target)
        agent.context()
        seen.append((self.name, "alice" if "account alice" in str(agent) else "bob"))
        return result

    monkeypatch.setattr(Path, "replace", watched)
    write_login(tmp_path, login("bob"), LoginEndpoint("tcp://localhost:1", True, ca))
    assert seen == [
        ("ca.pem", "alice"),
        ("key.pem", "alice"),
        ("cert.pem", "bob"),
        ("env.sh", "bob"),
    ]


def interrupted(out: Path) -> None:
    with login_files.staged(out, login(), WHERE) as new:
        assert sorted(path.name for path in new.iterdir()) == ["cert.pem", "env.sh", "key.pem"]
        raise KeyboardInterrupt


def test_files_that_were_not_installed_are_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        interrupted(out)
    assert not out.exists()
    write_login(out, login(), WHERE)
    before = (out / "cert.pem").read_bytes()
    with login_files.staged(out, login(), WHERE):
        pass
    assert (out / "cert.pem").read_bytes() == before
    assert sorted(path.name for path in out.iterdir()) == ["cert.pem", "env.sh", "key.pem"]


def test_a_ca_that_is_not_used_any_more_is_removed(tmp_path: Path) -> None:
    write_login(tmp_path, login(), LoginEndpoint("tcp://localhost:1", True, b"ca"))
    assert (tmp_path / "ca.pem").read_bytes() == b"ca"
    assert login_files.read_endpoint(tmp_path).ca == b"ca"
    write_login(tmp_path, login(), WHERE)
    assert not (tmp_path / "ca.pem").exists()


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--out=.*/file: cannot be written: File exists"):
        write_login(tmp_path / "file", login(), WHERE)


@pytest.mark.parametrize("verify", [True, False])
def test_the_variables_that_env_sh_sets(tmp_path: Path, verify: bool) -> None:
    out = tmp_path / "it's a directory"
    write_login(out, login(), LoginEndpoint("tcp://[::1]:2376", verify, None))
    found = sourced(out, DOCKER_TLS_VERIFY="before")
    assert found["DOCKER_HOST"] == "tcp://[::1]:2376"
    assert found["DOCKER_CERT_PATH"] == str(out)
    assert found["DOCKER_TLS_VERIFY"] == ("1" if verify else "")
    assert found.get("DOCKER_TLS") == (None if verify else "1"), "or docker would speak plain HTTP"
    assert found["DOCKER_CLIENT_TIMEOUT"] == found["COMPOSE_HTTP_TIMEOUT"] == "300"
    assert login_files.read_endpoint(out) == LoginEndpoint("tcp://[::1]:2376", verify, None)


def test_an_env_sh_of_an_older_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "env.sh").write_text("export DOCKER_HOST=tcp://h:1\nunset DOCKER_TLS_VERIFY\n")
    assert not login_files.read_endpoint(tmp_path).verify


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\x00", "does not set DOCKER_HOST"),
        (b"export DOCKER_HOST='tcp://h:1\n", "No closing quotation"),
        (b"export DOCKER_HOST=\xff\n", "is no endpoint"),
        (b"export DOCKER_HOST=\n", "is no endpoint"),
        (b"export DOCKER_HOST=tcp://h:1 tcp://h:2\n", "is no endpoint"),
        (b"export DOCKER_HOST=unix:///x\n", "DOCKER_HOST=unix:///x is no endpoint"),
        (None, "No such file"),
    ],
)
def test_an_env_sh_without_usable_endpoint_is_named(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "env.sh").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        login_files.read_endpoint(tmp_path)
    assert words in str(caught.value)
    assert f"{tmp_path}/env.sh" in str(caught.value)
    assert "--url" in str(caught.value)


@pytest.mark.parametrize(
    ("docker_host", "url"),
    [
        ("tcp://h:1", "https://h:1"),
        ("tcp://h", "https://h:2376"),
        ("https://h/", "https://h:2376"),
        ("tcp://[::1]:5", "https://[::1]:5"),
    ],
)
def test_the_url_of_a_docker_host(docker_host: str, url: str) -> None:
    assert login_files.https_url(docker_host) == url
