"""Pods of three tasks, coming and going for as long as faults are being made.

======== ===============================================================================
kind     what it does
======== ===============================================================================
quick    all run for a moment and succeed
failing  the first fails at once with a code of its own, which ends the others
killed   all run until the framework kills the first, which ends the others
hasty    the first is killed right behind the launch
lasting  all run through everything; killed at the end
======== ===============================================================================
"""

from __future__ import annotations

from tests.e2e.client import Json, task
from tests.e2e.faults import evidence
from tests.e2e.faults.load import GRACE, KINDS, NO_GRACE, UNTIL_TERM, Load
from tests.e2e.pods import group, in_pod, shared_volume

MEMBERS = 3
UNDONE = {"TASK_DROPPED", "TASK_LOST"}


class PodLoad(Load):
    exit_text = "Command"

    def complaints(self) -> list[str]:
        return super().complaints() + [
            complaint
            for first in self.launched[::MEMBERS]
            for complaint in self._of_pod(first.removesuffix(".0"))
        ]

    def _of_pod(self, pod: str) -> list[str]:
        """TASK_RUNNING waits for all launches, and an end but TASK_FINISHED ends all."""
        states = {name: self._framework.states(name) for name in self._names(pod)}
        ends = {told[-1] for told in states.values() if told}
        found = []
        if ends & UNDONE and any("TASK_RUNNING" in told for told in states.values()):
            found.append(f"{pod}: told as running, and not launched in whole: {states}")
        if "TASK_FINISHED" in ends and pod.startswith("failing"):
            found.append(f"{pod}: a task outlived the failure of another one: {states}")
        return found

    def _names(self, name: str) -> list[str]:
        return [f"{name}.{number}" for number in range(MEMBERS)]

    def _is_victim(self, task_id: str) -> bool:
        return task_id.startswith("killed") and task_id.endswith(".0")

    def _operation(self, tasks: list[str], kind: str) -> Json:
        pod = tasks[0].removesuffix(".0")
        members = [self._task(task_id, kind) for task_id in tasks]
        return group(self._framework, pod, *members)

    def _task(self, task_id: str, kind: str) -> Json:
        others = kind == "failing" and not task_id.endswith(".0")
        script = evidence.script(task_id, UNTIL_TERM if others else KINDS[kind])
        policy = NO_GRACE if kind == "hasty" else GRACE
        info = task(task_id, script, cpus=0.01, kill_policy=policy)
        return in_pod(info, self._image, volumes=[*self.volumes, shared_volume("data", "/data")])
