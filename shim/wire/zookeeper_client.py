"""One ZooKeeper client as coroutines of the event loop.

kazoo runs threads of its own. They hand every answer and every change of state to the event loop,
and the loop never waits for them. kazoo starts a new session when the old one is lost.

Errors are mapped here, once: :class:`Unanswered` for a request whose outcome is unknown,
:class:`OperationRefused` for one without effect.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kazoo import exceptions
from kazoo.client import KazooClient, KazooState
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.interfaces import IAsyncResult
from kazoo.protocol.connection import ConnectionHandler
from kazoo.security import CREATOR_ALL_ACL, OPEN_ACL_UNSAFE

from shim import limits
from shim.errors import ShimError, Transient

log = logging.getLogger(__name__)
_kazoo_log = logging.getLogger(f"{__name__}.kazoo")
_kazoo_log.setLevel(logging.INFO)  # DEBUG shows requests with the password.


class Unanswered(Transient):
    """ZooKeeper may have carried out the request, may still do so, or never got it."""


class Refusal(enum.Enum):
    """Why a request had no effect."""

    BAD_VERSION = "the node has another version"
    NODE_EXISTS = "the node exists"
    NO_NODE = "the node does not exist"
    NO_AUTH = "the node's ACL does not allow it"
    OTHER = "ZooKeeper refused it"


class OperationRefused(ShimError):
    """The request had no effect. ``operation`` is the number of the refused one of a multi."""

    def __init__(self, refusal: Refusal, what: str, operation: int = 0) -> None:
        super().__init__(f"{what}: {refusal.value}")
        self.refusal = refusal
        self.operation = operation


@dataclass(frozen=True, slots=True)
class CheckVersion:
    """The node has this version."""

    path: str
    version: int


@dataclass(frozen=True, slots=True)
class Create:
    path: str
    data: bytes = b""
    ephemeral: bool = False
    """The node ends with the session."""


@dataclass(frozen=True, slots=True)
class SetData:
    path: str
    data: bytes
    version: int = -1
    """-1: whatever version it has."""


@dataclass(frozen=True, slots=True)
class Delete:
    path: str


Operation = CheckVersion | Create | SetData | Delete


class Node(NamedTuple):
    """What is known of a node."""

    data: bytes
    version: int
    owner: int
    """The session of an ephemeral node; 0 for others."""


_REFUSALS: dict[type[Exception], Refusal] = {
    exceptions.BadVersionError: Refusal.BAD_VERSION,
    exceptions.NodeExistsError: Refusal.NODE_EXISTS,
    exceptions.NoNodeError: Refusal.NO_NODE,
    exceptions.NoAuthError: Refusal.NO_AUTH,
}
_UNANSWERED = (
    exceptions.ConnectionLoss,
    exceptions.ConnectionClosedError,
    exceptions.SessionExpiredError,
    exceptions.OperationTimeoutError,
    exceptions.SessionMovedError,
    OSError,
    RuntimeError,  # An answer to another request came in its place.
)
_ROLLED_BACK = (exceptions.RolledBackError, exceptions.RuntimeInconsistency)
"""In the place of the operations of a multi that were not refused themselves."""


def multi_error(results: Sequence[object], what: str) -> OperationRefused | None:
    """The refusal in the results of a multi. kazoo returns it, and does not raise it."""
    for number, result in enumerate(results):
        if isinstance(result, Exception) and not isinstance(result, _ROLLED_BACK):
            refusal = _REFUSALS.get(type(result), Refusal.OTHER)
            return OperationRefused(refusal, f"{what} ({type(result).__name__})", number)
    if any(isinstance(result, Exception) for result in results):
        return OperationRefused(Refusal.OTHER, what)
    return None


class _Connection(ConnectionHandler):  # type: ignore[misc]
    """kazoo's connection. An answer that makes no sense breaks it, and kazoo connects again.

    A server that loses its quorum may leave a request unanswered and answer the next one. kazoo's
    own class then ends its thread and never connects again.
    """

    def _connect(self, *arguments: Any) -> Any:
        with _nonsense_breaks_the_connection():
            return super()._connect(*arguments)

    def _read_socket(self, read_timeout: float) -> Any:
        with _nonsense_breaks_the_connection():
            return super()._read_socket(read_timeout)


@contextlib.contextmanager
def _nonsense_breaks_the_connection() -> Iterator[None]:
    try:
        yield
    except (exceptions.KazooException, KazooTimeoutError, OSError):
        raise
    except Exception as error:
        raise exceptions.ConnectionDropped(f"an answer makes no sense: {error!r}") from error


class ZooKeeperClient:
    """Call :meth:`start` on a running event loop, and :meth:`end` once, in a thread."""

    def __init__(
        self,
        hosts: Sequence[str],
        timeout: float,
        credentials: str | None = None,
        on_state: Callable[[str], None] = lambda state: None,
    ) -> None:
        """``timeout`` is of the session, in seconds. ``credentials`` are ``user:password``.

        With credentials only this user may read and change the nodes that are created.
        ``on_state`` gets the values of KazooState, on the event loop.
        """
        self._loop = asyncio.get_running_loop()
        self._name = ",".join(hosts)
        self._timeout = timeout
        self._on_state = on_state
        self.acl = CREATOR_ALL_ACL if credentials else OPEN_ACL_UNSAFE
        self.connected = False
        self.kazoo = KazooClient(
            hosts=self._name,
            timeout=timeout,
            auth_data=[("digest", credentials)] if credentials else [],
            default_acl=self.acl,
            connection_retry={"max_tries": -1, "delay": 0.1, "max_delay": limits.ZK_RETRY},
            logger=_kazoo_log,
        )
        self.kazoo._connection = _Connection(
            self.kazoo, self.kazoo._conn_retry.copy(), logger=_kazoo_log
        )
        self.kazoo.add_listener(self._state_changed)

    @property
    def session(self) -> int:
        """The id of the present session; 0 before the first one."""
        found = self.kazoo.client_id
        return found[0] if found else 0

    def start(self) -> None:
        """Connect, again and again. Returns at once."""
        self.kazoo.start_async()

    async def multi(self, *operations: Operation) -> None:
        """Carry out all operations or none."""
        transaction = self.kazoo.transaction()
        for operation in operations:
            match operation:
                case CheckVersion(path, version):
                    transaction.check(path, version)
                case Create(path, data, ephemeral):
                    transaction.create(path, data, ephemeral=ephemeral)
                case SetData(path, data, version):
                    transaction.set_data(path, data, version)
                case Delete(path):
                    transaction.delete(path)
        results = await self._ask("multi", transaction.commit_async)
        if error := multi_error(results, "multi"):
            raise error

    async def get(self, path: str) -> Node:
        data, stat = await self._ask(path, lambda: self.kazoo.get_async(path))
        return Node(data, stat.version, stat.ephemeralOwner)

    async def children(self, path: str) -> Sequence[str]:
        found: list[str] = await self._ask(path, lambda: self.kazoo.get_children_async(path))
        return found

    async def exists(self, path: str, on_change: Callable[[], None] | None = None) -> bool:
        """``on_change`` is called once, on the event loop, when that changes."""

        def changed(_: object) -> None:
            if on_change is not None:
                self.call_on_loop(on_change)

        watch = changed if on_change else None
        found = await self._ask(path, lambda: self.kazoo.exists_async(path, watch=watch))
        return found is not None

    async def ensure_path(self, path: str) -> None:
        """Create the node and those above it."""
        await self._ask(path, lambda: self.kazoo.ensure_path_async(path))

    async def _ask(self, what: str, request: Callable[[], IAsyncResult]) -> Any:
        """The answer. A request is not sent without a connection: kazoo would keep it for later."""
        if not self.connected:
            raise Unanswered(f"ZooKeeper at {self._name} does not answer")
        try:
            async with asyncio.timeout(self._timeout):
                return await self.future(request())
        except (TimeoutError, *_UNANSWERED) as error:
            reason = type(error).__name__
            raise Unanswered(f"ZooKeeper at {self._name} did not answer ({reason})") from None
        except exceptions.KazooException as error:
            refusal = _REFUSALS.get(type(error), Refusal.OTHER)
            raise OperationRefused(refusal, f"{what} ({type(error).__name__})") from None

    def future(self, result: IAsyncResult) -> asyncio.Future[Any]:
        """A kazoo result as a future of the event loop."""
        future: asyncio.Future[Any] = self._loop.create_future()
        result.rawlink(lambda done: self.call_on_loop(_copy_result, future, done))
        return future

    # The following methods run in kazoo's threads.

    def _state_changed(self, state: str) -> None:
        self.call_on_loop(self._set_state, state)

    def _set_state(self, state: str) -> None:
        self.connected = state == KazooState.CONNECTED
        self._on_state(state)

    def call_on_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        # RuntimeError: the loop ended before the thread.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def end(self) -> None:
        """Close the session. Blocks for ten seconds or so at most."""
        try:
            self.kazoo.stop()
            self.kazoo.close()
        except (exceptions.KazooException, OSError) as error:
            log.warning("the ZooKeeper session cannot be closed: %r", error)


def _copy_result(future: asyncio.Future[Any], done: IAsyncResult) -> None:
    if future.done():
        return
    if done.exception is not None:
        future.set_exception(done.exception)
    else:
        future.set_result(done.value)
