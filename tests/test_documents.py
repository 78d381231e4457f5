"""The documents are true: links and anchors lead somewhere, quoted commands are understood.

A quoted command line is a line of a fenced block without a language, or of a shell block, that
begins with a program of this repository. It is run in its dry form: ``--help`` for a command of
``mesos-shim`` after its flags were parsed, ``--help`` for a script, ``bash -n`` for the rest.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from shim.config import load
from shim.config.flags import FLAGS
from tests.support import forkserver

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *(ROOT / ".github").rglob("*.md"),
        *(ROOT / "compose").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        *(ROOT / "shim").rglob("*.md"),
        *(ROOT / "tests").rglob("*.md"),
    )
)
IDS = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
PROMPT = re.compile(r"^\$ ")
PROGRAM = re.compile(
    r"^(?:\S*/)?(mesos-shim|start\.sh|env\.sh|test\.sh|scripts/[\w-]+(?:\.sh)?|\.ci/run)$"
)
REFERENCE = re.compile(r"\b(facts|design|section) \d|house\.md|\.\./shared")


def prose(document: Path) -> str:
    """Its text without fenced blocks."""
    return FENCE.sub("", document.read_text(encoding="utf-8"))


@cache
def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives to its headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
        found.add(plain.strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_link_and_anchor_is_there(document: Path) -> None:
    for link in LINK.findall(prose(document)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{document.name} links to {link}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_only_documents_of_this_repository_are_cited(document: Path) -> None:
    assert REFERENCE.findall(document.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_file_that_is_named_is_there(document: Path) -> None:
    """As a path from the document's directory, the root, or ``shim/``; a bare module anywhere."""
    modules = {path.name for path in (ROOT / "shim").rglob("*.py")}
    for word in INLINE.findall(prose(document)):
        if not re.fullmatch(r"[\w.-]*(/[\w.-]+)*(\.(py|sh|md|yml|proto)|/)", word):
            continue
        if word.startswith(".run/"):
            continue  # start.sh creates it.
        places = (document.parent / word, ROOT / word, ROOT / "shim" / word)
        assert word in modules or any(place.exists() for place in places), f"no {word}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 220


# --- commands -------------------------------------------------------------------------------


def joined(block: str) -> str:
    return block.replace("\\\n", " ")


def quoted(document: Path) -> Iterator[str]:
    """Command lines of a document: in fenced blocks, and inline where flags follow a program."""
    text = document.read_text(encoding="utf-8")
    for language, block in FENCE.findall(text):
        if language in ("", "sh", "bash", "console"):
            for line in joined(block).splitlines():
                yield PROMPT.sub("", line.strip())
    yield from INLINE.findall(prose(document))


def words_of(line: str) -> list[str]:
    """The line's words from its program on, without comment and leading assignments; or none."""
    line = line.split(" #")[0].split(" | ")[0].split(" && ")[0].rstrip("; ")
    line = re.sub(r'^eval "\$\((.*)\)"$', r"\1", line)
    try:
        words = shlex.split(line)
    except ValueError:
        return []
    while words and (re.match(r"^[A-Z_]+=", words[0]) or words[0] in ("bash", "exec")):
        words.pop(0)
    return words if words and PROGRAM.match(words[0]) else []


def commands() -> Iterator[tuple[str, list[str]]]:
    seen = set()
    for document in DOCUMENTS:
        for line in quoted(document):
            words = words_of(line)
            if words and tuple(words) not in seen:
                seen.add(tuple(words))
                yield f"{document.relative_to(ROOT)}: {' '.join(words)}", words


COMMANDS = dict(commands())


def test_commands_are_found() -> None:
    programs = {Path(words[0]).name for words in COMMANDS.values()}
    assert {"mesos-shim", "start.sh", "env.sh", "test.sh", "sim", "planted"} <= programs


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
    )


@cache
def help_of(*words: str) -> str:
    done = run(*words, "--help")
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@cache
def help_of_module(*words: str) -> str:
    """Of ``python -m WORDS``."""

    async def ask(output: int) -> int:
        return await (await forkserver.spawn(*words, "--help", output=output)).wait()

    with tempfile.TemporaryFile("w+") as file:
        code = asyncio.run(ask(file.fileno()))
        file.seek(0)
        text = file.read()
    assert code == 0, f"{words}: {text}"
    return text


def long_flags(words: list[str]) -> list[str]:
    return [word.split("=")[0] for word in words if re.match(r"^--[a-z]", word)]


@pytest.mark.parametrize("label", COMMANDS)
def test_a_quoted_command_is_understood(label: str) -> None:
    words = COMMANDS[label]
    program = Path(words[0]).name
    if program == "mesos-shim":
        check_mesos_shim([word for word in words[1:] if word not in ("…", "...")])
    elif program == "start.sh":
        check_flags(words[1:], help_of("bash", "start.sh"))
    elif program in ("env.sh", "test.sh", "run"):
        script = ROOT / words[0] if (ROOT / words[0]).exists() else ROOT / "scripts" / program
        assert run("bash", "-n", str(script)).returncode == 0
    else:
        script = ROOT / "scripts" / program
        assert script.exists(), f"{label}: there is no {script.name}"
        check_script(program, words[1:])


def check_mesos_shim(words: list[str]) -> None:
    command = next((word for word in words if not word.startswith("-")), "")
    if command == "":
        help_of_module("shim")
        return
    if command in ("agent", "check"):
        flags = [word for word in words if word.startswith("--") and word != "--json"]
        for flag in flags:
            name = flag[2:].partition("=")[0]
            assert name.removeprefix("no-") in FLAGS, f"{flag} is no flag of the agent"
        values = [flag for flag in flags if "=" in flag and "file://" not in flag]
        given = [f for f in values if not re.search(r"=(/|.*\.\.\.|.*…|[A-Z]{3,})", f)]
        if not any(flag.startswith("--master=") for flag in given):
            given.append("--master=127.0.0.1:5050")
        load(given, {})
    else:
        check_flags(words, help_of_module("shim", command))


def check_flags(words: list[str], text: str) -> None:
    for flag in long_flags([word for word in words if word != "--help"]):
        name = flag.removeprefix("--").removeprefix("no-")
        assert re.search(rf"--(\[no-\])?(no-)?{name}\b", text) or name in FLAGS, f"no flag {flag}"


def check_script(program: str, words: list[str]) -> None:
    source = (ROOT / "scripts" / program).read_text(encoding="utf-8")
    module = re.search(r"-m (tests[\w.]+)", source)
    if program == "bench" and words and not words[0].startswith("-"):
        check_flags(words[1:], help_of_module(f"tests.bench.{words[0]}"))
    elif module and program != "bench":
        check_flags(words, help_of_module(module[1]))
    else:
        assert run("bash", "-n", f"scripts/{program}").returncode == 0
