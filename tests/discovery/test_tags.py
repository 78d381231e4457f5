from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shim.discovery.tags import meta_of, tags_of
from shim.discovery.task_ports import TaskPort


def test_tags_come_from_labels_and_the_port_without_duplicates() -> None:
    labels = {"urlprefix-/shop": "tag", "consul.tags": "a, b,,mesos", "version": "3"}
    port = TaskPort(53, 53, "dns", "udp", {"internal": "tag", "a": "tag"})
    assert tags_of(labels, None) == ("mesos", "urlprefix-/shop", "a", "b")
    assert tags_of(labels, port) == (*tags_of(labels, None), "internal", "dns", "udp")


def test_labels_become_meta_unless_their_key_is_reserved() -> None:
    labels = {
        "version": "3",
        "HAPROXY/0 vhost": "x",
        "consul": "web",
        "consul.tags": "a",
        "consul-x": "1",
        "mesos_owner": "another",
        "blue": "tag",
        "": "none",
    }
    notes: list[str] = []
    assert meta_of({"mesos_owner": "me"}, labels, notes) == {
        "mesos_owner": "me",
        "version": "3",
        "HAPROXY_0_vhost": "x",
    }
    assert notes == []


@given(st.dictionaries(st.text(max_size=200), st.text(max_size=300), max_size=80))
def test_meta_stays_within_consuls_limits(labels: dict[str, str]) -> None:
    meta = meta_of({"mesos_owner": "me"}, labels, [])
    assert meta["mesos_owner"] == "me"
    assert len(meta) <= 64
    for key, value in meta.items():
        assert 0 < len(key) <= 128
        assert key.isascii()
        assert len(value.encode()) <= 512


def test_labels_that_are_cut_give_a_note() -> None:
    notes: list[str] = []
    meta = meta_of({}, {"long": "ä" * 300} | {f"k{i}": "v" for i in range(70)}, notes)
    assert meta["long"] == "ä" * 256
    assert notes == [
        "labels ['long'] are cut to 512 bytes in Consul's Meta",
        f"labels {[f'k{i}' for i in range(63, 70)]} do not fit into Consul's Meta",
    ]
