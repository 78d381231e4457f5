"""The state behind the endpoint: machines, their lifetime, and the bill."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine
from typing import Any

from tests.triton import affinity, packages, validate
from tests.triton.accounts import Account
from tests.triton.api_errors import ApiError, docker_error, no_such_container
from tests.triton.backends import Backend
from tests.triton.machines import INVISIBLE, Machine, State
from tests.triton.options import Options
from tests.triton.volumes import Volumes


class Datacenter:
    def __init__(self, backend: Backend, options: Options | None = None) -> None:
        self.backend = backend
        self.options = options or Options()
        self.volumes = Volumes(self.options)
        self.accounts: dict[str, Account] = {}
        self.machines: list[Machine] = []
        """All machines since the start: destroyed ones stay on the bill."""
        self.random = random.Random(1)
        self._visible: dict[str, Machine] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- lookup

    def visible(self, account: Account) -> list[Machine]:
        return [machine for machine in self._visible.values() if machine.account == account.login]

    def find(self, account: Account, ref: str) -> Machine:
        """By exact name, else by a unique prefix of the id, at least 8 digits."""
        named = self._visible.get(f"{account.login}/{ref}")
        if named is not None:
            return named
        if len(ref) >= 8:
            found = [m for m in self.visible(account) if m.shown_id.startswith(ref)]
            if len(found) == 1:
                return found[0]
        raise no_such_container(ref)

    # --- create

    async def create(self, account: Account, name: str, body: Any) -> Machine:
        """Validates, then provisions. The provisioning goes on when the caller is cancelled."""
        machine = await self._allocate(account, name, body)
        await asyncio.shield(self._spawn(self._provision(machine)))
        return machine

    async def _allocate(self, account: Account, name: str, body: Any) -> Machine:
        validate.check_create(body, volumes=self.options.volumes, drivers=self.options.log_drivers)
        if not account.approved:
            message = f"Account {account.login} is not approved for provisioning"
            raise ApiError(403, message, "NotAuthorized")
        image = body["Image"]
        if not await self.backend.has_image(image):
            raise ApiError(404, f"No such image: {image}", "ResourceNotFound")
        if not (body.get("Cmd") or body.get("Entrypoint")):
            body["Cmd"] = await self.backend.image_command(image)
            if not body["Cmd"]:
                raise docker_error("No command specified")
        host = body["HostConfig"]
        scope = self._network(host.get("NetworkMode") or "")
        await self.volumes.mount(host.get("Binds") or [], scope)
        return self._add_machine(account, name or f"machine_{len(self.machines)}", body)

    def _add_machine(self, account: Account, name: str, body: dict[str, Any]) -> Machine:
        """Contains no await, so that two creates of one name cannot both pass its check."""
        filters = affinity.extract_filters(body)
        package = packages.choose(
            self.options.packages, body["HostConfig"].get("Memory") or 0, body["Labels"]
        )
        body["Labels"].pop(packages.LABEL, None)
        self._check_name(account.login, name, "creating")
        alive = [*self._visible.values()] if filters else []
        count = len(self.machines)
        lender = self._lender(account, body["HostConfig"])
        server = affinity.choose_server(filters, alive, self.options.servers) if filters else count
        server = server % self.options.servers if lender is None else lender.server
        machine = Machine(name, account.login, body, package, server, count)
        machine.labels = body["Labels"]
        self.machines.append(machine)
        self._visible[f"{account.login}/{name}"] = machine
        return machine

    def _lender(self, account: Account, host: dict[str, Any]) -> Machine | None:
        """The machine whose volumes a create mounts: the new one is on its server."""
        names = [each.partition(":")[0] for each in host.get("VolumesFrom") or []]
        lenders = [self.find(account, name) for name in names]
        return lenders[0] if lenders else None

    def _check_name(self, login: str, name: str, doing: str) -> None:
        validate.check_name(name, doing)
        if f"{login}/{name}" in self._visible:
            detail = '"alias" (Duplicate) Already exists for this owner_uuid'
            raise validate.problem(doing, detail, self.options.vmapi_status)

    def _network(self, mode: str) -> str:
        """The scope of the network that a create names."""
        if mode in ("", "bridge", "default"):
            return "fabric"
        found = [scope for name, scope in self.options.networks.items() if name.startswith(mode)]
        if len(found) != 1:
            raise ApiError(404, f"Network {mode} not found", "ResourceNotFound")
        return found[0]

    async def _provision(self, machine: Machine) -> None:
        await asyncio.sleep(self.options.provision_seconds)
        if self.options.provision_when is not None:
            await self.options.provision_when.wait()
        if self.options.fail_provisions:
            self._drop(machine, State.FAILED)
            raise self.options.fail_provisions.popleft()
        own = await self.backend.provision(machine)
        machine.address = own or _address(machine)
        machine.state, machine.provisioned = State.STOPPED, time.time()
        machine.down.set()

    # --- start, stop, remove

    async def start(self, machine: Machine) -> None:
        if machine.state is State.PROVISIONING:
            raise docker_error("VM is still provisioning")
        if machine.state is State.STOPPED:
            machine.state, machine.started = State.RUNNING, time.time()
            machine.stopped_by_call, machine.exit_code = False, None
            machine.down.clear()
            try:
                await self.backend.start(machine, lambda code: self._on_exit(machine, code))
            except ApiError:
                machine.stopped_by_call = True
                self._on_exit(machine, 127)
                raise

    async def stop(self, machine: Machine, grace: float) -> None:
        if machine.state is State.RUNNING:
            machine.stopped_by_call = True
            await self.backend.stop(machine, grace)
            await machine.down.wait()

    async def kill(self, machine: Machine) -> None:
        if machine.state is State.RUNNING:
            machine.stopped_by_call = True
            await self.backend.kill(machine)
            await machine.down.wait()

    async def remove(self, machine: Machine, force: bool) -> None:
        if machine.state is State.PROVISIONING:
            text = "Conflict, cannot currently remove a provisioning container"
            raise docker_error(f"{text} (id {machine.shown_id})")
        if machine.state is State.RUNNING and not force:
            text = "Conflict, You cannot remove a running container."
            raise docker_error(f"{text} Stop the container before attempting removal or use -f")
        users = [m.name for m in self._visible.values() if machine.lends_volumes_to(m)]
        if users:
            raise docker_error(f"Conflict, shared volumes are used by {', '.join(users)}")
        machine.stopped_by_call = True
        await self.backend.remove(machine)
        self._drop(machine, State.DESTROYED)

    async def remove_volume(self, name: str) -> None:
        users = [machine.name for machine in self._visible.values() if name in machine.volumes]
        await self.volumes.remove(name, users)

    async def crash(self, machine: Machine) -> None:
        """Its server fails: the machine is down and its exit code is unknown."""
        machine.stopped_by_call = True
        await self.backend.kill(machine)
        await machine.down.wait()
        machine.exit_code = machine.finished = None

    def rename(self, machine: Machine, name: str) -> None:
        self._check_name(machine.account, name, "renaming")
        del self._visible[f"{machine.account}/{machine.name}"]
        machine.name = name
        self._visible[f"{machine.account}/{name}"] = machine

    def _on_exit(self, machine: Machine, code: int | None) -> None:
        if machine.state is not State.RUNNING:
            return
        machine.state = State.STOPPING
        if self.options.stopping_seconds or self.options.stopped_when is not None:
            self._spawn(self._finish_stopping(machine, code))
        else:
            self._stopped(machine, code)

    async def _finish_stopping(self, machine: Machine, code: int | None) -> None:
        await asyncio.sleep(self.options.stopping_seconds)
        if self.options.stopped_when is not None:
            await self.options.stopped_when.wait()
        if machine.state is State.STOPPING:
            self._stopped(machine, code)

    def _stopped(self, machine: Machine, code: int | None) -> None:
        machine.state, machine.finished, machine.exit_code = State.STOPPED, time.time(), code
        machine.down.set()
        policy = machine.restart_policy
        if not machine.stopped_by_call and (policy == "always" or (policy and code)):
            delay = 2**machine.restarts * 0.1
            machine.restarts += 1
            self._spawn(self._restart(machine, delay))

    async def _restart(self, machine: Machine, delay: float) -> None:
        await asyncio.sleep(delay)
        if machine.state is State.STOPPED and not machine.stopped_by_call:
            await self.start(machine)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _drop(self, machine: Machine, state: State) -> None:
        machine.state, machine.paid_until = state, time.time()
        machine.down.set()
        self._visible.pop(f"{machine.account}/{machine.name}", None)

    # --- billing

    def bill(self, until: float | None = None) -> dict[str, float]:
        """Machine-seconds by package, until ``until`` or until now."""
        now, bill = until or time.time(), dict[str, float]()
        for machine in self.machines:
            name = machine.package.name
            bill[name] = bill.get(name, 0.0) + machine.seconds(now)
        return bill

    def remaining(self) -> list[str]:
        """Names of the machines that are billed now, or will be once they are provisioned."""
        return [machine.name for machine in self.machines if machine.state not in INVISIBLE]

    async def close(self) -> None:
        """Remove everything, so that no real container outlives a test."""
        for task in [*self._tasks]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ApiError):
                await task
        for machine in [*self._visible.values()]:
            machine.stopped_by_call = True
            await self.backend.remove(machine)
            self._drop(machine, State.DESTROYED)
        await self.backend.close()


def _address(machine: Machine) -> str:
    """A public address for a machine with published ports, which Triton then shows alone."""
    public = machine.published or machine.host_config.get("PublishAllPorts")
    prefix = "198.18" if public else "192.168"
    return f"{prefix}.{machine.number // 250 % 250}.{machine.number % 250 + 2}"
