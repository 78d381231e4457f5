from __future__ import annotations

import logging
from pathlib import Path

import pytest

from shim.config.secrets import credential, docker_config, http_credentials
from shim.engine.images.image_reference import parse_image
from shim.model.settings import Credential

ME = Credential("me", b"hunter2")
JSON = '{"principal": "me", "secret": "hunter2"}'


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("text", [JSON, "me hunter2", "me hunter2\n", "  me\thunter2"])
def test_a_credential_in_a_file(tmp_path: Path, text: str) -> None:
    file = written(tmp_path / "c", text)
    assert credential(str(file)) == credential(f"file://{file}") == ME


def test_a_credential_may_stand_on_the_command_line() -> None:
    assert credential(JSON) == ME


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hunter2", "holds 1 words"),
        ("a hunter2 c", "holds 3 words"),
        ("", "holds 0 words"),
        ('{"principal": "me", "secret": hunter2}', "not JSON .line 1."),
        ('{"principal": "me"}', "a credential is"),
        ('{"principal": 1, "secret": "hunter2"}', "a credential is"),
    ],
)
def test_wrong_credentials_are_not_shown(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path / "c", text)
    with pytest.raises(ValueError, match=said) as caught:
        credential(str(file))
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        credential("/nowhere/c")


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_secret_open_to_others_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warned: bool
) -> None:
    file = written(tmp_path / "c", JSON, mode)
    with caplog.at_level(logging.WARNING):
        credential(str(file))
    assert [f"chmod 600 {file}" in message for message in caplog.messages] == [True] * warned


def test_http_credentials_are_a_list() -> None:
    text = '{"credentials": [{"principal": "a", "secret": "x"}, {"principal": "b", "secret": "y"}]}'
    assert http_credentials(text) == {"a": "x", "b": "y"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", 'no list "credentials"'),
        ('{"credentials": []}', 'no list "credentials"'),
        ('{"credentials": ["x"]}', "a credential is"),
        ('{"credentials": [{"principal": "a:b", "secret": "x"}]}', "allows no colon"),
    ],
)
def test_wrong_http_credentials(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        http_credentials(text)


def test_a_docker_config_inline_or_in_a_file(tmp_path: Path) -> None:
    text = '{"auths": {"r.example:5000": {"auth": "dTpw"}}}'
    file = written(tmp_path / "config.json", text)
    for given in (text, str(file)):
        auth = docker_config(given).auth(parse_image("r.example:5000/x"))
        assert auth is not None
        assert (auth.username, auth.password) == ("u", "p")
