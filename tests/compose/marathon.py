"""In Marathon's place: the part of its API that the samples use, and its TaskInfos.

Keeps as many instances of every app running as it asks for, like Marathon, and maps an app to a
task by the rules of Marathon's TaskBuilder (networks, ports, labels, checks, discovery).
"""

# ruff: noqa: N802, N803 - pymesos names its callbacks so

from __future__ import annotations

import copy
import json
import os
import random
import socket
import ssl
import sys
import tempfile
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from shim.client.tls_tunnel import TlsTunnel
from shim.config.libprocess import tls_settings
from shim.run import driver, http_parser_compat
from shim.wire.tls import Tls

http_parser_compat.provide()

from pymesos import MesosSchedulerDriver, Scheduler  # noqa: E402

Json = dict[str, Any]

NETWORK = os.environ.get("MARATHON_DEFAULT_NETWORK_NAME", "")
TERMINAL = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST", "TASK_GONE"}
FRAMEWORK = {
    "user": "root",
    "name": "marathon",
    "roles": ["*"],
    "capabilities": [
        {"type": "MULTI_ROLE"},
        {"type": "PARTITION_AWARE"},
        {"type": "TASK_KILLING_STATE"},
    ],
    "checkpoint": True,
    "failover_timeout": 604800,
    "webui_url": os.environ.get("MARATHON_WEBUI_URL") or f"http://{socket.gethostname()}:8080",
}


# ---- TaskBuilder -----------------------------------------------------------------------------


def mode(app: Json) -> str:
    """container, container/bridge or host; 2015's apps say it in ``container.docker``."""
    networks = app.get("networks")
    if networks:
        return str(networks[0].get("mode", "container"))
    legacy = app.get("container", {}).get("docker", {}).get("network")
    return {"BRIDGE": "container/bridge", "USER": "container"}.get(legacy, "host")


def mappings(app: Json) -> list[Json]:
    container = app.get("container", {})
    return list(container.get("portMappings") or container["docker"].get("portMappings") or [])


def host_ports(app: Json) -> list[int]:
    """The ports an app wants out of an offer; 0 is any. Without networks it gets one."""
    if mode(app) == "host":
        return [definition.get("port", 0) for definition in app.get("portDefinitions", [{}])]
    bridged = mode(app) == "container/bridge"
    found = (m.get("hostPort", 0 if bridged else None) for m in mappings(app))
    return [port for port in found if port is not None]


def with_ports(app: Json, offer: Json) -> Json:
    """The app with a port of the offer for each 0, at random as Marathon chooses them."""
    offered = {p for r in ports_of(offer) for p in range(r["begin"], r["end"] + 1)}
    left = sorted(offered - set(host_ports(app)))
    free = iter(random.sample(left, min(len(left), len(host_ports(app)))))
    made = copy.deepcopy(app)
    if mode(app) == "host":
        definitions = made.setdefault("portDefinitions", [{}])
        for definition in definitions:
            definition["port"] = definition.get("port") or next(free)
    elif mode(app) == "container/bridge":
        for mapping in mappings(made):
            mapping["hostPort"] = mapping.get("hostPort") or next(free)
    return made


def ports_of(offer: Json) -> list[Json]:
    have = {r["name"]: r for r in offer["resources"]}
    ranges: list[Json] = have.get("ports", {}).get("ranges", {}).get("range", [])
    return ranges


def scalar(name: str, value: float) -> Json:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}}


def resources(app: Json) -> list[Json]:
    wanted = [scalar("cpus", app.get("cpus", 1.0)), scalar("mem", app.get("mem", 128.0))]
    if app.get("disk"):
        wanted.append(scalar("disk", app["disk"]))
    ranges = [{"begin": port, "end": port} for port in sorted(set(host_ports(app)) - {0})]
    if ranges:
        wanted.append({"name": "ports", "type": "RANGES", "ranges": {"range": ranges}})
    return wanted


def port_mappings(app: Json) -> list[Json]:
    """One for each protocol; those without a host port are left out."""
    return [
        {"container_port": m["containerPort"], "host_port": m["hostPort"], "protocol": protocol}
        for m in mappings(app)
        if m.get("hostPort")
        for protocol in m.get("protocol", "tcp").split(",")
    ]


