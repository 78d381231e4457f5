"""Outgoing messages: one ordered connection per peer address, opened when a message is sent.

The order of messages matters (authenticate before register, one status update before the next),
so there is no pool of connections. Nothing is resent here: when a connection breaks, its queued
messages are dropped and ``on_broken`` is called; the protocol's own retries send everything again.
A message may wait for its connection. Whether it may be sent is therefore asked before its first
byte, as for requests to the Docker endpoint (``engine/client/guard.py``).
All processes of a master (observer, authenticator) share its address and thus its connection.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable

from shim import limits
from shim.errors import PeerError, error_text
from shim.model.ids import Pid
from shim.wire.connect import Address, Connect, connect, end_of_stream
from shim.wire.framing import encode_request

log = logging.getLogger(__name__)

_ACCEPTED = re.compile(rb"HTTP/1\.\d 202")
_ANSWER = len(b"HTTP/1.1 202")

MaySend = Callable[[], bool]


def always() -> bool:
    return True


class Links:
    """All outgoing links.

    ``on_broken(address)`` is called on the loop when one breaks, and when it held a message back.
    """

    def __init__(
        self,
        on_broken: Callable[[Address], None],
        *,
        connect: Connect = connect,
        idle: float = limits.LINK_IDLE,
    ) -> None:
        self._on_broken = on_broken
        self._connect = connect
        self._idle = idle
        self._links: dict[Address, tuple[_Link, asyncio.Task[None]]] = {}
        self.sent = 0
        self.dropped = 0
        """Messages sent since the start, and those among them that were lost or held back."""

    def send(
        self, to: Pid, sender: Pid, name: str, body: bytes, may_send: MaySend = always
    ) -> None:
        """Queue the message behind all earlier ones to the same address. Never blocks.

        The message may be lost. It is dropped if ``may_send`` is false when it is next in the
        queue. Raises ValueError for an id or name that a request cannot carry.
        """
        data = encode_request(to, sender, name, body)
        if to.address not in self._links:
            link = _Link(to.address, self._connect, self._idle, self._drop, self._messages_lost)
            task = asyncio.get_running_loop().create_task(self._run_link(link), name=f"link {to}")
            self._links[to.address] = link, task
        self.sent += 1
        self._links[to.address][0].push(data, may_send)

    async def _run_link(self, link: _Link) -> None:
        try:
            await link.run()
        finally:
            # Remove it at once: a message queued in an ended link would wait for ever.
            del self._links[link.address]

    def _drop(self, count: int) -> None:
        self.dropped += count

    def _messages_lost(self, address: Address) -> None:
        # Called later: a full queue breaks the link during the owner's own send().
        asyncio.get_running_loop().call_soon(self._on_broken, address)

    async def close(self, flush: float = limits.LINK_FLUSH) -> None:
        """Flush for at most ``flush`` seconds, and close every link."""
        links = list(self._links.values())
        for link, _ in links:
            link.finish()
        tasks = [task for _, task in links]
        if tasks:
            await asyncio.wait(tasks, timeout=flush)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Link:
    """The queue to one peer, and the connection that empties it."""

    def __init__(
        self,
        address: Address,
        connect: Connect,
        idle: float,
        drop: Callable[[int], None],
        lost: Callable[[Address], None],
    ) -> None:
        self.address = address
        self._connect = connect
        self._idle = idle
        self._drop = drop
        self._messages_lost = lost
        self._queue: deque[tuple[bytes, MaySend]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._finishing = False
        self._backoff = 0.0
        self._not_mesos = False
        """Whether the peer was reported as not being a Mesos process."""

    def push(self, data: bytes, may_send: MaySend) -> None:
        self._queue.append((data, may_send))
        self._bytes += len(data)
        if len(self._queue) > limits.LINK_QUEUE_MESSAGES or self._bytes > limits.LINK_QUEUE_BYTES:
            self._break("reads too slowly: the send queue is full")
        self._wake.set()

    def finish(self) -> None:
        """End ``run`` as soon as the queue is empty."""
        self._finishing = True
        self._wake.set()

    async def run(self) -> None:
        while await self._has_work():
            await asyncio.sleep(self._backoff)
            try:
                async with asyncio.timeout(limits.LINK_CONNECT_TIMEOUT):
                    reader, writer = await self._connect(self.address)
            except (OSError, PeerError) as error:
                self._break(f"cannot be reached: {error_text(error)}")
                continue
            try:
                await self._read_and_write(reader, writer)
            finally:
                writer.transport.abort()

    async def _read_and_write(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Read and write until the peer breaks the connection or the link is idle."""
        reading = asyncio.ensure_future(self._read(reader))
        writing = asyncio.ensure_future(self._write(writer))
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done() and not reading.done() and writing.exception() is None:
                # Wait for the peer to close: a reset could overtake the last message.
                end_of_stream(writer)
                await asyncio.wait({reading}, timeout=limits.LINK_FLUSH)
                return
            ended = writing if writing.done() else reading
            self._break(f"broke the link: {ended.exception() or 'end of stream'}")
        finally:
            reading.cancel()
            writing.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Read and discard answers. An answer shows that the peer is alive.

        The first answer also shows whether the peer is a Mesos process. Later answers may be 404,
        for the process of an ended session.
        """
        answer = b""
        while data := await reader.read(65_536):
            self._backoff = 0.0
            if len(answer) < _ANSWER:
                answer += data[:200]
                self._check_first_answer(answer)

    def _check_first_answer(self, answer: bytes) -> None:
        if len(answer) < _ANSWER:
            return
        not_mesos = _ACCEPTED.match(answer) is None
        if not_mesos and not self._not_mesos:
            line = answer.splitlines()[0].decode("ascii", "backslashreplace")
            text = "no libprocess answer from %s:%d, but %r; check --master"
            log.warning(text, *self.address, line)
        self._not_mesos = not_mesos

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        """Write until the link is idle or finishing."""
        while await self._has_work():
            writer.write(self._take())
            await writer.drain()

    def _take(self) -> bytes:
        """The oldest messages of the queue that may be sent, in order."""
        taken, size, held_back = [], 0, 0
        while self._queue and size < limits.LINK_WRITE_BYTES:
            data, may_send = self._queue.popleft()
            self._bytes -= len(data)
            if may_send():
                taken.append(data)
                size += len(data)
            else:
                held_back += 1
        if held_back:
            # As lost as those of a broken link: whoever must repeat them has to know.
            self._drop(held_back)
            self._messages_lost(self.address)
        return b"".join(taken)

    async def _has_work(self) -> bool:
        """Wait for a message. False when the link is idle or finishing."""
        while not self._queue:
            if self._finishing:
                return False
            self._wake.clear()
            try:
                async with asyncio.timeout(self._idle):
                    await self._wake.wait()
            except TimeoutError:
                return bool(self._queue)  # A message may have come at the timeout.
        return True

    def _break(self, why: str) -> None:
        dropped = len(self._queue)
        log.warning("%s:%d %s; %d messages dropped", *self.address, why, dropped)
        longer = max(self._backoff * 2, limits.LINK_BACKOFF_MIN)
        self._backoff = min(longer, limits.LINK_BACKOFF_MAX)
        self._queue.clear()
        self._bytes = 0
        self._drop(dropped)
        self._messages_lost(self.address)
