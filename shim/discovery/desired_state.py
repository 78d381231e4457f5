"""Desired and registered services, and the next write that makes them equal. Pure.

The registered side is what the last resync showed, corrected by the writes made since. Two rules
protect services that belong to others. A service counts as managed only if its Meta has the
owner mark. An orphan (a managed service that no task wants) is removed only after two resyncs in
a row have shown it, and only after :meth:`DesiredState.enable_orphan_removal`.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shim import limits
from shim.discovery.service_checks import PASSING
from shim.discovery.services import Service, ServiceContext, check_id, service_prefix
from shim.discovery.tags import OWNER
from shim.model.container import Ref

ENDING = "mesos-shim: the task is ending"
"""The reason of the agent's own maintenance mode. Any other reason is an operator's."""


class WriteOp(enum.Enum):
    """One write to Consul."""

    REGISTER = "register"
    UPDATE_CHECK = "update check"
    LEAVE_MAINTENANCE = "leave maintenance"
    DEREGISTER = "deregister"


@dataclass(frozen=True, slots=True)
class Registered:
    """One service as Consul has it."""

    name: str = ""
    address: str = ""
    port: int = 0
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] | None = None
    status: str | None = None
    """The status of the service's check. None: the check is missing; ``""``: unknown."""
    maintenance: str | None = None
    """The reason of the maintenance mode; None when the service is not in maintenance."""

    def matches(self, service: Service) -> bool:
        """Whether the registration is as desired. The check's status is not compared."""
        return (
            self.name == service.name
            and self.address == service.address
            and self.port == service.port
            and self.tags == service.tags
            and self.meta == service.meta
            and self.status is not None
        )


UNKNOWN = Registered()
"""The outcome of a write is unknown. This value matches no service."""


def registered_services(
    services: Mapping[str, Any], checks: Mapping[str, Any], context: ServiceContext
) -> dict[str, Registered]:
    """Consul's lists of services and checks -> the managed services by id.

    Raises KeyError, TypeError or AttributeError for lists that are not Consul's.
    """
    return {
        key: Registered(
            entry["Service"],
            entry["Address"],
            entry["Port"],
            tuple(entry["Tags"] or ()),
            entry["Meta"],
            checks[check_id(key)]["Status"] if check_id(key) in checks else None,
            checks.get(f"_service_maintenance:{key}", {}).get("Notes"),
        )
        for key, entry in services.items()
        if key.startswith(context.prefix) and entry["Meta"].get(OWNER) == context.owner
    }


