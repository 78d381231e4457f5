"""StartChecks orders from protobuf text of a task's health_check and check."""

from __future__ import annotations

import itertools

from google.protobuf import text_format

from shim.model.container import LABEL_SHIM, Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from shim.model.orders import StartChecks
from shim.protos.mesos_pb2 import TaskInfo

_numbers = itertools.count()


def task(text: str) -> TaskInfo:
    plain = 'name: "t" task_id { value: "t" } slave_id { value: "S0" }'
    return text_format.Parse(plain + text, TaskInfo())


def order(text: str, *addresses: str, was_healthy: bool = False) -> StartChecks:
    number = next(_numbers)
    key = TaskKey(FrameworkId("F"), TaskId(f"t{number}"))
    return StartChecks(
        Ref(key, ContainerId(f"c0-{number}")), task(text), addresses, was_healthy=was_healthy
    )


def order_for(name: str, text: str, *addresses: str) -> StartChecks:
    """Return the order for an existing container named ``mesos-...``."""
    key = TaskKey(FrameworkId("F"), TaskId("t"))
    ref = Ref(key, ContainerId(name.removeprefix("mesos-")))
    return StartChecks(ref, task(text), addresses)


LABELS = {LABEL_SHIM: "fake"}
