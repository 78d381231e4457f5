"""Registration and re-registration of agents, in the order of Mesos' ``master.cpp``.

A re-registration takes one of three paths. A: the agent is in memory; the master keeps its own
task states. B: the agent is known from the registry only, after a failover of the master. C: the
agent is unreachable or unknown. On paths B and C the master takes the tasks from the message.
"""

from __future__ import annotations

from shim.dev.master import agent_messages, agent_validation, agents, offers, tasks
from shim.dev.master.effects import HoldConnection, SaveRegistry
from shim.dev.master.master_state import Agent, AgentCapability, MasterFramework, MasterState
from shim.model.ids import AgentId, FrameworkId, Pid, TaskId, TaskKey
from shim.model.resource_sets import Resources, without_dynamic
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal

RegistrationRequest = internal.RegisterSlaveMessage | internal.ReregisterSlaveMessage


def _awaits_authentication(master: MasterState, sender: Pid, message: RegistrationRequest) -> bool:
    """Whether the message is held back, or dropped, until the agent has authenticated."""
    if sender in master.authenticating:
        master.authenticating[sender].append(message)
        return True
    if master.options.authenticate_agents and sender not in master.authenticated:
        master.drop_message(sender, message, "the agent is not authenticated")
        return True
    return False


def _invalid(master: MasterState, message: RegistrationRequest) -> str | None:
    return agent_validation.invalid_version(message.version) or agent_validation.invalid_domain(
        message.slave, master
    )


# ---- first registration ------------------------------------------------------------------------


def register(master: MasterState, sender: Pid, message: internal.RegisterSlaveMessage) -> None:
    if _awaits_authentication(master, sender, message):
        return
    reason = agent_validation.invalid_info(
        message.slave, message.checkpointed_resources
    ) or _invalid(master, message)
    if reason:
        master.drop_message(sender, message, reason)
        return
    known = master.agent_at(sender)
    if known is not None and known.connected:
        _send_registered(master, known)
        return
    if fatal := agent_validation.fatal_info(message.slave, message.checkpointed_resources):
        master.abort(sender, message, fatal)
        return
    if known is not None:
        agents.remove(master, known, "a new agent registered at the same address")
    agent_id = AgentId(f"{master.id}-S{next(master.agent_numbers)}")
    agent = _admit(master, agent_id, sender, message)
    _send_registered(master, agent)
    offers.allocate(master)


def _send_registered(master: MasterState, agent: Agent) -> None:
    message = internal.SlaveRegisteredMessage(connection=agent_messages.connection(master))
    message.slave_id.value = agent.id
    master.send(agent, message)


def _admit(
    master: MasterState, agent_id: AgentId, sender: Pid, message: RegistrationRequest
) -> Agent:
    """Add the agent, open a connection to it and ping it."""
    agent = Agent(
        id=agent_id,
        pid=sender,
        info=mesos.SlaveInfo(),
        version=message.version,
        capabilities=frozenset(),
        observer=next(master.observer_numbers),
        registered_at=master.now,
    )
    _update_info(master, agent, message)
    agent.checkpointed = Resources.of(message.checkpointed_resources)
    agent.total = total_of(agent)
    agent.drain = master.registry.drains.get(agent_id)
    agent.deactivated = agent.drain is not None
    master.agents[agent_id] = agent
    master.out.append(HoldConnection(sender.address))
    agents.ping(master, agent)
    return agent


def _update_info(master: MasterState, agent: Agent, message: RegistrationRequest) -> None:
    """Adopt the agent's SlaveInfo and capabilities, and save the registry."""
    agent.info.CopyFrom(message.slave)
    agent.info.id.value = agent.id
    agent.version = message.version
    agent.capabilities = frozenset(c.type for c in message.agent_capabilities)
    agent.resource_version = message.resource_version_uuid.value
    master.registry.unreachable.pop(agent.id, None)
    master.registry.admitted[agent.id] = agent.info
    master.out.append(SaveRegistry())


def total_of(agent: Agent) -> Resources:
    """The agent's resources with its dynamic reservations and volumes applied."""
    checkpointed = agent.checkpointed.resources()
    return (
        Resources.of(agent.info.resources)
        - Resources.of(map(without_dynamic, checkpointed))
        + agent.checkpointed
    )


# ---- re-registration ---------------------------------------------------------------------------


def reregister(master: MasterState, sender: Pid, message: internal.ReregisterSlaveMessage) -> None:
    if _awaits_authentication(master, sender, message):
        return
    agent_id = AgentId(message.slave.id.value)
    if agent_id in master.registry.gone:
        agent_messages.shutdown(master, sender, "Agent has been marked gone")
        return
    if fatal := agent_validation.fatal_reregistration(message, master, taken=False):
        master.abort(sender, message, fatal)
        return
    reason = (
        agent_validation.invalid_info(message.slave, message.checkpointed_resources)
        or agent_validation.invalid_reregistration(message)
        or _invalid(master, message)
    )
    if reason:
        master.drop_message(sender, message, reason)
        return
    known = master.agents.get(agent_id)
    if known is not None:
        _reregister_known(master, known, sender, message)
    elif fatal := agent_validation.fatal_reregistration(message, master, taken=True):
        master.abort(sender, message, fatal)
    else:
        _readmit(master, agent_id, sender, message)


