"""The journal as a log: what is loaded is what was appended, and the log stays short."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

import pytest

from shim import limits
from shim.agent.journal_codec import Change, Verb, changes_of, read_snapshot
from shim.agent.journal_log import JournalLog, Part, WriteBatch
from shim.errors import FatalError
from shim.model.ids import FrameworkId, TaskId, TaskKey
from shim.model.records import (
    AddTask,
    AddUpdate,
    DropTask,
    DropUpdate,
    DropUpdates,
    Record,
    SaveShimId,
    SaveTask,
    Snapshot,
)

F = FrameworkId("F")


def key(number: object) -> TaskKey:
    return TaskKey(F, TaskId(f"t{number}"))


class Store:
    """Nodes, and the log that writes them."""

    def __init__(self) -> None:
        self.nodes: dict[int, bytes] = {}
        self.log = JournalLog()

    def write(self, batch: WriteBatch) -> None:
        for part in batch.parts:
            assert part.number not in self.nodes
            self.nodes[part.number] = part.data
        for number in batch.deleted:
            del self.nodes[number]

    def commit(self, *records: Record) -> WriteBatch:
        batch = self.log.append(changes_of(records))
        self.write(batch)
        return batch

    def parts(self) -> list[Part]:
        return [Part(number, self.nodes[number]) for number in sorted(self.nodes)]

    def reopened(self) -> Store:
        other = Store()
        other.nodes = dict(self.nodes)
        for number in other.log.replay(self.parts()):
            del other.nodes[number]
        return other

    def snapshot(self) -> Snapshot:
        return read_snapshot(self.log.rows)


@pytest.fixture
def store() -> Store:
    return Store()


def test_an_empty_log_is_an_empty_journal(store: Store) -> None:
    assert store.reopened().snapshot() == Snapshot()


def test_every_change_is_loaded_again(store: Store) -> None:
    store.commit(SaveShimId("one"), AddTask(key(1), b"i", b"a"), AddUpdate(key(1), b"u1", b"v1"))
    store.commit(AddTask(key(2), b"", b""), SaveTask(key(1), b"b"), AddUpdate(key(1), b"u2", b"v2"))
    store.commit(SaveShimId("two"), AddTask(key(3), b"", b""), AddUpdate(key(2), b"u", b"v"))
    store.commit(DropUpdate(key(1), b"u1"), DropTask(key(3)), DropUpdates(key(2)))
    expected = Snapshot(
        shim_id="two",
        tasks={key(1): (b"i", b"b"), key(2): (b"", b"")},
        updates={key(1): [b"v2"]},
    )
    assert store.snapshot() == expected
    assert store.reopened().snapshot() == expected


def test_a_change_of_a_row_that_is_gone_has_no_effect(store: Store) -> None:
    store.commit(SaveTask(key(1), b"x"), DropTask(key(1)), DropUpdates(key(1)))
    assert store.reopened().snapshot() == Snapshot()


def test_a_row_that_exists_is_not_added(store: Store) -> None:
    store.commit(AddTask(key(1), b"", b""))
    with pytest.raises(FatalError, match="a second time"):
        store.commit(AddTask(key(1), b"", b""))


def test_rows_of_a_table_without_an_order_come_by_their_keys(store: Store) -> None:
    """As from SQLite."""
    for name in ("b", "c", "a"):
        change = Change(Verb.PUT, "meta", (name,), {"value": name.encode()})
        store.write(store.log.append([change]))
    assert [row[0] for row in store.reopened().log.rows("meta")] == ["a", "b", "c"]


def test_a_row_of_an_unknown_table_is_kept(store: Store) -> None:
    """A newer version may have written it."""
    change = Change(Verb.PUT, "later", ("k", b"\0"), {"value": b"v"})
    store.write(store.log.append([change]))
    log = store.reopened().log
    assert ("later", ("k", b"\0")) in log._rows


# --- parts ----------------------------------------------------------------------------------


def test_a_large_batch_is_cut_and_loaded_whole(store: Store) -> None:
    big = random.Random(1).randbytes(3 * limits.JOURNAL_NODE_BYTES)
    batch = store.commit(SaveShimId("x"), AddTask(key(1), big, b"s"))
    assert len(batch.parts) == 4
    assert all(len(part.data) < limits.JOURNAL_NODE_BYTES + 100 for part in batch.parts)
    assert store.reopened().snapshot().tasks == {key(1): (big, b"s")}


@pytest.mark.parametrize("written", range(4))
def test_a_batch_without_its_last_part_is_left_out(store: Store, written: int) -> None:
    store.commit(SaveShimId("before"))
    batch = store.log.append(
        changes_of(
            [SaveShimId("after"), AddTask(key(1), b"x" * limits.JOURNAL_NODE_BYTES * 3, b"")]
        )
    )
    for part in batch.parts[:written]:
        store.nodes[part.number] = part.data
    later = store.reopened()
    assert later.snapshot() == Snapshot(shim_id="before")
    later.commit(SaveShimId("later"))
    assert later.reopened().snapshot() == Snapshot(shim_id="later")


def test_deleted_nodes_go_with_the_last_part_only(store: Store) -> None:
    store.commit(SaveShimId("one"))
    batch = store.log.append(
        changes_of([SaveShimId("two"), AddTask(key(1), b"x" * limits.JOURNAL_NODE_BYTES, b"")])
    )
    assert (len(batch.parts), list(batch.deleted)) == (2, [0])


# --- damage ---------------------------------------------------------------------------------


def damage_gap(parts: list[Part]) -> list[Part]:
    return [parts[0], *parts[2:]]


def damage_layout(parts: list[Part]) -> list[Part]:
    return [Part(parts[0].number, b"\x09" + parts[0].data[1:]), *parts[1:]]


def damage_end(parts: list[Part]) -> list[Part]:
    return [Part(parts[0].number, parts[0].data[:-3]), *parts[1:]]


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (damage_gap, "node 1 of the log is missing"),
        (damage_layout, "newer shim"),
        (damage_end, "damaged"),
        (lambda parts: [Part(0, b"")], "damaged"),
    ],
)
def test_damage_is_fatal_and_named(
    store: Store, damage: Callable[[list[Part]], list[Part]], text: str
) -> None:
    for number in range(4):
        store.commit(AddTask(key(number), b"info", b"state"))
    with pytest.raises(FatalError, match=text):
        JournalLog().replay(damage(store.parts()))


def test_a_row_that_lacks_a_value_is_fatal(store: Store) -> None:
    batch = store.log.append([Change(Verb.PUT, "tasks", ("F", "t"), {"info": b""})])
    store.write(batch)
    with pytest.raises(FatalError, match="lacks a value"):
        store.reopened().snapshot()


# --- a long life ----------------------------------------------------------------------------


class Life:
    """Random records that are valid, and what they lead to."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.expected = Snapshot()
        self.updates: dict[TaskKey, dict[bytes, bytes]] = {}
        self.count = 0

    def batch(self) -> Sequence[Record]:
        return [record for _ in range(self.chance.randint(1, 12)) for record in self.record()]

    def record(self) -> Iterable[Record]:
        chance, tasks = self.chance, self.expected.tasks
        self.count += 1
        data = chance.randbytes(chance.choice((1, 50, 900)))
        what = chance.choice(("add", "save", "save", "update", "acknowledge", "drop", "meta"))
        if what == "meta":
            self.expected.shim_id = str(self.count)
            yield SaveShimId(self.expected.shim_id)
        elif what == "add" or not tasks:
            new = key(self.count)
            tasks[new] = (data, b"staging")
            yield AddTask(new, data, b"staging")
        else:
            yield from self.change(what, chance.choice(list(tasks)), data)

    def change(self, what: str, task: TaskKey, data: bytes) -> Iterable[Record]:
        kept = self.updates.setdefault(task, {})
        if what == "save":
            self.expected.tasks[task] = (self.expected.tasks[task][0], data)
            yield SaveTask(task, data)
        elif what == "update":
            uuid = self.chance.randbytes(16)
            kept[uuid] = data
            yield AddUpdate(task, uuid, data)
        elif what == "acknowledge" and kept:
            uuid = next(iter(kept))
            del kept[uuid]
            yield DropUpdate(task, uuid)
        elif what == "drop" and len(self.expected.tasks) > 20:
            del self.expected.tasks[task]
            self.updates.pop(task)
            yield from (DropTask(task), DropUpdates(task))

    def snapshot(self) -> Snapshot:
        kept = {task: list(updates.values()) for task, updates in self.updates.items() if updates}
        return Snapshot(self.expected.shim_id, tasks=self.expected.tasks, updates=kept)


