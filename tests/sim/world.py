"""One run: the shim and the simulated parts around it, from a plan to the last invariant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

from google.protobuf.message import Message

from shim.core.context import CoreSettings, PodNetwork
from shim.core.timers import ExitTimer, RegistrationTimer, ShutdownTimer, Timer, UpdateRetry
from shim.model import facts, orders
from shim.model.ids import ExecutorId, ExecutorKey, Pid, TaskId, TaskKey
from shim.model.records import Record
from shim.model.resource_sets import Resources
from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import (
    DrainConfig,
    HealthCheck,
    SlaveInfo,
    Value,
)
from tests.sim.clock import Clock, Crash, Violation
from tests.sim.disk import Disk
from tests.sim.engine import Behaviour, Engine
from tests.sim.executor_faults import ExecutorFaults
from tests.sim.executors import ExecutorProcesses
from tests.sim.invariants import Invariants
from tests.sim.launches import (
    custom_executor,
    executor_message,
    group_message,
    launch_message,
    reservation,
)
from tests.sim.master import Master, Registry, executor_info, task_info, volume_resource
from tests.sim.network import Network
from tests.sim.plan import Plan
from tests.sim.process import Process
from tests.sim.scheduler import Scheduler
from tests.sim.volumes import VolumeHistory

AGENT = Pid("slave(1)", "10.9.9.9", 5051)
MAX_EVENTS = 30_000
MAX_SETTLE_SECONDS = 6 * 3600.0
"""Simulated seconds that a run may take to settle: retries wait for ten minutes."""


class World:
    def __init__(self, plan: Plan, trace: list[str] | None = None, disk: Disk | None = None):
        self.plan = plan
        self.trace = trace
        self.rng = Random(f"world {plan.seed}")
        self._uuids = Random(f"core {plan.seed}")
        self.entropy = self
        self.faults = dict(plan.faults)
        self.clock = Clock()
        self.disk = disk or Disk()
        self.network = Network(self)
        self.invariants = Invariants(self)
        self.engine = Engine(self.clock, plan, Random(f"engine {plan.seed}"), self.say)
        self.engine.changed = self._container_changed
        self.executors = ExecutorProcesses(self)
        self._executor_faults = ExecutorFaults(self.executors)
        self.engine.executor_started = self.executors.started
        self.volumes = VolumeHistory(self.say)
        self.engine.mounted = self.volumes.mounted
        self.engine.destroyed = self.volumes.removed
        self.uses: dict[TaskKey, int] = {}
        """The volume that each task is launched with."""
        self.schedulers = {}
        for i, traits in enumerate(plan.frameworks):
            scheduler = Scheduler(self, i, traits)
            self.schedulers[scheduler.id] = scheduler
        self.settings = CoreSettings(
            AGENT,
            _agent_info(),
            "1.11.0",
            authenticate=plan.authenticate,
            pod_network=PodNetwork.SHARED,
            fixed_size=plan.triton and bool(plan.executors),
        )
        self.process: Process | None = None
        self.detected: Pid | None = None
        self.master: Master | None = None
        self.registry = Registry()
        self._masters = 0
        self._down = 0.3
        self._processes = 0
        self._wiping = False
        self.wiped = False
        self.settling = False

    # --- randomness for the core ---------------------------------------------------------------

    def uuid(self) -> bytes:
        value = bytearray(self._uuids.randbytes(16))
        value[6] = value[6] & 0x0F | 0x40
        value[8] = value[8] & 0x3F | 0x80
        return bytes(value)

    def uniform(self, limit: float) -> float:
        return self._uuids.uniform(0.0, limit)

    # --- running ---------------------------------------------------------------------------

    def run(self) -> None:
        """Raises Violation when an invariant does not hold."""
        self._new_master()
        assert self.master is not None
        self.detected = self.master.pid
        self._boot()
        start = self.clock.now
        for event in self.plan.events:
            self.clock.after(event.at, self._run_event, event.name, event.arguments)
        self.clock.after(self.plan.length, self._end_faults)
        while not (self.settling and self._quiet()):
            self._step()
            if self.clock.events > MAX_EVENTS or self.clock.now > start + MAX_SETTLE_SECONDS:
                raise Violation(f"the run does not settle: {self._unsettled()}")
        self.invariants.check_all_ends_delivered()
        self._check_nothing_left()

    def _step(self) -> None:
        try:
            if not self.clock.run_next():
                raise Violation("no event is scheduled any more")
        except Crash as crash:
            self.say("CRASH", crash)
            self._died()

    def say(self, *words: object) -> None:
        if self.trace is not None:
            text = " ".join(_brief(word) for word in words)
            self.trace.append(f"{self.clock.now - 1000:10.4f}  {text}")

    def _run_event(self, name: str, arguments: dict[str, Any]) -> None:
        if self.settling:
            return
        self.say("EVENT", name, arguments)
        getattr(self, name)(**arguments)

    # --- the shim's process ----------------------------------------------------------------

    def _boot(self) -> None:
        if self.process is not None:
            return
        self._processes += 1
        for key in [*self.disk.tasks, *self.disk.updates]:
            if not self.schedulers[key.framework_id].traits["checkpoint"]:
                self.invariants.excuse(
                    key, "the shim restarted, and its framework does not checkpoint"
                )
        self.say("START of the shim, process", self._processes)
        self.process = Process(self)
        self.clock.after(self.rng.uniform(0.0, 0.05), self._detect, self._processes)

    def _detect(self, life: int) -> None:
        if life == self._processes:
            self._post(facts.MasterDetected(self.detected))

    def _post(self, fact: facts.Fact) -> None:
        if self.process is not None:
            self.process.post(fact)

    def _died(self) -> None:
        assert self.process is not None
        self.process.die()
        self.process = None
        if self._wiping:
            self._lose_disk()
        self.network.agent_died()
        self.executors.agent_died()
        if self.clock.now >= self.network.incoming.cut_until:
            self.clock.after(0.01, self._break_link_after_death, self._processes)
        # A request on its way to the endpoint arrives before the next life looks at it.
        self.clock.after(max(self._down, self.plan.slow + 0.1), self._boot)

    def _break_link_after_death(self, life: int) -> None:
        if self.master is not None and life == self._processes:
            self.master.link_broke()

    def _lose_disk(self) -> None:
        self._wiping, self.wiped = False, True
        self.say("the work_dir is lost")
        for scheduler in self.schedulers.values():
            for key in scheduler.launched:
                self.invariants.excuse(key, "wiped")
        self.disk.wipe()
        self.volumes.wipe()

    def exited(self, order: orders.Exit) -> None:
        """The shim exited by itself; a supervisor starts it again."""
        self.say("EXIT", order.code, order.reason)
        for scheduler in self.schedulers.values():
            for key in scheduler.launched:
                self.invariants.excuse(key, "the agent left")
        self.clock.after(0.0, self._restart_after_exit, self.process)

    def _restart_after_exit(self, process: Process) -> None:
        if self.process is process:
            self.process = None
            self.network.agent_died()
            self.executors.agent_died()
            self.clock.after(0.01, self._break_link_after_death, self._processes)
            self.clock.after(max(1.0, self.plan.slow + 0.1), self._boot)

    def commit(self, batch: Sequence[Record]) -> None:
        self.disk.commit(batch)
        self.volumes.commit(batch)
        self.invariants.check_groups()

    def disk_delay(self) -> float:
        return self.rng.choice((0.0005, 0.002, 0.002, 0.02, 0.3))

    def authenticate(self, process: Process, order: orders.Authenticate) -> None:
        fails = self.rng.random() < self.faults["authentication_fails"]
        refused = fails and self.rng.random() < 0.3
        fact = (
            facts.AuthenticationFailed(order.attempt, refused, "simulated")
            if fails
            else facts.Authenticated(order.attempt)
        )
        self.clock.after(self.rng.uniform(0.01, order.timeout / 2), process.post, fact)

    def _container_changed(self, name: str) -> None:
        if self.process is not None:
            self.process.containerizer.changed(name)

    # --- masters ---------------------------------------------------------------------------

    def master_at(self, pid: Pid) -> Master | None:
        master = self.master
        return master if master is not None and master.pid.address == pid.address else None

    def _new_master(self) -> None:
        self._masters += 1
        self.master = Master(self, self._masters, self.registry)

    def failover(self, gap: float, detect: float) -> None:
        if self.master is None:
            return
        self.master.alive = False
        self.master = None
        self.network.break_incoming()
        for scheduler in self.schedulers.values():
            scheduler.connected = False
        if gap:
            self._now_detected(None)
        self.clock.after(gap, self._elected, detect)

    def _elected(self, detect: float) -> None:
        if self.master is not None:
            return
        self._new_master()
        self.clock.after(detect, self._leads, self.master)
        for scheduler in self.schedulers.values():
            self.clock.after(self.rng.choice((0.1, 1.0, 20.0)), self._attach, scheduler)

    def _leads(self, master: Master) -> None:
        if self.master is master and self.detected != master.pid:
            self._now_detected(master.pid)

    def _now_detected(self, pid: Pid | None) -> None:
        self.detected = pid
        self._post(facts.MasterDetected(pid))

    def amnesia(self, gap: float, detect: float) -> None:
        """A failover to a master without the registry."""
        self.registry = Registry()
        self.failover(gap, detect)

    def blink(self, gap: float, detect: float) -> None:
        if self.detected is not None:
            self._now_detected(None)
            self.clock.after(gap, self._unblink)

    def _unblink(self) -> None:
        if self.master is not None and self.detected is None:
            self._now_detected(self.master.pid)

    def break_link(self) -> None:
        self.network.break_incoming()
        if self.master is not None:
            self.master.link_broke()

    def link_failed(self, sender: Pid) -> None:
        """The master's connection to the agent timed out."""
        master = self.master_at(sender)
        if master is not None:
            self.network.break_incoming()
            master.link_broke()

    def agents_link_failed(self, to: Pid) -> None:
        """The agent's connection to the master timed out."""
        self._post(facts.LinkBroke(to.address))

    def partition(self, up: bool, down: bool, seconds: float, lossy: bool) -> None:
        for cut, direction in ((up, self.network.outgoing), (down, self.network.incoming)):
            if cut:
                direction.cut_until = self.clock.now + seconds
                direction.lossy = lossy

    def gone(self) -> None:
        if self.master is not None:
            self.master.mark_gone()

    def leave(self) -> None:
        self._post(facts.LeaveRequested())

    def drain(self, mark_gone: bool, grace: float | None) -> None:
        if self.master is not None:
            config = DrainConfig(mark_gone=mark_gone)
            if grace is not None:
                config.max_grace_period.nanoseconds = int(grace * 1e9)
            self.master.drain(config)

    def reactivate(self) -> None:
        self.registry.draining.clear()

    def checkpoint_resources(self) -> None:
        master = self.master
        if self.plan.volumes:
            return  # what a master that sends operations does not send
        if master is None or master.agent is None or not master.agent.connected:
            return
        if self.clock.now < self.network.incoming.cut_until:
            return
        master.reserved = [] if master.reserved else [reservation()]
        master.send_reserved()

    # --- volumes ---------------------------------------------------------------------------

    def operate(self, volume: int) -> None:
        """Create the volume, or destroy it when no task uses it."""
        master = self.master
        if master is not None and master.open:
            master.operate(volume)

    def _left_volumes(self) -> list[str]:
        """Volumes at the endpoint that the agent does not keep for its master."""
        assert self.process is not None
        kept = self.process.core.view.volumes
        unknown = [] if self.wiped else [n for n in self.engine.volumes if not kept.get(n)]
        return unknown + self.volumes.left(self.engine.volumes)

    # --- frameworks ------------------------------------------------------------------------

    def launch(
        self,
        task: int,
        framework: int,
        kind: str,
        grace: float | None,
        limit: float | None,
        checked: bool,
        pod: int = 0,
        others: Sequence[dict[str, Any]] = (),
        volume: int | None = None,
        executor: int = 0,
        **behaviour: Any,
    ) -> None:
        """``pod`` and ``others`` are those of a group: its executor, and its further tasks.

        ``executor`` is the custom executor of a task or group of such a ``kind``.
        """
        scheduler = self._scheduler(framework)
        key = TaskKey(scheduler.id, TaskId(f"t{task}"))
        master = self.master
        if scheduler.gone or key in scheduler.launched:
            return
        if master is None or not master.open or not scheduler.connected:
            traits = (grace, limit, checked, pod, others, volume, executor)
            arguments = (task, framework, kind, *traits)
            again = partial(self.launch, *arguments, **behaviour)
            if not self.settling:
                self.clock.after(0.5, again)
            return
        self.say("launched:", key, kind)
        self.engine.behaviours[key] = Behaviour(**behaviour)
        assert master.agent is not None
        info = task_info(key, master.agent.id)
        if grace is not None:
            info.kill_policy.grace_period.nanoseconds = int(grace * 1e9)
        if limit is not None:
            info.max_completion_time.nanoseconds = int(limit * 1e9)
        if checked:
            info.health_check.type = HealthCheck.COMMAND
            info.health_check.command.value = "true"
        if volume is not None and kind == "task" and not master.has(volume):
            master.operate(volume)
        if volume is not None and kind == "task" and master.may_use(volume):
            info.resources.add().CopyFrom(volume_resource(volume))
            info.resources[-1].allocation_info.role = "prod"
            self.uses[key] = volume
        infos = {key: info}
        for number, other in enumerate(others if "group" in kind else (), 1):
            member = TaskKey(scheduler.id, TaskId(f"t{task}.{number}"))
            self.engine.behaviours[member] = Behaviour(**other)
            infos[member] = task_info(member, master.agent.id)
        scheduler.launched.update(infos)
        if "custom" in kind:
            self.executors.launched(infos, executor, Behaviour(**behaviour))
            custom = custom_executor(scheduler.id, executor)
            message = executor_message(scheduler, list(infos.values()), custom, kind)
        elif kind == "group":
            default = executor_info(scheduler.id, pod)
            message = group_message(scheduler, list(infos.values()), default)
        else:
            message = launch_message(scheduler, info, kind)
        master.launch(scheduler, key, message)

    def _scheduler(self, index: int) -> Scheduler:
        return list(self.schedulers.values())[index]

    def _key(self, task: int) -> TaskKey | None:
        """Of a task group any of its tasks."""
        for scheduler in self.schedulers.values():
            keys = [key for key in scheduler.launched if _is_of(key, task)]
            if keys and scheduler.connected and not scheduler.gone:
                return keys[0] if len(keys) == 1 else self.rng.choice(keys)
        return None

    def kill(self, task: int, grace: float | None) -> None:
        key = self._key(task)
        if key is None or self.master is None:
            return
        message = m.KillTaskMessage()
        message.framework_id.value, message.task_id.value = key
        if grace is not None:
            message.kill_policy.grace_period.nanoseconds = int(grace * 1e9)
        self.master.kill(key, message)

    def kill_executor(self, task: int) -> None:
        key = self._key(task)
        if key is not None:
            self._shut_down(ExecutorKey(key.framework_id, ExecutorId(key.task_id)))

    def kill_pod(self, framework: int, pod: int) -> None:
        self._shut_down(self._executor(framework, f"pod{pod}"))

    def _executor(self, framework: int, name: str) -> ExecutorKey:
        return ExecutorKey(self._scheduler(framework).id, ExecutorId(name))

    def _shut_down(self, key: ExecutorKey) -> None:
        if self.master is not None:
            self.master.shut_down(key)

    def infra_exit(self, framework: int, pod: int) -> None:
        for name in self._infra_of(framework, pod):
            self.engine.exit(name, 137)

    def infra_removal(self, framework: int, pod: int) -> None:
        for name in self._infra_of(framework, pod):
            self.engine.remove_by_others(name)

    def _infra_of(self, framework: int, pod: int) -> list[str]:
        return self._containers_of_executor(self._executor(framework, f"pod{pod}"))

    def _containers_of_executor(self, key: ExecutorKey) -> list[str]:
        return [name for name, found in self.engine.containers.items() if found.ref.key == key]

    # --- custom executors ------------------------------------------------------------------

    def executor_exit(self, framework: int, executor: int) -> None:
        self._executor_faults.exit(self._executor(framework, f"custom{executor}"))

    def executor_break(self, framework: int, executor: int) -> None:
        self._executor_faults.break_link(self._executor(framework, f"custom{executor}"))

    def executor_removal(self, framework: int, executor: int) -> None:
        for name in self._containers_of_executor(self._executor(framework, f"custom{executor}")):
            self.engine.remove_by_others(name)

    def executor_shutdown(self, framework: int, executor: int) -> None:
        self._shut_down(self._executor(framework, f"custom{executor}"))

    def executor_message(self, framework: int, executor: int) -> None:
        key = self._executor(framework, f"custom{executor}")
        master = self.master
        if master is not None and master.agent is not None:
            message = m.FrameworkToExecutorMessage(data=str(key).encode())
            message.framework_id.value = key.framework_id
            message.executor_id.value = key.executor_id
            message.slave_id.value = master.agent.id
            master.tell(message)

    def impersonate(self, framework: int, executor: int) -> None:
        self._executor_faults.impersonate(self._executor(framework, f"custom{executor}"))

    # --- frameworks: subscriptions ---------------------------------------------------------

    def detach(self, framework: int, seconds: float) -> None:
        scheduler = self._scheduler(framework)
        scheduler.connected = False
        self.clock.after(seconds, self._attach, scheduler)

    def _attach(self, scheduler: Scheduler) -> None:
        if not scheduler.gone and self.master is not None:
            scheduler.connected = True
            self.master.subscribe(scheduler)

    def new_info(self, framework: int, killing: bool) -> None:
        scheduler = self._scheduler(framework)
        scheduler.traits["killing"] = killing
        if scheduler.connected:
            self._attach(scheduler)

    def teardown(self, framework: int) -> None:
        scheduler = self._scheduler(framework)
        scheduler.gone = True
        for key in scheduler.launched:
            self.invariants.excuse(key, "its framework was torn down")
        if self.master is not None:
            self.master.remove_framework(scheduler.id)

    # --- faults ----------------------------------------------------------------------------

    def crash(self, fuse: int, down: float) -> None:
        if self.process is not None:
            self._down = down
            self.process.fuse = fuse

    def stop(self, down: float) -> None:
        if self.process is not None:
            self._down = down
            self._died()

    def wipe(self, fuse: int, down: float) -> None:
        if self.process is not None:
            self._wiping = True
            self.crash(fuse, down)

    def engine_away(self, seconds: float) -> None:
        self.engine.away_until = self.clock.now + seconds

    def disk_refuses(self, seconds: float) -> None:
        self.disk.refuses_until = self.clock.now + seconds

    def exit(self, task: int, code: int) -> None:
        for name in self._containers_of(task):
            self.engine.exit(name, code)
        self.executors.end_tasks(lambda key: _is_of(key, task), code)

    def foreign_removal(self, task: int) -> None:
        for name in self._containers_of(task):
            self.engine.remove_by_others(name)

    def _containers_of(self, task: int) -> list[str]:
        containers = self.engine.containers
        return [name for name in containers if _is_of(containers[name].ref.key, task)]

    def health(self, task: int, healthy: bool, kill: bool) -> None:
        if self.process is None:
            return
        for ref in list(self.process.containerizer.checked):
            if _is_of(ref.key, task):
                self._post(facts.HealthReported(ref, healthy, kill and not healthy))

    # --- the end ---------------------------------------------------------------------------

    def _end_faults(self) -> None:
        """From here on no new fault begins; a partition ends at its time."""
        self.say("FAULTS END")
        self.settling = True
        self.faults = dict.fromkeys(self.faults, 0.0)
        self.plan.slow = min(self.plan.slow, 0.5)
        self.engine.calm = True
        self.engine.away_until = self.disk.refuses_until = 0.0
        self.registry.draining.clear()
        if self.process is not None:
            self.process.fuse = None
        if self.master is None:
            self._elected(0.1)
        self._unblink()
        assert self.master is not None
        if self.detected != self.master.pid:
            self.clock.after(0.2, self._leads, self.master)
        if self.wiped:
            self.clock.after(1.0, self.break_link)
        for scheduler in self.schedulers.values():
            if not scheduler.connected:
                self._attach(scheduler)
        self._tidy()

    def _tidy(self) -> None:
        """Let every running container exit; let the master forget frameworks that are gone.

        The containers of a group that is being ended are the agent's business alone.
        """
        for container in list(self.engine.containers.values()):
            key = container.ref.key
            if isinstance(key, TaskKey) and not self.invariants.ends_with_group(key):
                self.engine.exit(container.ref.name, 0)
        self.executors.settle()
        master = self.master
        assert master is not None
        for scheduler in self.schedulers.values():
            if scheduler.gone and scheduler.id in master.known - master.completed:
                master.remove_framework(scheduler.id)
        self.clock.after(5.0, self._tidy)

    def _quiet(self) -> bool:
        return not self._unsettled()

    def _unsettled(self) -> list[str]:
        process, disk, master = self.process, self.disk, self.master
        if process is None or process.dead:
            return ["the shim is down"]
        assert master is not None
        core = process.core
        undeliverable = self._undeliverable()
        return [
            what
            for what, holds in (
                ("tasks are on disk", disk.tasks),
                ("updates are on disk", disk.updates.keys() - undeliverable),
                ("the endpoint has containers", self.engine.containers),
                ("a batch waits for the disk", not process.settled),
                ("the agent is not registered", not core.ctx.connected),
                (
                    "a re-registration is scheduled",
                    RegistrationTimer.REREGISTER in core.ctx.timers,
                ),
                ("the master has no agent", master.agent is None or not master.agent.connected),
                (
                    "agent and master disagree on the agent id",
                    master.agent and master.agent.id != core.ctx.agent_id,
                ),
                (
                    "agent and master disagree on the reserved resources",
                    Resources.of(core.reservations.resources) != Resources.of(master.reserved),
                ),
                ("executors are on disk", disk.executors),
                ("the master has executors", master.agent is not None and master.agent.executors),
                ("the master has tasks", master.agent is not None and master.agent.tasks),
                ("the containerizer is busy", not process.containerizer.idle),
                ("containers are to be removed", core.tasks.pending_removals),
                ("volumes are to be removed", not all(core.view.volumes.values())),
                ("operations are not acknowledged", len(core.operations)),
                ("frameworks are on disk", disk.frameworks and not undeliverable),
                ("the agent drains", core.tasks.drain is not None and not undeliverable),
            )
            if holds
        ]

    def _undeliverable(self) -> set[TaskKey]:
        """Rejections for frameworks that are gone: they stay until ``limits.REJECTION_AGE``.

        Re-registration does not report rejected tasks. So the master does not repeat a lost
        ShutdownFrameworkMessage for a framework that has nothing else here.
        """
        gone = {s.id for s in self.schedulers.values() if s.gone}
        if not gone:
            return set()
        rejected = self.disk.updates.keys() - self.disk.accepted.keys()
        return {key for key in rejected if key.framework_id in gone}

    def _check_nothing_left(self) -> None:
        """Master, endpoint, journal and memory agree that no task and no container is left."""
        assert self.process is not None
        core, containerizer = self.process.core, self.process.containerizer
        undeliverable = self._undeliverable()
        timers: set[Timer] = {
            RegistrationTimer.PING_TIMEOUT,
            ShutdownTimer.ACKNOWLEDGEMENTS,
            ExitTimer.RETRY,
            *map(UpdateRetry, undeliverable),
        }
        left = {
            "tasks in memory": core.tasks.table,
            "tasks by container": core.tasks.by_container,
            "executors in memory": [*core.executors, *core.custom_executors.table],
            "streams": len(core.status_updates) - len(undeliverable),
            "frameworks in memory": core.frameworks.table if not undeliverable else None,
            "pending removals on disk": self.disk.pending_removals,
            "an unanswered request on disk": self.disk.unanswered_request,
            "destroyed volumes at the endpoint": self._left_volumes(),
            "operations on disk": self.disk.operations,
            "a drain on disk": self.disk.drain if not undeliverable else None,
            "timers": [timer for timer in core.ctx.timers if timer not in timers],
            "published": containerizer.published,
            "checks": containerizer.checked,
        }
        for what, there in left.items():
            if there:
                raise Violation(f"at the end there are still {what}: {there}")


