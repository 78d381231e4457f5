"""The two ways between the shim and a master: in order, lossy only where a link breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import Message

from shim.model import facts
from shim.model.ids import Pid

if TYPE_CHECKING:
    from tests.sim.world import World

_DELAY = 0.003


class Way:
    """One direction. While it is cut, what is sent waits for the healing, or is lost."""

    def __init__(self) -> None:
        self.cut_until = 0.0
        self.lossy = False
        self.last = 0.0
        self.life = 0
        """Grows when the link breaks: what was on it then is lost."""


class Net:
    def __init__(self, world: World) -> None:
        self._world = world
        self.up = Way()
        self.down = Way()

    def _arrival(self, way: Way) -> float | None:
        """Seconds from now; None: lost."""
        clock, rng = self._world.clock, self._world.rng
        at = clock.now + rng.uniform(_DELAY / 3, _DELAY)
        if clock.now < way.cut_until:
            if way.lossy:
                return None
            at += way.cut_until - clock.now
        way.last = max(way.last, at)
        return way.last - clock.now

    def to_master(self, to: Pid, message: Message | None) -> None:
        """None is a pong."""
        delay = self._arrival(self.up)
        if delay is not None:
            self._world.clock.after(delay, self._at_master, self.up.life, to, message)

    def _at_master(self, life: int, to: Pid, message: Message | None) -> None:
        if life == self.up.life:
            master = self._world.master_at(to)
            if master is not None:
                master.received(to, message)

    def to_agent(self, sender: Pid, message: Message) -> None:
        delay = self._arrival(self.down)
        if delay is not None:
            self._world.clock.after(delay, self._at_agent, self.down.life, sender, message)
        else:
            # Nothing is lost on a link that stands.
            self._world.clock.after(1.0, self._world.link_failed, sender)

    def _at_agent(self, life: int, sender: Pid, message: Message) -> None:
        process = self._world.process
        if life == self.down.life and process is not None and not process.dead:
            process.post(facts.MessageReceived(sender, message))

    def break_down(self) -> None:
        """The master's link to us breaks: what is on it is lost."""
        self.down.life += 1

    def agent_died(self) -> None:
        """What the process had not yet sent dies with it."""
        self.down.life += 1
        if self._world.rng.random() < 0.5:
            self.up.life += 1
