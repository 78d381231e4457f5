"""The registry as a file: agents that are admitted, unreachable, gone or draining."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from shim.dev.master.master_state import Drain, Registry
from shim.errors import FatalError
from shim.model.ids import AgentId
from shim.protos import mesos_pb2 as mesos


def load(path: Path) -> Registry:
    """The registry; empty without a file. Raises FatalError for an unreadable file."""
    try:
        body = json.loads(path.read_text())
        return Registry(
            admitted={
                AgentId(i): mesos.SlaveInfo.FromString(base64.b64decode(v))
                for i, v in body["admitted"].items()
            },
            unreachable={AgentId(i): float(at) for i, at in body["unreachable"].items()},
            gone={AgentId(i): float(at) for i, at in body["gone"].items()},
            drains={
                AgentId(i): Drain(mesos.DrainConfig.FromString(base64.b64decode(v)))
                for i, v in body["drains"].items()
            },
        )
    except FileNotFoundError:
        return Registry()
    except (OSError, ValueError, KeyError) as error:
        raise FatalError(f"registry {path} cannot be read: {error}") from None


def save(path: Path, registry: Registry) -> None:
    """Replace the file atomically. The registry is durable on return."""
    body = {
        "admitted": {i: _text(info) for i, info in registry.admitted.items()},
        "unreachable": registry.unreachable,
        "gone": registry.gone,
        "drains": {i: _text(drain.config) for i, drain in registry.drains.items()},
    }
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        json.dump(body, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _text(message: mesos.SlaveInfo | mesos.DrainConfig) -> str:
    return base64.b64encode(message.SerializeToString()).decode()
