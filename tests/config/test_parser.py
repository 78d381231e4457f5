from __future__ import annotations

from pathlib import Path

import pytest

from shim import limits
from shim.config.parser import parse
from shim.errors import ConfigError


def texts(*argv: str, **environ: str) -> dict[str, str]:
    return {name: given.text for name, given in parse(argv, environ).items()}


def test_a_value_follows_an_equals_sign_or_is_the_next_word() -> None:
    assert texts("--work_dir=/a=b", "--engine", "docker") | {} == texts() | {
        "work_dir": "/a=b",
        "engine": "docker",
    }


def test_booleans_are_set_by_name_and_no_name() -> None:
    assert texts("--hostname_lookup")["hostname_lookup"] == "true"
    assert texts("--no-hostname_lookup")["hostname_lookup"] == "false"
    assert texts("--hostname_lookup=0")["hostname_lookup"] == "0"


def test_a_boolean_does_not_take_the_next_word() -> None:
    found = texts("--docker_tls_verify", "--engine=docker")
    assert (found["docker_tls_verify"], found["engine"]) == ("true", "docker")


def test_precedence_of_command_line_environment_and_default() -> None:
    environ = {"MESOS_PORT": "7000", "MESOS_IP": "10.0.0.1", "MESOS_UNKNOWN": "x"}
    found = texts("--port=8000", **environ)
    assert (found["port"], found["ip"], found["engine"]) == ("8000", "10.0.0.1", "auto")
    assert "unknown" not in found


def test_an_empty_variable_is_unset() -> None:
    assert texts(MESOS_PORT="")["port"] == "5051"


def test_flags_without_default_are_absent_until_given() -> None:
    assert "ip" not in texts()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--mastr=x", "unknown flag --mastr: did you mean --master?"),
        ("--work-dir=x", "unknown flag --work-dir: did you mean --work_dir?"),
        ("--no-hostname_lokup", "unknown flag --no-hostname_lokup: did you mean --no-hostname_"),
        ("--zzz=1", r"unknown flag --zzz \(mesos-shim agent --help lists them\)"),
        ("--no-port", "--no-port: --port is not a boolean"),
        ("--no-hostname_lookup=true", "--no-hostname_lookup=true: takes no value"),
        ("--port", "--port needs a value: --port=PORT"),
        ("master", "'master' is not a flag"),
        ("-h", "'-h' is not a flag"),
    ],
)
def test_errors_name_the_word(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        texts(word)


def test_a_flag_does_not_take_the_next_flag_as_its_value() -> None:
    with pytest.raises(ConfigError, match="--port needs a value"):
        texts("--port", "--ip=10.0.0.1")


def test_the_same_flag_twice_is_an_error() -> None:
    with pytest.raises(ConfigError, match="--port is given twice"):
        texts("--port=1", "--port=1")
    with pytest.raises(ConfigError, match="--hostname_lookup is given twice"):
        texts("--hostname_lookup", "--no-hostname_lookup")


def test_a_file_url_means_the_contents_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "resources"
    file.write_text("cpus:4;mem:8\n")
    assert texts(f"--resources=file://{file}")["resources"] == "cpus:4;mem:8"


def test_a_file_url_for_a_path_stays_a_path(tmp_path: Path) -> None:
    assert texts("--work_dir=file:///x")["work_dir"] == "file:///x"


def test_an_unreadable_file_is_an_error_with_its_flag(tmp_path: Path) -> None:
    binary, large = tmp_path / "binary", tmp_path / "large"
    binary.write_bytes(b"\xff\xfe")
    large.write_bytes(b" " * (limits.FLAG_FILE_BYTES + 1))
    for file, reason in (
        (tmp_path / "none", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (binary, "not UTF-8 text"),
        (large, "more than"),
    ):
        with pytest.raises(ConfigError, match=f"MESOS_RESOURCES=file://{file}: {reason}"):
            texts(MESOS_RESOURCES=f"file://{file}")
