"""The container's labels: whose it is, and on Triton what the task's own ask of the place."""

from __future__ import annotations

from shim.engine.mapping.spec_builder import AFFINITY, Field, SpecBuilder, Triton, no_nul, plain
from shim.model.container import (
    LABEL_AGENT,
    LABEL_CONTAINER,
    LABEL_EXECUTOR,
    LABEL_FRAMEWORK,
    LABEL_SHIM,
    LABEL_TASK,
    Ref,
)

RESERVED_LABELS = frozenset(
    {LABEL_SHIM, LABEL_AGENT, LABEL_FRAMEWORK, LABEL_EXECUTOR, LABEL_TASK, LABEL_CONTAINER}
)
AFFINITIES = "com.docker.swarm.affinities"
_PLACEMENT = ("triton.", "com.joyent.")
_OPERATORS = ("==~", "!=~", "==", "!=")

FIELDS = (
    Field(
        "(agent)",
        "Labels",
        "`org.apache.mesos.{agent_id,framework_id,executor_id,task_id,container_id}`,"
        " `mesos-shim.id`",
    ),
    Field(
        "labels",
        "Labels, Env",
        "not given to the container, except on Triton `triton.*`, `com.joyent.*`,"
        " `com.docker.swarm.affinities` (labels) and `affinity:FILTER` (environment)",
        Triton.NOTE,
        "not used",
    ),
)


def map_labels(draft: SpecBuilder, ref: Ref, agent_id: str, executor_id: str) -> None:
    """The contract's labels; nothing a task says may change one of them."""
    draft.labels.update(
        {
            LABEL_SHIM: draft.rules.shim_id,
            LABEL_AGENT: agent_id,
            LABEL_FRAMEWORK: ref.key.framework_id,
            LABEL_EXECUTOR: executor_id,
            LABEL_TASK: ref.key.task_id,
            LABEL_CONTAINER: ref.container_id,
        }
    )
    if draft.rules.triton:
        _map_placement(draft)


def asks_for_public_network(draft: SpecBuilder) -> bool:
    return any(key.startswith("triton.network.public") for key in draft.labels)


def _map_placement(draft: SpecBuilder) -> None:
    for label in draft.task.labels.labels:
        no_nul(f"labels[{plain(label.key)}]", label.value)
        if label.key.startswith(AFFINITY):
            name, value = affinity(label.key, label.value)
            draft.set_env(name, value)
        elif label.key == AFFINITIES or label.key.startswith(_PLACEMENT):
            draft.labels[label.key] = label.value


def affinity(key: str, value: str) -> tuple[str, str]:
    """An affinity label as an environment variable, whose first ``=`` parts name from value.

    The filter may stand in the key (``affinity:app!=web``), or its operator may begin the value
    (``affinity:app`` with ``!=web``).
    """
    complete = value.startswith(_OPERATORS) or "=" in key
    name, _, rest = (key + value if complete else f"{key}={value}").partition("=")
    return name, rest