class DesiredState:
    """Desired services, registered services, and their difference.

    Methods that change the desired side return the service ids that need a writer.
    """

    def __init__(self, context: ServiceContext) -> None:
        self.services: dict[str, Service] = {}
        """Desired services by id."""
        self.registered: dict[str, Registered] = {}
        """Registered services by id."""
        self._context = context
        self._tasks: dict[Ref, tuple[str, ...]] = {}
        self._removing: set[str] = set()
        """Ids to deregister."""
        self._undesired: set[str] = set()
        """Ids that the last resync showed and no task wanted then."""
        self._orphans: set[str] = set()
        """Ids that the last resync showed as orphans for the first time."""
        self._written: set[str] = set()
        """Ids written since the running resync began."""
        self._ttl_update_at: dict[str, float] = {}
        """When the TTL check of a service is due, on the clock of ``now``."""
        self._may_remove_orphans = False

    def __contains__(self, ref: Ref) -> bool:
        return ref in self._tasks

    def names_of(self, ref: Ref) -> tuple[str, ...]:
        """The distinct names under which a container is or will be registered."""
        names = (self.services[key].name for key in self._tasks.get(ref, ()))
        return tuple(dict.fromkeys(names))

    def enable_orphan_removal(self) -> None:
        """Every running task has been published: orphans may be removed from now on."""
        self._may_remove_orphans = True

    def publish(self, ref: Ref, services: Iterable[Service]) -> list[str]:
        """Set all services of a task. Services that it had before and lacks now are removed."""
        new = {service.id: service for service in services}
        old = self._tasks.get(ref, ())
        self._tasks[ref] = tuple(new)
        changed = [key for key, service in new.items() if self.services.get(key) != service]
        for key in changed:
            self.add_service(new[key])
        return changed + self._remove(key for key in old if key not in new)

    def withdraw(self, ref: Ref, *, inside: bool = False) -> list[str]:
        """Remove a task's services, also those that an earlier run of the agent registered."""
        ids = self._tasks.pop(ref, None)
        if ids is None:
            prefix = service_prefix(self._context, ref, inside=inside)
            # Without a publish none of its services is desired: all others are passed over.
            found = (key for key in self._undesired | self._removing if key.startswith(prefix))
            ids = tuple(key for key in found if key in self.registered)
        return self._remove(ids)

    def add_service(self, service: Service) -> None:
        """Want the service, even if it was to be removed."""
        self._removing.discard(service.id)
        self.services[service.id] = service

    def remove_service(self, service_id: str) -> None:
        self._remove([service_id])

    def begin_resync(self) -> None:
        """Lists are being read. Writes made from now on are newer than these lists."""
        self._written.clear()

    def finish_resync(self, listed: Mapping[str, Registered], now: float) -> list[str]:
        """Replace the registered side with complete lists. Returns the ids to write."""
        newer = {key: self.registered[key] for key in self._written if key in self.registered}
        self.registered = {
            key: entry for key, entry in listed.items() if key not in self._written
        } | newer
        self._collect_orphans()
        self._schedule_ttl_updates(now)
        dirty = [key for key in self.services if self.next_write(key, now) is not None]
        return dirty + list(self._removing)

    def next_write(self, key: str, now: float) -> WriteOp | None:
        """The next write for a service id; None when nothing differs."""
        desired, registered = self.services.get(key), self.registered.get(key)
        if desired is None:
            remove = key in self._removing and registered is not None
            return WriteOp.DEREGISTER if remove else None
        if registered is None or not registered.matches(desired):
            return WriteOp.REGISTER
        if registered.maintenance == ENDING:
            return WriteOp.LEAVE_MAINTENANCE
        if desired.check.ttl is not None and (
            registered.status != desired.check.status or self._is_ttl_due(desired, now)
        ):
            return WriteOp.UPDATE_CHECK
        return None

    def record_write(
        self,
        write: WriteOp,
        key: str,
        service: Service | None,
        before: Registered | None,
        now: float,
    ) -> None:
        """``write`` succeeded. ``before`` is what was registered when the write began."""
        self._written.add(key)
        if write is WriteOp.DEREGISTER or service is None:
            self.registered.pop(key, None)
            return
        if write is WriteOp.LEAVE_MAINTENANCE and before is not None:
            self.registered[key] = replace(before, maintenance=None)
            return
        if service.check.ttl is not None:
            self._ttl_update_at[key] = now + _ttl_delay(write, service.check.ttl)
        # Consul keeps the status of an existing TTL check when its service is registered again.
        kept = write is WriteOp.REGISTER and before is not None
        self.registered[key] = Registered(
            service.name,
            service.address,
            service.port,
            service.tags,
            service.meta,
            "" if kept else service.check.status,
            before.maintenance if before is not None and before.maintenance != ENDING else None,
        )

    def mark_unknown(self, key: str) -> None:
        """A write for this id may or may not have taken effect."""
        self._written.add(key)
        self.registered[key] = UNKNOWN

    def confirm_removed(self, key: str) -> bool:
        """Whether the service is not registered. If so, it is no longer to be removed."""
        if key in self.registered:
            return False
        self._removing.discard(key)
        return True

    def force_ttl(self, key: str) -> None:
        """Make the service's TTL update due now."""
        self._ttl_update_at[key] = 0.0

    def _remove(self, ids: Iterable[str]) -> list[str]:
        removed = list(ids)
        for key in removed:
            self.services.pop(key, None)
            self._ttl_update_at.pop(key, None)
            self._removing.add(key)
        return removed

    def _collect_orphans(self) -> None:
        self._undesired = {key for key in self.registered if key not in self.services}
        orphans = self._undesired - self._removing
        if self._may_remove_orphans:
            self._removing |= orphans & self._orphans
            self._orphans = orphans

    def _schedule_ttl_updates(self, now: float) -> None:
        """A service of an earlier run had its last TTL update at most a third of the TTL ago."""
        for key, service in self.services.items():
            if service.check.ttl is not None and key in self.registered:
                self._ttl_update_at.setdefault(key, now + _spread(key) * service.check.ttl / 3)

    def _is_ttl_due(self, service: Service, now: float) -> bool:
        due_at = self._ttl_update_at.get(service.id, now + 1)
        return service.check.status == PASSING and now >= due_at


def _ttl_delay(write: WriteOp, ttl: float) -> float:
    """Seconds until the next TTL update.

    The first update follows soon after a registration. A Consul agent that restarts restores the
    status of the last TTL update, but not the status given at registration.
    """
    if write is WriteOp.REGISTER:
        return min(limits.CONSUL_RESYNC_INTERVAL, ttl / 3)
    return ttl / 3


def _spread(key: str) -> float:
    """0..1, constant for an id, so that a restart does not make all TTL updates due at once."""
    return zlib.crc32(key.encode()) / 0xFFFFFFFF
