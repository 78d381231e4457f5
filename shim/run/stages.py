"""What the launches of a run do, asked of their agents: they know more than status updates say.

Only this project's agents have the page. Others, and those that want a password, are left alone.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
from collections.abc import Callable, Iterable, Mapping

from shim.client.progress import BARS, Progress
from shim.run import logs

Fetch = Callable[[str], bytes]

INTERVAL = 1.0
"""Seconds between two questions about a task."""

TIMEOUT = 2.0


def fetch(url: str) -> bytes:
    """The body of a 200 answer. Raises OSError for any other answer."""
    return logs.fetch(url, TIMEOUT)


class LaunchStages:
    """Shows the stages of launches that are under way by ``progress``."""

    def __init__(
        self,
        progress: Progress,
        fetch: Fetch = fetch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress = progress
        self._fetch = fetch
        self._clock = clock
        self._next = 0.0
        self._shown: set[str] = set()
        self._silent: set[str] = set()
        """Agents without the page."""

    def poll(self, launches: Mapping[str, str], framework_id: str) -> None:
        """``launches``: the tasks that start, with the URLs of their agents. Cheap if repeated."""
        for task_id in self._shown - launches.keys():
            self._show(task_id, "")
        if self._clock() < self._next:
            return
        self._next = self._clock() + INTERVAL
        for task_id, agent in self._asked(launches):
            query = {"framework_id": framework_id, "task_id": task_id}
            self._show(task_id, self._stage(agent, urllib.parse.urlencode(query)))
        self._progress.draw()

    def hide(self) -> None:
        """Until the next poll: another line is to be printed."""
        self._progress.hide()

    def _asked(self, launches: Mapping[str, str]) -> Iterable[tuple[str, str]]:
        known = [(task, agent) for task, agent in launches.items() if agent not in self._silent]
        return known[:BARS]

    def _show(self, task_id: str, stage: str) -> None:
        self._progress.update(task_id, stage)
        if stage:
            self._shown.add(task_id)
        else:
            self._shown.discard(task_id)

    def _stage(self, agent: str, query: str) -> str:
        try:
            return str(json.loads(self._fetch(f"{agent}/live/task?{query}"))["stage"])
        except urllib.error.HTTPError as error:
            # A task that its agent has not heard of yet, or an agent without the page.
            if error.code != 404:
                self._silent.add(agent)
        except (OSError, ValueError, KeyError, TypeError):
            self._silent.add(agent)
        return ""