def container(app: Json, task_id: str) -> Json:
    docker = app["container"]["docker"]
    parameters = [{"key": "label", "value": f"MESOS_TASK_ID={task_id}"}]
    built: Json = {
        "image": docker["image"],
        "force_pull_image": docker.get("forcePullImage", False),
        "privileged": docker.get("privileged", False),
        "parameters": [*docker.get("parameters", []), *parameters],
    }
    info: Json = {"type": "DOCKER", "docker": built}
    if mode(app) == "container":
        name = (app.get("networks") or [{}])[0].get("name") or NETWORK
        built["network"] = "USER"
        info["network_infos"] = [{"name": name, "ip_addresses": [{"protocol": "IPv4"}]}]
    else:
        built["network"] = "BRIDGE" if mode(app) == "container/bridge" else "HOST"
    if port_mappings(app):
        built["port_mappings"] = port_mappings(app)
    return info


def command(app: Json, task_id: str) -> Json:
    variables = {
        "MESOS_TASK_ID": task_id,
        "MARATHON_APP_ID": app["id"],
        **{f"PORT{index}": str(port) for index, port in enumerate(host_ports(app))},
        **{k: v for k, v in app.get("env", {}).items() if isinstance(v, str)},
    }
    info: Json = {
        "shell": "cmd" in app,
        "environment": {"variables": [{"name": k, "value": v} for k, v in variables.items()]},
    }
    if "cmd" in app:
        info["value"] = app["cmd"]
    elif app.get("args"):
        info["arguments"] = app["args"]
    return info


def check(app: Json) -> Json | None:
    """The first check that Mesos is to run: with container networking at the container's port."""
    for wanted in app.get("healthChecks", []):
        kind = wanted.get("protocol", "")
        if not kind.startswith("MESOS_"):
            continue
        where = mappings(app)[wanted.get("portIndex", 0)]["containerPort"]
        kind = kind.removeprefix("MESOS_")
        body = {"port": where, "path": wanted.get("path", "/"), "scheme": "http"}
        return {
            "type": kind,
            kind.lower(): body if kind == "HTTP" else {"port": where},
            "grace_period_seconds": wanted.get("gracePeriodSeconds", 300),
            "interval_seconds": wanted.get("intervalSeconds", 60),
            "timeout_seconds": wanted.get("timeoutSeconds", 20),
            "consecutive_failures": wanted.get("maxConsecutiveFailures", 3),
            "delay_seconds": 0,
        }
    return None


def discovery(app: Json) -> Json:
    ports = [
        {
            "number": m["containerPort"],
            "protocol": p,
            **({"name": m["name"]} if m.get("name") else {}),
        }
        for m in mappings(app)
        for p in m.get("protocol", "tcp").split(",")
    ]
    name = ".".join(reversed(app["id"].strip("/").split("/")))
    return {"visibility": "FRAMEWORK", "name": name, "ports": {"ports": ports}}


def task_info(app: Json, agent_id: Json) -> Json:
    name = "_".join(app["id"].strip("/").split("/"))
    task_id = f"{name}.instance-{uuid.uuid4()}._app.1"
    info: Json = {
        "name": ".".join(reversed(app["id"].strip("/").split("/"))),
        "task_id": {"value": task_id},
        "agent_id": agent_id,
        "resources": resources(app),
        "command": command(app, task_id),
        "container": container(app, task_id),
        "discovery": discovery(app),
        "labels": {"labels": [{"key": k, "value": v} for k, v in app.get("labels", {}).items()]},
    }
    wanted = check(app)
    if wanted:
        info["health_check"] = wanted
    return info


# ---- offers ----------------------------------------------------------------------------------


def missing(app: Json, offer: Json) -> str:
    """Marathon's word for what an offer lacks; empty when the app fits."""
    have = {r["name"]: r for r in offer["resources"]}
    for name, word in (("cpus", "InsufficientCpus"), ("mem", "InsufficientMemory")):
        wanted = next(r for r in resources(app) if r["name"] == name)
        if have.get(name, scalar("", 0))["scalar"]["value"] < wanted["scalar"]["value"]:
            return word
    ranges = ports_of(offer)
    count = sum(r["end"] - r["begin"] + 1 for r in ranges)
    fixed = [port for port in host_ports(app) if port]
    enough = count >= len(host_ports(app)) and all(
        any(r["begin"] <= port <= r["end"] for r in ranges) for port in fixed
    )
    return "" if enough else "InsufficientPorts"


