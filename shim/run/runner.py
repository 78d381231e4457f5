"""``mesos-shim run``: an ordinary framework, by unmodified pymesos, that runs and follows tasks."""

from __future__ import annotations

import logging
import queue
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Protocol

from shim.errors import FatalError
from shim.run import http_parser_compat
from shim.run.logs import Logs
from shim.run.taskinfo import Room, Wanted
from shim.run.tracker import TERMINAL, Tracker

Json = dict[str, Any]

REFUSE_FOR_LONG = 3600.0
REFUSE_SHORTLY = 2.0
"""Seconds: how long an offer is declined that is of no use, and one that is too small now."""

PATIENCE = 10.0
"""Seconds without a fitting offer, until people are told that we wait for one."""

KILL_PATIENCE = 30.0
"""Seconds beyond the grace period for killed tasks to be reported as such."""

HINT = "pip install --no-deps pymesos"


class Driver(Protocol):
    """What we use of pymesos' MesosSchedulerDriver."""

    aborted: bool

    def start(self) -> None: ...
    def stop(self, failover: bool = False) -> None: ...
    def join(self) -> None: ...
    def launchTasks(self, offer_ids: Json, tasks: list[Json], filters: Json) -> None: ...  # noqa: N802
    def declineOffer(self, offer_ids: Json, filters: Json) -> None: ...  # noqa: N802
    def killTask(self, task_id: Json) -> None: ...  # noqa: N802


def framework_info(name: str, user: str, role: str, principal: str | None) -> Json:
    """Torn down as soon as we are gone for ten seconds: what we started ends with us."""
    info: Json = {
        "user": user,
        "name": name,
        "roles": [role],
        "capabilities": [
            {"type": "MULTI_ROLE"},
            {"type": "PARTITION_AWARE"},
            {"type": "TASK_KILLING_STATE"},
        ],
        "checkpoint": True,
        "failover_timeout": 10.0,
    }
    if principal is not None:
        info["principal"] = principal
    return info


def connect(run: Run, info: Json, master: str, secret: str | None) -> Driver:
    """A driver for ``host:port`` or ``zk://``. Raises FatalError where pymesos is missing."""
    http_parser_compat.provide()
    try:
        from pymesos import MesosSchedulerDriver
    except ImportError as error:
        raise FatalError(f"mesos-shim run needs pymesos ({error}): {HINT}") from None
    logging.getLogger("pymesos").setLevel(logging.ERROR)
    driver: Driver = MesosSchedulerDriver(
        run, info, master, principal=info.get("principal"), secret=secret
    )
    return driver


class Run:
    """The callbacks of one run; pymesos calls them from its own thread.

    They only take note and launch: printing and waiting is the main thread's, in ``follow``.
    """

    def __init__(
        self,
        wanted: Wanted,
        instances: int,
        print_line: Callable[[str], None],
        logs: Logs | None = None,
    ) -> None:
        unique = uuid.uuid4().hex[:8]
        self.wanted = wanted
        self.tracker = Tracker(tuple(f"{wanted.name}-{unique}-{n}" for n in range(instances)))
        self.failure: str | None = None
        self.news: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self._print = print_line
        self._logs = logs
        self._agents: dict[str, str] = {}
        self._framework_id = ""
        self._lock = threading.Lock()
        self._pending = list(self.tracker.task_ids)
        self._is_registered = False

    # ---- callbacks --------------------------------------------------------------------------

    def registered(self, driver: Driver, framework_id: Json, master: Json) -> None:
        self._is_registered = True
        self._framework_id = framework_id["value"]
        self._print(f"framework {framework_id['value']} at {master['hostname']}:{master['port']}")

    def reregistered(self, driver: Driver, master: Json) -> None:
        self._print(f"connected again to {master['hostname']}:{master['port']}")

    def disconnected(self, driver: Driver) -> None:
        """pymesos connects again by itself."""

    def resourceOffers(self, driver: Driver, offers: list[Json]) -> None:  # noqa: N802
        with self._lock:
            for offer in offers:
                self._use(driver, offer)

    def _use(self, driver: Driver, offer: Json) -> None:
        room, placed = Room(offer), []
        for task_id in list(self._pending):
            info = room.place(self.wanted, task_id)
            if info is None:
                break
            self._pending.remove(task_id)
            self._agents[task_id] = _agent_url(offer)
            placed.append(info)
        seconds = REFUSE_SHORTLY if self._pending else REFUSE_FOR_LONG
        filters = {"refuse_seconds": seconds}
        if placed:
            driver.launchTasks(offer["id"], placed, filters)
        else:
            driver.declineOffer(offer["id"], filters)

    def statusUpdate(self, driver: Driver, status: Json) -> None:  # noqa: N802
        self.news.put(status)

    def error(self, driver: Driver, message: str) -> None:
        self.failure = message

    def processHeartBeat(self, driver: Driver) -> None:  # noqa: N802
        """The master lives."""

    def _nothing(self, *_: object) -> None:
        """Not our concern: what follows from it comes as a status update."""

    offerRescinded = inverseOffers = inverseOfferRescinded = _nothing  # noqa: N815
    operationStatusUpdate = frameworkMessage = slaveLost = executorLost = _nothing  # noqa: N815

    # ---- the main thread ---------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Instances that no offer had room for yet."""
        with self._lock:
            return len(self._pending)

    @property
    def missing(self) -> str:
        """What an instance without a place waits for."""
        if not self._is_registered:
            return "no answer of the master yet"
        wanted = self.wanted
        ports = "".join(f" port {p.host}" for p in wanted.ports)
        return f"no offer with cpus={wanted.cpus:g} mem={wanted.mem:g}{ports} yet"

    def give_up(self, driver: Driver) -> None:
        """Launch nothing more, kill what runs."""
        with self._lock:
            dropped, self._pending = self._pending, []
        for task_id in dropped:
            self.tracker.states[task_id] = "TASK_KILLED"
        for task_id in self.tracker.alive:
            driver.killTask({"value": task_id})

    def take(self, timeout: float) -> Json | None:
        """The next update, recorded and printed."""
        try:
            status = self.news.get(timeout=timeout)
        except queue.Empty:
            status = None
        if status is not None:
            self._print(self.tracker.update(status))
        if self._logs is not None:
            self._follow_logs(self._logs, status)
        return status

    def _follow_logs(self, logs: Logs, status: Json | None) -> None:
        task_id = status["task_id"]["value"] if status else ""
        if status and task_id in self._agents:
            logs.add(self._agents[task_id], self._framework_id, task_id)
            if status["state"] in TERMINAL:
                del self._agents[task_id]
                if error := logs.end(task_id):
                    _tell(f"no logs of {task_id}: {error}")
        logs.poll()


