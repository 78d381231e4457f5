"""The state behind the endpoint: machines, their life, and the bill."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine
from typing import Any

from tests.triton import affinity, packages, validate
from tests.triton.accounts import Account
from tests.triton.backends import Backend
from tests.triton.machines import INVISIBLE, Machine, State
from tests.triton.options import Options
from tests.triton.refusals import Refusal, broken, no_such_container
from tests.triton.volumes import Volumes


class Datacenter:
    def __init__(self, backend: Backend, options: Options | None = None) -> None:
        self.backend = backend
        self.options = options or Options()
        self.volumes = Volumes(self.options)
        self.accounts: dict[str, Account] = {}
        self.machines: list[Machine] = []
        """All there ever were: destroyed ones keep their bill."""
        self.random = random.Random(1)
        self._visible: dict[str, Machine] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- looking

    def visible(self, account: Account) -> list[Machine]:
        return [machine for machine in self._visible.values() if machine.account == account.login]

    def find(self, account: Account, ref: str) -> Machine:
        """By full id, then exact name, then unique prefix of the id."""
        named = self._visible.get(f"{account.login}/{ref}")
        if named is not None:
            return named
        if len(ref) >= 8:
            found = [m for m in self.visible(account) if m.shown_id.startswith(ref)]
            if len(found) == 1:
                return found[0]
        raise no_such_container(ref)

    # --- creating

    async def create(self, account: Account, name: str, body: Any) -> Machine:
        """Validates at once, then provisions; a caller that goes away changes nothing."""
        machine = await self._admit(account, name, body)
        await asyncio.shield(self._beside(self._provision(machine)))
        return machine

    async def _admit(self, account: Account, name: str, body: Any) -> Machine:
        validate.check_create(body, volumes=self.options.volumes, drivers=self.options.log_drivers)
        if not account.approved:
            message = f"Account {account.login} is not approved for provisioning"
            raise Refusal(403, message, "NotAuthorized")
        image = body["Image"]
        if not await self.backend.has_image(image):
            raise Refusal(404, f"No such image: {image}", "ResourceNotFound")
        if not (body.get("Cmd") or body.get("Entrypoint")):
            body["Cmd"] = await self.backend.image_command(image)
            if not body["Cmd"]:
                raise broken("No command specified")
        host = body["HostConfig"]
        scope = self._network(host.get("NetworkMode") or "")
        await self.volumes.mount(host.get("Binds") or [], scope)
        return self._place(account, name or f"machine_{len(self.machines)}", body)

    def _place(self, account: Account, name: str, body: dict[str, Any]) -> Machine:
        """No await from the check of the name to its taking: two creates cannot both pass."""
        filters = affinity.take(body)
        package = packages.choose(
            self.options.packages, body["HostConfig"].get("Memory") or 0, body["Labels"]
        )
        body["Labels"].pop(packages.LABEL, None)
        self._check_name(account.login, name, "creating")
        alive = [*self._visible.values()] if filters else []
        count = len(self.machines)
        server = affinity.place(filters, alive, self.options.servers) if filters else count
        machine = Machine(name, account.login, body, package, server % self.options.servers, count)
        machine.labels = body["Labels"]
        self.machines.append(machine)
        self._visible[f"{account.login}/{name}"] = machine
        return machine

    def _check_name(self, login: str, name: str, doing: str) -> None:
        validate.check_name(name, doing)
        if f"{login}/{name}" in self._visible:
            detail = '"alias" (Duplicate) Already exists for this owner_uuid'
            raise validate.problem(doing, detail, self.options.vmapi_status)

    def _network(self, mode: str) -> str:
        """The scope of the network a create names."""
        if mode in ("", "bridge", "default"):
            return "fabric"
        found = [scope for name, scope in self.options.networks.items() if name.startswith(mode)]
        if len(found) != 1:
            raise Refusal(404, f"Network {mode} not found", "ResourceNotFound")
        return found[0]

    async def _provision(self, machine: Machine) -> None:
        await asyncio.sleep(self.options.provision_seconds)
        if self.options.fail_provisions:
            self._forget(machine, State.FAILED)
            raise self.options.fail_provisions.popleft()
        own = await self.backend.provision(machine)
        machine.address = own or _address(machine)
        machine.state, machine.provisioned = State.STOPPED, time.time()
        machine.down.set()

    # --- living

    async def start(self, machine: Machine) -> None:
        if machine.state is State.PROVISIONING:
            raise broken("VM is still provisioning")
        if machine.state is State.STOPPED:
            machine.state, machine.started = State.RUNNING, time.time()
            machine.held_down, machine.exit_code = False, None
            machine.down.clear()
            try:
                await self.backend.start(machine, lambda code: self._ended(machine, code))
            except Refusal:
                machine.held_down = True
                self._ended(machine, 127)
                raise

    async def stop(self, machine: Machine, grace: float) -> None:
        if machine.state is State.RUNNING:
            machine.held_down = True
            await self.backend.stop(machine, grace)
            await machine.down.wait()

    async def kill(self, machine: Machine) -> None:
        if machine.state is State.RUNNING:
            machine.held_down = True
            await self.backend.kill(machine)
            await machine.down.wait()

    async def remove(self, machine: Machine, force: bool) -> None:
        if machine.state is State.PROVISIONING:
            text = "Conflict, cannot currently remove a provisioning container"
            raise broken(f"{text} (id {machine.shown_id})")
        if machine.state is State.RUNNING and not force:
            text = "Conflict, You cannot remove a running container."
            raise broken(f"{text} Stop the container before attempting removal or use -f")
        users = [m.name for m in self._visible.values() if machine.lends_volumes_to(m)]
        if users:
            raise broken(f"Conflict, shared volumes are used by {', '.join(users)}")
        machine.held_down = True
        await self.backend.remove(machine)
        self._forget(machine, State.DESTROYED)

    async def crash(self, machine: Machine) -> None:
        """Its server died: the machine is down and nobody knows its exit code."""
        machine.held_down = True
        await self.backend.kill(machine)
        await machine.down.wait()
        machine.exit_code = machine.finished = None

    def rename(self, machine: Machine, name: str) -> None:
        self._check_name(machine.account, name, "renaming")
        del self._visible[f"{machine.account}/{machine.name}"]
        machine.name = name
        self._visible[f"{machine.account}/{name}"] = machine

    def _ended(self, machine: Machine, code: int | None) -> None:
        if machine.state is not State.RUNNING:
            return
        machine.state = State.STOPPING
        if self.options.stopping_seconds:
            self._beside(self._halt(machine, code))
        else:
            self._stopped(machine, code)

    async def _halt(self, machine: Machine, code: int | None) -> None:
        await asyncio.sleep(self.options.stopping_seconds)
        if machine.state is State.STOPPING:
            self._stopped(machine, code)

    def _stopped(self, machine: Machine, code: int | None) -> None:
        machine.state, machine.finished, machine.exit_code = State.STOPPED, time.time(), code
        machine.down.set()
        policy = machine.restart_policy
        if not machine.held_down and (policy == "always" or (policy and code)):
            delay = 2**machine.restarts * 0.1
            machine.restarts += 1
            self._beside(self._restart(machine, delay))

    async def _restart(self, machine: Machine, delay: float) -> None:
        await asyncio.sleep(delay)
        if machine.state is State.STOPPED and not machine.held_down:
            await self.start(machine)

    def _beside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _forget(self, machine: Machine, state: State) -> None:
        machine.state, machine.paid_until = state, time.time()
        machine.down.set()
        self._visible.pop(f"{machine.account}/{machine.name}", None)

    # --- paying

    def bill(self, until: float | None = None) -> dict[str, float]:
        """Machine-seconds by package until then; until now, when it is not given."""
        now, bill = until or time.time(), dict[str, float]()
        for machine in self.machines:
            name = machine.package.name
            bill[name] = bill.get(name, 0.0) + machine.seconds(now)
        return bill

    def left(self) -> list[str]:
        """Names of machines somebody still pays for, or soon will."""
        return [machine.name for machine in self.machines if machine.state not in INVISIBLE]

    async def close(self) -> None:
        """Remove everything, so that no real container outlives a test."""
        for task in [*self._tasks]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Refusal):
                await task
        for machine in [*self._visible.values()]:
            machine.held_down = True
            await self.backend.remove(machine)
            self._forget(machine, State.DESTROYED)
        await self.backend.close()


def _address(machine: Machine) -> str:
    """Published ports mean a public address, which is then the only one shown."""
    public = machine.published or machine.host_config.get("PublishAllPorts")
    net = "198.18" if public else "192.168"
    return f"{net}.{machine.number // 250 % 250}.{machine.number % 250 + 2}"
