"""The links between the shim and a master: in order, lossy only when a link breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import Message

from shim.model import facts
from shim.model.ids import Pid
from shim.protos.messages_pb2 import ExitedExecutorMessage

if TYPE_CHECKING:
    from tests.sim.world import World

_DELAY = 0.003


class Direction:
    """One direction. While it is cut, messages wait until ``cut_until``, or are lost."""

    def __init__(self) -> None:
        self.cut_until = 0.0
        self.lossy = False
        self.last = 0.0
        self.link = 0
        """Number of the link. It grows when the link breaks: messages on the old link are lost."""


class Network:
    def __init__(self, world: World) -> None:
        self._world = world
        self.outgoing = Direction()
        self.incoming = Direction()

    def _arrival(self, direction: Direction) -> float | None:
        """Seconds from now; None: lost."""
        clock, rng = self._world.clock, self._world.rng
        at = clock.now + rng.uniform(_DELAY / 3, _DELAY)
        if clock.now < direction.cut_until:
            if direction.lossy:
                return None
            at += direction.cut_until - clock.now
        direction.last = max(direction.last, at)
        return direction.last - clock.now

    def to_master(self, to: Pid, message: Message | None) -> None:
        """Send a message, or a pong when it is None."""
        delay = self._arrival(self.outgoing)
        if delay is not None:
            self._world.clock.after(delay, self._at_master, self.outgoing.link, to, message)
        elif isinstance(message, ExitedExecutorMessage):
            # As below. Of other messages the agent does not care: it repeats them anyway.
            self._world.clock.after(1.0, self._world.agents_link_failed, to)

    def _at_master(self, link: int, to: Pid, message: Message | None) -> None:
        if link == self.outgoing.link:
            master = self._world.master_at(to)
            if master is not None:
                master.received(to, message)

    def to_agent(self, sender: Pid, message: Message) -> None:
        delay = self._arrival(self.incoming)
        if delay is not None:
            self._world.clock.after(delay, self._at_agent, self.incoming.link, sender, message)
        else:
            # TCP loses no message on a link that stands: the link breaks.
            self._world.clock.after(1.0, self._world.link_failed, sender)

    def _at_agent(self, link: int, sender: Pid, message: Message) -> None:
        process = self._world.process
        if link == self.incoming.link and process is not None and not process.dead:
            process.post(facts.MessageReceived(sender, message))

    def break_incoming(self) -> None:
        """The master's link to the agent breaks: messages on it are lost."""
        self.incoming.link += 1

    def agent_died(self) -> None:
        """Messages that the process had not yet sent are lost."""
        self.incoming.link += 1
        if self._world.rng.random() < 0.5:
            self.outgoing.link += 1
