"""A v0 executor in a container: libprocess over plain sockets, as Mesos' own driver speaks it.

It registers, runs each task until it is killed, or as TaskInfo.data says (``quick``, ``failing``),
sends framework messages back, registers again when the agent asks for it, and keeps an update until
the agent has acknowledged it.
"""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import diary  # type: ignore[import-not-found]
from google.protobuf.message import Message

from shim.protos import messages_pb2 as m
from shim.protos.mesos_pb2 import TaskInfo, TaskState

FRAMEWORK, EXECUTOR = os.environ["MESOS_FRAMEWORK_ID"], os.environ["MESOS_EXECUTOR_ID"]


class V0Executor:
    def __init__(self, pid: str) -> None:
        self.pid = pid
        self.agent = os.environ["MESOS_SLAVE_PID"]
        self.tasks: dict[str, TaskInfo] = {}
        """Without an acknowledged update."""
        self.updates: dict[bytes, m.StatusUpdate] = {}
        self.live: set[str] = set()
        self.registered = False

    def send(self, message: Message) -> None:
        name, _, address = self.agent.partition("@")
        connection = http.client.HTTPConnection(address, timeout=10)
        path = f"/{name}/{message.DESCRIPTOR.full_name}"
        headers = {"Libprocess-From": self.pid, "User-Agent": "libprocess/" + self.pid}
        try:
            connection.request("POST", path, message.SerializeToString(), headers)
            assert connection.getresponse().status == 202
        except (OSError, http.client.HTTPException) as error:
            # The agent is away: what it misses it is told when it asks to register again.
            print(type(message).__name__, "is lost:", error, flush=True)
        finally:
            connection.close()

    def register(self) -> None:
        message = m.RegisterExecutorMessage()
        message.framework_id.value, message.executor_id.value = FRAMEWORK, EXECUTOR
        self.send(message)

    def receive(self, sender: str, name: str, body: bytes) -> None:
        print(name, flush=True)
        handler = getattr(self, f"on_{name}", None)
        if handler is not None:
            handler(getattr(m, name).FromString(body), sender)

    def on_RunTaskMessage(self, message: m.RunTaskMessage, sender: str) -> None:  # noqa: N802
        task_id = message.task.task_id.value
        assert task_id not in self.tasks, "a driver aborts"
        self.tasks[task_id] = message.task
        self.live.add(task_id)
        diary.say(task_id, "started")
        self.report(task_id, TaskState.TASK_RUNNING)
        if message.task.data == b"quick":
            threading.Timer(0.2, self.end, (task_id, TaskState.TASK_FINISHED)).start()
        elif message.task.data == b"failing":
            self.end(task_id, TaskState.TASK_FAILED, 3)

    def on_KillTaskMessage(self, message: m.KillTaskMessage, sender: str) -> None:  # noqa: N802
        self.end(message.task_id.value, TaskState.TASK_KILLED)

    def end(self, task_id: str, state: TaskState.ValueType, code: int = 0) -> None:
        """Without effect when the task has ended."""
        if task_id in self.live:
            diary.say(task_id, "ended", str(code))
            self.report(task_id, state, f"Container exited with status {code}")
            self.live.discard(task_id)

    def on_ExecutorRegisteredMessage(  # noqa: N802
        self, message: m.ExecutorRegisteredMessage, sender: str
    ) -> None:
        self.registered = True

    def on_FrameworkToExecutorMessage(  # noqa: N802
        self, message: m.FrameworkToExecutorMessage, sender: str
    ) -> None:
        reply = m.ExecutorToFrameworkMessage()
        reply.ParseFromString(message.SerializeToString())
        self.send(reply)

    def on_StatusUpdateAcknowledgementMessage(  # noqa: N802
        self, message: m.StatusUpdateAcknowledgementMessage, sender: str
    ) -> None:
        self.updates.pop(message.uuid, None)
        self.tasks.pop(message.task_id.value, None)

    def on_ReconnectExecutorMessage(  # noqa: N802
        self, message: m.ReconnectExecutorMessage, sender: str
    ) -> None:
        self.agent = sender
        again = m.ReregisterExecutorMessage(
            tasks=self.tasks.values(), updates=self.updates.values()
        )
        again.framework_id.value, again.executor_id.value = FRAMEWORK, EXECUTOR
        self.send(again)

    def on_ShutdownExecutorMessage(  # noqa: N802
        self, message: m.ShutdownExecutorMessage, sender: str
    ) -> None:
        os._exit(0)

    def report(self, task_id: str, state: TaskState.ValueType, text: str = "") -> None:
        message = m.StatusUpdateMessage(pid=self.pid)
        update = message.update
        update.framework_id.value, update.executor_id.value = FRAMEWORK, EXECUTOR
        update.slave_id.value = os.environ["MESOS_SLAVE_ID"]
        update.timestamp, update.uuid = time.time(), uuid.uuid4().bytes
        update.status.task_id.value, update.status.state = task_id, state
        update.status.message = text
        update.status.slave_id.CopyFrom(update.slave_id)
        self.updates[update.uuid] = update
        self.send(message)


def main() -> None:
    executor: V0Executor

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._chunks()
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()
            name = self.path.rpartition(".")[2]
            executor.receive(self.headers["Libprocess-From"], name, body)

        def _chunks(self) -> bytes:
            """libprocess sends every body in chunks, but an empty one without a header for it."""
            body = b""
            if self.headers["Transfer-Encoding"] != "chunked":
                return body
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
    agent_ip = os.environ["MESOS_AGENT_ENDPOINT"].partition(":")[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((agent_ip, 9))
        own = probe.getsockname()[0]
    executor = V0Executor(f"executor(1)@{own}:{server.server_port}")
    diary.watch(lambda: executor.registered, lambda: bool(executor.live or executor.updates))
    executor.register()
    server.serve_forever()


if __name__ == "__main__":
    main()