REASONS = (
    *("UnfulfilledRole", "UnfulfilledConstraint", "NoCorrespondingReservationFound"),
    *("AgentMaintenance", "InsufficientCpus", "InsufficientMemory", "InsufficientDisk"),
    *("InsufficientGpus", "InsufficientPorts", "DeclinedScarceResources"),
)
"""In the order in which Marathon matches: a later one sees only what the earlier ones let pass."""


def refusals(reason: str) -> list[Json]:
    at = REASONS.index(reason)
    return [
        {"reason": name, "declined": int(index == at), "processed": int(index <= at)}
        for index, name in enumerate(REASONS)
    ]


class Apps(Scheduler):  # type: ignore[misc]
    """What is wanted, and what runs."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.apps: dict[str, Json] = {}
        self.tasks: dict[str, Json] = {}
        """By task id: app, state, the newest status."""
        self.waiting: dict[str, str] = {}
        """By app: what the last offer lacked."""
        self.driver: MesosSchedulerDriver | None = None

    def registered(self, driver: Any, frameworkId: Json, masterInfo: Json) -> None:
        self.driver = driver

    def resourceOffers(self, driver: Any, offers: list[Json]) -> None:
        for offer in offers:
            info = self.next_for(offer)
            if info is None:
                driver.declineOffer(offer["id"], {"refuse_seconds": 1.0})
            else:
                driver.launchTasks(offer["id"], [info], {"refuse_seconds": 0.0})

    def next_for(self, offer: Json) -> Json | None:
        """One task an offer, so that what is left of it comes back at once."""
        with self.lock:
            for name, app in self.apps.items():
                if len(self.of(name)) >= app.get("instances", 1):
                    continue
                self.waiting[name] = missing(app, offer)
                if not self.waiting[name]:
                    ported = with_ports(app, offer)
                    info = task_info(ported, offer["agent_id"])
                    self.tasks[info["task_id"]["value"]] = {
                        "app": name,
                        "state": "TASK_STAGING",
                        "ports": host_ports(ported),
                    }
                    return info
        return None

    def statusUpdate(self, driver: Any, status: Json) -> None:
        task_id, state = status["task_id"]["value"], status["state"]
        print(task_id, state, status.get("message", ""), flush=True)
        with self.lock:
            if state in TERMINAL:
                self.tasks.pop(task_id, None)
            elif task_id in self.tasks:
                self.tasks[task_id].update(state=state, status=status)

    def of(self, name: str) -> dict[str, Json]:
        return {k: v for k, v in self.tasks.items() if v["app"] == name}

    # ---- the API ---------------------------------------------------------------------------

    def put(self, app: Json) -> Json:
        app["id"] = "/" + app["id"].strip("/")
        with self.lock:
            self.apps[app["id"]] = app
            self.kill(app["id"], app.get("instances", 1))
        return self.view(app["id"])

    def delete(self, name: str) -> None:
        with self.lock:
            self.apps.pop(name)
            self.kill(name, 0)

    def kill(self, name: str, keep: int) -> None:
        for task_id in list(self.of(name))[keep:]:
            assert self.driver is not None
            self.driver.killTask({"value": task_id})

    def queue(self) -> Json:
        """As Marathon 1.11 describes apps that wait: each reason, the first that refuses counts."""
        with self.lock:
            return {
                "queue": [
                    {
                        "app": app,
                        "count": app.get("instances", 1) - len(self.of(name)),
                        "role": "*",
                        "delay": {"timeLeftSeconds": 0, "overdue": True},
                        "since": "2026-01-01T00:00:00.000Z",
                        "processedOffersSummary": {
                            "processedOffersCount": 1,
                            "unusedOffersCount": 1,
                            "rejectSummaryLastOffers": refusals(self.waiting[name]),
                            "rejectSummaryLaunchAttempt": refusals(self.waiting[name]),
                        },
                    }
                    for name, app in self.apps.items()
                    if self.waiting.get(name) and len(self.of(name)) < app.get("instances", 1)
                ]
            }

    def view(self, name: str) -> Json:
        with self.lock:
            tasks = [
                {
                    "id": task_id,
                    "appId": name,
                    "state": task["state"],
                    "ports": task["ports"],
                    "healthCheckResults": [{"alive": task["status"]["healthy"]}]
                    if "healthy" in task.get("status", {})
                    else [],
                }
                for task_id, task in self.of(name).items()
            ]
            running = sum(t["state"] == "TASK_RUNNING" for t in tasks)
            return {**self.apps[name], "tasks": tasks, "tasksRunning": running}


class Handler(BaseHTTPRequestHandler):
    apps: Apps

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].rstrip("/")
        if path == "/ping":
            self.answer(200, "pong")
        elif path == "/v2/info":
            self.answer(200, {"name": "marathon", "version": "1.11.24", "leader": "here:8080"})
        elif path == "/v2/queue":
            self.answer(200, self.apps.queue())
        elif path == "/v2/apps":
            self.answer(200, {"apps": [self.apps.view(name) for name in list(self.apps.apps)]})
        elif path.removeprefix("/v2/apps") in self.apps.apps:
            self.answer(200, {"app": self.apps.view(path.removeprefix("/v2/apps"))})
        else:
            self.answer(404, {"message": f"{path} does not exist"})

    def do_POST(self) -> None:
        app = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.apps.driver is None:
            self.answer(503, {"message": "no master"})
        elif "/" + app["id"].strip("/") in self.apps.apps:
            self.answer(409, {"message": f"An app with id [{app['id']}] already exists."})
        else:
            self.answer(201, self.apps.put(app))

    def do_PUT(self) -> None:
        name = self.path.partition("?")[0].removeprefix("/v2/apps").rstrip("/")
        change = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(200, self.apps.put({**self.apps.apps.get(name, {"id": name}), **change}))

    def do_DELETE(self) -> None:
        name = self.path.partition("?")[0].removeprefix("/v2/apps").rstrip("/")
        if name not in self.apps.apps:
            self.answer(404, {"message": f"App '{name}' does not exist"})
            return
        self.apps.delete(name)
        self.answer(200, {"deploymentId": str(uuid.uuid4())})

    def answer(self, code: int, body: Json | str) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


FLAGS = {"MARATHON_MESOS_AUTHENTICATION"}
"""Variables that may be empty: Marathon makes ``--x`` of them."""


def check_environment() -> None:
    """Marathon makes ``--x value`` of MARATHON_X, and does not start where a value is missing."""
    for name, value in os.environ.items():
        if name.startswith("MARATHON_") and not value and name not in FLAGS:
            option = name.removeprefix("MARATHON_").lower()
            sys.exit(f"[scallop] Error: Bad arguments for option '{option}': ''")


def keystore(path: str, password: str) -> ssl.SSLContext:
    """TLS with key and certificate of a file as Java has them."""
    key, certificate, _ = pkcs12.load_key_and_certificates(
        Path(path).read_bytes(), password.encode()
    )
    assert key is not None
    assert certificate is not None
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    both = key.private_bytes(*pem, serialization.NoEncryption()) + certificate.public_bytes(pem[0])
    with tempfile.NamedTemporaryFile() as file:
        file.write(both)
        file.flush()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file.name)
    return context


def serve_https(path: str) -> None:
    port = int(os.environ["MARATHON_HTTPS_PORT"])
    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)
    context = keystore(path, os.environ["MARATHON_SSL_KEYSTORE_PASSWORD"])
    # The handshake is left to the thread of the connection.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main() -> None:
    check_environment()
    apps: Any = Apps()
    Handler.apps = apps
    tls = tls_settings(os.environ)
    tunnel = None if tls is None else TlsTunnel(Tls(tls))
    driver.connect(apps, FRAMEWORK, os.environ["MARATHON_MASTER"], None, tunnel).start()
    if path := os.environ.get("MARATHON_SSL_KEYSTORE_PATH"):
        serve_https(path)
    address = os.environ.get("MARATHON_HTTP_ADDRESS", "0.0.0.0")
    ThreadingHTTPServer((address, 8080), Handler).serve_forever()


if __name__ == "__main__":
    main()
