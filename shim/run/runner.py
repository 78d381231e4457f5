"""The framework of ``mesos-shim run``: a pymesos scheduler that launches and follows tasks."""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from shim.client.progress import Progress
from shim.client.task_table import task_table
from shim.client.text import printable
from shim.client.tls_tunnel import TlsTunnel
from shim.errors import FatalError
from shim.model.settings import TlsSettings
from shim.run.driver import Driver, connect
from shim.run.logs import TaskLogs
from shim.run.stages import LaunchStages
from shim.run.task_spec import OfferedResources, TaskSpec, id_part
from shim.run.tracker import TERMINAL, TaskTracker, addresses
from shim.wire.tls import Tls

Json = dict[str, Any]

DECLINE_IDLE = 3600.0
DECLINE_TOO_SMALL = 2.0
"""Seconds for which an offer is declined when no task is pending, and when it is too small."""

OFFER_WAIT = 10.0
"""Seconds without a sufficient offer, until a message says so."""

KILL_WAIT = 30.0
"""Seconds beyond the grace period for the terminal updates of killed tasks."""


def framework_name(spec: TaskSpec) -> str:
    return f"mesos-shim run {spec.name}"


class Run:
    """The scheduler of one run. pymesos calls its callbacks from a thread of its own.

    The callbacks launch tasks and queue status updates. The main thread prints, in ``follow``.
    """

    def __init__(
        self,
        spec: TaskSpec,
        instances: int,
        print_line: Callable[[str], None],
        logs: TaskLogs | None = None,
        tunnel: TlsTunnel | None = None,
        stages: LaunchStages | None = None,
    ) -> None:
        unique = uuid.uuid4().hex[:8]
        self.spec = spec
        prefix = f"{id_part(spec.name)}-{unique}"
        self.tracker = TaskTracker(tuple(f"{prefix}-{n}" for n in range(instances)))
        self.failure: str | None = None
        self.updates: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self._print = print_line
        self._logs = logs
        self._tunnel = tunnel
        self._stages = stages
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
        """pymesos reconnects by itself."""

    def resourceOffers(self, driver: Driver, offers: list[Json]) -> None:  # noqa: N802
        with self._lock:
            for offer in offers:
                self._handle_offer(driver, offer)

    def _handle_offer(self, driver: Driver, offer: Json) -> None:
        available, placed = OfferedResources(offer), []
        for task_id in list(self._pending):
            info = available.place(self.spec, task_id)
            if info is None:
                break
            self._pending.remove(task_id)
            self._agents[task_id] = self._agent_url(offer)
            placed.append(info)
        seconds = DECLINE_TOO_SMALL if self._pending else DECLINE_IDLE
        filters = {"refuse_seconds": seconds}
        if placed:
            driver.launchTasks(offer["id"], placed, filters)
        else:
            driver.declineOffer(offer["id"], filters)

    def statusUpdate(self, driver: Driver, status: Json) -> None:  # noqa: N802
        self.updates.put(status)

    def error(self, driver: Driver, message: str) -> None:
        self.failure = message

    def processHeartBeat(self, driver: Driver) -> None:  # noqa: N802
        """The master is alive."""

    def _ignore(self, *_: object) -> None:
        """Ignored: a status update follows where a task is concerned."""

    offerRescinded = inverseOffers = inverseOfferRescinded = _ignore  # noqa: N815
    operationStatusUpdate = frameworkMessage = slaveLost = executorLost = _ignore  # noqa: N815

    # ---- the main thread ---------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """The number of instances that have no offer yet."""
        with self._lock:
            return len(self._pending)

    @property
    def waiting_for(self) -> str:
        """The reason why an instance is pending."""
        if not self._is_registered:
            problems = dict(self._tunnel.problems) if self._tunnel is not None else {}
            found = "; ".join(f"{peer}: {text}" for peer, text in problems.items())
            return f"no answer of the master yet{found and f': {found}'}"
        spec = self.spec
        ports = "".join(f" port {p.host}" for p in spec.ports)
        return f"no offer with cpus={spec.cpus:g} mem={spec.mem:g}{ports} yet"

    def kill_all(self, driver: Driver) -> None:
        """Launch no more tasks and kill the running ones."""
        with self._lock:
            dropped, self._pending = self._pending, []
        for task_id in dropped:
            self.tracker.states[task_id] = "TASK_KILLED"
        for task_id in self.tracker.alive:
            driver.killTask({"value": task_id})

    def next_update(self, timeout: float) -> Json | None:
        """Record and print the next status update. None after ``timeout`` seconds."""
        try:
            status = self.updates.get(timeout=timeout)
        except queue.Empty:
            status = None
        if status is not None:
            self._print(self.tracker.update(status))
        if self._stages is not None:
            self._stages.poll(self._starting(), self._framework_id)
        if self._logs is not None:
            self._follow_logs(self._logs, status)
        return status

    def warn(self, text: str) -> None:
        """A line on stderr, not among the bars."""
        if self._stages is not None:
            self._stages.hide()
        _print_error(text)

    def _starting(self) -> dict[str, str]:
        """The agents of the tasks that were launched and do not run yet."""
        states = self.tracker.states
        with self._lock:
            return {
                task_id: agent
                for task_id, agent in self._agents.items()
                if states.get(task_id, "TASK_STAGING") in ("TASK_STAGING", "TASK_STARTING")
            }

    def print_table(self) -> None:
        """The tasks, as ``ps`` prints them."""
        now = time.time()
        self._print(task_table([self._row(task_id, now) for task_id in self.tracker.task_ids], now))

    def _row(self, task_id: str, now: float) -> Json:
        status = self.tracker.statuses[task_id]
        row = {
            "task": task_id,
            "state": status["state"],
            "accepted": status.get("timestamp", now),
            "cpus": self.spec.cpus,
            "mem": self.spec.mem,
            "addresses": addresses(status),
            "image": self.spec.image,
            "framework": framework_name(self.spec),
            "live": True,
        }
        return row | ({"healthy": status["healthy"]} if "healthy" in status else {})

    def _follow_logs(self, logs: TaskLogs, status: Json | None) -> None:
        task_id = status["task_id"]["value"] if status else ""
        if status and task_id in self._agents:
            logs.add(self._agents[task_id], self._framework_id, task_id)
            if status["state"] in TERMINAL:
                del self._agents[task_id]
                if error := logs.end(task_id):
                    _print_error(f"no logs of {task_id}: {error}")
        logs.poll()

    def _agent_url(self, offer: Json) -> str:
        found = offer.get("url", {}).get("address", {})
        host = found.get("ip") or found.get("hostname") or offer.get("hostname")
        address = f"{host}:{found.get('port', 5051)}"
        return f"http://{self._tunnel.local_address(address) if self._tunnel else address}"


