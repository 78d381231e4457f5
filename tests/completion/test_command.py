from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

import shim
from shim import cli, limits
from shim.client.parsers import COMMANDS as CLIENT_COMMANDS
from shim.client.parsers import client_parser
from shim.completion.command import WRITERS
from shim.completion.syntax import command_syntaxes
from shim.config.flags import FLAGS
from tests.http.conftest import serving
from tests.http.page_data import PageData, accept_task, end_task, run_task

FILES = {
    "bash": "mesos-shim",
    "zsh": "_mesos-shim",
    "fish": "mesos-shim.fish",
    "man": "mesos-shim.1",
}
HELPS = {name: text for name, (_, text) in cli.COMMANDS.items()}


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    commands = command_syntaxes(HELPS)
    return {name: write(commands) for name, write in WRITERS.items()}


@pytest.mark.parametrize("what", FILES)
def test_the_files_of_the_package_are_in_step(what: str, written: dict[str, str]) -> None:
    file = Path(shim.__file__).parent / "completion/files" / FILES[what]
    assert file.read_text(encoding="utf-8") == written[what], "run scripts/completion"


@pytest.mark.parametrize("what", FILES)
def test_every_command_and_every_flag_is_there(what: str, written: dict[str, str]) -> None:
    text = written[what].replace(r"\-", "-").replace(r"\fB", " ")
    options = {f"--{name}" for name in FLAGS}
    options |= {f"--no-{flag.name}" for flag in FLAGS.values() if flag.is_boolean}
    for name in CLIENT_COMMANDS:
        for action in client_parser(name)._actions:
            options |= {option for option in action.option_strings if option != "-h"}
    options |= {"--image", "--instances", "--agent_port", "--account", "--renew"}
    if what == "fish":
        options = {re.sub("^--?", "", option) for option in options} - {"help"}
    words = set(re.findall(r"-{0,2}\b[\w-]+", text))
    missing = (options | set(cli.COMMANDS)) - words
    assert missing - ({"--help"} if what == "man" else set()) == set()


@pytest.mark.parametrize("what", FILES)
async def test_it_is_printed(
    what: str, written: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["completion", what]) == 0
    assert capsys.readouterr().out == written[what]


def test_the_manual_has_only_known_requests_and_no_bare_dash(written: dict[str, str]) -> None:
    lines = written["man"].splitlines()
    requests = {line.split()[0] for line in lines if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".SS", ".TP", ".B", ".I"}
    assert [line for line in lines if re.search(r"(?<!\\)--", line)] == []


async def test_ids_of_tasks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An id that a shell would read as more than a word is not offered."""
    monkeypatch.setattr(limits, "LIVE_INTERVAL", 0.02)
    page_data = PageData()
    for name in ("web.1", "$(reboot)", "a;b", "old.2"):
        run_task(page_data.core, ref := accept_task(page_data.core, name))
    end_task(page_data.core, ref, acknowledged=True)

    async def ids(*flags: str) -> tuple[int, str]:
        code = await asyncio.to_thread(cli.main, ["completion", "tasks", *flags])
        said = capsys.readouterr()
        assert said.err == ""
        return code, said.out

    async with serving(page_data) as client:
        agent = f"--agent=127.0.0.1:{client.port}"
        assert await ids(agent) == (0, "web.1\n")
        assert await ids(agent, "--all") == (0, "old.2\nweb.1\n")
    assert await ids("--agent=127.0.0.1:1") == (1, "")
