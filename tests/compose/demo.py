"""What runs in a demo, and what is left of one: questions of several tests to its services."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Callable
from typing import Any

import docker
from docker.models.containers import Container

from shim.model.container import LABEL_SHIM, LABEL_TASK
from tests.support import busybox
from tests.support.wait import PATIENCE
from tests.test_start import Demo

WEB = "trap 'exit 0' TERM; httpd -f -p 80 -h /www & wait"


def ask(url: str, method: str = "GET", body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        text = answer.read().decode()
    return json.loads(text) if text.startswith(("{", "[")) else text


def output_of(container: Container, command: str | list[str]) -> tuple[int, bytes]:
    """The exit code and the output of a command in the container."""
    code, output = container.exec_run(command)
    assert isinstance(output, bytes)
    return code or 0, output


def left_over(client: docker.DockerClient, project: str) -> list[str]:
    """Everything that bears the project's name, tasks included."""
    label = f"com.docker.compose.project={project}"
    found = [
        container["Names"][0]
        for container in client.api.containers(all=True)
        if container["Labels"].get("com.docker.compose.project") == project
        or container["Labels"].get("mesos-shim.id", "").startswith(f"demo-{project}")
    ]
    found += [network.name for network in client.networks.list(filters={"label": label})]
    found += [volume.name for volume in client.volumes.list(filters={"label": label})]
    return [str(name) for name in found]


def sample(demo: Demo, name: str, client: docker.DockerClient) -> dict[str, Any]:
    """A sample app, with an image that needs no registry in the place of its own."""
    app: dict[str, Any] = json.loads((demo.root / f"compose/apps/{name}.json").read_text())
    app["container"]["docker"]["image"] = busybox.build(client)
    app["cmd"] = WEB
    return app


def agents(masters: list[str], ask: Callable[[str], Any] = ask, scheme: str = "http") -> list[str]:
    """Ids of the connected agents that these masters know."""
    found = []
    for port in masters:
        with contextlib.suppress(OSError):
            known = ask(f"{scheme}://127.0.0.1:{port}/slaves")["slaves"]
            found += [agent["id"] for agent in known if agent["connected"]]
    return found


def container_of(client: docker.DockerClient, project: str, service: str) -> str:
    labels = [f"com.docker.compose.project={project}", f"com.docker.compose.service={service}"]
    (container,) = client.containers.list(filters={"label": labels}, ignore_removed=True)
    return str(container.id)


def running(url: str) -> dict[str, Any] | None:
    """The app's one task, once it runs."""
    tasks: list[dict[str, Any]] = ask(url)["app"]["tasks"]
    states = [task["state"] for task in tasks]
    return tasks[0] if states == ["TASK_RUNNING"] else None


def services(client: docker.DockerClient, project: str) -> list[Container]:
    """Running containers of the demo's own services, the newest first."""
    label = f"com.docker.compose.project={project}"
    return client.containers.list(filters={"label": label}, ignore_removed=True)


def task_container(client: docker.DockerClient, project: str, app: str) -> Container:
    """The running container of the app's one task."""
    (found,) = [
        container["Id"]
        for container in client.api.containers(filters={"label": LABEL_TASK})
        if container["Labels"][LABEL_SHIM].startswith(f"demo-{project}")
        and container["Labels"][LABEL_TASK].startswith(f"{app}.")
    ]
    return client.containers.get(found)


def answer_or_none(url: str) -> Any:
    try:
        return ask(url)
    except OSError:
        return None
