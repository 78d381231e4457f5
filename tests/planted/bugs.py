"""Bugs to plant: plausible mistakes, each of which a test or the simulation must find."""

# ruff: noqa: E501  # the code to be replaced is quoted as it stands in its file

from __future__ import annotations

from dataclasses import dataclass

SIM = "sim"
CORE = "tests/core"
STORIES = "tests/scenarios"
RUNTIME = "tests/agent/test_runtime.py"
BARRIER = "tests/agent/test_barrier.py"
JOURNAL = "tests/agent/test_journal.py"
LOG = "tests/agent/test_journal_log.py"
SHARED_JOURNAL = "tests/agent/test_zookeeper_journal.py"
PAIR = "tests/sim/test_pair.py"
AGENT = "tests/agent/test_main.py"
ROUTER = "tests/http/test_router.py"
OPERATOR = "tests/http/operator_api"
WORKERS = "tests/engine/containers"
PODS = "tests/engine/containers/test_pods.py"
MAPPING = "tests/engine/mapping"
EXECUTORS = "tests/core/test_custom_executors.py"
DELIVERY = "tests/core/test_task_delivery.py"
EXECUTOR_CALLS = "tests/core/test_executor_calls.py"
EXECUTOR_LAUNCHES = "tests/core/test_executor_launches.py"
EXECUTOR_RECOVERY = "tests/core/test_executor_recovery.py"
EXECUTOR_REGISTRATION = "tests/core/test_executor_registration.py"
EXECUTOR_UPDATES = "tests/core/test_executor_updates.py"
EXECUTOR_API = "tests/http/executor_api"
GROUPS = "tests/core/test_task_groups.py"


@dataclass(frozen=True, slots=True)
class Bug:
    what: str
    file: str
    old: str
    """Occurs in the file exactly once."""
    new: str
    found_by: tuple[str, ...] = (SIM, CORE)
    """Paths of tests, or SIM for the simulation: at least one of them must fail."""


