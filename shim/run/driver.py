"""The driver of ``mesos-shim run``: pymesos, unmodified, with TLS in front of it where it is on."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from shim.client.tls_tunnel import TlsTunnel
from shim.errors import FatalError
from shim.run import http_parser_compat

Json = dict[str, Any]

HINT = "pip install --no-deps pymesos"


class Driver(Protocol):
    """The used part of pymesos' MesosSchedulerDriver."""

    aborted: bool
    error: str
    """The error that ended the driver; empty without one."""

    def start(self) -> None: ...
    def stop(self, failover: bool = False) -> None: ...
    def join(self) -> None: ...
    def launchTasks(self, offer_ids: Json, tasks: list[Json], filters: Json) -> None: ...  # noqa: N802
    def declineOffer(self, offer_ids: Json, filters: Json) -> None: ...  # noqa: N802
    def killTask(self, task_id: Json) -> None: ...  # noqa: N802


def framework_info(name: str, user: str, role: str, principal: str | None) -> Json:
    """FrameworkInfo. The master tears the framework down ten seconds after it disconnected, so that
    its tasks do not outlive it."""
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


def connect(
    scheduler: object, info: Json, master: str, secret: str | None, tunnel: TlsTunnel | None = None
) -> Driver:
    """A driver for ``host:port`` or ``zk://``, which calls the scheduler's callbacks.

    Raises FatalError without pymesos.
    """
    http_parser_compat.provide()
    try:
        from pymesos import MesosSchedulerDriver
        from pymesos import process as pymesos_process
    except ImportError as error:
        raise FatalError(f"mesos-shim run needs pymesos ({error}): {HINT}") from None
    # A lost connection is made again, and ``follow`` reports an error that ends the driver.
    logging.getLogger("pymesos").setLevel(logging.CRITICAL)

    class TunnelledDriver(MesosSchedulerDriver):  # type: ignore[misc]
        """pymesos has no TLS: it meets each new leader at a local port."""

        @property
        def error(self) -> str:
            raised = pymesos_process._exc_info
            return "" if raised is None else str(raised[1])

        def change_master(self, master: str | None) -> None:
            if tunnel is not None and master:
                master = tunnel.local_address(master)
            super().change_master(master)

    driver: Driver = TunnelledDriver(
        scheduler, info, master, principal=info.get("principal"), secret=secret
    )
    return driver
