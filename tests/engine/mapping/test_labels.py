from __future__ import annotations

import pytest

from shim.engine.mapping.labels import affinity
from tests.engine.mapping.tasks import body, parameters, refusal

OURS = {
    "mesos-shim.id": "shim-1",
    "org.apache.mesos.agent_id": "A-S1",
    "org.apache.mesos.framework_id": "F-0000",
    "org.apache.mesos.executor_id": "web.1",
    "org.apache.mesos.task_id": "web.1",
    "org.apache.mesos.container_id": "0c2f-11",
}
LABELS = """labels {
    labels { key: "team" value: "web" }
    labels { key: "com.joyent.package" value: "g4-small" }
    labels { key: "triton.cns.services" value: "web:80" }
    labels { key: "com.docker.swarm.affinities" value: "[]" }
    labels { key: "affinity:container" value: "!=~web*" }
}"""


def test_identity_labels() -> None:
    assert body()["Labels"] == OURS


def test_labels_of_the_task_are_not_given_to_the_container() -> None:
    assert body(LABELS)["Labels"] == OURS


def test_on_triton_placement_labels_are_passed_on() -> None:
    made = body(LABELS, kind="triton")
    assert made["Labels"] == OURS | {
        "com.joyent.package": "g4-small",
        "triton.cns.services": "web:80",
        "com.docker.swarm.affinities": "[]",
    }
    assert made["Env"][-1] == "affinity:container!=~web*"


LABELLED = """labels {
    labels { key: "affinity:app" value: "!=web" }
    labels { key: "affinity:app" value: "!=db" }
}"""
VARIABLES = """command { environment {
    variables { name: "affinity:app!" value: "web" }
    variables { name: "affinity:app!" value: "db" }
} }"""
GIVEN = parameters("env=affinity:app!=web", "env=affinity:app!=db")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (GIVEN, ["web", "db"]),
        (LABELLED, ["web", "db"]),
        (VARIABLES, ["web", "db"]),
        (LABELLED + parameters("env=affinity:app!=cache"), ["web", "db", "cache"]),
    ],
)
def test_all_placement_filters_of_one_label_are_sent(text: str, sent: list[str]) -> None:
    """The variable's name, before the first ``=``, is the same for all filters."""
    made = body(text, kind="triton")["Env"]
    filters = [entry for entry in made if entry.startswith("affinity:")]
    assert filters == [f"affinity:app!={value}" for value in sent]


@pytest.mark.parametrize("key", OURS)
def test_a_parameter_cannot_set_an_identity_label(key: str) -> None:
    assert refusal(parameters(f"label={key}=x")) == (
        f"This label is reserved for the agent: container.docker.parameters[0] 'label={key}'"
    )


@pytest.mark.parametrize("key", OURS)
def test_a_label_of_the_task_cannot_set_an_identity_label(key: str) -> None:
    text = f'labels {{ labels {{ key: "{key}" value: "x" }} }}'
    assert body(text, kind="triton")["Labels"] == OURS


@pytest.mark.parametrize(
    ("key", "value", "variable"),
    [
        ("affinity:container", "!=web*", "affinity:container!=web*"),
        ("affinity:container", "==~web*", "affinity:container==~web*"),
        ("affinity:container!=web*", "", "affinity:container!=web*"),
        ("affinity:container!", "web*", "affinity:container!=web*"),
        ("affinity:role", "==db", "affinity:role==db"),
        ("affinity:app", "!=~web", "affinity:app!=~web"),
    ],
)
def test_forms_of_an_affinity_label(key: str, value: str, variable: str) -> None:
    assert "=".join(affinity(key, value)) == variable