_SHORTER = (
    (
        re.compile(
            r"Ref\(key=TaskKey\(framework_id='(.*?)', task_id='(.*?)'\), container_id='(.{4}).*?'\)"
        ),
        r"\1/\2#\3",
    ),
    (re.compile(r"TaskKey\(framework_id='(.*?)', task_id='(.*?)'\)"), r"\1/\2"),
    (re.compile(r"Pid\(id='(.*?)', ip='(.*?)', port=\d+\)"), r"\1@\2"),
    (re.compile(r"<\w+\.(\w+): .*?>"), r"\1"),
    (re.compile(r"mesos-(.{4})[-0-9a-f]{32}"), r"#\1"),
    (re.compile(r" \{ value: (\".*?\") \}"), r": \1"),
)
_LONGEST_LINE = 300


def _brief(word: object) -> str:
    if isinstance(word, str):
        return word
    text = " ".join(repr(word).split())
    message = getattr(word, "message", None)
    if isinstance(message, Message):
        text = f"{message.DESCRIPTOR.name} {text}"
    for pattern, shorter in _SHORTER:
        text = pattern.sub(shorter, text)
    return text[:_LONGEST_LINE]


def _agent_info() -> SlaveInfo:
    info = SlaveInfo(hostname="shim", port=5051, checkpoint=True)
    for name, value in (("cpus", 8.0), ("mem", 1024.0)):
        resource = info.resources.add(name=name, type=Value.SCALAR, role="*")
        resource.scalar.value = value
    disk = info.resources.add(name="disk", type=Value.SCALAR, role="prod")
    disk.scalar.value = 1000.0
    return info


def _is_of(key: TaskKey | ExecutorKey, task: int) -> bool:
    """Whether it is the plan's task, or one of the plan's task group."""
    return isinstance(key, TaskKey) and key.task_id.partition(".")[0] == f"t{task}"
