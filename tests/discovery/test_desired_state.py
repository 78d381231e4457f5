from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shim.discovery.desired_state import (
    ENDING,
    DesiredState,
    Registered,
    WriteOp,
    registered_services,
)
from shim.discovery.services import Service, registration
from tests.discovery.tasks import SITE, discovery, publish, ref, task

NOW = 1000.0
HEALTH = "health_check { type: TCP tcp { port: 80 } }"


def services(*ports: int, healthy: bool | None = None, number: int = 1) -> tuple[Service, ...]:
    text = HEALTH + discovery(*(f"number: {port}" for port in ports))
    return registration(publish(task(text), healthy=healthy, number=number), SITE).services


def shown(*wanted: Service, **changes: Any) -> dict[str, Registered]:
    """Consul has them as wanted, but for ``changes``."""
    return {
        s.id: replace(
            Registered(s.name, s.address, s.port, s.tags, s.meta, s.check.status), **changes
        )
        for s in wanted
    }


def write_all(book: DesiredState, keys: list[str], now: float = NOW) -> list[WriteOp]:
    """What a writer does, at a Consul where each write succeeds."""
    acts = []
    for key in keys:
        while (act := book.act(key, now)) is not None:
            book.wrote(act, key, book.wanted.get(key), book.known.get(key), now)
            acts.append(act)
        book.left(key)
    return acts


def look(book: DesiredState, seen: dict[str, Registered], now: float = NOW) -> list[str]:
    book.look_begins()
    return book.look_ends(seen, now)


def test_a_new_task_is_registered_once() -> None:
    book = DesiredState(SITE)
    assert write_all(book, book.publish(ref(), services(80, 81))) == [WriteOp.REGISTER] * 2
    assert book.publish(ref(), services(80, 81)) == []


def test_a_change_of_health_is_one_report() -> None:
    book = DesiredState(SITE)
    write_all(book, book.publish(ref(), services(80)))
    assert write_all(book, book.publish(ref(), services(80, healthy=True))) == [WriteOp.REPORT]
    assert write_all(book, book.publish(ref(), services(80, healthy=False))) == [WriteOp.REPORT]


def test_nothing_is_written_when_consul_has_all() -> None:
    book = DesiredState(SITE)
    book.publish(ref(), services(80))
    assert look(book, shown(*services(80))) == []


@pytest.mark.parametrize(
    ("changes", "acts"),
    [
        ({"port": 1}, [WriteOp.REGISTER, WriteOp.REPORT]),
        ({"tags": ("by hand",)}, [WriteOp.REGISTER, WriteOp.REPORT]),
        ({"meta": {}}, [WriteOp.REGISTER, WriteOp.REPORT]),
        ({"status": None}, [WriteOp.REGISTER, WriteOp.REPORT]),
        ({"status": "passing"}, [WriteOp.REPORT]),
        ({"maintenance": ENDING}, [WriteOp.RESUME]),
        ({"maintenance": "an operator's"}, []),
    ],
)
def test_what_differs_is_written_and_nothing_else(
    changes: dict[str, Any], acts: list[WriteOp]
) -> None:
    book = DesiredState(SITE)
    book.publish(ref(), services(80, 81))
    seen = shown(*services(80, 81)) | shown(*services(80), **changes)
    assert write_all(book, look(book, seen)) == acts


def test_a_stranger_with_our_mark_goes_after_two_looks_when_ready() -> None:
    book = DesiredState(SITE)
    stranger = shown(*services(9, number=2))
    for _ in range(3):
        assert look(book, stranger) == []
    book.ready()
    assert look(book, stranger) == []
    assert write_all(book, look(book, stranger)) == [WriteOp.WITHDRAW]


def test_two_looks_have_to_agree() -> None:
    book = DesiredState(SITE)
    book.ready()
    stranger = shown(*services(9, number=2))
    for seen in (stranger, {}, stranger, {}):
        assert look(book, seen) == []


def test_a_task_published_between_two_looks_is_no_stranger() -> None:
    book = DesiredState(SITE)
    book.ready()
    seen = shown(*services(80))
    look(book, seen)
    book.publish(ref(), services(80))
    assert look(book, seen) == []


def test_withdrawing_takes_what_is_registered_and_needs_no_look() -> None:
    book = DesiredState(SITE)
    write_all(book, book.publish(ref(), services(80, 81)))
    assert write_all(book, book.withdraw(ref())) == [WriteOp.WITHDRAW] * 2
    assert book.known == {}


