from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from shim.check import command as check
from shim.config import load
from shim.config.file_values import (
    credential,
    docker_config,
    environment_variables,
    http_credentials,
    volume_driver_options,
)
from shim.engine.images.image_reference import parse_image
from shim.errors import ConfigError
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


def test_a_credential_inline() -> None:
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
def test_errors_do_not_show_credentials(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path / "c", text)
    with pytest.raises(ValueError, match=said) as caught:
        credential(str(file))
    assert "hunter2" not in str(caught.value)


def test_a_missing_file() -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        credential("/nowhere/c")


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_secret_file_that_others_can_read_gives_a_warning(
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
def test_invalid_http_credentials(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        http_credentials(text)


def test_a_docker_config_inline_or_in_a_file(tmp_path: Path) -> None:
    text = '{"auths": {"r.example:5000": {"auth": "dTpw"}}}'
    file = written(tmp_path / "config.json", text)
    for given in (text, str(file)):
        auth = docker_config(given).auth(parse_image("r.example:5000/x"))
        assert auth is not None
        assert (auth.username, auth.password) == ("u", "p")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not an object"),
        ('{"p": "cheap"}', "'p': 'cheap' is not a price"),
        ('{"p": -1}', "'p': -1 is not a price"),
        ('{"p": true}', "'p': True is not a price"),
        ('{"p": NaN}', "'p': nan is not a price"),
        ('{"p": Infinity}', "'p': inf is not a price"),
        ('{"p": 1%s}' % ("0" * 400), r"'p': 10{59} is not a price"),
        ('{"p": 1%s}' % ("0" * 10_000), "not JSON"),
        ('{"p": %s}' % ("[" * 500 + "]" * 500), r"'p': \[{60} is not a price"),
    ],
)
def test_invalid_prices(text: str, words: str, tmp_path: Path) -> None:
    """The error is one line with flag, file and reason."""
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"--triton_prices={path}: {words}"):
        load(["--master=m:1", f"--triton_prices={path}"], {})


def test_prices_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"p-1G": 0.02, "p-2G": 1}')
    for written in (f"{path}", f"file://{path}"):
        found = load(["--master=m:1", f"--triton_prices={written}"], {})
        assert found.triton_prices == {"p-1G": 0.02, "p-2G": 1.0}
        assert found.texts["triton_prices"] == written
    assert load(["--master=m:1"], {}).triton_prices == {}


def test_the_command_check_reports_invalid_prices(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path}/none.json: cannot be read: No such file"):
        check.main(["--master=127.0.0.1:1", f"--triton_prices={tmp_path}/none.json"])


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("type=tmpfs,device=tmpfs", {"type": "tmpfs", "device": "tmpfs"}),
        ("o=size=1G", {"o": "size=1G"}),
        ('{"type": "nfs", "o": "addr=10.0.0.1,rw"}', {"type": "nfs", "o": "addr=10.0.0.1,rw"}),
    ],
)
def test_options_of_the_volume_driver(text: str, options: dict[str, str]) -> None:
    assert volume_driver_options(text) == options


@pytest.mark.parametrize("text", ["type", "=x", "a=b,c", '{"size": 10}', '{"a"', "[]"])
def test_wrong_options_of_the_volume_driver(text: str) -> None:
    with pytest.raises(ValueError, match=r"key=value|not JSON|not a text"):
        volume_driver_options(text)


def test_the_environment_of_executors_is_a_json_object() -> None:
    flag = '--executor_environment_variables={"PATH": "/opt/bin", "EMPTY": ""}'
    found = load(["--master=m:1", flag], {})
    assert found.executor_environment_variables == {"PATH": "/opt/bin", "EMPTY": ""}
    assert load(["--master=m:1"], {}).executor_environment_variables == {}
    assert "/opt/bin" not in repr(found) + str(found.texts), "it may hold a password"


@pytest.mark.parametrize(
    "text",
    ["PATH=/bin", "[]", '{"A": 1}', '{"": "x"}', '{"A=B": "x"}', '{"A": "\\u0000"}', '{"A": null}'],
)
def test_what_is_no_environment(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a JSON object|not JSON|not a text|cannot be"):
        environment_variables(text)


@pytest.mark.parametrize(
    ("parser", "text"),
    [
        (environment_variables, r'{"A": "se\ud800cret"}'),
        (volume_driver_options, r'{"\ud800": "x"}'),
        (credential, r'{"principal": "\ud800", "secret": "secret"}'),
    ],
)
def test_a_text_that_no_message_can_hold_is_refused_at_the_start(
    parser: Callable[[str], object], text: str
) -> None:
    with pytest.raises(ValueError, match=r"lone surrogate") as caught:
        parser(text)
    assert "cret" not in str(caught.value)
