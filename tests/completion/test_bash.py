"""The completion in a real bash."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from shim.cli import COMMANDS
from shim.completion.bash import bash_completion
from shim.completion.syntax import command_syntaxes

SCRIPT = bash_completion(command_syntaxes({name: text for name, (_, text) in COMMANDS.items()}))
FAKE = 'echo "$*" >>"$CALLS"; printf "%s\\n" web.1 web:2 batch.3'
ASK = r"""
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
while IFS= read -r line; do
  COMP_LINE=$line COMP_POINT=${#line}
  _mesos_shim
  (IFS=,; echo "${COMPREPLY[*]}")
done
"""
CASES = {
    "mesos-shim a": "agent",
    "mesos-shim comp": "completion",
    "mesos-shim agent --eng": "--engine=",
    # After a word break of readline, only what follows it is replaced.
    "mesos-shim agent --engine=": "auto,docker,triton",
    "mesos-shim agent --engine=do": "docker",
    "mesos-shim check --engine tr": "triton",
    "mesos-shim dev --mast": "",
    "mesos-shim agent --engine docker --no-unsafe": "--no-unsafe_exec",
    "mesos-shim agent --work_dir=/usr/share/zonei": "/usr/share/zoneinfo",
    "mesos-shim agent --hostname ": "",
    "mesos-shim kill -s US": "USR1,USR2",
    "mesos-shim kill -s TERM we": "web.1,web:2",
    "mesos-shim kill web:": "2",
    "mesos-shim kill --agent 10.0.0.1 --credentials=/c web.1 ba": "batch.3",
    "mesos-shim logs -f --tail 5 ba": "batch.3",
    "mesos-shim exec -t web.1 ba": "",
    "mesos-shim ps is:failed is:h": "healthy",
    "mesos-shim completion b": "bash",
    "mesos-shim completion bash ": "",
    "mesos-shim nothing --": "",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one bash replies to each line; ``calls`` holds how it asked for tasks."""
    directory: Path = tmp_path_factory.mktemp("bash")
    program = directory / "mesos-shim"
    program.write_text(f"#!/bin/sh\n{FAKE}\n")
    program.chmod(0o755)
    calls = directory / "calls"
    done = subprocess.run(
        ["bash", "--norc", "-c", SCRIPT + ASK],
        input="".join(f"{line}\n" for line in CASES),
        env={"PATH": f"{directory}:/usr/bin:/bin", "CALLS": str(calls)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    found = dict(zip(CASES, done.stdout.splitlines(), strict=True))
    return found | {"calls": calls.read_text()}


@pytest.mark.parametrize(("line", "reply"), CASES.items())
def test_what_follows(answers: dict[str, str], line: str, reply: str) -> None:
    assert answers[line] == reply


def test_tasks_are_those_of_the_agent_that_the_line_names(answers: dict[str, str]) -> None:
    calls = answers["calls"].splitlines()
    assert "completion tasks --agent=10.0.0.1 --credentials=/c" in calls
    assert "completion tasks --all" in calls