def _reregister_known(
    master: MasterState, agent: Agent, sender: Pid, message: internal.ReregisterSlaveMessage
) -> None:
    """Path A: the agent is in memory. The task states in the message are ignored."""
    if (sender.ip, message.slave.hostname) != (agent.pid.ip, agent.info.hostname):
        agent_messages.shutdown(
            master, sender, "Agent attempted to reregister with different IP / hostname"
        )
        return
    had_providers = agent.can(AgentCapability.RESOURCE_PROVIDER)
    agent.pid = sender
    _update_info(master, agent, message)
    if had_providers:
        agent.checkpointed = Resources.of(message.checkpointed_resources)
    if not Resources.of(agent.info.resources).contains(
        Resources.of(map(without_dynamic, agent.checkpointed.resources()))
    ):
        agent_messages.shutdown(
            master, sender, "the checkpointed resources do not fit into the agent's"
        )
        return
    before, agent.total = agent.total, total_of(agent)
    agent.connected = True
    agent.reregistered_at = master.now
    master.cancel_timer("reregister", agent.id)
    master.out.append(HoldConnection(sender.address))
    _reconcile(master, agent, message)
    agent_messages.drain(master, agent)
    _update_frameworks(master, agent, message)
    if not agent.can(AgentCapability.RESOURCE_PROVIDER):
        agent_messages.checkpointed(master, agent)
    if agent.total != before:
        offers.rescind_agent_offers(master, agent)
    offers.allocate(master)


def _reconcile(master: MasterState, agent: Agent, message: internal.ReregisterSlaveMessage) -> None:
    """Send the tasks that the agent does not report as reconciliations; repeat pending kills."""
    reported = {
        TaskKey(FrameworkId(t.framework_id.value), TaskId(t.task_id.value)) for t in message.tasks
    }
    answer = internal.SlaveReregisteredMessage(connection=agent_messages.connection(master))
    answer.slave_id.value = agent.id
    missing: dict[FrameworkId, internal.ReconcileTasksMessage] = {}
    for key, entry in agent.tasks.items():
        if key in reported:
            continue
        if key.framework_id not in missing:
            missing[key.framework_id] = _reconciliation(master, key.framework_id)
        status = tasks.master_status(
            master,
            key.task_id,
            entry.task.state,
            mesos.TaskStatus.REASON_RECONCILIATION,
            "Reconciliation request",
            agent.id,
        )
        missing[key.framework_id].statuses.append(status)
    answer.reconciliations.extend(missing.values())
    master.send(agent, answer)
    for key in list(agent.killed):
        if key in reported:
            master.send(agent, agent_messages.kill(key, agent.killed[key]))
    for framework_id in sorted({key.framework_id for key in reported} & master.completed.keys()):
        agent_messages.shutdown_framework(master, agent, framework_id)
    alive = {(e.framework_id.value, e.executor_id.value) for e in message.executor_infos}
    for executor in [k for k in agent.executors if k not in alive]:
        tasks.remove_executor(master, agent, executor)


def _reconciliation(
    master: MasterState, framework_id: FrameworkId
) -> internal.ReconcileTasksMessage:
    message = internal.ReconcileTasksMessage()
    message.framework_id.value = framework_id
    framework = master.frameworks.get(framework_id)
    if framework is not None:
        message.framework.CopyFrom(framework.info)
    return message


def _update_frameworks(
    master: MasterState, agent: Agent, message: internal.ReregisterSlaveMessage
) -> None:
    """Send current FrameworkInfos to the agent; adopt frameworks that only the agent knows."""
    for info in message.frameworks:
        framework = master.frameworks.get(FrameworkId(info.id.value))
        if framework is not None:
            master.send(agent, agent_messages.update_framework(framework))
    _recover_frameworks(master, message)


def _recover_frameworks(master: MasterState, message: internal.ReregisterSlaveMessage) -> None:
    for info in message.frameworks:
        framework_id = FrameworkId(info.id.value)
        if framework_id not in master.frameworks and framework_id not in master.completed:
            master.frameworks[framework_id] = MasterFramework(framework_id, info, master.now)


def _readmit(
    master: MasterState, agent_id: AgentId, sender: Pid, message: internal.ReregisterSlaveMessage
) -> None:
    """Path B (known from the registry) and path C (unreachable or unknown)."""
    was_recovered = master.recovered.pop(agent_id, None) is not None
    known_before = set(master.frameworks)
    agent = _admit(master, agent_id, sender, message)
    agent.reregistered_at = master.now
    master.cancel_timer("reregister", agent_id)
    _recover_frameworks(master, message)
    for task in message.tasks:
        _readmit_task(master, agent, task, send_status=not was_recovered)
    for executor in message.executor_infos:
        if executor.framework_id.value in master.frameworks:
            tasks.add_executor(agent, executor)
    agent_messages.drain(master, agent)
    answer = internal.SlaveReregisteredMessage(connection=agent_messages.connection(master))
    answer.slave_id.value = agent_id
    master.send(agent, answer)
    for info in message.frameworks:
        framework_id = FrameworkId(info.id.value)
        if framework_id in master.completed:
            agent_messages.shutdown_framework(master, agent, framework_id)
        elif framework_id in known_before:
            master.send(agent, agent_messages.update_framework(master.frameworks[framework_id]))
    offers.allocate(master)


def _readmit_task(
    master: MasterState, agent: Agent, task: mesos.Task, *, send_status: bool
) -> None:
    framework = master.frameworks.get(FrameworkId(task.framework_id.value))
    if framework is None:
        return
    framework.unreachable_tasks.pop(TaskId(task.task_id.value), None)
    copy = mesos.Task()
    copy.CopyFrom(task)
    for status in copy.statuses:
        status.ClearField("data")
    entry = tasks.add(master, agent, copy)
    if send_status:
        status = tasks.master_status(
            master,
            entry.key.task_id,
            task.state,
            mesos.TaskStatus.REASON_SLAVE_REREGISTERED,
            "Unreachable agent re-reregistered",
            agent.id,
        )
        if task.statuses and task.statuses[-1].HasField("container_status"):
            status.container_status.CopyFrom(task.statuses[-1].container_status)
        tasks.forward(master, framework, status)
