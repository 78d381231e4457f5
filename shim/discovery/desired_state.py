"""What we want registered, what Consul has, and the next write that brings them together. Pure.

Consul's side is what the last look showed, corrected by our own writes since. Two rules keep it
from doing harm: a service is only known as ours by the owner mark, and one that nobody here
wants is removed only after two looks have shown it, and not before :meth:`Book.ready` was told.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shim import limits
from shim.discovery.checks import PASSING
from shim.discovery.services import Service, ServiceContext, check_id, service_prefix
from shim.discovery.tags import OWNER
from shim.model.container import Ref

ENDING = "mesos-shim: the task is ending"
"""The reason of our own maintenance mode, told from an operator's."""


class WriteOp(enum.Enum):
    """One write at Consul."""

    REGISTER = "register"
    REPORT = "report"
    RESUME = "resume"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Registered:
    """One service as Consul has it."""

    name: str = ""
    address: str = ""
    port: int = 0
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] | None = None
    status: str | None = None
    """Of our check; None: it is not there, ``""``: not known."""
    maintenance: str | None = None
    """The reason of its maintenance mode, if it is in one."""

    def shows(self, service: Service) -> bool:
        """Whether the registration itself is as wanted; the check's status aside."""
        return (
            self.name == service.name
            and self.address == service.address
            and self.port == service.port
            and self.tags == service.tags
            and self.meta == service.meta
            and self.status is not None
        )


DOUBTFUL = Registered()
"""A write's outcome is not known: equal to no service."""


def registered_services(
    services: Mapping[str, Any], checks: Mapping[str, Any], site: ServiceContext
) -> dict[str, Registered]:
    """Consul's lists of services and checks -> those of ours. KeyError, TypeError, ... on trash."""
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
        if key.startswith(site.prefix) and entry["Meta"].get(OWNER) == site.owner
    }


class DesiredState:
    """Methods that change something return the ids to be looked after by a writer."""

    def __init__(self, site: ServiceContext) -> None:
        self.wanted: dict[str, Service] = {}
        self.known: dict[str, Registered] = {}
        self._site = site
        self._tasks: dict[Ref, tuple[str, ...]] = {}
        self._leaving: set[str] = set()
        self._strangers: set[str] = set()
        self._touched: set[str] = set()
        self._feed_at: dict[str, float] = {}
        self._ready = False

    def __contains__(self, ref: Ref) -> bool:
        return ref in self._tasks

    def ready(self) -> None:
        """All tasks that run were published: what else bears our mark may go."""
        self._ready = True

    def publish(self, ref: Ref, services: Iterable[Service]) -> list[str]:
        """``services`` are all that the task has from now on."""
        new = {service.id: service for service in services}
        old = self._tasks.get(ref, ())
        self._tasks[ref] = tuple(new)
        changed = [key for key, service in new.items() if self.wanted.get(key) != service]
        for key in changed:
            self.keep(new[key])
        return changed + self._leave(key for key in old if key not in new)

    def withdraw(self, ref: Ref) -> list[str]:
        """Also what an earlier life of the shim registered of the task."""
        ids = self._tasks.pop(ref, None)
        if ids is None:
            prefix = service_prefix(self._site, ref)
            ids = tuple(key for key in self.known if key.startswith(prefix))
        return self._leave(ids)

    def keep(self, service: Service) -> None:
        """Want it; leaving or not so far."""
        self._leaving.discard(service.id)
        self.wanted[service.id] = service

    def drop(self, service_id: str) -> None:
        """Want it no more."""
        self._leave([service_id])

    def look_begins(self) -> None:
        """What we write from now on is newer than what the look will show."""
        self._touched.clear()

    def look_ends(self, seen: Mapping[str, Registered], now: float) -> list[str]:
        """Take a whole and credible look for the truth."""
        own = {key: self.known[key] for key in self._touched if key in self.known}
        self.known = {key: has for key, has in seen.items() if key not in self._touched} | own
        self._condemn()
        self._plan_feeding(now)
        dirty = [key for key in self.wanted if self.act(key, now) is not None]
        return dirty + list(self._leaving)

    def act(self, key: str, now: float) -> WriteOp | None:
        """The next write for that id; None: all is well."""
        want, have = self.wanted.get(key), self.known.get(key)
        if want is None:
            return WriteOp.WITHDRAW if key in self._leaving and have is not None else None
        if have is None or not have.shows(want):
            return WriteOp.REGISTER
        if have.maintenance == ENDING:
            return WriteOp.RESUME
        if want.check.ttl is not None and (
            have.status != want.check.status or self._is_hungry(want, now)
        ):
            return WriteOp.REPORT
        return None

    def wrote(
        self, act: WriteOp, key: str, service: Service | None, have: Registered | None, now: float
    ) -> None:
        """``act`` succeeded; ``service`` was written over ``have``, as known when it began."""
        self._touched.add(key)
        if act is WriteOp.WITHDRAW or service is None:
            self.known.pop(key, None)
            return
        if act is WriteOp.RESUME and have is not None:
            self.known[key] = replace(have, maintenance=None)
            return
        if service.check.ttl is not None:
            self._feed_at[key] = now + self._patience(act, service.check.ttl)
        # A TTL check that was there before keeps its status through a registration.
        status = "" if act is WriteOp.REGISTER and have is not None else service.check.status
        self.known[key] = Registered(
            service.name,
            service.address,
            service.port,
            service.tags,
            service.meta,
            status,
            have.maintenance if have is not None and have.maintenance != ENDING else None,
        )

    def doubt(self, key: str) -> None:
        """A write for that id may or may not have happened."""
        self._touched.add(key)
        self.known[key] = DOUBTFUL

    def left(self, key: str) -> bool:
        """Whether a withdrawn service is gone; forgets that it was to leave."""
        if key in self.known:
            return False
        self._leaving.discard(key)
        return True

    def feed(self, key: str) -> None:
        """Its TTL check is due now."""
        self._feed_at[key] = 0.0

    def _leave(self, ids: Iterable[str]) -> list[str]:
        gone = list(ids)
        for key in gone:
            self.wanted.pop(key, None)
            self._feed_at.pop(key, None)
            self._leaving.add(key)
        return gone

    def _condemn(self) -> None:
        strangers = {key for key in self.known if key not in self.wanted} - self._leaving
        if self._ready:
            self._leaving |= strangers & self._strangers
            self._strangers = strangers

    def _plan_feeding(self, now: float) -> None:
        """Found as it should be: fed by an earlier life, at most a third of its TTL ago."""
        for key, service in self.wanted.items():
            if service.check.ttl is not None and key in self.known:
                self._feed_at.setdefault(key, now + _spread(key) * service.check.ttl / 3)

    @staticmethod
    def _patience(act: WriteOp, ttl: float) -> float:
        """Seconds to the next feeding. The first one comes soon: a Consul that restarts remembers
        what a check was fed, but not the status that it was registered with."""
        return min(limits.CONSUL_LOOK_INTERVAL, ttl / 3) if act is WriteOp.REGISTER else ttl / 3

    def _is_hungry(self, want: Service, now: float) -> bool:
        return want.check.status == PASSING and now >= self._feed_at.get(want.id, now + 1)


def _spread(key: str) -> float:
    """0..1, the same for the same id, so that restarts do not feed all at one moment."""
    return zlib.crc32(key.encode()) / 0xFFFFFFFF
