"""What the agent says to a custom executor: as messages to a v0 pid, or as events on a v1 stream.

Nothing is sent to an executor that is not registered. An executor that subscribes says what it has
lost, so nothing is repeated here.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from shim.core.context import Context
from shim.core.custom_executor import Contact, CustomExecutor
from shim.core.frameworks import Framework
from shim.model.container import Ref
from shim.model.ids import ExecutorKey
from shim.model.orders import EndStream, Send, SendExecutorEvent
from shim.protos import messages_pb2
from shim.protos.executor_pb2 import Event
from shim.protos.mesos_pb2 import KillPolicy, SlaveInfo, TaskInfo


class ExecutorChannel:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def registered(self, executor: CustomExecutor, framework: Framework, contact: Contact) -> None:
        """The answer to a registration, before anything else is sent."""
        agent = self._agent_info()
        if contact.stream is not None:
            event = Event(type=Event.SUBSCRIBED)
            event.subscribed.executor_info.CopyFrom(executor.info)
            event.subscribed.framework_info.CopyFrom(framework.info)
            event.subscribed.slave_info.CopyFrom(agent)
            event.subscribed.container_id.value = executor.ref.container_id
            self._send(executor, None, event)
        elif contact.again:
            again = messages_pb2.ExecutorReregisteredMessage(slave_info=agent)
            again.slave_id.CopyFrom(agent.id)
            self._send(executor, again, None)
        else:
            message = messages_pb2.ExecutorRegisteredMessage(
                executor_info=executor.info, framework_info=framework.info, slave_info=agent
            )
            message.framework_id.value = executor.key.framework_id
            message.slave_id.CopyFrom(agent.id)
            self._send(executor, message, None)

    def launch(self, executor: CustomExecutor, framework: Framework, task: TaskInfo) -> None:
        message = messages_pb2.RunTaskMessage(
            framework=framework.info, task=task, pid=framework.pid
        )
        message.framework_id.value = executor.key.framework_id
        event = Event(type=Event.LAUNCH)
        event.launch.task.CopyFrom(task)
        self._send(executor, message, event)

    def launch_group(self, executor: CustomExecutor, tasks: Sequence[TaskInfo]) -> None:
        """Only v1 has task groups."""
        event = Event(type=Event.LAUNCH_GROUP)
        event.launch_group.task_group.tasks.extend(tasks)
        self._send(executor, None, event)

    def kill(self, executor: CustomExecutor, ref: Ref, policy: KillPolicy | None) -> None:
        """Kill this task, once it has left service discovery. Only v1 has a kill policy."""
        key = ref.task_key
        message = messages_pb2.KillTaskMessage()
        message.framework_id.value = key.framework_id
        message.task_id.value = key.task_id
        event = Event(type=Event.KILL)
        event.kill.task_id.value = key.task_id
        if policy is not None:
            event.kill.kill_policy.CopyFrom(policy)
        self._send(executor, message, event, withdrawn=ref)

    def acknowledge(self, executor: CustomExecutor, task_id: str, uuid: bytes) -> None:
        """The update is durable, or of no use: the executor may forget it.

        The order stands behind the records of its decision, as every order.
        """
        message = messages_pb2.StatusUpdateAcknowledgementMessage(uuid=uuid)
        message.slave_id.value = self._ctx.agent_id or ""
        message.framework_id.value = executor.key.framework_id
        message.task_id.value = task_id
        event = Event(type=Event.ACKNOWLEDGED)
        event.acknowledged.task_id.value = task_id
        event.acknowledged.uuid = uuid
        self._send(executor, message, event)

    def framework_message(self, executor: CustomExecutor, data: bytes) -> None:
        message = messages_pb2.FrameworkToExecutorMessage(data=data)
        message.slave_id.value = self._ctx.agent_id or ""
        message.framework_id.value = executor.key.framework_id
        message.executor_id.value = executor.key.executor_id
        event = Event(type=Event.MESSAGE)
        event.message.data = data
        self._send(executor, message, event)

    def shutdown(self, executor: CustomExecutor) -> None:
        message = messages_pb2.ShutdownExecutorMessage()
        self._send(executor, message, Event(type=Event.SHUTDOWN))

    def turn_away(self, contact: Contact) -> None:
        """Order a process that is not the registered executor to shut down."""
        if contact.stream is not None:
            self._ctx.order(SendExecutorEvent(contact.stream, Event(type=Event.SHUTDOWN)))
            self._ctx.order(EndStream(contact.stream))
        elif contact.pid is not None:
            self._ctx.order(Send(contact.pid, messages_pb2.ShutdownExecutorMessage()))

    def reconnect(self, executor: CustomExecutor) -> None:
        """After a restart of the agent: ask a v0 executor to register again."""
        message = messages_pb2.ReconnectExecutorMessage()
        message.slave_id.value = self._ctx.agent_id or ""
        if executor.pid is not None:
            self._ctx.order(Send(executor.pid, message))

    def end_stream(self, executor: CustomExecutor) -> None:
        if executor.stream is not None:
            self._ctx.order(EndStream(executor.stream))
            executor.stream = None

    def forward(self, framework: Framework, key: ExecutorKey, data: bytes) -> None:
        """A message of the executor for its framework: through the master, or to a v0 scheduler."""
        assert self._ctx.master is not None
        message = messages_pb2.ExecutorToFrameworkMessage(data=data)
        message.slave_id.value = self._ctx.agent_id or ""
        message.framework_id.value = key.framework_id
        message.executor_id.value = key.executor_id
        self._ctx.order(Send(framework.scheduler or self._ctx.master, message))

    def _agent_info(self) -> SlaveInfo:
        info = SlaveInfo()
        info.CopyFrom(self._ctx.settings.info)
        info.id.value = self._ctx.agent_id or ""
        return info

    def _send(
        self,
        executor: CustomExecutor,
        message: Message | None,
        event: Event | None,
        withdrawn: Ref | None = None,
    ) -> None:
        if executor.stream is not None:
            if event is not None:
                self._ctx.order(SendExecutorEvent(executor.stream, event, withdrawn))
        elif executor.pid is not None and not executor.subscribed and message is not None:
            self._ctx.order(Send(executor.pid, message, withdrawn))
