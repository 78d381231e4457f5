"""How agents are admitted and taken back.

The order of the checks and of the messages is a master's (facts 4.3, 4.6, 4.7).
"""

from __future__ import annotations

from shim.dev.master import admission, agents, offers, tasks, tell
from shim.dev.master.effects import Link, SaveRegistry
from shim.dev.master.resources import Bag, stripped
from shim.dev.master.state import Agent, AgentCapability, Framework, World
from shim.model.ids import AgentId, FrameworkId, Pid, TaskId, TaskKey
from shim.protos import mesos_pb2 as mesos
from shim.protos import messages_pb2 as internal

Registration = internal.RegisterSlaveMessage | internal.ReregisterSlaveMessage


def _held_back(world: World, sender: Pid, message: Registration) -> bool:
    """Whether authentication keeps the message from being looked at."""
    if sender in world.authenticating:
        world.authenticating[sender].append(message)
        return True
    if world.options.authenticate_agents and sender not in world.authenticated:
        world.refuse(sender, message, "the agent is not authenticated")
        return True
    return False


def _refused(world: World, message: Registration) -> str | None:
    return admission.refused_version(message.version) or admission.refused_domain(
        message.slave, world
    )


# ---- first registration ------------------------------------------------------------------------


def register(world: World, sender: Pid, message: internal.RegisterSlaveMessage) -> None:
    if _held_back(world, sender, message):
        return
    reason = admission.refused_info(message.slave, message.checkpointed_resources) or _refused(
        world, message
    )
    if reason:
        world.refuse(sender, message, reason)
        return
    known = world.agent_at(sender)
    if known is not None and known.connected:
        _welcome(world, known)
        return
    capabilities = {c.type for c in message.agent_capabilities}
    if fatal := admission.abort_info(message.slave, message.checkpointed_resources, capabilities):
        world.abort(sender, message, fatal)
        return
    if known is not None:
        agents.remove(world, known, "a new agent registered at the same address")
    agent_id = AgentId(f"{world.id}-S{next(world.agent_numbers)}")
    agent = _admit(world, agent_id, sender, message)
    _welcome(world, agent)
    offers.allocate(world)


def _welcome(world: World, agent: Agent) -> None:
    message = internal.SlaveRegisteredMessage(connection=tell.connection(world))
    message.slave_id.value = agent.id
    world.tell(agent, message)


def _admit(world: World, agent_id: AgentId, sender: Pid, message: Registration) -> Agent:
    """Add the agent, link to it and ping it."""
    agent = Agent(
        id=agent_id,
        pid=sender,
        info=mesos.SlaveInfo(),
        version=message.version,
        capabilities=frozenset(),
        observer=next(world.observer_numbers),
        registered_at=world.now,
    )
    _describe(world, agent, message)
    agent.checkpointed = Bag.of(message.checkpointed_resources)
    agent.total = total_of(agent)
    agent.drain = world.registry.drains.get(agent_id)
    agent.deactivated = agent.drain is not None
    world.agents[agent_id] = agent
    world.out.append(Link(sender.address))
    agents.ping(world, agent)
    return agent


def _describe(world: World, agent: Agent, message: Registration) -> None:
    """Take over what the agent says of itself, and make it durable."""
    agent.info.CopyFrom(message.slave)
    agent.info.id.value = agent.id
    agent.version = message.version
    agent.capabilities = frozenset(c.type for c in message.agent_capabilities)
    agent.resource_version = message.resource_version_uuid.value
    world.registry.unreachable.pop(agent.id, None)
    world.registry.admitted[agent.id] = agent.info
    world.out.append(SaveRegistry())


def total_of(agent: Agent) -> Bag:
    """The agent's resources with its reservations and volumes in their places."""
    kept = agent.checkpointed.resources()
    return Bag.of(agent.info.resources) - Bag.of(map(stripped, kept)) + agent.checkpointed


# ---- re-registration ---------------------------------------------------------------------------


def reregister(world: World, sender: Pid, message: internal.ReregisterSlaveMessage) -> None:
    if _held_back(world, sender, message):
        return
    agent_id = AgentId(message.slave.id.value)
    if agent_id in world.registry.gone:
        tell.shutdown(world, sender, "Agent has been marked gone")
        return
    if fatal := admission.abort_reregistration(message, world, taken=False):
        world.abort(sender, message, fatal)
        return
    reason = (
        admission.refused_info(message.slave, message.checkpointed_resources)
        or admission.refused_reregistration(message)
        or _refused(world, message)
    )
    if reason:
        world.refuse(sender, message, reason)
        return
    known = world.agents.get(agent_id)
    if known is not None:
        _reregister_known(world, known, sender, message)
    elif fatal := admission.abort_reregistration(message, world, taken=True):
        world.abort(sender, message, fatal)
    else:
        _take_back(world, agent_id, sender, message)


