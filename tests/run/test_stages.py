from __future__ import annotations

import email.message
import io
import json
import urllib.error

from shim.client.progress import BARS, Progress
from shim.run.stages import INTERVAL, LaunchStages

AGENT = "http://10.0.0.1:5051"


class Agents:
    """A fake of the page, and a clock."""

    def __init__(self) -> None:
        self.stage = "pulling image 1 of 2 layers"
        self.error: Exception | None = None
        self.asked: list[str] = []
        self.now = 100.0
        self.output = io.StringIO()
        self.stages = LaunchStages(Progress(self.output), self.fetch, lambda: self.now)

    def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.error is not None:
            raise self.error
        return json.dumps({"stage": self.stage}).encode()

    def poll(self, *tasks: str) -> None:
        self.stages.poll(dict.fromkeys(tasks, AGENT), "F-1")
        self.now += INTERVAL


def answer(code: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError(AGENT, code, "", email.message.Message(), None)


def test_steps_of_a_launch_are_printed_until_it_runs() -> None:
    agents = Agents()
    agents.poll("web-1")
    agents.stage = "creating container"
    agents.poll("web-1")
    agents.poll()
    assert agents.asked == [f"{AGENT}/live/task?framework_id=F-1&task_id=web-1"] * 2
    assert agents.output.getvalue().splitlines() == [
        "web-1 pulling image 1 of 2 layers",
        "web-1 creating container",
    ]


def test_an_agent_is_asked_once_an_interval_and_about_few_tasks() -> None:
    agents = Agents()
    for _ in range(3):
        agents.stages.poll(dict.fromkeys(map(str, range(50)), AGENT), "F-1")
    assert len(agents.asked) == BARS


def test_a_task_that_the_agent_does_not_know_yet_is_asked_for_again() -> None:
    agents = Agents()
    agents.error = answer(404)
    agents.poll("web-1")
    agents.error = None
    agents.poll("web-1")
    assert agents.output.getvalue() == "web-1 pulling image 1 of 2 layers\n"


def test_an_agent_that_refuses_or_fails_is_not_asked_again() -> None:
    for error in (answer(401), ConnectionRefusedError(), ValueError()):
        agents = Agents()
        agents.error = error
        agents.poll("web-1")
        agents.poll("web-1")
        assert len(agents.asked) == 1
        assert agents.output.getvalue() == ""