def test_withdrawing_what_was_never_written_writes_nothing() -> None:
    book = DesiredState(SITE)
    book.publish(ref(), services(80))
    (key,) = book.withdraw(ref())
    assert book.act(key, NOW) is None
    assert book.left(key)


def test_withdrawing_after_a_restart_finds_the_services_by_their_id() -> None:
    book = DesiredState(SITE)
    look(book, shown(*services(80)) | shown(*services(80, number=2)))
    assert book.withdraw(ref()) == [services(80)[0].id]


def test_a_write_of_unknown_outcome_is_repeated_and_undone() -> None:
    book = DesiredState(SITE)
    (key,) = book.publish(ref(), services(80))
    book.doubt(key)
    assert book.act(key, NOW) is WriteOp.REGISTER
    assert write_all(book, book.withdraw(ref())) == [WriteOp.WITHDRAW]


def test_a_port_that_is_gone_is_removed() -> None:
    book = DesiredState(SITE)
    write_all(book, book.publish(ref(), services(80, 81)))
    assert write_all(book, book.publish(ref(), services(80))) == [WriteOp.WITHDRAW]
    assert list(book.known) == [services(80)[0].id]


def test_a_look_does_not_undo_what_was_written_meanwhile() -> None:
    book = DesiredState(SITE)
    book.ready()
    write_all(book, book.publish(ref(1), services(80, number=1)))
    book.look_begins()
    write_all(book, book.publish(ref(2), services(80, number=2)))
    write_all(book, book.withdraw(ref(1)))
    before = shown(*services(80, number=1))
    assert book.look_ends(before, NOW) == []
    assert list(book.known) == [services(80, number=2)[0].id]


def test_a_look_that_overtakes_a_writes_answer_causes_no_write() -> None:
    book = DesiredState(SITE)
    (key,) = book.publish(ref(), services(80))
    assert book.act(key, NOW) is WriteOp.REGISTER
    look(book, shown(*services(80)))
    book.wrote(WriteOp.REGISTER, key, *services(80), None, NOW)
    assert book.act(key, NOW) is None


def test_what_consul_lost_is_registered_again() -> None:
    book = DesiredState(SITE)
    write_all(book, book.publish(ref(), services(80)))
    assert write_all(book, look(book, {})) == [WriteOp.REGISTER]


def test_only_passing_checks_are_fed_and_at_a_third_of_their_ttl() -> None:
    book = DesiredState(SITE)
    healthy, ill = services(80, healthy=True), services(80, healthy=False, number=2)
    write_all(book, book.publish(ref(1), healthy))
    write_all(book, book.publish(ref(2), ill))
    seen = shown(*healthy, *ill)
    assert look(book, seen, NOW + 59) == []
    # The first one soon: Consul does not keep a registered status over its restart.
    assert write_all(book, look(book, seen, NOW + 60), NOW + 60) == [WriteOp.REPORT]
    assert look(book, seen, NOW + 60 + 7199) == []
    assert look(book, seen, NOW + 60 + 7200) == [healthy[0].id]


def test_after_a_restart_feeding_is_spread() -> None:
    book = DesiredState(SITE)
    many = [services(80, healthy=True, number=n) for n in range(300)]
    for number, wanted in enumerate(many):
        book.publish(ref(number), wanted)
    seen = shown(*(wanted[0] for wanted in many))
    assert look(book, seen) == []
    assert 100 < len(look(book, seen, NOW + 3600)) < 200
    assert len(look(book, seen, NOW + 7200)) == 300


def test_only_what_bears_our_mark_is_seen() -> None:
    (mine,) = services(80)
    entry = {
        "Service": mine.name,
        "Address": mine.address,
        "Port": mine.port,
        "Tags": list(mine.tags),
        "Meta": dict(mine.meta),
    }
    other = entry | {"Meta": {**mine.meta, "mesos_owner": "shim-2"}}
    checks = {
        mine.check_id: {"Status": "critical", "Notes": ""},
        f"_service_maintenance:{mine.id}": {"Status": "critical", "Notes": "why"},
    }
    found = registered_services(
        {mine.id: entry, "mesos:shim-1:x": other, "else": entry}, checks, SITE
    )
    assert found == shown(mine, maintenance="why")