def _agent_url(offer: Json) -> str:
    address = offer.get("url", {}).get("address", {})
    host = address.get("ip") or address.get("hostname") or offer.get("hostname")
    return f"http://{host}:{address.get('port', 5051)}"


def follow(
    run: Run, driver: Driver, interrupted: threading.Event, ready: Callable[[], None]
) -> int:
    """Until every task has ended, or was killed after an interrupt: the exit code.

    ``ready`` is called whenever an update leaves all tasks running.
    """
    started, told = time.monotonic(), False
    while not run.tracker.done:
        if interrupted.is_set():
            return _kill(run, driver)
        if run.failure is not None or driver.aborted:
            raise FatalError(f"the master ended the framework: {run.failure or 'no connection'}")
        status = run.take(timeout=0.25)
        if status is not None and _all_running(run.tracker):
            ready()
        if run.pending and not told and time.monotonic() - started > PATIENCE:
            told = True
            _tell(f"{run.missing}; waiting")
    return run.tracker.code


def _all_running(tracker: Tracker) -> bool:
    return all(tracker.states.get(t) == "TASK_RUNNING" for t in tracker.task_ids)


def _kill(run: Run, driver: Driver) -> int:
    """After Ctrl-C: kill, wait for the ends."""
    _tell("killing the tasks")
    run.give_up(driver)
    end = time.monotonic() + (run.wanted.grace or 0.0) + KILL_PATIENCE
    while not run.tracker.done and time.monotonic() < end and not driver.aborted:
        run.take(timeout=0.25)
    return 130


def _tell(text: str) -> None:
    print(f"mesos-shim run: {text}", file=sys.stderr, flush=True)


def catch_signals(interrupted: threading.Event) -> None:
    """SIGINT and SIGTERM set the event; a second one ends us at once.

    After pymesos was imported: it takes SIGINT for itself then, also to tell of its own end,
    which ``follow`` sees anyway.
    """

    def handler(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()

    signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGTERM, handler)


def run(
    wanted: Wanted,
    instances: int,
    master: str,
    info: Mapping[str, Any],
    secret: str | None,
    ready: Callable[[], None] = lambda: None,
    logs: Logs | None = None,
) -> int:
    """The exit code: the task's own, or that of the first of several that failed."""
    this = Run(wanted, instances, lambda line: print(line, flush=True), logs)
    driver = connect(this, dict(info), master, secret)
    interrupted = threading.Event()
    catch_signals(interrupted)
    driver.start()
    try:
        return follow(this, driver, interrupted, ready)
    finally:
        driver.stop()
        driver.join()