def _reregister_known(
    world: World, agent: Agent, sender: Pid, message: internal.ReregisterSlaveMessage
) -> None:
    """Path A: the agent is in memory; task states in the message are not used."""
    if (sender.ip, message.slave.hostname) != (agent.pid.ip, agent.info.hostname):
        tell.shutdown(world, sender, "Agent attempted to reregister with different IP / hostname")
        return
    had_providers = agent.can(AgentCapability.RESOURCE_PROVIDER)
    agent.pid = sender
    _describe(world, agent, message)
    if had_providers:
        agent.checkpointed = Bag.of(message.checkpointed_resources)
    if not Bag.of(agent.info.resources).covers(
        Bag.of(map(stripped, agent.checkpointed.resources()))
    ):
        tell.shutdown(world, sender, "the checkpointed resources do not fit into the agent's")
        return
    before, agent.total = agent.total, total_of(agent)
    agent.connected = True
    agent.reregistered_at = world.now
    world.stop_timer("reregister", agent.id)
    world.out.append(Link(sender.address))
    _reconcile(world, agent, message)
    tell.drain(world, agent)
    _update_frameworks(world, agent, message)
    if not agent.can(AgentCapability.RESOURCE_PROVIDER):
        tell.checkpointed(world, agent)
    if agent.total != before:
        offers.rescind_of_agent(world, agent)
    offers.allocate(world)


def _reconcile(world: World, agent: Agent, message: internal.ReregisterSlaveMessage) -> None:
    """Tell the agent what it has lost; kill again what was to be killed."""
    reported = {
        TaskKey(FrameworkId(t.framework_id.value), TaskId(t.task_id.value)) for t in message.tasks
    }
    answer = internal.SlaveReregisteredMessage(connection=tell.connection(world))
    answer.slave_id.value = agent.id
    missing: dict[FrameworkId, internal.ReconcileTasksMessage] = {}
    for key, entry in agent.tasks.items():
        if key in reported:
            continue
        if key.framework_id not in missing:
            missing[key.framework_id] = _reconciliation(world, key.framework_id)
        status = tasks.master_status(
            world,
            key.task_id,
            entry.task.state,
            mesos.TaskStatus.REASON_RECONCILIATION,
            "Reconciliation request",
            agent.id,
        )
        missing[key.framework_id].statuses.append(status)
    answer.reconciliations.extend(missing.values())
    world.tell(agent, answer)
    for key in list(agent.killed):
        if key in reported:
            world.tell(agent, tell.kill(key, agent.killed[key]))
    for framework_id in sorted({key.framework_id for key in reported} & world.completed.keys()):
        tell.shutdown_framework(world, agent, framework_id)
    alive = {(e.framework_id.value, e.executor_id.value) for e in message.executor_infos}
    for executor in [k for k in agent.executors if k not in alive]:
        tasks.remove_executor(world, agent, executor)


def _reconciliation(world: World, framework_id: FrameworkId) -> internal.ReconcileTasksMessage:
    message = internal.ReconcileTasksMessage()
    message.framework_id.value = framework_id
    framework = world.frameworks.get(framework_id)
    if framework is not None:
        message.framework.CopyFrom(framework.info)
    return message


def _update_frameworks(
    world: World, agent: Agent, message: internal.ReregisterSlaveMessage
) -> None:
    """What the agent should know of its frameworks; what we should know of them by it."""
    for info in message.frameworks:
        framework = world.frameworks.get(FrameworkId(info.id.value))
        if framework is not None:
            world.tell(agent, tell.update_framework(framework))
    _recover_frameworks(world, message)


def _recover_frameworks(world: World, message: internal.ReregisterSlaveMessage) -> None:
    for info in message.frameworks:
        framework_id = FrameworkId(info.id.value)
        if framework_id not in world.frameworks and framework_id not in world.completed:
            world.frameworks[framework_id] = Framework(framework_id, info, world.now)


def _take_back(
    world: World, agent_id: AgentId, sender: Pid, message: internal.ReregisterSlaveMessage
) -> None:
    """Path B (known from the registry) and C (unreachable, or never heard of)."""
    was_recovered = world.recovered.pop(agent_id, None) is not None
    known_before = set(world.frameworks)
    agent = _admit(world, agent_id, sender, message)
    agent.reregistered_at = world.now
    world.stop_timer("reregister", agent_id)
    _recover_frameworks(world, message)
    for task in message.tasks:
        _take_task(world, agent, task, tell=not was_recovered)
    for executor in message.executor_infos:
        if executor.framework_id.value in world.frameworks:
            tasks.add_executor(agent, executor)
    tell.drain(world, agent)
    answer = internal.SlaveReregisteredMessage(connection=tell.connection(world))
    answer.slave_id.value = agent_id
    world.tell(agent, answer)
    for info in message.frameworks:
        framework_id = FrameworkId(info.id.value)
        if framework_id in world.completed:
            tell.shutdown_framework(world, agent, framework_id)
        elif framework_id in known_before:
            world.tell(agent, tell.update_framework(world.frameworks[framework_id]))
    offers.allocate(world)


def _take_task(world: World, agent: Agent, task: mesos.Task, *, tell: bool) -> None:
    framework = world.frameworks.get(FrameworkId(task.framework_id.value))
    if framework is None:
        return
    framework.unreachable_tasks.pop(TaskId(task.task_id.value), None)
    mine = mesos.Task()
    mine.CopyFrom(task)
    for status in mine.statuses:
        status.ClearField("data")
    entry = tasks.add(world, agent, mine)
    if tell:
        status = tasks.master_status(
            world,
            entry.key.task_id,
            task.state,
            mesos.TaskStatus.REASON_SLAVE_REREGISTERED,
            "Unreachable agent re-reregistered",
            agent.id,
        )
        if task.statuses and task.statuses[-1].HasField("container_status"):
            status.container_status.CopyFrom(task.statuses[-1].container_status)
        tasks.forward(world, framework, status)
