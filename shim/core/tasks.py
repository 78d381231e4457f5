"""All tasks of this agent: accepting, following, ending them.

What a fact does to a task is looked up in :mod:`shim.core.lifecycle`; here are the actions. Each
action changes the task, makes the change durable, and says what to tell and what to order.
"""

from __future__ import annotations

import uuid as uuidlib
from collections.abc import Callable

from shim.core import status
from shim.core.context import Context
from shim.core.frameworks import Framework, Frameworks
from shim.core.history import History
from shim.core.lifecycle import Action, Event, Phase, step
from shim.core.pending_removals import PendingRemovals
from shim.core.status import Report
from shim.core.status_reporter import StatusReporter
from shim.core.status_updates import StatusUpdateManager
from shim.core.task import Task
from shim.model import facts
from shim.model.container import Container, Ref
from shim.model.ids import ContainerId, TaskKey
from shim.model.orders import (
    CancelLaunch,
    Launch,
    Publish,
    StartChecks,
    Stop,
    StopChecks,
    Watch,
    Withdraw,
)
from shim.model.records import AddTask, DropTask
from shim.protos.journal_pb2 import Cause
from shim.protos.mesos_pb2 import DrainConfig, KillPolicy, Resource, TaskInfo, TaskState


class Tasks:
    def __init__(self, ctx: Context, frameworks: Frameworks, streams: StatusUpdateManager) -> None:
        self._ctx = ctx
        self._frameworks = frameworks
        self._streams = streams
        self.history = History()
        self.table: dict[TaskKey, Task] = {}
        self.teller = StatusReporter(ctx, frameworks, streams, self.table)
        self.doomed = PendingRemovals(ctx)
        self.drain: DrainConfig | None = None
        self.checkpointed_resources: list[Resource] = []
        """Dynamic reservations and persistent volumes, as the master last sent them."""
        self._actions: dict[Action, Callable[[Task, object], None]] = {
            Action.IGNORE: self._ignore,
            Action.BEGIN: self._begin,
            Action.RUN: self._run,
            Action.FAIL: self._fail,
            Action.END: self._end,
            Action.VANISH: self._vanish,
            Action.CANCEL: self._cancel,
            Action.CANCEL_AGAIN: self._cancel_again,
            Action.GIVE_UP: self._give_up,
            Action.STOP: self._stop,
            Action.STOP_LATE: self._stop_late,
            Action.STOP_AGAIN: self._stop_again,
            Action.REPORT: self._report,
        }

    # --- entering -------------------------------------------------------------------------

    def accept(self, framework: Framework, key: TaskKey, info: TaskInfo) -> None:
        """Take the task on: durable, and only then launched."""
        ctx = self._ctx
        assert ctx.agent_id is not None
        container_id = ContainerId(str(uuidlib.UUID(bytes=ctx.entropy.uuid())))
        task = Task.accept(key, info, ctx.agent_id, container_id, ctx.now.wall)
        self.table[key] = task
        framework.keys.add(key)
        ctx.record(AddTask(key, info.SerializeToString(), task.state()))
        self.limit_time(task)
        ctx.order(self.launch_order(task))

    def launch_order(self, task: Task) -> Launch:
        assert self._ctx.agent_id is not None
        return Launch(task.ref, task.info, self._ctx.agent_id, task.key.task_id)

    def limit_time(self, task: Task) -> None:
        """Have it end when its max_completion_time is over."""
        if task.info.HasField("max_completion_time"):
            left = task.accepted + task.info.max_completion_time.nanoseconds / 1e9
            at = self._ctx.now.mono + max(0.0, left - self._ctx.now.wall)
            self._ctx.timers.set(("expire", task.ref), at)

    # --- what happens to a task -----------------------------------------------------------

    def happened(self, ref: Ref, event: Event, what: object = None) -> None:
        """A fact about a container. One about an earlier container of the task is ignored."""
        task = self.table.get(ref.key)
        if task is None or task.ref != ref:
            self._ctx.counters["late_facts"] += 1
            return
        task.phase, action = step(task.phase, event)
        self._actions[action](task, what)

    def kill(
        self,
        task: Task,
        cause: Cause.ValueType,
        policy: KillPolicy | None,
        *,
        drained: bool = False,
    ) -> None:
        """End the task for ``cause``; the first cause stays, the grace may be changed."""
        if not task.live:
            return
        if cause == Cause.MUTED or task.cause == Cause.NONE:
            task.cause = cause
        task.drained = task.drained or drained
        task.grace = self._grace(task, cause, policy)
        self.happened(task.ref, Event.KILL)

    def _grace(self, task: Task, cause: Cause.ValueType, policy: KillPolicy | None) -> float:
        settings = self._ctx.settings
        if cause == Cause.EXPIRED:
            return 0.0
        grace = max(settings.shutdown_grace, settings.stop_timeout)
        for candidate in (policy, task.info.kill_policy):
            if candidate is not None and candidate.HasField("grace_period"):
                grace = max(0.0, candidate.grace_period.nanoseconds / 1e9)
                break
        if task.drained and self.drain is not None and self.drain.HasField("max_grace_period"):
            grace = min(grace, self.drain.max_grace_period.nanoseconds / 1e9)
        return grace

    def expire(self, ref: Ref) -> None:
        """The task's max_completion_time is over."""
        task = self.table.get(ref.key)
        if task is not None and task.ref == ref and task.cause == Cause.NONE:
            self.kill(task, Cause.EXPIRED, None)

    def acknowledged(self, key: TaskKey) -> None:
        """The terminal update was acknowledged: the task is done with."""
        self._forget(key)

    def note_stage(self, fact: facts.LaunchAdvanced) -> None:
        """What the launch is busy with, for people."""
        if (task := self.table.get(fact.ref.key)) is not None and task.ref == fact.ref:
            task.stage = f"{fact.stage.value} {fact.detail}".strip()

    # --- actions --------------------------------------------------------------------------

    def _ignore(self, task: Task, what: object) -> None:
        pass

    def _begin(self, task: Task, what: object) -> None:
        self.teller.tell(task, status.starting())

    def _run(self, task: Task, what: object) -> None:
        assert isinstance(what, Container)
        task.addresses = what.addresses
        check = status.empty_check(task.info)
        if check is not None:
            task.check_status = check.SerializeToString()
        self.teller.tell(task, status.running(what.inspect, check))
        self._attend(task)

    def _attend(self, task: Task) -> None:
        self._ctx.order(Publish(task.ref, task.info, task.addresses, task.healthy))
        if task.info.HasField("health_check") or task.info.HasField("check"):
            self._ctx.order(
                StartChecks(task.ref, task.info, task.addresses, task.healthy is not None)
            )

    def _fail(self, task: Task, what: object) -> None:
        assert isinstance(what, facts.LaunchFailed)
        self.finish(task, status.launch_failed(what.failure, what.message))

    def _end(self, task: Task, what: object) -> None:
        assert isinstance(what, facts.ContainerExited)
        text = status.exit_text(what.exit_code, what.error)
        if task.cause == Cause.EXPIRED:
            self.finish(task, status.expired(text))
        elif task.cause == Cause.NONE:
            self.finish(
                task,
                status.exited(
                    task.info, what.exit_code, oom_killed=what.oom_killed, error=what.error
                ),
            )
        else:
            self.finish(task, self._killed(task, text))

    def _vanish(self, task: Task, what: object) -> None:
        if task.cause == Cause.NONE:
            self.finish(task, status.vanished(task.ref.name))
        elif task.cause == Cause.EXPIRED:
            self.finish(task, status.expired("Container is gone"))
        else:
            self.finish(task, self._killed(task, "Container is gone"))

    def _killed(self, task: Task, text: str) -> Report:
        report = status.killed(text, False if task.cause == Cause.UNHEALTHY else None)
        return self._drained(task, report)

    def _drained(self, task: Task, kill: Report) -> Report:
        """The kill in the words of a drain, where one ends the task."""
        if not task.drained:
            return kill
        framework = self._frameworks.table[task.key.framework_id]
        gone = self.drain is not None and self.drain.mark_gone and framework.partition_aware
        return status.drained(kill, gone=gone)

    def _cancel(self, task: Task, what: object) -> None:
        self.teller.save(task)
        self._ctx.order(CancelLaunch(task.ref))

    def _cancel_again(self, task: Task, what: object) -> None:
        """Another cause, or grace."""
        self.teller.save(task)

    def _give_up(self, task: Task, what: object) -> None:
        if task.cause == Cause.EXPIRED:
            self.finish(task, status.expired("Given up before the container was started"))
        else:
            report = status.killed_during_launch("Killed before the container was started")
            self.finish(task, self._drained(task, report))

    def _stop(self, task: Task, what: object) -> None:
        framework = self._frameworks.table[task.key.framework_id]
        if framework.wants_killing and task.cause not in (Cause.EXPIRED, Cause.MUTED):
            self.teller.tell(task, self._drained(task, status.killing()))
        else:
            self.teller.save(task)
        self._ctx.order(Withdraw(task.ref))
        self._ctx.order(StopChecks(task.ref))
        self._ctx.order(Stop(task.ref, task.grace))

    def _stop_late(self, task: Task, what: object) -> None:
        """It started before the launch could be given up: end it as a running one."""
        assert isinstance(what, Container)
        task.addresses = what.addresses
        self._stop(task, what)

    def _stop_again(self, task: Task, what: object) -> None:
        self.teller.save(task)
        self._ctx.order(Stop(task.ref, task.grace))

    def _report(self, task: Task, what: object) -> None:
        reason = status.Reason.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED
        if isinstance(what, facts.HealthReported):
            task.healthy = what.healthy
            self._ctx.order(Publish(task.ref, task.info, task.addresses, task.healthy))
        else:
            assert isinstance(what, facts.CheckReported)
            task.check_status = what.status
            reason = status.Reason.REASON_TASK_CHECK_STATUS_UPDATED
        self.teller.tell(task, Report(TaskState.TASK_RUNNING, reason=reason))

    # --- leaving --------------------------------------------------------------------------

    def finish(self, task: Task, report: Report) -> None:
        """The task's end is decided: tell it, and leave nothing on the endpoint."""
        ctx = self._ctx
        task.phase = Phase.ENDED
        ctx.timers.cancel(("expire", task.ref))
        self.teller.tell(task, report)
        framework = self._frameworks.table[task.key.framework_id]
        self.history.ended(task, framework.info, ctx.now.wall)
        ctx.order(Withdraw(task.ref))
        ctx.order(StopChecks(task.ref))
        self.doomed.add(task.ref)
        if task.cause == Cause.MUTED:
            self._forget(task.key)

    def mute(self, task: Task) -> None:
        """End the task without another word: nobody can acknowledge one any more."""
        self._streams.drop(task.key)
        if task.live:
            self.kill(task, Cause.MUTED, None)
        else:
            self._forget(task.key)

    def unmute(self, key: TaskKey) -> None:
        """The master asks for the task after all: it will be told of its end."""
        task = self.table.get(key)
        if task is not None and task.cause == Cause.MUTED:
            task.cause = Cause.KILL
            self.teller.save(task)

    def silence(self, framework: Framework) -> None:
        """Nobody hears of its tasks any more: end them, and drop what was still to be said."""
        for key in sorted(framework.keys):
            task = self.table.get(key)
            if task is not None:
                self.mute(task)
            else:
                self._streams.drop(key)
                self._frameworks.release(key)

    def silence_all(self) -> None:
        """Under another agent id nothing of this one's may be said."""
        for framework in list(self._frameworks.table.values()):
            self.silence(framework)

    def _forget(self, key: TaskKey) -> None:
        if self.table.pop(key, None) is not None:
            self._ctx.record(DropTask(key))
        self._frameworks.release(key)

    # --- after a restart ------------------------------------------------------------------

    def restore(self, tasks: dict[TaskKey, tuple[bytes, bytes]]) -> None:
        assert self._ctx.agent_id is not None
        for key, (info, state) in tasks.items():
            task = Task.restore(key, self._ctx.agent_id, info, state)
            self.table[key] = task
            self._frameworks.table[key.framework_id].keys.add(key)

    def watch(self, task: Task) -> None:
        self._ctx.order(Watch(task.ref, task.info))

    def resume(self, task: Task) -> None:
        """Go on with a task whose container runs, as before the restart."""
        if task.phase is Phase.STOPPING:
            self._ctx.order(Stop(task.ref, task.grace))
        else:
            self._attend(task)
