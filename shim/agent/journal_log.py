"""The journal as a log of batches, for a store that keeps many small blobs. Pure.

::

    numbers   17        18        19 20         21
    nodes   [batch 1] [batch 2] [batch 3, parts] [batch 4]
               |                                    ^
               +---- rows that still count ---------+

A batch is one ``shim.journal.LogBatch``. Its bytes are cut into parts of at most
``JOURNAL_NODE_BYTES``, one node each; only the last part says that the batch is complete. Nodes
are numbered without a gap, and a load replays them in order. It leaves out a batch whose last part
is missing, as SQLite leaves out a transaction without its commit.

The log is cleaned from its old end, as a ring: a batch also carries values of the oldest batches
that still count. The nodes of a batch without such values are deleted together with a later batch's
last part. The number of nodes and their bytes thus stay in proportion to the rows.

An entry either writes columns of a row, or drops all rows whose key begins so. A row has the number
of its addition, which gives the order of rows when it was written again.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from google.protobuf.message import DecodeError

from shim import limits
from shim.agent.journal_codec import TABLES, Change, Key, Verb
from shim.errors import FatalError
from shim.protos.journal_pb2 import LogBatch, LogEntry

_HEADER = struct.Struct(">BBQ")
_LAYOUT = 1
_LAST = 1


class Part(NamedTuple):
    """One node of the log."""

    number: int
    data: bytes


@dataclass(slots=True)
class WriteBatch:
    """What is to be written: the parts in order. ``deleted`` go together with the last part."""

    parts: Sequence[Part]
    deleted: Sequence[int]


Column = tuple[str, Key, str]
"""Table, key and column of a value."""


@dataclass(slots=True)
class _Row:
    number: int
    values: dict[str, bytes] = field(default_factory=dict)
    homes: dict[str, int] = field(default_factory=dict)
    """First node of the batch that holds each value."""


@dataclass(slots=True)
class _Segment:
    """A batch in the store."""

    nodes: list[int]
    size: int
    live: dict[Column, None] = field(default_factory=dict)
    """Values that still count, oldest first."""


class JournalLog:
    """All rows in memory, and which batch holds which of them."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, Key], _Row] = {}
        self._below: dict[tuple[str, Key], dict[str | bytes, None]] = {}
        """What follows each beginning of a key."""
        self._segments: dict[int, _Segment] = {}
        """By their first node, oldest first."""
        self._next_row = 1
        self.next_number = 0
        """Of the next node."""
        self.epoch = 0
        """Written into every node: who wrote it."""
        self.node_count = 0
        self.size = 0
        """Bytes of all nodes."""
        self.live_size = 0
        """Bytes of all values that count."""

    # --- writing --------------------------------------------------------------------------

    def append(self, changes: Iterable[Change]) -> WriteBatch:
        """Apply the changes and return what must be written before anything else is appended.

        Raises FatalError when a row is added that exists: the process must not go on.
        """
        home = self.next_number
        segment = self._segments[home] = _Segment([], 0)
        entries = [entry for change in changes for entry in self._apply_change(change, home)]
        entries += self._carry_over(home)
        data = LogBatch(entries=entries).SerializeToString()
        parts = self._cut(data)
        segment.nodes = [part.number for part in parts]
        segment.size = sum(len(part.data) for part in parts)
        self._count(segment)
        return WriteBatch(parts, self._delete_dead())

    def _cut(self, data: bytes) -> list[Part]:
        starts = range(0, len(data), limits.JOURNAL_NODE_BYTES) or range(1)
        parts = []
        for start in starts:
            flags = _LAST if start == starts[-1] else 0
            header = _HEADER.pack(_LAYOUT, flags, self.epoch)
            piece = header + data[start : start + limits.JOURNAL_NODE_BYTES]
            parts.append(Part(self.next_number, piece))
            self.next_number += 1
        return parts

    def _apply_change(self, change: Change, home: int) -> Iterator[LogEntry]:
        verb, table, key, values = change
        if verb is Verb.DROP:
            if self._drop(table, key):
                yield LogEntry(table=table, key=map(_encoded, key))
            return
        row = self._rows.get((table, key))
        if verb is Verb.SET and row is None:
            return
        if verb is Verb.ADD and row is not None:
            raise FatalError(f"journal: a row of {table} is added a second time: {key}")
        number = self._next_row if row is None else row.number
        self._write(table, key, number, values, home)
        yield _entry(table, key, number, values)

    def _carry_over(self, home: int) -> Iterator[LogEntry]:
        """Write values of the oldest batches again, so that their nodes can go."""
        budget = max(limits.JOURNAL_CLEANED_BYTES, 2 * self.live_size // limits.JOURNAL_NODES)
        nodes, size = self.node_count, self.size
        for start, segment in self._segments.items():
            short = nodes < limits.JOURNAL_NODES
            if start == home or (short and size <= 2 * self.live_size + limits.JOURNAL_SLACK_BYTES):
                return
            for table, key, column in list(segment.live):
                if budget <= 0:
                    return
                row = self._rows[table, key]
                values = {column: row.values[column]}
                self._write(table, key, row.number, values, home)
                yield _entry(table, key, row.number, values)
                budget -= _size(key, values[column])
            nodes, size = nodes - len(segment.nodes), size - segment.size

    def _delete_dead(self) -> list[int]:
        """Forget the oldest batches that hold nothing any more.

        A batch in the middle stays: it may hold the removal of a row that an older one added.
        """
        deleted: list[int] = []
        while len(self._segments) > 1:
            start, segment = next(iter(self._segments.items()))
            if segment.live:
                break
            deleted += segment.nodes
            self.node_count -= len(segment.nodes)
            self.size -= segment.size
            del self._segments[start]
        return deleted

    # --- reading --------------------------------------------------------------------------

    def replay(self, nodes: Sequence[Part]) -> Sequence[int]:
        """Load the nodes, in the order of their numbers. Raises FatalError when they are damaged.

        Returns the nodes of an incomplete batch at the end. They must be deleted before anything
        is appended, which takes their numbers.
        """
        collected: list[Part] = []
        for before, part in itertools.pairwise([None, *nodes]):
            assert part is not None
            if before is not None and part.number != before.number + 1:
                raise FatalError(f"journal: node {before.number + 1} of the log is missing")
            collected.append(part)
            if self._flags(part) & _LAST:
                self._replay_batch(collected)
                self.next_number = part.number + 1
                collected = []
        if collected:
            self.next_number = collected[0].number
        return [part.number for part in collected]

    def _flags(self, part: Part) -> int:
        if len(part.data) < _HEADER.size:
            raise FatalError(f"journal: node {part.number} of the log is damaged")
        layout, flags, _ = _HEADER.unpack_from(part.data)
        if layout != _LAYOUT:
            raise FatalError(
                f"journal: node {part.number} of the log was written by a newer shim "
                f"(layout {layout}, this one reads {_LAYOUT})"
            )
        return int(flags)

    def _replay_batch(self, parts: list[Part]) -> None:
        home = parts[0].number
        try:
            data = b"".join(part.data[_HEADER.size :] for part in parts)
            batch = LogBatch.FromString(data)
        except DecodeError as error:
            raise FatalError(f"journal: node {home} of the log is damaged: {error}") from error
        size = sum(len(part.data) for part in parts)
        segment = self._segments[home] = _Segment([part.number for part in parts], size)
        for entry in batch.entries:
            key = tuple(map(_decoded, entry.key))
            if entry.HasField("row"):
                values = dict(zip(entry.columns, entry.values, strict=True))
                self._write(entry.table, key, entry.row, values, home)
            else:
                self._drop(entry.table, key)
        self._count(segment)

    def rows(self, table: str) -> Iterable[Sequence[str | bytes]]:
        """Keys and values of all rows: oldest first in an ordered table, else by their keys."""
        columns, ordered = TABLES[table].values, TABLES[table].ordered
        found = [(key, row) for (name, key), row in self._rows.items() if name == table]
        if ordered:
            found.sort(key=lambda item: item[1].number)
        else:
            found.sort(key=lambda item: item[0])
        for key, row in found:
            if any(column not in row.values for column in columns):
                raise FatalError(f"journal: a row of {table} lacks a value: {key}")
            yield (*key, *(row.values[column] for column in columns))

    # --- rows -----------------------------------------------------------------------------

    def _count(self, segment: _Segment) -> None:
        self.node_count += len(segment.nodes)
        self.size += segment.size

    def _write(
        self, table: str, key: Key, number: int, values: Mapping[str, bytes], home: int
    ) -> None:
        row = self._rows.get((table, key))
        if row is None:
            row = self._rows[table, key] = _Row(number)
            for length in range(len(key)):
                self._below.setdefault((table, key[:length]), {})[key[length]] = None
        row.number = number
        self._next_row = max(self._next_row, number + 1)
        for column, value in values.items():
            self._release(table, key, row, column)
            row.values[column], row.homes[column] = value, home
            self._segments[home].live[table, key, column] = None
            self.live_size += _size(key, value)

    def _release(self, table: str, key: Key, row: _Row, column: str) -> None:
        """The value does not count any more."""
        if column in row.values:
            del self._segments[row.homes[column]].live[table, key, column]
            self.live_size -= _size(key, row.values[column])

    def _drop(self, table: str, beginning: Key) -> bool:
        """Whether there was such a row."""
        found = list(self._keys(table, beginning))
        for key in found:
            row = self._rows.pop((table, key))
            for column in row.values:
                self._release(table, key, row, column)
            self._forget_key(table, key)
        return bool(found)

    def _forget_key(self, table: str, key: Key) -> None:
        for length in reversed(range(len(key))):
            below = self._below[table, key[:length]]
            del below[key[length]]
            if below:
                return
            del self._below[table, key[:length]]

    def _keys(self, table: str, beginning: Key) -> Iterator[Key]:
        if (table, beginning) in self._rows:
            yield beginning
        for part in list(self._below.get((table, beginning), ())):
            yield from self._keys(table, (*beginning, part))


def _entry(table: str, key: Key, row: int, values: Mapping[str, bytes]) -> LogEntry:
    return LogEntry(
        table=table, key=map(_encoded, key), row=row, columns=values, values=values.values()
    )


def _encoded(part: str | bytes) -> bytes:
    return b"t" + part.encode() if isinstance(part, str) else b"b" + part


def _decoded(part: bytes) -> str | bytes:
    return part[1:].decode() if part[:1] == b"t" else part[1:]


def _size(key: Key, value: bytes) -> int:
    """About what a value takes in its batch."""
    return len(value) + sum(map(len, key)) + 32