def follow(
    run: Run, driver: Driver, interrupted: threading.Event, ready: Callable[[], None]
) -> int:
    """Follow the tasks until all have ended, or were killed after an interrupt.

    Returns the exit code. ``ready`` is called after each update that leaves all tasks running.
    """
    started, reported, ran = time.monotonic(), False, False
    while not run.tracker.done:
        # A driver that ends by an error interrupts the main thread as well.
        if run.failure is not None or driver.aborted:
            reason = run.failure or driver.error or "no connection"
            raise FatalError(f"the master ended the framework: {reason}")
        if interrupted.is_set():
            return _kill_and_wait(run, driver)
        status = run.next_update(timeout=0.25)
        if status is not None and _all_running(run.tracker):
            ready()
            if not ran:
                run.print_table()
            ran = True
        if run.pending and not reported and time.monotonic() - started > OFFER_WAIT:
            reported = True
            run.warn(f"{run.waiting_for}; waiting")
    return run.tracker.code


def _all_running(tracker: TaskTracker) -> bool:
    return all(tracker.states.get(t) == "TASK_RUNNING" for t in tracker.task_ids)


def _kill_and_wait(run: Run, driver: Driver) -> int:
    """Kill the tasks after Ctrl-C, and wait for their terminal updates."""
    run.warn("killing the tasks")
    run.kill_all(driver)
    end = time.monotonic() + (run.spec.grace or 0.0) + KILL_WAIT
    while not run.tracker.done and time.monotonic() < end and not driver.aborted:
        run.next_update(timeout=0.25)
    return 130


def _print_error(text: str) -> None:
    print(printable(f"mesos-shim run: {text}"), file=sys.stderr, flush=True)


def catch_signals(interrupted: threading.Event) -> None:
    """SIGINT and SIGTERM set the event. A second signal ends the process at once.

    Call this after pymesos was imported, because pymesos installs its own SIGINT handler.
    """

    def handler(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()

    signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGTERM, handler)


def run(
    spec: TaskSpec,
    instances: int,
    master: str,
    info: Mapping[str, Any],
    secret: str | None,
    ready: Callable[[], None] = lambda: None,
    logs: TaskLogs | None = None,
    tls: TlsSettings | None = None,
) -> int:
    """Run the framework. Returns the task's exit code, or that of the first failed task."""
    tunnel = None if tls is None else TlsTunnel(Tls(tls))
    # Bars and the output of tasks would write over each other.
    progress = Progress(sys.stdout, has_bars=False if logs else None)
    this = Run(spec, instances, progress.print, logs, tunnel, LaunchStages(progress))
    driver = connect(this, dict(info), master, secret, tunnel)
    interrupted = threading.Event()
    catch_signals(interrupted)
    driver.start()
    try:
        return follow(this, driver, interrupted, ready)
    finally:
        progress.close()
        if logs is not None:
            logs.close()
        driver.stop()
        driver.join()
