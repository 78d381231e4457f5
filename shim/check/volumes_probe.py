"""Persistent volumes: whether the endpoint can make them, and those that no record knows."""

from __future__ import annotations

import asyncio

from shim import limits
from shim.agent.identity import shim_id
from shim.agent.journal import peek
from shim.check.report import CheckFailed, behind_endpoint
from shim.config import Config
from shim.config.addresses import find_addresses
from shim.engine.api import Engine
from shim.engine.connect import connect
from shim.errors import FatalError, Permanent
from shim.model.container import LABEL_SHIM
from shim.model.records import Snapshot
from shim.model.volume import Volume, is_persistent, volume_prefix


async def volumes(config: Config) -> str:
    """The driver makes a volume; every persistent volume of this agent is known to its journal."""
    snapshot, owner = await asyncio.to_thread(_journal, config)
    with behind_endpoint():
        engine = await connect(config, owner)
        try:
            missing = await engine.volumes_missing()
            if missing:
                return f"none: {missing}; tasks with persistent volumes are refused by name"
            await _try_driver(config, engine, owner)
            found = [v.name for v in await engine.list_volumes() if is_persistent(v.name, owner)]
        finally:
            await engine.close()
    made = "tritonnfs" if engine.kind == "triton" else config.volume_driver
    text = f"{made}: {len(found)} persistent volumes of this agent"
    if config.journal is not None:
        return f"{text}; the agent's log names those that no record knows"
    unknown = sorted(set(found) - snapshot.volume_names())
    if not unknown:
        return f"{text}, all of them known"
    commands = ", ".join(f"docker volume rm {name}" for name in unknown)
    return f"{text}; {len(unknown)} that no record knows are kept; to remove them: {commands}"


def _journal(config: Config) -> tuple[Snapshot, str]:
    """What the journal holds, and this agent's shim id."""
    snapshot = Snapshot()
    path = config.work_dir / "journal.db"
    if config.journal is None and path.exists():
        try:
            snapshot = peek(path)
        except FatalError as error:
            raise CheckFailed(str(error)) from None
    found = find_addresses(config)
    owner, _ = shim_id(snapshot, config.shim_id, found.hostname, config.port)
    return snapshot, owner


async def _try_driver(config: Config, engine: Engine, owner: str) -> None:
    """Make a volume and remove it. On Triton a volume is a server, and costs money."""
    if engine.kind == "triton":
        return
    name = f"{volume_prefix(owner)}check"
    options = {
        key: value.replace("{name}", name).replace("{size}", "10")
        for key, value in config.volume_driver_options.items()
    }
    try:
        # A daemon looks for an unknown driver for a quarter of a minute.
        async with asyncio.timeout(limits.CHECK_TIMEOUT / 2):
            volume = Volume(name, {LABEL_SHIM: owner}, config.volume_driver, options)
            await engine.create_volume(volume)
    except TimeoutError:
        text = f"--volume_driver={config.volume_driver}: the engine does not find this driver"
        raise CheckFailed(text) from None
    except Permanent as error:
        raise CheckFailed(f"--volume_driver={config.volume_driver}: {error}") from None
    await engine.remove_volume(name)
