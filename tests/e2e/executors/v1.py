"""A v1 executor in a container: the unmodified driver of pymesos.

A task runs until it is killed; TaskInfo.data is what it does: ``finish`` or ``exit`` (the whole
executor). A framework message comes back. ``STUBBORN`` in its environment: it ignores a shutdown.
"""

# ruff: noqa: N802, N803 - pymesos names its callbacks so

from __future__ import annotations

import base64
import os
import time
from typing import Any

import http_parser_compat  # type: ignore[import-not-found]

http_parser_compat.provide()

from pymesos import Executor, MesosExecutorDriver  # noqa: E402

Json = dict[str, Any]


class Inner(Executor):  # type: ignore[misc]
    def registered(self, driver: Any, *_: Json) -> None:
        print("registered", flush=True)

    def reregistered(self, driver: Any, *_: Json) -> None:
        print("reregistered", flush=True)

    def launchTask(self, driver: Any, task: Json) -> None:
        self._report(driver, task["task_id"], "TASK_RUNNING", "hello")
        what = base64.b64decode(task.get("data", "")).decode()
        if what == "exit":
            os._exit(3)
        if what == "finish":
            self._report(driver, task["task_id"], "TASK_FINISHED", "done")

    def killTask(self, driver: Any, taskId: Json) -> None:
        self._report(driver, taskId, "TASK_KILLED", "killed inside")

    def frameworkMessage(self, driver: Any, message: str) -> None:
        driver.sendFrameworkMessage(message)

    def shutdown(self, driver: Any) -> None:
        print("shutdown", flush=True)
        if "STUBBORN" in os.environ:
            time.sleep(1000)

    def _report(self, driver: Any, task_id: Json, state: str, message: str) -> None:
        driver.sendStatusUpdate({"task_id": task_id, "state": state, "message": message})


if __name__ == "__main__":
    MesosExecutorDriver(Inner()).run()
