"""Persistent volumes at the endpoint: made before a launch mounts them, removed when destroyed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from shim import limits
from shim.engine.api import Engine
from shim.engine.client.pacing import LogThrottle
from shim.engine.client.retry import LAUNCH, UNTIL_DONE, retry
from shim.engine.containers.volume_owner import give_volumes
from shim.errors import Permanent, ShimError, Transient
from shim.model.container import LABEL_SHIM, Ref
from shim.model.facts import Fact, VolumeRemoved
from shim.model.orders import Launch, RemoveVolume
from shim.model.volume import LABEL_PERSISTENCE_ID, LABEL_ROLE, Volume, VolumeMount

log = logging.getLogger(__name__)

TRITON_SIZES_GB = (*range(10, 101, 10), *range(200, 1001, 100))
"""Triton makes volumes of these sizes only."""


class VolumeProvisioner:
    """A :class:`~shim.engine.containers.worker_deps.LaunchHook`; it also takes RemoveVolume orders.

    A name is free again only when no call about it can still be under way: a removal or a create
    whose answer was lost, in this process or in an earlier one. Until then the removal is repeated.
    """

    def __init__(
        self,
        engine: Engine,
        post: Callable[[Fact], None],
        *,
        shim_id: str,
        driver: str,
        options: Mapping[str, str],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``driver`` and ``options`` are those of the flags; both empty on Triton."""
        self._engine = engine
        self._post = post
        self._shim_id = shim_id
        self._driver = driver
        self._options = options
        self._clock = clock
        self._sleep = sleep
        self._unanswered: dict[str, float] = {}
        """Volumes with a call whose outcome is unknown, and since when."""
        self._removals: dict[str, asyncio.Task[None]] = {}
        self._log_throttle = LogThrottle(clock)
        on_triton = engine.kind == "triton"
        self._settles = limits.TRITON_VOLUME_SETTLES if on_triton else limits.CREATE_SETTLES
        """Seconds after which a call without an answer has no effect any more."""
        at_once = limits.TRITON_VOLUME_CALLS_AT_ONCE if on_triton else limits.VOLUME_CALLS_AT_ONCE
        self._slots = asyncio.Semaphore(at_once)

    @property
    def removing(self) -> int:
        """Volumes whose removal is under way."""
        return len(self._removals)

    async def close(self) -> None:
        """Drop the removals under way: the next start continues them."""
        for task in self._removals.values():
            task.cancel()
        await asyncio.gather(*self._removals.values(), return_exceptions=True)

    # --- the hook ---------------------------------------------------------------------------

    def applies_to(self, order: Launch) -> bool:
        return bool(_mounts(order))

    async def before_create(self, order: Launch) -> None:
        """Make the volumes that do not exist yet. Raises Permanent with the endpoint's words."""
        # All are looked at before the first is made.
        volumes = {mount: self._volume(mount) for mount in _by_name(_mounts(order))}
        for mount, volume in volumes.items():
            try:
                await retry(LAUNCH, partial(self._create, volume), sleep=self._sleep)
            except ShimError as error:
                driver = f" (--volume_driver={self._driver})" if self._driver else ""
                raise Permanent(f"{_cannot_make(mount)}{driver}: {error}") from None

    async def after_create(self, order: Launch) -> None:
        """Give the volumes that no other container uses to the user of this one."""
        names = {mount.name for mount in _mounts(order) if not mount.in_use}
        await give_volumes(self._engine, order.ref.name, names)

    def after_launch(self, ref: Ref) -> None:
        pass

    def _volume(self, mount: VolumeMount) -> Volume:
        options = {
            key: value.replace("{name}", mount.name).replace("{size}", f"{mount.size_mb:.0f}")
            for key, value in self._options.items()
        }
        if self._engine.kind == "triton":
            options["size"] = triton_size(mount)
        labels = {
            LABEL_SHIM: self._shim_id,
            LABEL_ROLE: mount.role,
            LABEL_PERSISTENCE_ID: mount.persistence_id,
        }
        return Volume(mount.name, labels, self._driver, options)

    async def _create(self, volume: Volume) -> None:
        async with self._slots:
            try:
                await self._engine.create_volume(volume)
            except (Transient, asyncio.CancelledError):
                self._unanswered[volume.name] = self._clock()
                raise

    # --- removal ----------------------------------------------------------------------------

    def carry_out(self, order: RemoveVolume) -> None:
        """Remove the volume until the endpoint certainly has it no more, then post that."""
        if order.name in self._removals:
            return
        if order.again:
            self._unanswered[order.name] = self._clock()
        task = asyncio.create_task(self._remove(order.name), name=f"remove volume {order.name}")
        self._removals[order.name] = task
        task.add_done_callback(lambda _: self._removals.pop(order.name, None))

    async def _remove(self, name: str) -> None:
        attempt = partial(self._remove_once, name)
        await retry(UNTIL_DONE, attempt, sleep=self._sleep)
        while (since := self._unanswered.get(name)) is not None:
            left = since + self._settles - self._clock()
            if left <= 0:
                del self._unanswered[name]
                break
            await self._sleep(min(left, limits.CREATE_SETTLES))
            await retry(UNTIL_DONE, attempt, sleep=self._sleep)
        log.info("volume %s and its data are removed", name)
        self._post(VolumeRemoved(name))

    async def _remove_once(self, name: str) -> None:
        async with self._slots:
            try:
                await self._engine.remove_volume(name)
            except ShimError as error:
                if isinstance(error, Transient):
                    self._unanswered[name] = self._clock()
                if self._log_throttle.should_log():
                    log.warning("volume %s is not removed yet: %s", name, error)
                raise


def _mounts(order: Launch) -> tuple[VolumeMount, ...]:
    """Those of the task, and those of its executor, which the task may mount as well."""
    return order.volumes + (order.executor.volumes if order.executor is not None else ())


def _by_name(mounts: Iterable[VolumeMount]) -> Iterable[VolumeMount]:
    """One mount of each volume."""
    return {mount.name: mount for mount in mounts}.values()


def _cannot_make(mount: VolumeMount) -> str:
    what = f"{mount.persistence_id!r} of role {mount.role!r}"
    return f"Cannot make the persistent volume {what}"


def triton_size(mount: VolumeMount) -> str:
    """The smallest size that holds the volume. Raises Permanent for one that is too large."""
    for size in TRITON_SIZES_GB:
        if mount.size_mb <= size * 1024:
            return f"{size}G"
    raise Permanent(
        f"{_cannot_make(mount)}: it has {mount.size_mb:.0f} MB, and Triton's largest volume has"
        f" {TRITON_SIZES_GB[-1]} GB"
    )
