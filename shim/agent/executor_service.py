"""The v1 API of custom executors, with their event streams, as one service of the running agent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from shim.agent.executor_environment import EnvironmentSettings, executor_environment
from shim.agent.executor_silence import SilenceExplainer
from shim.agent.startup import StartupContext
from shim.core.view import AgentView
from shim.errors import FatalError
from shim.http.executor_api.executor_streams import ExecutorStreams
from shim.http.executor_api.handler import ExecutorApi
from shim.http.executor_api.token import Claims, issue
from shim.model.facts import Fact
from shim.model.ids import ExecutorKey
from shim.model.orders import LaunchExecutor

PATH = "/api/v1/executor"
_SECRET_BYTES = 32


class ExecutorService:
    def __init__(
        self, context: StartupContext, agent: AgentView, post: Callable[[Fact], None]
    ) -> None:
        """Raises FatalError when the secret of the tokens can be neither read nor made."""
        config = context.config
        self._secret = config.jwt_secret_key or load_or_make_secret(
            config.work_dir / "executor_secret"
        )
        self._environment = EnvironmentSettings(
            pid=context.pid,
            sandbox_directory=config.sandbox_directory,
            shutdown_grace=config.executor_shutdown_grace_period,
            variables=config.executor_environment_variables,
        )
        self.streams = ExecutorStreams()
        self.silence = SilenceExplainer(context.engine, context.pid, context.peers, post)
        self.api = ExecutorApi(
            agent,
            self.streams,
            post,
            self._secret,
            token_required=config.authenticate_http_executors,
        )

    def environment(self, order: LaunchExecutor) -> dict[str, str]:
        """The environment of the executor's process, its token included."""
        ref = order.ref
        assert isinstance(ref.key, ExecutorKey)
        token = issue(Claims(ref.key, ref.container_id), self._secret)
        return executor_environment(order, self._environment, token)


def load_or_make_secret(path: Path) -> bytes:
    """The secret in the file, which is made when it is missing: running executors keep their token.

    A new file is complete and durable before it has its name.
    """
    try:
        if path.exists():
            secret = path.read_bytes()
            if len(secret) < _SECRET_BYTES:
                raise FatalError(f"{path}: {len(secret)} bytes, {_SECRET_BYTES} are expected")
            return secret
        secret, new = os.urandom(_SECRET_BYTES), path.with_suffix(".new")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        return secret
    except OSError as error:
        raise FatalError(f"{path}: {error.strerror}") from error
