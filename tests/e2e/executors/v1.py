"""A v1 executor in a container: the unmodified driver of pymesos.

A task runs until it is killed; TaskInfo.data is what it does: ``finish``, ``quick``, ``failing``,
or ``exit`` (the whole executor). A framework message comes back. ``STUBBORN`` in its environment:
it ignores a shutdown.
"""

# ruff: noqa: N802, N803 - pymesos names its callbacks so

from __future__ import annotations

import base64
import os
import threading
import time
import uuid
from typing import Any

import diary  # type: ignore[import-not-found]
import http_parser_compat  # type: ignore[import-not-found]

http_parser_compat.provide()

from pymesos import Executor, MesosExecutorDriver  # noqa: E402

Json = dict[str, Any]


class Inner(Executor):  # type: ignore[misc]
    def __init__(self) -> None:
        self.live: set[str] = set()
        self.is_registered = False

    def registered(self, driver: Any, *_: Json) -> None:
        print("registered", flush=True)
        self.is_registered = True

    def reregistered(self, driver: Any, *_: Json) -> None:
        print("reregistered", flush=True)

    def launchTask(self, driver: Any, task: Json) -> None:
        task_id = task["task_id"]["value"]
        self.live.add(task_id)
        diary.say(task_id, "started")
        self._report(driver, task["task_id"], "TASK_RUNNING", "hello")
        what = base64.b64decode(task.get("data", "")).decode()
        if what == "exit":
            os._exit(3)
        if what == "finish":
            self._end(driver, task_id, "TASK_FINISHED", "done")
        if what == "quick":
            threading.Timer(0.2, self._end, (driver, task_id, "TASK_FINISHED", "done")).start()
        if what == "failing":
            self._end(driver, task_id, "TASK_FAILED", "Container exited with status 3", 3)

    def killTask(self, driver: Any, taskId: Json) -> None:
        self._end(driver, taskId["value"], "TASK_KILLED", "killed inside")

    def _end(self, driver: Any, task_id: str, state: str, text: str, code: int = 0) -> None:
        """Without effect when the task has ended."""
        if task_id in self.live:
            self.live.discard(task_id)
            diary.say(task_id, "ended", str(code))
            self._report(driver, {"value": task_id}, state, text)

    def frameworkMessage(self, driver: Any, message: str) -> None:
        driver.sendFrameworkMessage(message)

    def shutdown(self, driver: Any) -> None:
        print("shutdown", flush=True)
        if "STUBBORN" in os.environ:
            time.sleep(1000)

    def _report(self, driver: Any, task_id: Json, state: str, message: str) -> None:
        """pymesos tells unacknowledged updates when it subscribes, but notes none by itself."""
        number = uuid.uuid4()
        status = {
            "task_id": task_id,
            "state": state,
            "message": message,
            "uuid": base64.b64encode(number.bytes).decode(),
            "source": "SOURCE_EXECUTOR",
            "timestamp": time.time(),
        }
        driver.updates[number] = {"status": status}
        try:
            driver.sendStatusUpdate(status)
        except (OSError, RuntimeError) as error:
            print(state, "is not told yet:", error, flush=True)


if __name__ == "__main__":
    inner = Inner()
    running = MesosExecutorDriver(inner)
    diary.watch(lambda: inner.is_registered, lambda: bool(inner.live or running.updates))
    running.run()