@pytest.mark.parametrize("seed", range(6))
def test_a_long_life_is_loaded_and_the_log_stays_short(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOURNAL_NODES", 24)
    monkeypatch.setattr(limits, "JOURNAL_SLACK_BYTES", 4000)
    monkeypatch.setattr(limits, "JOURNAL_CLEANED_BYTES", 2000)
    monkeypatch.setattr(limits, "JOURNAL_NODE_BYTES", 3000)
    store, life = Store(), Life(seed)
    longest = largest = 0
    for turn in range(400):
        store.commit(*life.batch())
        longest = max(longest, len(store.nodes))
        live = sum(len(value) for value in store.nodes.values())
        largest = max(largest, live - 2 * store.log.live_size)
        assert store.log.node_count == len(store.nodes)
        assert store.log.size == live
        if turn % 40 == seed:
            store = store.reopened()
            assert store.snapshot() == life.snapshot()
    assert store.reopened().snapshot() == life.snapshot()
    assert longest < 60
    assert largest < 20_000


def test_rows_that_never_change_survive_the_cleaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOURNAL_NODES", 8)
    store = Store()
    store.commit(*(AddTask(key(number), b"i" * 100, b"s") for number in range(50)))
    for number in range(100):
        store.commit(SaveTask(key(number % 3), str(number).encode()))
    loaded = store.reopened().snapshot()
    assert list(loaded.tasks) == [key(number) for number in range(50)]
    assert loaded.tasks[key(49)] == (b"i" * 100, b"s")
    assert min(store.nodes) > 50
    assert len(store.nodes) < 20
