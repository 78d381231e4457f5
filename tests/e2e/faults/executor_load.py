"""The tasks of ``load``, run by custom executors that come and go: v0 and v1 (pymesos) in turn.

They write their diaries where ``tests/e2e/executors/diary.py`` says.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from tests.e2e.client import Framework, Json
from tests.e2e.faults.load import Load

TASKS = 5
"""Of one executor; it exits when it has none."""


class ExecutorLoad(Load):
    def __init__(
        self,
        framework: Framework,
        image: str,
        directory: Path,
        protocols: Sequence[str] = ("v0", "v1"),
    ) -> None:
        """``image`` is the one of ``tests.e2e.executors``."""
        super().__init__(framework, image, directory)
        self._protocols = protocols
        self._tasks = count()

    def _task(self, task_id: str, kind: str) -> Json:
        number = next(self._tasks) // TASKS
        protocol = self._protocols[number % len(self._protocols)]
        return {
            "name": task_id,
            "task_id": {"value": task_id},
            "resources": _scalars(cpus=0.01, mem=8),
            "executor": self._executor(f"{protocol}-{number}", f"exec python3 {protocol}.py"),
            "data": base64.b64encode(kind.encode()).decode(),
        }

    def _executor(self, executor_id: str, command: str) -> Json:
        return {
            "type": "CUSTOM",
            "executor_id": {"value": executor_id},
            "framework_id": {"value": self._framework.framework_id},
            "command": {"value": command},
            "container": {
                "type": "DOCKER",
                "docker": {"image": self._image, "network": "BRIDGE"},
                "volumes": self.volumes,
            },
            "resources": _scalars(cpus=0.01, mem=64),
        }


def _scalars(**amounts: float) -> list[Json]:
    return [{"name": n, "type": "SCALAR", "scalar": {"value": v}} for n, v in amounts.items()]
