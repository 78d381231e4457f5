from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.discovery.config import Register
from shim.discovery.names import base_name, dns_label, is_wanted, port_names
from shim.discovery.ports import Port
from tests.discovery.tasks import discovery, task


@given(st.text(), st.integers(min_value=4, max_value=63))
def test_a_label_is_one_that_dns_and_consul_find(text: str, length: int) -> None:
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
def test_labels(text: str, label: str) -> None:
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


def test_further_ports_have_their_own_name_or_their_rank_behind() -> None:
    ports: list[Port | None] = [
        Port(80, 80, "http"),
        Port(81, 81, "admin"),
        Port(82, 82),
        Port(83, 83, labels={"consul": "Other"}),
    ]
    assert port_names("web", ports) == ["web", "web-admin", "web-port3", "other"]
    assert port_names("web", [None]) == ["web"]


def test_a_long_name_leaves_room_for_the_ports() -> None:
    names = port_names("a" * 63, [Port(1, 1), Port(2, 2, "x" * 63), Port(3, 3)])
    assert all(len(name) <= 63 for name in names)
    assert names[2].endswith("-port3")
    assert len(set(names)) == 3


@pytest.mark.parametrize(
    ("labels", "register", "wanted"),
    [
        ({}, Register.ALL, True),
        ({"consul": "False"}, Register.ALL, False),
        ({"consul": "no"}, Register.LABELLED, False),
        ({}, Register.LABELLED, False),
        ({"consul": ""}, Register.LABELLED, True),
        ({"consul": "x"}, Register.NONE, False),
    ],
)
def test_who_is_registered(labels: dict[str, str], register: Register, wanted: bool) -> None:
    assert is_wanted(labels, register) is wanted
