from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from shim import __version__, cli
from shim.errors import ConfigError, FatalError


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"mesos-shim {__version__}\n"


@pytest.mark.parametrize(("argv", "code"), [(["--help"], 0), ([], 2)])
def test_help_names_every_command(
    argv: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(argv) == code
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in cli.COMMANDS)


@pytest.mark.parametrize("name", ["agent", "check"])
def test_help_of_a_command_names_its_flags(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    assert "--executor_registration_timeout=DURATION" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["agnt"], "mesos-shim: no command 'agnt': agent, dev, run, certs, check, ps, "),
        (["agent", "--prot=1"], "mesos-shim: unknown flag --prot: did you mean --port?\n"),
        (
            ["agent", "--master=m:1", "--port=x"],
            "mesos-shim: --port=x: not a port from 0 to 65535\n",
        ),
        (["check", "--master=m"], "mesos-shim: --master=m: not host:port"),
        (["ps", "--prot=1"], "mesos-shim: unrecognized arguments: --prot=1 (mesos-shim ps --help"),
        (["run"], "mesos-shim: the following arguments are required: --master, --image (mesos"),
        (["top", "--interval=nan"], "mesos-shim: argument --interval: 'nan' is not a positive"),
        (["top", "--count=-1"], "mesos-shim: argument --count: '-1' is not a number"),
        (["completion", "nosh"], "mesos-shim: argument what: invalid choice: 'nosh' (choose from"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_one_line(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == 1


def failing(error: Exception) -> tuple[cli.Command, str]:
    def command(argv: Sequence[str]) -> int:
        raise error

    return command, ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FatalError("no\nspace"), 1),
        (ConfigError("no\nspace"), 2),
        (ExceptionGroup("tasks", [ValueError(), FatalError("no space")]), 1),
        (ExceptionGroup("tasks", [ExceptionGroup("more", [ConfigError("no space")])]), 2),
    ],
)
def test_a_failure_is_one_line(
    error: Exception,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(cli.COMMANDS, "agent", failing(error))
    assert cli.main(["agent"]) == code
    assert capsys.readouterr().err == "mesos-shim: no space\n"


@pytest.mark.parametrize("error", [ValueError("a bug"), ExceptionGroup("x", [ValueError("a bug")])])
def test_an_unexpected_exception_is_raised(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cli.COMMANDS, "agent", failing(error))
    with pytest.raises(type(error)):
        cli.main(["agent"])


def test_libraries_write_nothing_between_the_lines_of_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(argv: Sequence[str]) -> int:
        logging.getLogger("kazoo").warning("Connection dropped: socket connection refused")
        logging.getLogger("asyncio").error("Task exception was never retrieved")
        return 0

    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setitem(cli.COMMANDS, "check", (command, ""))
    assert cli.main(["check"]) == 0
    assert capsys.readouterr() == ("", "")


def test_bytes_of_the_command_line_are_utf8_in_every_locale(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[str] = []

    def command(argv: Sequence[str]) -> int:
        given.extend(argv)
        return 0

    monkeypatch.setitem(cli.COMMANDS, "exec", (command, ""))
    ascii_only = "ä日".encode().decode("ascii", "surrogateescape")
    assert cli.main(["exec", "a", "ä日", ascii_only, "\udcff"]) == 0
    assert given == ["a", "ä日", "ä日", "\udcff"]


def test_help_of_a_command_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["help", "ps"])
    assert capsys.readouterr().out.startswith("usage: mesos-shim ps ")


def test_ctrl_c_prints_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(argv: Sequence[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "run", (command, ""))
    assert cli.main(["run"]) == 130


def test_python_m_shim_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shim", "agent", "--nonsense"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("mesos-shim: unknown flag --nonsense")


@pytest.mark.parametrize("argv", [["--help"], ["certs", "--help"]])
def test_help_for_a_reader_that_has_seen_enough_is_no_error(argv: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "shim", *argv], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_character_that_the_terminal_does_not_have_is_escaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii"))
    monkeypatch.setitem(cli.COMMANDS, "ps", (lambda argv: print("a…b"), ""))
    cli.main(["ps"])
    assert output.getvalue() == b"a\\u2026b\n"
