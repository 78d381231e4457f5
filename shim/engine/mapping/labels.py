"""Labels of the container: its identity, and on Triton the task's placement labels."""

from __future__ import annotations

from collections.abc import Iterator

from shim.engine.mapping.spec_builder import (
    AFFINITY,
    FieldRow,
    SpecBuilder,
    TritonSupport,
    printable,
    without_nul,
)
from shim.model.container import (
    LABEL_AGENT,
    LABEL_CONTAINER,
    LABEL_EXECUTOR,
    LABEL_FRAMEWORK,
    LABEL_SHIM,
    LABEL_TASK,
    Ref,
)
from shim.model.ids import TaskKey
from shim.protos.mesos_pb2 import Label

AGENT_LABELS = frozenset(
    {LABEL_SHIM, LABEL_AGENT, LABEL_FRAMEWORK, LABEL_EXECUTOR, LABEL_TASK, LABEL_CONTAINER}
)
AFFINITIES = "com.docker.swarm.affinities"
_PLACEMENT = ("triton.", "com.joyent.")
_OPERATORS = ("==~", "!=~", "==", "!=")

FIELDS = (
    FieldRow(
        "(agent)",
        "Labels",
        "`org.apache.mesos.{agent_id,framework_id,executor_id,task_id,container_id}`,"
        " `mesos-shim.id`; an executor's own container has no `task_id`",
    ),
    FieldRow(
        "labels",
        "Labels, Env",
        "not given to the container, except on Triton `triton.*`, `com.joyent.*`,"
        " `com.docker.swarm.affinities` (labels) and `affinity:FILTER` (environment)",
        TritonSupport.SEE_NOTE,
        "not used",
    ),
)


def map_labels(builder: SpecBuilder, ref: Ref, agent_id: str, executor_id: str) -> None:
    """Set the identity labels, which no label or parameter of a task can change."""
    builder.labels.update(
        {
            LABEL_SHIM: builder.settings.shim_id,
            LABEL_AGENT: agent_id,
            LABEL_FRAMEWORK: ref.key.framework_id,
            LABEL_EXECUTOR: executor_id,
            LABEL_CONTAINER: ref.container_id,
        }
    )
    if isinstance(ref.key, TaskKey):
        builder.labels[LABEL_TASK] = ref.key.task_id
    if builder.settings.triton:
        _map_placement(builder)


def asks_for_public_network(builder: SpecBuilder) -> bool:
    """Return whether a label ``triton.network.public`` asks for a public address."""
    return any(key.startswith("triton.network.public") for key in builder.labels)


def _map_placement(builder: SpecBuilder) -> None:
    for label in _labels_of(builder):
        without_nul(f"labels[{printable(label.key)}]", label.value)
        if label.key.startswith(AFFINITY):
            name, value = affinity(label.key, label.value)
            builder.set_env(name, value)
        elif label.key == AFFINITIES or label.key.startswith(_PLACEMENT):
            builder.labels[label.key] = label.value


def _labels_of(builder: SpecBuilder) -> Iterator[Label]:
    """The task's labels, after those of the executor of its task group."""
    if builder.member is not None:
        yield from builder.member.executor.labels.labels
    yield from builder.task.labels.labels


def affinity(key: str, value: str) -> tuple[str, str]:
    """Return name and value of the environment entry for a placement filter in a task's label.

    The whole filter may be in the key (``affinity:app!=web``), or its operator may begin the value
    (``affinity:app`` with ``!=web``). The first ``=`` of the filter separates name from value.
    """
    complete = value.startswith(_OPERATORS) or "=" in key
    name, _, rest = (key + value if complete else f"{key}={value}").partition("=")
    return name, rest
