"""One function per call of the Docker API, answering as Triton does."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.triton import streams, views
from tests.triton.accounts import Account
from tests.triton.api_errors import ApiError, docker_error, not_implemented, validation_error
from tests.triton.backends import PullFailed
from tests.triton.datacenter import Datacenter
from tests.triton.machines import Machine, State

HOUR = 3600.0
TOP_TITLES = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]


@dataclass(frozen=True, slots=True)
class Call:
    datacenter: Datacenter
    execs: dict[str, dict[str, Any]]
    account: Account
    request: web.Request
    params: dict[str, str]

    @property
    def machine(self) -> Machine:
        return self.datacenter.find(self.account, self.params["ref"])

    @property
    def running(self) -> Machine:
        machine = self.machine
        if machine.state is State.PROVISIONING:
            raise docker_error("VM is still provisioning")
        if machine.state is not State.RUNNING:
            message = f"Container {machine.name} is not running"
            raise ApiError(409, message, "DockerContainerNotRunning")
        return machine

    @property
    def reachable(self) -> Machine:
        """The machine, if its files can be read and written."""
        machine = self.machine
        if machine.state is not State.RUNNING and not self.datacenter.options.archive_when_stopped:
            message = f"Container {machine.name} is not running: not supported by its platform"
            raise ApiError(409, message, "NotSupported")
        return machine

    def query(self, name: str) -> str:
        return self.request.query.get(name, "")

    def flag(self, name: str) -> bool:
        return self.query(name).lower() in ("1", "true")

    async def body(self) -> Any:
        text = await self.request.text()
        return json.loads(text) if text else {}


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


def _json(value: Any, status: int = 200) -> web.Response:
    return web.json_response(value, status=status)


def _empty(status: int = 204) -> web.Response:
    return web.Response(status=status)


async def version(call: Call) -> web.StreamResponse:
    return _json(
        {
            "ApiVersion": "1.21",
            "Arch": "amd64",
            "BuildTime": "2025-03-01T00:00:00Z",
            "GitCommit": "0000000",
            "GoVersion": "node6.17.1",
            "Os": "solaris",
            "Version": "1.9.0",
        }
    )


async def info(call: Call) -> web.StreamResponse:
    return _json(
        {
            "Containers": len(call.datacenter.visible(call.account)),
            "Driver": "sdc",
            "DriverStatus": [["SDCAccount", call.account.login]],
            "ExecutionDriver": "sdc-0.1.0",
            "ID": str(uuid.uuid5(uuid.NAMESPACE_DNS, call.datacenter.options.datacenter)),
            "Images": 0,
            "Name": call.datacenter.options.datacenter,
            "OperatingSystem": "SmartDataCenter",
        }
    )


async def create(call: Call) -> web.StreamResponse:
    machine = await call.datacenter.create(call.account, call.query("name"), await call.body())
    return _json({"Id": machine.id, "Warnings": []})


async def list_containers(call: Call) -> web.StreamResponse:
    if not call.datacenter.options.packages:
        raise docker_error("no packages match parameters")
    filters = views.parse_filters(call.query("filters"))
    everything = call.flag("all") or "status" in filters
    machines = [
        machine
        for machine in call.datacenter.visible(call.account)
        if (everything or machine.state is State.RUNNING) and views.selected(machine, filters)
    ]
    return _json([views.list_entry(machine) for machine in machines])


async def inspect(call: Call) -> web.StreamResponse:
    return _json(views.inspect_answer(call.machine))


async def start(call: Call) -> web.StreamResponse:
    await call.datacenter.start(call.machine)
    return _empty()


async def stop(call: Call) -> web.StreamResponse:
    text = call.query("t") or "10"
    if not re.fullmatch(r"-?\d+", text):
        raise validation_error(f'"t" must be a number: {text}')
    grace = int(text) if int(text) >= 0 else HOUR
    await call.datacenter.stop(call.machine, grace)
    return _empty()


async def restart(call: Call) -> web.StreamResponse:
    machine = call.machine
    await call.datacenter.stop(machine, 10)
    await call.datacenter.start(machine)
    return _empty()


async def kill(call: Call) -> web.StreamResponse:
    """The route does not parse its query: every signal is SIGKILL."""
    await call.datacenter.kill(call.machine)
    return _empty()


async def wait(call: Call) -> web.StreamResponse:
    machine = call.machine
    await machine.down.wait()
    return _json({} if machine.exit_code is None else {"StatusCode": machine.exit_code})


async def remove(call: Call) -> web.StreamResponse:
    machine = call.machine
    if call.flag("link"):
        raise docker_error("link removal is not supported")
    await call.datacenter.remove(machine, call.flag("force"))
    return _empty()


async def rename(call: Call) -> web.StreamResponse:
    call.datacenter.rename(call.machine, call.query("name"))
    return _empty(200)


async def top(call: Call) -> web.StreamResponse:
    machine = call.running
    row = ["root", "4242", "1", "0", "00:00", "?", "00:00:00", " ".join(machine.command)]
    return _json({"Titles": TOP_TITLES, "Processes": [row]})


async def logs(call: Call) -> web.StreamResponse:
    return await streams.send_logs(call.request, call.datacenter, call.machine)


async def stats(call: Call) -> web.StreamResponse:
    machine = call.running
    return _json(
        {
            "memory_stats": {"usage": 2**20, "limit": machine.package.memory_mib * 2**20},
            "cpu_stats": {"cpu_usage": {"total_usage": 10**9}},
            "networks": {"eth0": {"rx_bytes": 0, "tx_bytes": 0}},
        }
    )


async def get_archive(call: Call) -> web.StreamResponse:
    tar = await call.datacenter.backend.get_archive(call.reachable, call.query("path"))
    return web.Response(body=tar, content_type="application/x-tar")


async def put_archive(call: Call) -> web.StreamResponse:
    machine = call.reachable
    await call.datacenter.backend.put_archive(
        machine, call.query("path"), await call.request.read()
    )
    return _empty(200)


async def exec_create(call: Call) -> web.StreamResponse:
    machine, body = call.running, await call.body()
    ident = uuid.uuid4().hex * 2
    call.execs[ident] = {"machine": machine, "body": body, "running": False, "code": None}
    return _json({"Id": ident})


async def exec_start(call: Call) -> web.StreamResponse:
    entry = _exec(call)
    if entry["body"].get("Detach"):
        entry["running"] = True
        entry["task"] = asyncio.ensure_future(streams.run_exec(call.datacenter, entry))
        return _empty(201)
    return await streams.send_exec(call.request, call.datacenter, entry)


async def exec_inspect(call: Call) -> web.StreamResponse:
    entry = _exec(call)
    del call.execs[call.params["id"]]
    found = {"Running": entry["running"], "ExitCode": entry["code"]}
    return _json({name: value for name, value in found.items() if value is not None})


async def exec_resize(call: Call) -> web.StreamResponse:
    await call.datacenter.backend.resize(_exec(call), int(call.query("h")), int(call.query("w")))
    return _empty(200)


async def attach(call: Call) -> web.StreamResponse:
    return await streams.send_exec(call.request, call.datacenter, {"machine": call.running})


async def resize(call: Call) -> web.StreamResponse:
    call.running.next_size = int(call.query("h")), int(call.query("w"))
    return _empty(200)


def _exec(call: Call) -> dict[str, Any]:
    try:
        return call.execs[call.params["id"]]
    except KeyError:
        raise ApiError(404, f"No such exec: {call.params['id']}", "ResourceNotFound") from None


async def pull(call: Call) -> web.StreamResponse:
    if not call.query("tag"):
        raise not_implemented("pulling all tags")
    separator = "@" if call.query("tag").startswith("sha256:") else ":"
    reference = f"{call.query('fromImage')}{separator}{call.query('tag')}"
    header = call.request.headers.get("X-Registry-Auth", "")
    auth = json.loads(base64.urlsafe_b64decode(header + "==")) if header else {}
    lines: list[dict[str, Any]] = [{"status": f"Pulling from {call.query('fromImage')}"}]
    try:
        await call.datacenter.backend.pull(reference, auth)
        lines.append({"status": f"Status: Downloaded newer image for {reference}"})
    except PullFailed as error:
        text = f"{error} ({uuid.uuid4()})"
        lines.append({"error": text, "errorDetail": {"message": text}})
    return web.Response(
        text="\r\n".join(json.dumps(line) for line in lines), content_type="application/json"
    )


async def inspect_image(call: Call) -> web.StreamResponse:
    reference = call.params["image"]
    if not await call.datacenter.backend.has_image(reference):
        raise ApiError(404, f"No such image: {reference}", "ResourceNotFound")
    identity = uuid.uuid5(uuid.NAMESPACE_DNS, reference).hex
    config = {"Cmd": await call.datacenter.backend.image_command(reference)}
    return _json({"Id": identity, "RepoTags": [reference], "Config": config})


async def list_networks(call: Call) -> web.StreamResponse:
    networks = call.datacenter.options.networks
    return _json(
        [{"Name": name, "Driver": "Triton", "Scope": scope} for name, scope in networks.items()]
    )


async def create_volume(call: Call) -> web.StreamResponse:
    return _json(await call.datacenter.volumes.create(await call.body()))


async def list_volumes(call: Call) -> web.StreamResponse:
    return _json({"Volumes": call.datacenter.volumes.list(), "Warnings": []})


async def remove_volume(call: Call) -> web.StreamResponse:
    await call.datacenter.remove_volume(call.params["name"])
    return _empty()


async def refuse(call: Call) -> web.StreamResponse:
    raise not_implemented(call.request.path)


CONTAINER = r"/containers/(?P<ref>[^/]+)"
_ROUTES: list[tuple[str, str, Handler, float | None]] = [
    ("GET", "/version", version, None),
    ("GET", "/info", info, None),
    ("GET", "/containers/json", list_containers, None),
    ("POST", "/containers/create", create, HOUR),
    ("GET", f"{CONTAINER}/json", inspect, None),
    ("POST", f"{CONTAINER}/start", start, None),
    ("POST", f"{CONTAINER}/stop", stop, None),
    ("POST", f"{CONTAINER}/restart", restart, None),
    ("POST", f"{CONTAINER}/kill", kill, None),
    ("POST", f"{CONTAINER}/wait", wait, None),
    ("POST", f"{CONTAINER}/rename", rename, None),
    ("POST", f"{CONTAINER}/pause", refuse, None),
    ("POST", f"{CONTAINER}/unpause", refuse, None),
    ("GET", f"{CONTAINER}/changes", refuse, None),
    ("GET", f"{CONTAINER}/export", refuse, None),
    ("GET", f"{CONTAINER}/top", top, None),
    ("GET", f"{CONTAINER}/logs", logs, HOUR),
    ("GET", f"{CONTAINER}/stats", stats, HOUR),
    ("GET", f"{CONTAINER}/archive", get_archive, None),
    ("PUT", f"{CONTAINER}/archive", put_archive, None),
    ("POST", f"{CONTAINER}/exec", exec_create, None),
    ("DELETE", CONTAINER, remove, None),
    ("POST", r"/exec/(?P<id>[^/]+)/start", exec_start, HOUR),
    ("GET", r"/exec/(?P<id>[^/]+)/json", exec_inspect, None),
    ("POST", r"/exec/(?P<id>[^/]+)/resize", exec_resize, None),
    ("POST", f"{CONTAINER}/attach", attach, HOUR),
    ("POST", f"{CONTAINER}/resize", resize, None),
    ("POST", "/images/create", pull, None),
    ("GET", r"/images/(?P<image>.+)/json", inspect_image, None),
    ("GET", "/networks", list_networks, None),
    ("POST", "/networks/create", refuse, None),
    ("POST", "/networks/prune", refuse, None),
    ("POST", r"/networks/[^/]+/(dis)?connect", refuse, None),
    ("DELETE", r"/networks/[^/]+", refuse, None),
    ("GET", "/volumes", list_volumes, HOUR),
    ("POST", "/volumes/create", create_volume, HOUR),
    ("DELETE", r"/volumes/(?P<name>[^/]+)", remove_volume, HOUR),
]
ROUTES = [(method, re.compile(path), handler, idle) for method, path, handler, idle in _ROUTES]
"""Method, path, handler, and the seconds without a byte after which the call is cut off.

None: the datacenter's ``idle_seconds``.
"""
