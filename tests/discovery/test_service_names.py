from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.discovery.service_names import base_name, dns_label, is_registered, port_names
from shim.discovery.task_ports import TaskPort
from shim.model.settings import RegisterMode
from tests.discovery.tasks import discovery, task


@given(st.text(), st.integers(min_value=4, max_value=63))
def test_every_text_becomes_a_valid_dns_label(text: str, length: int) -> None:
    label = dns_label(text, length)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", label)
    assert len(label) <= length
    assert dns_label(label, length) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("web", "web"),
        ("/team/My_App", "team-my-app"),
        ("b.a", "b-a"),
        ("-x-", "x"),
        ("ü", "task"),
        ("a" * 80, "a" * 63),
        ("a" * 62 + "-b", "a" * 62),
    ],
)
def test_dns_labels(text: str, label: str) -> None:
    assert dns_label(text) == label


@pytest.mark.parametrize(
    ("labels", "text", "name"),
    [
        ({"consul": "shop"}, discovery(name="disco"), "shop"),
        ({"consul": "true"}, discovery(name="disco"), "disco"),
        ({"consul": ""}, "", "web"),
        ({}, discovery(name="disco"), "disco"),
        ({}, "", "web"),
    ],
)
def test_the_name_is_the_label_else_discovery_else_the_task(
    labels: dict[str, str], text: str, name: str
) -> None:
    notes: list[str] = []
    assert base_name(task(text), labels, notes) == name
    assert notes == []


def test_a_changed_name_is_noted() -> None:
    notes: list[str] = []
    assert base_name(task(name="My.App"), {}, notes) == "my-app"
    assert "'My.App'" in notes[0]
    assert "'my-app'" in notes[0]


def test_further_ports_append_their_own_name_or_their_rank() -> None:
    ports: list[TaskPort | None] = [
        TaskPort(80, 80, "http"),
        TaskPort(81, 81, "admin"),
        TaskPort(82, 82),
        TaskPort(83, 83, labels={"consul": "Other"}),
    ]
    assert port_names("web", ports) == ["web", "web-admin", "web-port3", "other"]
    assert port_names("web", [None]) == ["web"]


def test_a_long_name_is_cut_before_the_port_suffix() -> None:
    names = port_names("a" * 63, [TaskPort(1, 1), TaskPort(2, 2, "x" * 63), TaskPort(3, 3)])
    assert all(len(name) <= 63 for name in names)
    assert names[2].endswith("-port3")
    assert len(set(names)) == 3


@pytest.mark.parametrize(
    ("labels", "register", "wanted"),
    [
        ({}, RegisterMode.ALL, True),
        ({"consul": "False"}, RegisterMode.ALL, False),
        ({"consul": "no"}, RegisterMode.LABELLED, False),
        ({}, RegisterMode.LABELLED, False),
        ({"consul": ""}, RegisterMode.LABELLED, True),
        ({"consul": "x"}, RegisterMode.NONE, False),
    ],
)
def test_label_and_mode_decide_whether_a_task_is_registered(
    labels: dict[str, str], register: RegisterMode, wanted: bool
) -> None:
    assert is_registered(labels, register) is wanted