BUGS = (
    # --- pages
    Bug(
        "a machine that waits for its removal costs nothing on the live page",
        "shim/http/live/feed.py",
        "exists = live or ref.container_id in self._agent.pending_removals",
        "exists = live",
        ("tests/http/live/test_feed.py",),
    ),
    Bug(
        "slices of two pages stand one behind the other",
        "shim/http/time_slicer.py",
        "            await asyncio.sleep(0)\n            await asyncio.sleep(0)\n",
        "            await asyncio.sleep(0)\n",
        ("tests/http/test_time_slicer.py",),
    ),
    Bug(
        "tasks that /containers leaves out are looked through in one piece",
        "shim/http/statistics.py",
        "                yield None\n",
        "",
        ("tests/http/test_time_slicer.py",),
    ),
    Bug(
        "a stream that is read slowly never hears of a row that left meanwhile",
        "shim/http/live/feed.py",
        "            changed[name], sent[name] = table.changed_since(sent[name]), table.number\n"
        "        return self._events_of(None if is_new else gone, changed)\n",
        "            changed[name] = table.changed_since(sent[name])\n"
        "        yield from self._events_of(None if is_new else gone, changed)\n"
        "        for name, table in self._tables.items():\n"
        "            sent[name] = table.number\n",
        ("tests/http/live/test_feed.py",),
    ),
    # --- custom executors
    Bug(
        "an update of an executor is acknowledged to it and not stored",
        "shim/core/executor_updates.py",
        "            self._store(executor, task, update)\n",
        "            pass\n",
        (EXECUTOR_UPDATES, SIM),
    ),
    Bug(
        "an executor speaks for the task of another one",
        "shim/core/executor_updates.py",
        "if task is not None and task.executor_key != executor.key:",
        "if False:",
        (EXECUTOR_UPDATES,),
    ),
    Bug(
        "a state that only masters set is sent on",
        "shim/core/executor_updates.py",
        "if reported.state in _NOT_OF_EXECUTORS:",
        "if False:",
        (EXECUTOR_UPDATES,),
    ),
    Bug(
        "a repeated update of an executor is stored again",
        "shim/core/executor_updates.py",
        "if not task.live or any(known.uuid == update.uuid for known in task.wire.statuses):",
        "if not task.live:",
        (EXECUTOR_UPDATES, SIM),
    ),
    Bug(
        "a task is handed over before it is durable that it was",
        "shim/core/task_delivery.py",
        """            task.addresses = executor.addresses
            self._tasks.reporter.save(task)""",
        """            task.addresses = executor.addresses""",
        (DELIVERY, SIM),
    ),
    Bug(
        "a task is handed over before its executor's container has grown",
        "shim/core/task_delivery.py",
        "        if needed != executor.size:",
        "        if False:",
        (DELIVERY,),
    ),
    Bug(
        "a task that never reached its executor is waited for",
        "shim/core/executor_registration.py",
        "            if lost and task.key.task_id not in contact.tasks:",
        "            if False:",
        (EXECUTOR_REGISTRATION, SIM),
    ),
    Bug(
        "an executor registers from any address",
        "shim/core/executor_registration.py",
        "if contact.pid is None or not known:",
        "if True:",
        (EXECUTOR_REGISTRATION,),
    ),
    Bug(
        "a process that registers early as an executor displaces it",
        "shim/core/executor_registration.py",
        "            if self._is_of(executor, contact):\n",
        "            if len(executor.waiting) == 0 and self._is_of(executor, contact):\n",
        (EXECUTOR_REGISTRATION,),
    ),
    Bug(
        "an executor's token counts no more after a restart",
        "shim/core/custom_executor.py",
        "            authenticated=custom.authenticated,\n",
        "",
        (EXECUTOR_RECOVERY,),
    ),
    Bug(
        "an executor that no task is left for keeps being launched",
        "shim/core/custom_executors.py",
        "if has_nothing_to_do or self._tasks.drain is not None:",
        "if False:",
        (EXECUTORS,),
    ),
    Bug(
        "the tasks of an executor that ended run for ever",
        "shim/core/custom_executors.py",
        """            if task.live:
                self._tasks.finish(task, report)""",
        """            if False:
                self._tasks.finish(task, report)""",
        (EXECUTORS, SIM),
    ),
    Bug(
        "the container of an executor that ended is left",
        "shim/core/custom_executors.py",
        """        self._tasks.pending_removals.add(executor.ref)
""",
        "",
        (EXECUTORS, SIM),
    ),
    Bug(
        "the exit of an executor is not reported to the master",
        "shim/core/custom_executors.py",
        "        self._executors.send_exited(executor.key, executor_ends.wait_status(detail))\n",
        "",
        (EXECUTORS,),
    ),
    Bug(
        "a kill inside an executor does not wait until its task has left Consul",
        "shim/agent/dispatcher.py",
        "        self._when_withdrawn(refs, self._streams.send, order.stream, order.event)\n",
        "        self._streams.send(order.stream, order.event)\n",
        ("tests/agent/test_dispatcher.py",),
    ),
    Bug(
        "a task that is published after its withdrawal is taken out again",
        "shim/discovery/sync.py",
        "        return self._wait_removed(self._desired.withdraw(ref, inside=inside), timeout)\n",
        """        async def later() -> bool:
            return await self._wait_removed(self._desired.withdraw(ref, inside=inside), timeout)

        return later()
""",
        ("tests/discovery/test_sync.py",),
    ),
    Bug(
        "an exit that the lease held back is not told again",
        "shim/wire/link.py",
        "            self._drop(held_back)\n            self._messages_lost(self.address)\n",
        "            self._drop(held_back)\n",
        ("tests/wire/test_link.py",),
    ),
    Bug(
        "the end of a withdrawal is taken for that of a later one of the same task",
        "shim/agent/dispatcher.py",
        "        if self._withdrawals.get(ref) is task:\n",
        "        if ref in self._withdrawals:\n",
        ("tests/agent/test_dispatcher.py",),
    ),
    Bug(
        "an exit that no master got is not reported after the registration",
        "shim/core/executor_exits.py",
        """        for key, status in self._reported.items():
            self._send(key, status)""",
        """        for key, status in ():
            self._send(key, status)""",
        ("tests/core/test_executor_exits.py", SIM),
    ),
    Bug(
        "the exit of an executor is reported when another of its id runs",
        "shim/core/executor_exits.py",
        """        \"\"\"An executor of this id is launched.\"\"\"
        self._reported.pop(key, None)""",
        """        \"\"\"An executor of this id is launched.\"\"\"
        pass""",
        ("tests/core/test_executor_exits.py",),
    ),
    Bug(
        "a task that is killed inside an executor stays in service discovery",
        "shim/core/task_delivery.py",
        """            self._tasks.reporter.save(task)
            self._executors.services.withdraw(task)""",
        """            self._tasks.reporter.save(task)""",
        ("tests/core/test_executor_services.py",),
    ),
    Bug(
        "tasks of one executor overwrite each other in Consul",
        "shim/discovery/services.py",
        "    if not inside:\n",
        "    if True:\n",
        ("tests/discovery/test_desired_state.py",),
    ),
    Bug(
        "a health result is reported again after a restart",
        "shim/core/tasks.py",
        "            if detail.healthy and task.healthy:\n",
        "            if False:\n",
        ("tests/core/test_tasks.py",),
    ),
    Bug(
        "a create that the engine still works on fails the launch",
        "shim/engine/containers/launch.py",
        "            raise Transient(str(conflict)) from None\n",
        "            raise Ambiguous(str(conflict)) from None\n",
        (f"{WORKERS}/test_launch.py",),
    ),
    Bug(
        "a short check never leaves an address that does not answer",
        "shim/engine/checks/network_probe.py",
        "min(timeout / 2, limits.CHECK_CONNECT_TIMEOUT)",
        "min(2 * timeout, limits.CHECK_CONNECT_TIMEOUT)",
        ("tests/engine/checks/test_network_probe.py",),
    ),
    Bug(
        "all tasks of a pod are one service in Consul",
        "shim/discovery/services.py",
        "    in_pod = order.shares_network and not order.inside\n",
        "    in_pod = False\n",
        ("tests/discovery/test_services.py",),
    ),
    Bug(
        "the environment of the flag is forgotten",
        "shim/agent/executor_environment.py",
        """        **settings.variables,
""",
        "",
        ("tests/agent/test_executor_environment.py",),
    ),
    Bug(
        "an executor that ignores its shutdown is left alone",
        "shim/core/custom_executors.py",
        "            self.apply(executor, CustomExecutorEvent.GRACE_OVER)\n",
        "            pass\n",
        (EXECUTORS,),
    ),
    Bug(
        "a kill that the executor missed is not repeated",
        "shim/core/executor_registration.py",
        "if task.phase is TaskPhase.DELIVERED and task.cause != Cause.NONE:",
        "if False:",
        (EXECUTOR_RECOVERY,),
    ),
    Bug(
        "an executor is forgotten before the last update of its tasks is acknowledged",
        "shim/core/custom_executors.py",
        "if executor.live or executor.task_keys or executor.key not in self.table:",
        "if executor.live or executor.key not in self.table:",
        (EXECUTORS, SIM),
    ),
    Bug(
        "a message of a sender that did not register counts",
        "shim/core/executor_calls.py",
        "if executor is not None and executor.pid == sender:",
        "if executor is not None:",
        (EXECUTOR_CALLS,),
    ),
    Bug(
        "the launch of an executor whose create was under way is repeated",
        "shim/core/executor_recovery.py",
        "            if not executor.creating:",
        "            if True:",
        (EXECUTOR_RECOVERY,),
    ),
    Bug(
        "an executor is not asked to register again after a restart",
        "shim/core/executor_recovery.py",
        "            self._executors.registration.await_reconnection(executor)\n",
        "            pass\n",
        (EXECUTOR_RECOVERY,),
    ),
    Bug(
        "another ExecutorInfo of the same id is taken",
        "shim/core/executor_admission.py",
        "if not same_executor(executor.info, info):",
        "if False:",
        (EXECUTOR_LAUNCHES,),
    ),
    Bug(
        "the token of an earlier container is good",
        "shim/http/executor_api/handler.py",
        "    elif claims.container_id != container_id:",
        "    elif False:",
        (EXECUTOR_API,),
    ),
    Bug(
        "an executor with a token may be spoken for without it",
        "shim/http/executor_api/handler.py",
        "elif self._token_required or executor.authenticated:",
        "elif self._token_required:",
        (EXECUTOR_API,),
    ),
    Bug(
        "an executor that does not read takes all memory",
        "shim/http/executor_api/executor_streams.py",
        "if self._bytes > limits.EXECUTOR_STREAM_BYTES:",
        "if False:",
        (EXECUTOR_API,),
    ),
    Bug(
        "a call of any size is read",
        "shim/http/request_body.py",
        "if size > most:",
        "if False:",
        (EXECUTOR_API,),
    ),
    # --- task groups
    Bug(
        "task groups: the rest of a broken group runs on",
        "shim/core/task_groups.py",
        """            if task.cause == Cause.NONE:
                self._tasks.kill_with_group(task)""",
        """            if task.cause != Cause.NONE:
                self._tasks.kill_with_group(task)""",
        (SIM,),
    ),
    Bug(
        "task groups: a finished task ends its group",
        "shim/core/task_groups.py",
        "    return not task.live and task.wire.state != TaskState.TASK_FINISHED\n",
        "    return not task.live\n",
        (GROUPS,),
    ),
    Bug(
        "task groups: a task is reported as running before its group is launched",
        "shim/core/tasks.py",
        "                    event = Event.STARTED_EARLY\n",
        "                    pass\n",
        (GROUPS,),
    ),
    Bug(
        "task groups: one launch that answers counts for all",
        "shim/core/task_groups.py",
        "                elif all(self._answered(group, key) for key in group.members):\n",
        "                elif any(self._answered(group, key) for key in group.members):\n",
        (SIM, GROUPS),
    ),
    Bug(
        "task groups: the ends noted at a launch are forgotten",
        "shim/core/task_groups.py",
        "            if task.key in ends:\n",
        "            if task.key not in ends and False:\n",
        (GROUPS,),
    ),
    Bug(
        "task groups: the infra container is left",
        "shim/core/task_groups.py",
        "        self._tasks.pending_removals.add(executor.ref, delay=0.0)\n",
        "",
        (GROUPS,),
    ),
    Bug(
        "task groups: the executor ends before its last task",
        "shim/core/task_groups.py",
        "        if not any(task.live for task in self._tasks_of(executor)):\n",
        "        if not all(task.live for task in self._tasks_of(executor)):\n",
        (SIM, GROUPS),
    ),
    Bug(
        "task groups: the master is not told that the executor exited",
        "shim/core/executors.py",
        "        self.send_exited(executor.key, executor.exit_status)\n",
        "",
        (GROUPS,),
    ),
    Bug(
        "task groups: tasks run on without their infra container",
        "shim/core/task_groups.py",
        "                self._tasks.kill(task, Cause.EXECUTOR_TERMINATED, None)\n",
        "                pass\n",
        (GROUPS,),
    ),
    Bug(
        "task groups: a second kill changes the grace of a group's task",
        "shim/core/tasks.py",
        "        elif task.group is None or not repeated or grace < task.grace:\n",
        "        elif task.group is None or not repeated or grace != task.grace:\n",
        (GROUPS,),
    ),
    Bug(
        "task groups: an executor is not reported at a re-registration",
        "shim/core/agent.py",
        "                    executors[task.group.executor] = None\n",
        "                    pass\n",
        (SIM, GROUPS),
    ),
    Bug(
        "task groups: a restart does not launch the tasks of a queued group",
        "shim/core/recovery.py",
        "            if task.live and not task.inside_executor:\n",
        "            if task.live and not (task.queued or task.inside_executor):\n",
        (GROUPS,),
    ),
    Bug(
        "task groups: a create is allowed before the infra container runs",
        "shim/core/tasks.py",
        "                if event is Event.CREATING and task.queued:\n",
        "                if False:\n",
        (SIM, GROUPS),
    ),
    Bug(
        "task groups: the creates that waited for the infra container are forgotten",
        "shim/core/task_groups.py",
        "            if task.key in due and task.key not in group.ends:\n",
        "            if False:\n",
        (SIM, GROUPS),
    ),
    Bug(
        "task groups: tasks prepare only when the infra container runs",
        "shim/core/task_groups.py",
        """        # The tasks pull and fetch while the infra container is made.
        for task in self._members(group):
""",
        """        for task in self._members(group) if executor.phase is ExecutorPhase.RUNNING else ():
""",
        (GROUPS,),
    ),
    Bug(
        "task groups: what a queued task prepares goes on after its end",
        "shim/core/tasks.py",
        """            self._ctx.order(CancelLaunch(task.ref))
        task.phase = TaskPhase.ENDED
""",
        """            pass
        task.phase = TaskPhase.ENDED
""",
        (GROUPS,),
    ),
    Bug(
        "task groups: a group whose launches all failed early waits for ever",
        "shim/core/task_groups.py",
        "        self._tasks.changed_members += members\n",
        "",
        (GROUPS,),
    ),
    Bug(
        "task groups: a group that is launched again is refused when one of its tasks is forgotten",
        "shim/core/tasks.py",
        "        same = any(task.belongs_to(executor) for task in known)\n",
        "        same = all(task.belongs_to(executor) for task in known) and len(known) == len(keys)\n",
        (GROUPS,),
    ),
    Bug(
        "task groups: a group may have the id of a task whose end is not acknowledged",
        "shim/core/tasks.py",
        "if key in self.table or closed(key)), None)\n",
        "if key in self.table), None)\n",
        (GROUPS,),
    ),
    Bug(
        "task groups: a pod and a custom executor share an id",
        "shim/core/group_admission.py",
        "        if custom or (executor is not None and not _equal(executor.info, info)):\n",
        "        if executor is not None and not _equal(executor.info, info):\n",
        (GROUPS,),
    ),
    Bug(
        "task groups: one unfit task does not refuse its group",
        "shim/core/group_admission.py",
        "            if problem := ctx.settings.launch_problem(launch):\n",
        "            if False and (problem := ctx.settings.launch_problem(launch)):\n",
        (GROUPS,),
    ),
    # --- persistent volumes and operations
    Bug(
        "a destroyed volume is removed while a container may still mount it",
        "shim/core/volumes.py",
        """                if not kept.containers:
                    self._apply(name, VolumeEvent.UNUSED)
            case VolumeAction.REMOVE:""",
        """                self._apply(name, VolumeEvent.UNUSED)
            case VolumeAction.REMOVE:""",
        (CORE,),
    ),
    Bug(
        "a volume that is created again during the removal of the earlier one gets its name",
        "shim/core/volumes.py",
        """        while (name := self._name(key, generation)) in self._volumes:
            generation += 1""",
        """        name = self._name(key, generation)""",
    ),
    Bug(
        "a removal of a volume is forgotten at a restart",
        "shim/core/agent.py",
        """        self.volumes.resume_removals()
""",
        "",
    ),
    Bug(
        "a volume is created that there is already",
        "shim/core/reservations.py",
        """        self._volumes.check_new(created.resources(), consumed.resources())
""",
        "",
    ),
    Bug(
        "an operation's status is not durable",
        "shim/core/operations.py",
        """        self._ctx.record(SaveOperation(uuid, tracked.operation.SerializeToString()))
""",
        "",
    ),
    Bug(
        "an operation that arrives before the answer is reported to no master",
        "shim/core/master_messages.py",
        """        elif not self._operations.apply(message) or not self._ctx.connected:""",
        """        elif not self._operations.apply(message):""",
    ),
    Bug(
        "a volume is told apart by the place where it is mounted",
        "shim/model/resource_sets.py",
        """        bare.disk.ClearField("volume")
        bare.disk.persistence.ClearField("principal")""",
        """        bare.disk.persistence.ClearField("principal")""",
        ("tests/model/test_resource_sets.py",),
    ),
    Bug(
        "a removal whose earlier call may still come is reported as done",
        "shim/engine/containers/volume_provisioner.py",
        """        if order.again:
            self._unanswered[order.name] = self._clock()
""",
        "",
        ("tests/engine/containers/test_volume_provisioner.py",),
    ),
    Bug(
        "a command of a MESOS container begins in / and not in its sandbox",
        "shim/engine/mapping/command.py",
        "        builder.default_workdir = sandbox\n",
        "        pass\n",
        (MAPPING,),
    ),
    Bug(
        "a restart forgets which volumes an executor's container mounts",
        "shim/core/agent.py",
        "self.volumes.hold_named(custom.ref.container_id, custom.volumes)",
        "pass",
        ("tests/core/test_volumes.py",),
    ),
    Bug(
        "after a restart of the engine a volume is another agent's",
        "shim/engine/docker.py",
        'answer = await self._http.json("create_volume", "GET", path)',
        "pass",
        ("tests/engine/test_docker.py",),
    ),
    Bug(
        "a volume that another container may mount is given to a new owner",
        "shim/core/volumes.py",
        "in_use=bool(containers - {container_id}),",
        "",
        ("tests/core/test_volumes.py",),
    ),
    Bug(
        "a volume that gets an owner loses the mode that its task gave it",
        "shim/engine/containers/volume_owner.py",
        "mode = await engine.path_mode(container, path)",
        "mode = 0o755",
        ("tests/engine/containers/test_volume_owner.py",),
    ),
    Bug(
        "a volume that Triton still makes is taken for one that is there",
        "shim/engine/triton/volumes.py",
        "if all(each.name != volume.name for each in await self._all()):",
        "if False:",
        ("tests/engine/triton/test_volumes.py",),
    ),
    Bug(
        "an executor's volume may be anywhere",
        "shim/engine/mapping/persistent_volumes.py",
        """    _mount_points(builder, of_executor, set(), f"executor.{_PATH}")
""",
        "",
        ("tests/engine/mapping/test_shared_volumes.py",),
    ),
    # --- launches of containers
    Bug(
        "a cancelled launch starts its container",
        "shim/engine/containers/worker_table.py",
        """        LaunchEvent.START: (LaunchPhase.UNWANTED, _INTERRUPT),""",
        """        LaunchEvent.START: (LaunchPhase.STARTING, _NONE),""",
        (WORKERS,),
    ),
    Bug(
        "a start that may have had its effect is given up",
        "shim/engine/containers/worker_table.py",
        """        LaunchEvent.REFUSED: (LaunchPhase.CONFIRMING, _NONE),""",
        """        LaunchEvent.REFUSED: (LaunchPhase.CREATING, _NONE),""",
        (WORKERS,),
    ),
    Bug(
        "the container of a cancelled launch is left behind",
        "shim/engine/containers/worker.py",
        "if self.phase is not LaunchPhase.UNWANTED:",
        "if self.phase is not None:",
        (WORKERS,),
    ),
    Bug(
        "a parked launch gives its slot back",
        "shim/engine/containers/launch.py",
        """            # The endpoint still works on the create, which keeps its slot until it has ended.
            raise""",
        """            self._release_slot()
            raise""",
        (WORKERS,),
    ),
    Bug(
        "a lost create counts as settled at once",
        "shim/engine/containers/worker_deps.py",
        "return since is not None and self._clock() - since < limits.CREATE_SETTLES",
        "return False",
        (WORKERS,),
    ),
    Bug(
        "a removal waits behind launches",
        "shim/engine/containers/worker.py",
        "async with self._deps.slots.slot(urgent=True):",
        "async with self._deps.slots.slot():",
        (WORKERS,),
    ),
    Bug(
        "task groups: each task that has a port is registered with all ports of its pod",
        "shim/discovery/task_ports.py",
        "        for m in (() if shares_network else mappings)\n",
        "        for m in mappings\n",
        ("tests/discovery/test_task_ports.py",),
    ),
    # --- containers of executors and of their tasks
    Bug(
        "a task is created before the container that it joins runs",
        "shim/engine/containers/launch.py",
        "addresses = await self._deps.running.wait(spec.starts_after)",
        "addresses = ()",
        (PODS,),
    ),
    Bug(
        "the volumes of an executor outlive it",
        "shim/engine/containers/worker.py",
        "if isinstance(self._ref.key, ExecutorKey):",
        "if self._ref.key is None:",
        (PODS,),
    ),
    Bug(
        "an executor that is adopted is believed to have no volumes",
        "shim/engine/containers/launch.py",
        "self._deps.volumes.doubt(self._order.ref)",
        "pass",
        (PODS,),
    ),
    Bug(
        "volumes of executors that live are swept",
        "shim/engine/containers/executor_volumes.py",
        "if owner not in executors]",
        "if owner]",
        (PODS,),
    ),
    Bug(
        "the launch of an infra container counts as slowness of its tasks",
        "shim/engine/containers/launch.py",
        "        self._deadline += self._deps.clock() - began\n\n    async def _wait_for_slot",
        "\n    async def _wait_for_slot",
        (WORKERS,),
    ),
    Bug(
        "tasks wait for ever for an executor that failed",
        "shim/engine/containers/worker.py",
        "            self._deps.running.failed(self._ref, outcome.message)\n",
        "",
        (PODS,),
    ),
    Bug(
        "an update takes memory from a container that uses it",
        "shim/engine/containers/updates.py",
        'max(wanted, host.get("Memory") or 0)',
        "wanted",
        ("tests/engine/containers/test_updates.py",),
    ),
    Bug(
        "a port of a task's own reaches an engine that refuses it beside a shared network",
        "shim/engine/mapping/spec.py",
        "        refuse_own_network(builder)\n",
        "        pass\n",
        (MAPPING,),
    ),
    Bug(
        "on Triton a task borrows volumes that the lender does not have yet",
        "shim/engine/mapping/shared_volumes.py",
        "builder.starts_after = users[0]",
        "pass",
        (MAPPING,),
    ),
    # --- the barrier, the loop, the journal
    Bug(
        "orders are carried out before their records are durable",
        "shim/agent/barrier.py",
        "(at_once if isinstance(order, Pong) else self._next.orders).append(order)",
        "at_once.append(order)",
        (SIM,),
    ),
    Bug(
        "updates are sent before they are durable",
        "shim/agent/barrier.py",
        "isinstance(order, Pong)",
        'type(order).__name__ in ("Pong", "Send")',
        (SIM,),
    ),
    Bug(
        "launches do not wait for the disk",
        "shim/agent/barrier.py",
        "isinstance(order, Pong)",
        'type(order).__name__ in ("Pong", "Launch")',
        (SIM,),
    ),
    Bug(
        "orders without records wait for the next records",
        "shim/agent/barrier.py",
        "return bool(self._next.records or self._next.orders)",
        "return bool(self._next.records)",
        (SIM,),
    ),
    Bug(
        "the loop carries orders out while the commit is under way",
        "shim/agent/runtime.py",
        "                await self._write(batch)\n",
        "                asyncio.ensure_future(self._write(batch))\n",
        (RUNTIME,),
    ),
    Bug(
        "a batch that the disk did not take is given up",
        "shim/agent/runtime.py",
        "                await asyncio.sleep(limits.DISK_RETRY)\n",
        "                return\n",
        (RUNTIME,),
    ),
    Bug(
        "a batch that can never be durable is passed over",
        "shim/agent/runtime.py",
        "                self._carry_out_order(Exit(1, str(error)))\n                return\n",
        "                continue\n",
        (RUNTIME,),
    ),
    Bug(
        "a commit is not all or nothing",
        "shim/agent/journal.py",
        'db.execute("BEGIN IMMEDIATE")',
        "pass",
        (JOURNAL,),
    ),
    Bug(
        "commits are not synced",
        "shim/agent/journal.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
        (JOURNAL,),
    ),
    Bug(
        "an acknowledgement forgets all updates of its task on disk",
        "shim/agent/journal_codec.py",
        'Change(Verb.DROP, "updates", (*r.key, r.uuid))',
        'Change(Verb.DROP, "updates", tuple(r.key))',
        (JOURNAL, "tests/sim/test_simulation.py"),
    ),
    Bug(
        "a second shim may open the journal",
        "shim/agent/work_dir_lock.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        (JOURNAL,),
    ),
    # --- a journal that several agents share
    Bug(
        "a write that another epoch refused counts as durable",
        "shim/agent/lease.py",
        "        Outcome.EPOCH_MOVED: Step.FENCED,\n        # An earlier attempt",
        "        Outcome.EPOCH_MOVED: Step.DURABLE,\n        # An earlier attempt",
        (PAIR, SHARED_JOURNAL),
    ),
    Bug(
        "records are written without the check of the epoch",
        "shim/agent/journal_lock.py",
        "            await self.client.multi(self._check, *operations)\n",
        "            await self.client.multi(*operations)\n",
        (SHARED_JOURNAL,),
    ),
    Bug(
        "a write without an answer counts as durable",
        "shim/agent/lease.py",
        "        Outcome.REFUSED: Step.LATER,\n        Outcome.UNANSWERED: Step.READ,",
        "        Outcome.REFUSED: Step.LATER,\n        Outcome.UNANSWERED: Step.DURABLE,",
        (PAIR, SHARED_JOURNAL),
    ),
    Bug(
        "a node of another writer counts as this one's",
        "shim/agent/lease.py",
        "        Outcome.DIFFERENT: Step.FENCED,",
        "        Outcome.DIFFERENT: Step.DURABLE,",
        ("tests/agent/test_lease.py",),
    ),
    Bug(
        "a batch of several nodes counts before its last one",
        "shim/agent/journal_log.py",
        "            flags = _LAST if start == starts[-1] else 0\n",
        "            flags = _LAST\n",
        (LOG,),
    ),
    Bug(
        "old values are deleted before they are written again",
        "shim/agent/zookeeper_journal.py",
        "            deleted = work.deleted if len(work.parts) == 1 else ()\n",
        "            deleted = work.deleted if part is work.parts[0] else ()\n",
        (SHARED_JOURNAL,),
    ),
    Bug(
        "values that still count are deleted with their batch",
        "shim/agent/journal_log.py",
        "            if segment.live:\n                break\n",
        "",
        (LOG, PAIR),
    ),
    Bug(
        "a leader acts after its lease",
        "shim/agent/lease.py",
        "        return self._from <= now < self._until\n",
        "        return self._from <= now\n",
        (PAIR, SHARED_JOURNAL),
    ),
    Bug(
        "a lease counts from the answer",
        "shim/agent/journal_lock.py",
        "        self.lease.confirm(sent)\n        self.reason",
        "        self.lease.confirm(self.clock())\n        self.reason",
        (SHARED_JOURNAL,),
    ),
    Bug(
        "a new leader acts at once",
        "shim/agent/lease.py",
        "        self._from = raised + wait\n",
        "        self._from = raised\n",
        ("tests/agent/test_lease.py", SHARED_JOURNAL),
    ),
    Bug(
        "orders are carried out while another agent may lead",
        "shim/agent/runtime.py",
        "            if not self._journal.may_act():\n                await self._write(Decision())\n",
        "",
        (RUNTIME,),
    ),
    Bug(
        "containers are started while another agent may lead",
        "shim/engine/client/guard.py",
        "if is_order(self.method, self.url.path) and not may_act():",
        "if False:",
        ("tests/engine/client/test_guard.py",),
    ),
    Bug(
        "a message that waited for its connection is sent while another agent may lead",
        "shim/wire/link.py",
        "            if may_send():\n",
        "            if True:\n",
        ("tests/wire/test_link.py",),
    ),
    Bug(
        "an answer to another request ends the connection to ZooKeeper for ever",
        "shim/wire/zookeeper_client.py",
        "        with _nonsense_breaks_the_connection():\n            return super()._read_socket(read_timeout)\n",
        "        return super()._read_socket(read_timeout)\n",
        ("tests/wire/test_zookeeper_client.py",),
    ),
    Bug(
        "a standby with another address takes over",
        "shim/agent/journal_lock.py",
        "        if difference := leader.difference(self._holder):",
        "        if (difference := leader.difference(self._holder)) is None:",
        (SHARED_JOURNAL,),
    ),
    Bug(
        "a new leader registers without the address",
        "shim/agent/failover.py",
        '                if found.get("token") == token:\n',
        "                if found:\n",
        ("tests/agent/test_failover.py",),
    ),
    Bug(
        "a task that the journal does not take is accepted",
        "shim/core/rejections.py",
        "    if size <= limit:\n",
        "    if size:\n",
        (CORE,),
    ),
    # --- records
    Bug(
        "a change of phase is not recorded",
        "shim/core/status_reporter.py",
        "        task.add_status(update.update.status)\n        self.save(task)\n",
        "        task.add_status(update.update.status)\n",
    ),
    Bug(
        "a kill is not recorded",
        "shim/core/tasks.py",
        "        self.reporter.save(task)\n        self._ctx.order(CancelLaunch(task.ref))",
        "        self._ctx.order(CancelLaunch(task.ref))",
    ),
    Bug(
        "another cause while a launch is cancelled is not recorded",
        "shim/core/tasks.py",
        '        """Record the new cause and grace period of a running cancellation."""\n        self.reporter.save(task)',
        '        """Record the new cause and grace period of a running cancellation."""',
    ),
    Bug(
        "an accepted task is not recorded",
        "shim/core/tasks.py",
        "        self._ctx.record(AddTask(task.key, info, state))\n",
        "        del info, state\n",
    ),
    Bug(
        "a pending removal is not recorded",
        "shim/core/pending_removals.py",
        "        self._ctx.record(AddPendingRemoval(ref))\n",
        "",
    ),
    Bug(
        "a pending removal is never forgotten",
        "shim/core/pending_removals.py",
        "            self._ctx.record(DropPendingRemoval(ref.container_id))\n",
        "            pass\n",
    ),
    Bug(
        "a finished task stays on disk",
        "shim/core/tasks.py",
        "            self._ctx.record(DropTask(key))\n",
        "            pass\n",
    ),
    Bug(
        "a framework is not recorded",
        "shim/core/frameworks.py",
        "        self._ctx.record(SaveFramework(framework_id, saved))\n",
        "        del saved\n",
    ),
    Bug(
        "a framework is never forgotten",
        "shim/core/frameworks.py",
        "        if not framework.task_keys and not framework.executor_ids:\n",
        "        if False:\n",
    ),
    Bug(
        "the agent's id is not recorded",
        "shim/core/registration.py",
        "        ctx.record(SaveAgent(agent))\n",
        "        del agent\n",
    ),
    Bug(
        "a drain is not recorded",
        "shim/core/draining.py",
        "        self._ctx.record(SaveDrain(config))\n",
        "",
    ),
    # --- status updates
    Bug(
        "an acknowledgement is not recorded",
        "shim/core/status_updates.py",
        "        self._ctx.record(DropUpdate(key, uuid))\n",
        "",
    ),
    Bug(
        "an acknowledgement with another uuid counts",
        "shim/core/status_updates.py",
        " or stream.queue[0].update.uuid != uuid:",
        ":",
    ),
    Bug(
        "an update is sent before the one ahead of it is acknowledged",
        "shim/core/status_updates.py",
        "        if len(stream.queue) == 1:\n            self._send(key, stream)\n",
        "        self._ctx.order(Send(self._ctx.master, update))\n",
    ),
    Bug(
        "an update sent again has a new timestamp",
        "shim/core/status_updates.py",
        "        ctx.order(Send(ctx.master, _with_latest_state(stream)))",
        "        stream.queue[0].update.timestamp = ctx.now.wall\n"
        "        ctx.order(Send(ctx.master, _with_latest_state(stream)))",
    ),
    Bug(
        "an update sent again has a new uuid",
        "shim/core/status_updates.py",
        '        self._ctx.counters["updates_resent"] += 1\n',
        '        self._ctx.counters["updates_resent"] += 1\n'
        "        stream.queue[0].update.uuid = self._ctx.entropy.uuid()\n",
    ),
    Bug(
        "an update is not repeated",
        "shim/core/status_updates.py",
        "        ctx.timers.set(UpdateRetry(key), ctx.now.mono + interval)\n",
        "",
    ),
    Bug(
        "the next update is not sent on an acknowledgement",
        "shim/core/status_updates.py",
        "        if stream.queue:\n            self._send(key, stream)\n        else:",
        "        if not stream.queue:",
    ),
    Bug(
        "updates are not resumed at registration",
        "shim/core/master_messages.py",
        """            self._operations.registered()
            self._status_updates.resume()
            self._executors.exits.report_again()

    def _reregistered""",
        """            self._operations.registered()
            self._executors.exits.report_again()

    def _reregistered""",
    ),
    Bug(
        "updates flow while not registered",
        "shim/core/status_updates.py",
        "        if not ctx.connected or ctx.master is None:\n            return\n        stream.interval",
        "        if ctx.master is None:\n            return\n        stream.interval",
    ),
    Bug(
        "the newest update is kept instead of all",
        "shim/core/status_updates.py",
        "            stream.queue.extend(StatusUpdateMessage.FromString(value) for value in updates)",
        "            stream.queue.append(StatusUpdateMessage.FromString(updates[-1]))",
    ),
    Bug(
        "waits for an acknowledgement do not grow",
        "shim/core/status_updates.py",
        "stream.interval * 2",
        "stream.interval",
    ),
    Bug(
        "the update of one task is acknowledged for another",
        "shim/core/master_messages.py",
        "        done = self._status_updates.acknowledge(key, message.uuid)\n",
        "        done = self._status_updates.acknowledge(next(iter(self._tasks.table), key), message.uuid)\n",
    ),
    # --- ends
    Bug(
        "a killed task that ends well is FINISHED",
        "shim/core/tasks.py",
        "        elif task.cause == Cause.NONE:\n            oom, error",
        "        elif task.cause == Cause.NONE or detail.exit_code == 0:\n            oom, error",
    ),
    Bug(
        "an unknown exit code is a success",
        "shim/core/status.py",
        """        return _out_of_memory(info, message)
    state = TaskState.TASK_FINISHED if exit_code == 0 else""",
        """        return _out_of_memory(info, message)
    state = TaskState.TASK_FINISHED if not exit_code else""",
    ),
    Bug(
        "the end is reported when the stop is ordered",
        "shim/core/tasks.py",
        "        self._ctx.order(Stop(task.ref, task.grace))\n\n    def _stop_late",
        "        self._ctx.order(Stop(task.ref, task.grace))\n"
        "        self.finish(task, self._kill_report(task, 'killed'))\n\n    def _stop_late",
    ),
    Bug(
        "a cancelled launch goes on at the endpoint",
        "shim/core/tasks.py",
        "        self.reporter.save(task)\n        self._ctx.order(CancelLaunch(task.ref))\n",
        "        self.reporter.save(task)\n",
    ),
    Bug(
        "an ended task's container is left",
        "shim/core/pending_removals.py",
        "        self._ctx.order(Remove(ref, self._ctx.settings.remove_delay if delay is None else delay))\n",
        "",
    ),
    Bug(
        "a task that starts after its cancellation is not stopped",
        "shim/core/lifecycle.py",
        "Event.STARTED: (TaskPhase.STOPPING, Action.STOP_LATE)",
        "Event.STARTED: (TaskPhase.RUNNING, Action.RUN)",
    ),
    Bug(
        "a cancellation after the start leaves the task for ever",
        "shim/core/lifecycle.py",
        "Event.CANCELLED: (TaskPhase.ENDED, Action.VANISH)",
        "Event.CANCELLED: (TaskPhase.STOPPING, _IGNORE)",
    ),
    Bug(
        "a late fact about an earlier container counts for the present one",
        "shim/core/tasks.py",
        "        if task is None or task.ref != ref:\n            self._ctx.counters",
        "        if task is None:\n            self._ctx.counters",
    ),
    Bug(
        "KILLING is reported twice",
        "shim/core/lifecycle.py",
        "Event.KILL: (TaskPhase.STOPPING, Action.STOP_AGAIN)",
        "Event.KILL: (TaskPhase.STOPPING, Action.STOP)",
    ),
    Bug(
        "a drained task loses its reason",
        "shim/core/task.py",
        "            drained=self.drained,\n",
        "",
    ),
    Bug(
        "an ended task stays in service discovery",
        "shim/core/tasks.py",
        "            ctx.order(Withdraw(task.ref))\n            ctx.order(StopChecks(task.ref))\n            self.pending_removals",
        "            ctx.order(StopChecks(task.ref))\n            self.pending_removals",
    ),
    # --- recovery
    Bug(
        "a launch is repeated though its container may have run",
        "shim/core/recovery.py",
        "            self._undo_launch(task)\n",
        "            self._ctx.order(tasks.launch_order(task))\n",
    ),
    Bug(
        "running containers are not observed after a restart",
        "shim/core/recovery.py",
        "            tasks.watch(task)\n",
        "",
    ),
    Bug(
        "a stop is forgotten by a restart",
        "shim/core/tasks.py",
        "        if task.phase is TaskPhase.STOPPING:\n            self._ctx.order(Stop(task.ref, task.grace))\n        elif",
        "        if",
    ),
    Bug(
        "pending removals are forgotten by a restart",
        "shim/core/recovery.py",
        "            self._ctx.order(Remove(ref))\n",
        "            pass\n",
    ),
    Bug(
        "orphans are left",
        "shim/core/recovery.py",
        "            self._ctx.order(RemoveOrphan(container.name))\n",
        "            pass\n",
    ),
    Bug(
        "exits during a restart are not reported",
        "shim/core/recovery.py",
        "            tasks.apply(task.ref, Event.EXITED, exited)\n",
        "            tasks.watch(task)\n",
    ),
    Bug(
        "a max_completion_time ends with the process",
        "shim/core/recovery.py",
        "        tasks.start_expiry_timer(task)\n",
        "",
    ),
    # --- messages and registration
    Bug(
        "a removed framework still gets updates",
        "shim/core/tasks.py",
        "        if task.live:\n            self.kill(task, Cause.WITHOUT_UPDATES, None)",
        "        if task.live:\n            self.kill(task, Cause.KILL, None)",
    ),
    Bug(
        "updates of a removed framework are kept",
        "shim/core/tasks.py",
        "        self._status_updates.drop(task.key)\n        if task.live:",
        "        if task.live:",
    ),
    Bug(
        "tasks are not reported while they end",
        "shim/core/agent.py",
        "            if task.cause != Cause.WITHOUT_UPDATES:\n",
        "            if task.live and task.cause != Cause.WITHOUT_UPDATES:\n",
    ),
    Bug(
        "tasks without updates are reported at re-registration",
        "shim/core/agent.py",
        "            if task.cause != Cause.WITHOUT_UPDATES:\n",
        "            if True:\n",
    ),
    Bug(
        "unknown tasks are not rejected at reconciliation",
        "shim/core/master_messages.py",
        "            self._tasks.reporter.answer_for_unknown(framework, key, report)\n\n    def _pid_of",
        "            pass\n\n    def _pid_of",
    ),
    Bug(
        "a doubled launch is two launches",
        "shim/core/master_messages.py",
        "        if key in self._tasks.table or self._status_updates.closed(key):\n            self._tasks.resume_updates(key)",
        "        if self._status_updates.closed(key):\n            self._tasks.resume_updates(key)",
    ),
    Bug(
        "a kill that arrives before its launch is forgotten",
        "shim/core/early_kills.py",
        "        return self._killed_at.pop(key, None) is not None",
        "        return False",
    ),
    Bug(
        "messages of any sender are handled",
        "shim/core/master_messages.py",
        "        if sender != ctx.master:\n",
        "        if False:\n",
    ),
    Bug(
        "a rejection does not release the framework",
        "shim/core/status_reporter.py",
        "        framework.task_keys.add(key)\n        update = self._update(key, report, executor_id",
        "        update = self._update(key, report, executor_id",
    ),
    Bug(
        "a broken link changes nothing",
        "shim/core/master_messages.py",
        "            if not self._registration.ping_received(sender, message):\n                self._link_broken()\n",
        "            self._registration.ping_received(sender, message)\n",
    ),
    Bug(
        "a drain never ends",
        "shim/core/agent.py",
        "        self.draining.advance()\n",
        "",
    ),
    Bug(
        "an executor that ignores kills keeps an agent that leaves",
        "shim/core/shutdown.py",
        "        # After the kills: one that does not act on them is stopped after its grace period.\n"
        "        self._tasks.custom_executors.shut_down_all()\n",
        "",
    ),
    Bug(
        "an agent that leaves ignores that it is marked gone",
        "shim/core/shutdown.py",
        "not self._is_overruled_by(mode)",
        "True",
    ),
    Bug(
        "tasks of a former agent id are kept",
        "shim/core/shutdown.py",
        "            self._tasks.drop_all_frameworks()\n",
        "",
    ),
    Bug(
        "the agent registers before the containers are known",
        "shim/core/registration.py",
        "        if self.state in (State.DISCONNECTED, State.CONNECTED):\n            self.start_round()",
        "        self.start_round()",
    ),
    Bug(
        "an agent with an id registers as a new agent",
        "shim/core/registration.py",
        "        if self._ctx.agent_id is not None:\n            again =",
        "        if False:\n            again =",
    ),
    Bug(
        "missing pings are not noticed",
        "shim/core/registration.py",
        "        self._set_ping_timer()\n        self._requested_earlier",
        "        self._requested_earlier",
    ),
    Bug(
        "a registration request is sent once only",
        "shim/core/registration.py",
        "        ctx.timers.set(RegistrationTimer.SEND_REQUEST, next_request)\n",
        "",
    ),
    Bug(
        "an answer counts though it may be to an older request",
        "shim/core/registration.py",
        "            if self._unanswered > 1 or self._requested_earlier:\n",
        "            if False:\n",
    ),
    Bug(
        "a restart forgets that a request was sent",
        "shim/core/registration.py",
        "            if self._unanswered > 1 or self._requested_earlier:\n",
        "            if self._unanswered > 1:\n",
        (CORE,),
    ),
    Bug(
        "requests of earlier rounds are not counted as unanswered",
        "shim/core/registration.py",
        "        self._failures = 0\n        self._attempt += 1\n",
        "        self._failures = 0\n        self._unanswered = 0\n        self._attempt += 1\n",
    ),
    Bug(
        "a first registration clears what was ignored before it",
        "shim/core/registration.py",
        "        if isinstance(request, ReregisterSlaveMessage):\n",
        "        if True:\n",
    ),
    Bug(
        "the timer of a request stays while the agent authenticates",
        "shim/core/registration.py",
        "        ctx.timers.cancel(RegistrationTimer.SEND_REQUEST)\n        if ctx.settings.authenticate",
        "        if ctx.settings.authenticate",
    ),
    Bug(
        "the outcome of an authentication counts though none is under way",
        "shim/core/registration.py",
        "        if not self._authenticating or fact.attempt != self._attempt:\n",
        "        if fact.attempt != self._attempt:\n",
        (CORE,),
    ),
    Bug(
        "a launch that is ignored without a master is not settled",
        "shim/core/master_messages.py",
        "            if ctx.master is None or ctx.agent_id is None:\n",
        "            if False:\n",
    ),
    Bug(
        "resources that change during a registration are not settled",
        "shim/core/master_messages.py",
        "        if self._reservations.replace(message.resources) and not self._ctx.connected:\n",
        "        if self._reservations.replace(message.resources) and False:\n",
    ),
    Bug(
        "an ended task that the master asks about is rejected",
        "shim/core/tasks.py",
        "        if task is None or task.listed:\n",
        "        if task is None:\n",
    ),
    Bug(
        "an end that was acknowledged is forgotten by a restart",
        "shim/core/agent.py",
        "            self.status_updates.acknowledged_ends.restore(snapshot.acknowledged_ends)\n",
        "",
    ),
    Bug(
        "the end of a task that only an earlier process listed is not kept",
        "shim/core/tasks.py",
        "            task.listed = True\n",
        "",
    ),
    Bug(
        "acknowledged ends are kept for ever",
        "shim/core/acknowledged_ends.py",
        "        if not self._request_may_be_on_its_way:\n            self.clear()\n",
        "",
        (CORE,),
    ),
    Bug(
        "the end of an earlier task of the same id is repeated",
        "shim/core/status_updates.py",
        "        self.acknowledged_ends.pop(key)\n",
        "",
        (CORE,),
    ),
    Bug(
        "a create is allowed when the task is launched",
        "shim/core/tasks.py",
        "        self._ctx.order(self.launch_order(self.add(framework, key, info)))\n",
        "        self._ctx.order(self.launch_order(self.add(framework, key, info)))\n        self._allow_create(self.table[key], None)\n",
    ),
    Bug(
        "a launch that is repeated after a restart is never allowed to create",
        "shim/core/lifecycle.py",
        "        Event.CREATING: (TaskPhase.STARTING, Action.ALLOW_CREATE),\n",
        "        Event.CREATING: (TaskPhase.STARTING, _IGNORE),\n",
    ),
    Bug(
        "a create is sent before it is allowed",
        "shim/engine/containers/launch.py",
        "        await self._create_allowed()\n        self._owner.apply(LaunchEvent.CREATE)",
        "        self._advance(Stage.CREATING)\n        self._owner.apply(LaunchEvent.ALLOW)\n        self._owner.apply(LaunchEvent.CREATE)",
        ("tests/engine/containers",),
    ),
    Bug(
        "a cancel does not interrupt a launch that waits for permission to create",
        "shim/engine/containers/launch.py",
        "        async with self._within_deadline():\n            await self._owner.create_allowed()\n",
        "        await self._owner.create_allowed()\n",
        ("tests/engine/containers",),
    ),
    Bug(
        "reservations are forgotten with the agent id",
        "shim/core/agent.py",
        "        request.checkpointed_resources.extend(self.reservations.resources)\n        if isinstance(request, RegisterSlaveMessage):\n            return\n",
        "        if isinstance(request, RegisterSlaveMessage):\n            return\n        request.checkpointed_resources.extend(self.reservations.resources)\n",
    ),
    Bug(
        "resources are reported without their allocation",
        "shim/core/task.py",
        "    task.resources.extend(info.resources)\n",
        "    task.resources.extend(info.resources)\n"
        "    for resource in task.resources:\n"
        '        resource.ClearField("allocation_info")\n',
    ),
    # --- the agent's port and its services
    Bug(
        "a starting agent answers no pings",
        "shim/agent/frontend.py",
        "        if name in (PING_MESSAGE, codec.PING):\n",
        "        if name == codec.PING:\n",
        ("tests/agent/test_frontend.py",),
    ),
    Bug(
        "the starting pages stay when the services exist",
        "shim/agent/main.py",
        "        frontend.replace(services.http.router, services.messenger)\n",
        "        frontend.replace(self._starting_frontend(context.pid)._router, services.messenger)\n",
        (AGENT,),
    ),
    Bug(
        "orders are not counted",
        "shim/agent/wiring.py",
        "stats.counted_dispatch(self._dispatcher.dispatch)",
        "self._dispatcher.dispatch",
        (AGENT,),
    ),
    Bug(
        "a stop does not wait until its task has left Consul",
        "shim/agent/dispatcher.py",
        "        if not waits:\n",
        "        if True:\n",
        ("tests/agent/test_dispatcher.py",),
    ),
    Bug(
        "pages need no password",
        "shim/http/router.py",
        "            if path not in WITHOUT_PASSWORD:\n",
        "            if False:\n",
        (ROUTER,),
    ),
    Bug(
        "the cache keeps the JSON of a task that changed",
        "shim/http/task_json_cache.py",
        "        if cached is None or cached.version != version:\n",
        "        if cached is None:\n",
        ("tests/http/test_state.py",),
    ),
    Bug(
        "a path may lead out of a sandbox",
        "shim/http/paths.py",
        """    if ".." in parts or "." in parts or""",
        """    if "." in parts or""",
        ("tests/http/test_paths.py",),
    ),
    # --- forged messages, service discovery, run
    Bug(
        "an answer with another agent id renames the agent",
        "shim/core/registration.py",
        "self._awaits_answer and self._asks_for_id",
        "True",
        (CORE,),
    ),
    Bug(
        "an answer without a request assigns an agent id",
        "shim/core/registration.py",
        "if ctx.agent_id is None and not self._awaits_answer:",
        "if False:",
        (CORE,),
    ),
    Bug(
        "a shutdown of a master that has no request ends the agent",
        "shim/core/master_messages.py",
        "if not self._registration.master_has_request:",
        "if False:",
        (CORE,),
    ),
    Bug(
        "the sender's address is not compared with that of its connection",
        "shim/wire/server.py",
        "if self._require_peer_ip_match and request.remote != sender.ip:",
        "if False:",
        ("tests/wire/test_server.py",),
    ),
    Bug(
        "a string that never ends hides all further output of a task",
        "shim/client/terminal.py",
        r'_STRING_TEXT = re.compile(r"[^\x07\x18\x1a\x1b\x9c\n]*")',
        r'_STRING_TEXT = re.compile(r"[^\x07\x18\x1a\x1b\x9c]*")',
        ("tests/client/test_terminal.py",),
    ),
    Bug(
        "the end of a process's output on Triton is an error after the end of its input",
        "shim/engine/client/half_close.py",
        "except ssl.SSLZeroReturnError:",
        "except ssl.SSLSyscallError:",
        ("tests/engine/client/test_half_close.py",),
    ),
    Bug(
        "an executor between two calls counts as idle",
        "shim/wire/connection_guard.py",
        " or request.path.endswith(LINKS)",
        "",
        ("tests/wire/test_connection_guard.py",),
    ),
    Bug(
        "a name without a DNS label does not give way to the task's id",
        "shim/discovery/service_names.py",
        "(given, task.discovery.name, task.name, task_id)",
        "(given, task.discovery.name, task.name)",
        ("tests/discovery/test_service_names.py",),
    ),
    Bug(
        "ports published by a parameter have no service port",
        "shim/discovery/task_ports.py",
        'if key == "publish":',
        "if False:",
        ("tests/discovery/test_task_ports.py",),
    ),
    Bug(
        "run leaves the user in CommandInfo, where an agent ignores it",
        "shim/run/task_spec.py",
        'parameters.append({"key": "user", "value": spec.user})',
        "pass",
        ("tests/run/test_task_spec.py",),
    ),
    # --- commands, sandboxes and checks of tasks
    Bug(
        "arguments of a MESOS container replace the program of the image's command",
        "shim/engine/mapping/command.py",
        '[command[0], *spec.body["Cmd"]]',
        'spec.body["Cmd"]',
        ("tests/engine/mapping/test_command.py",),
    ),
    Bug(
        "the log of a silent container is read while it is removed",
        "shim/engine/sandbox/store.py",
        "return self.knows(ref) or ref.container_id in self._silent",
        "return self.knows(ref)",
        ("tests/engine/sandbox/test_store.py",),
    ),
    Bug(
        "a sandbox whose final logs were never collected is never swept",
        "shim/engine/sandbox/store.py",
        "await self._end_removed(follower)",
        "pass",
        ("tests/engine/sandbox/test_store.py",),
    ),
    Bug(
        "an archive writes through a link that leads out of the sandbox",
        "shim/engine/fetch/sandbox_archive.py",
        'if target.startswith("/") or ".." in steps or followed > _LINKS_FOLLOWED:',
        "if followed > _LINKS_FOLLOWED:",
        ("tests/engine/fetch/test_sandbox_archive.py",),
    ),
    Bug(
        "a clock that is set back hides lines of a log",
        "shim/engine/sandbox/buffer.py",
        "if timestamp_s > self.timestamp_s or (at_cursor and self.lines_left == 0):",
        "if timestamp_s > self.timestamp_s:",
        ("tests/engine/sandbox/test_buffer.py",),
    ),
    Bug(
        "a byte that is no UTF-8 counts as three",
        "shim/http/utf8.py",
        'return "?" * (error.end - error.start), error.end',
        'return "\\ufffd" * (error.end - error.start), error.end',
        ("tests/http/test_utf8.py",),
    ),
    Bug(
        "a check of port 0 is probed elsewhere until something answers",
        "shim/engine/checks/probe_route.py",
        "target.port not in _PORTS:",
        "False:",
        ("tests/engine/checks/test_checker.py",),
    ),
    # --- the operator API
    Bug(
        "everybody may run commands in tasks",
        "shim/http/operator_api/rights.py",
        "if not granted:",
        "if False:",
        (OPERATOR,),
    ),
    Bug(
        "a page under a foreign name of the agent's address may call",
        "shim/http/operator_api/rights.py",
        "or not (name in names or _is_address(name)):",
        "or False:",
        (OPERATOR,),
    ),
    Bug(
        "an empty piece of input is no end of it",
        "shim/http/operator_api/streams.py",
        "            if message.data.data:",
        "            if True:",
        (OPERATOR,),
    ),
    Bug(
        "a session outlives its client",
        "shim/http/operator_api/exec_calls.py",
        "            if event is not SessionEvent.OUTPUT_ENDED:",
        "            if False:",
        (OPERATOR,),
    ),
    Bug(
        "a second client that does not read is kept",
        "shim/http/operator_api/sessions.py",
        "if self._bytes + len(record) > limits.SESSION_WAITING_BYTES:",
        "if False:",
        (OPERATOR,),
    ),
    Bug(
        "a task of a custom executor is taken for the container of its executor",
        "shim/core/tasks.py",
        "if task.executor_key is None:\n            self.by_container[",
        "if True:\n            self.by_container[",
        (OPERATOR,),
    ),
    Bug(
        "tasks of one custom executor share a row of the live page",
        "shim/http/live/rows.py",
        "    if isinstance(executor, CustomExecutor):",
        "    if False:",
        ("tests/http/live/test_feed.py",),
    ),
    Bug(
        "the live page offers a terminal to those without the right",
        "shim/http/live/task_page.py",
        "view.may_touch and exec_in is not None",
        "exec_in is not None",
        ("tests/http/live/test_feed.py",),
    ),
    Bug(
        "a reader that takes no events keeps its place",
        "shim/http/router.py",
        "loop.call_later(limits.STREAM_WRITE_TIMEOUT,",
        "loop.call_later(86400.0,",
        ("tests/http/test_router.py",),
    ),
    Bug(
        "secrets are shown in protobuf",
        "shim/http/operator_api/answers.py",
        "    hide_secrets(copy)\n",
        "",
        (OPERATOR,),
    ),
    # --- TLS, and Consul at a take-over
    Bug(
        "a new leader's own service is critical until it is registered",
        "shim/agent/wiring.py",
        "agent.connected or time.monotonic() < registers_until",
        "agent.connected",
        ("tests/agent/test_standby.py",),
    ),
    Bug(
        "a chain of certificates may be as long as it likes",
        "shim/wire/tls.py",
        "if between > settings.verification_depth:",
        "if False:",
        ("tests/wire/test_tls.py",),
    ),
    Bug(
        "only the first curve of a list has to be known",
        "shim/wire/tls.py",
        "for name in reversed(names):",
        "for name in names[:1]:",
        ("tests/wire/test_tls.py",),
    ),
    # --- for operators
    Bug(
        "an id that a shell would run is completed",
        "shim/completion/command.py",
        "if _SAFE.fullmatch(task_id)",
        "if task_id",
        ("tests/completion/test_command.py",),
    ),
    Bug(
        "every task has metrics, however many there are",
        "shim/http/task_metrics.py",
        "list(islice(running, max_tasks))",
        "list(running)",
        ("tests/http/test_task_metrics.py",),
    ),
    Bug(
        "the counter of a task begins before its first sample",
        "shim/http/task_metrics.py",
        "() if usage is None else (*USED, *USED_TOTAL)",
        "(*USED, *USED_TOTAL)",
        ("tests/http/test_task_metrics.py",),
    ),
    Bug(
        "a bar shows layers where bytes are known",
        "shim/client/progress.py",
        "_MEGABYTES.search(stage) or _LAYERS.search(stage)",
        "_LAYERS.search(stage) or _MEGABYTES.search(stage)",
        ("tests/client/test_progress.py",),
    ),
    Bug(
        "a password that was given as a flag is repeated in the error",
        "shim/client/agent_client.py",
        'if ":" in file.removeprefix("file://"):',
        "if False:",
        ("tests/client/test_commands.py",),
    ),
    Bug(
        "an agent without the page is asked for every task, every second",
        "shim/run/stages.py",
        "            if error.code != 404:\n",
        "            if False:\n",
        ("tests/run/test_stages.py",),
    ),
)
