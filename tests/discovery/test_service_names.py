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
    assert re.fullmatch(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?)?", label)
    assert bool(label) == bool(re.search("[a-z0-9]", text.lower()))
    assert len(label) <= length
    assert dns_label(label, length) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("web", "web"),
        ("/team/My_App", "team-my-app"),
        ("b.a", "b-a"),
        ("-x-", "x"),
        ("ü", ""),
        ("日本語", ""),
        ("---", ""),
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


@pytest.mark.parametrize("unusable", ["日本語", "Ελληνικά", "---"])
def test_a_name_without_a_dns_label_gives_way_to_the_next_one(unusable: str) -> None:
    notes: list[str] = []
    labels = {"consul": unusable}
    assert base_name(task(discovery(name="disco")), labels, notes) == "disco"
    assert base_name(task(), labels, notes) == "web"
    assert base_name(task(name=unusable), {}, notes) == "1"
    assert notes[1] == f"name {unusable!r} is registered as 'web', which DNS can find"


@given(st.lists(st.text(min_size=1), min_size=2, max_size=4, unique=True), st.data())
def test_tasks_without_any_usable_name_do_not_share_a_service(
    ids: list[str], data: st.DataObject
) -> None:
    unusable = data.draw(st.sampled_from(["日本語", "---", ""]))
    names = set()
    for task_id in ids:
        info = task(name="x")
        info.name, info.task_id.value = unusable, task_id
        name = base_name(info, {"consul": unusable}, [])
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
        names.add(name if not dns_label(task_id) else task_id)
    assert len(names) == len(ids)


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


def test_a_port_name_without_a_dns_label_gives_way_to_the_rank() -> None:
    ports: list[TaskPort | None] = [
        TaskPort(80, 80, labels={"consul": "日本語"}),
        TaskPort(81, 81, "日本語"),
        TaskPort(82, 82, "admin", labels={"consul": "---"}),
    ]
    assert port_names("web", ports) == ["web", "web-port2", "web-admin"]


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
