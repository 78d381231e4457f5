"""Small questions that a shell cannot ask by itself, with nothing but Python's own library.

probe.py get URL [PATH]   the answer's text, or the JSON value at PATH (a.b.0); else 1
probe.py tasks URL        a line for each task of a master's /tasks
probe.py agents URL       how many active agents a leading master's /slaves has; 1 at another master
probe.py leader URL       leads or stands by, by an agent's /leader
probe.py queue URL PORTS  a line for each app of Marathon's /v2/queue that waits: why, and the cure
probe.py free ADDRESS PORT...   the first port that is in use; exit code 1 if all are free
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

SECONDS = 5.0


class Stays(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: a master that does not lead may name an address out of reach."""

    def redirect_request(self, *_: Any) -> None:
        return None


def get(url: str, path: str = "") -> str:
    # No proxy: these are addresses of this machine and of containers.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), Stays()]
    if url.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=identified()))
    opener = urllib.request.build_opener(*handlers)
    with opener.open(urllib.request.Request(url, headers=passwords()), timeout=SECONDS) as answer:
        text: str = answer.read().decode(errors="replace")
    if not path:
        return text
    value: Any = json.loads(text)
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value if isinstance(value, str) else json.dumps(value)


def identified() -> ssl.SSLContext:
    """With the certificates that Consul's own clients would use."""
    context = ssl.create_default_context(cafile=os.environ.get("CONSUL_CACERT"))
    if "CONSUL_CLIENT_CERT" in os.environ:
        context.load_cert_chain(os.environ["CONSUL_CLIENT_CERT"], os.environ["CONSUL_CLIENT_KEY"])
    return context


def passwords() -> dict[str, str]:
    """Consul's token, and user:password of the masters' pages, where there are any."""
    found = {}
    if token := os.environ.get("CONSUL_HTTP_TOKEN"):
        found["X-Consul-Token"] = token
    if pair := os.environ.get("MESOS_HTTP_AUTH"):
        found["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return found


def tasks(url: str) -> str:
    found = json.loads(get(url))["tasks"]
    return "\n".join(f"task {task['id']} {task['state']}" for task in found) or "no task runs"


def agents(url: str) -> str:
    return str(sum(agent["active"] for agent in json.loads(get(url))["slaves"]))


def leader(url: str) -> str:
    try:
        get(url)
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        return "stands by"
    return "leads"


CURES = {
    "InsufficientPorts": "it asks for a host port: {ports}",
    "InsufficientCpus": "ask for less cpus, or stop another app",
    "InsufficientMemory": "ask for less mem, or stop another app",
    "InsufficientDisk": "ask for less disk, or stop another app",
    "InsufficientGpus": "the agent offers no gpus",
    "UnfulfilledConstraint": (
        "there are fewer agents than the constraint needs: several agents (--agents N), or none"
    ),
    "UnfulfilledRole": "the app's role is not one that the agent's resources are offered to",
    "NoCorrespondingReservationFound": "its reservation is not in an offer: reserved elsewhere?",
    "AgentMaintenance": "the agent is in maintenance",
    "DeclinedScarceResources": "Marathon keeps agents with gpus for apps that ask for gpus",
}
"""By NoOfferMatchReason of Marathon 1.11, which counts an offer at the first reason only."""

NO_PORTS = (
    'the agent offers none: "networks": [{"mode": "container"}] in the app, or SHIM_PORTS in '
    "compose/.env"
)
PORTS = (
    "the agent offers {}: give the app a free port of that range or hostPort 0, or "
    '"networks": [{{"mode": "container"}}]; SHIM_PORTS in compose/.env'
)
OWN_CHECKS = ("HTTP", "HTTPS", "TCP")
"""Checks that Marathon makes itself, at the agent's host where the app has a host port."""


def queue(url: str, ports: str) -> str:
    """Apps that wait, each with the reason that refused most of the last offers."""
    apps = {app["id"]: app for app in marathon_apps(url)}
    lines = []
    for entry in json.loads(get(url))["queue"]:
        name = (entry.get("app") or entry.get("pod"))["id"]
        summary = entry["processedOffersSummary"].get("rejectSummaryLastOffers", [])
        worst = max(summary, key=lambda step: step["declined"], default=None)
        if worst and worst["declined"]:
            reason = worst["reason"]
            offered = NO_PORTS if ports == "none" else PORTS.format(ports)
            cure = CURES.get(reason, "see the app's page in Marathon").format(ports=offered)
            lines.append(f"app {name} waits: {reason}: {cure}")
        elif failure := last_failure(apps.get(name, {})):
            left = entry["delay"]["timeLeftSeconds"]
            lines.append(f"app {name} waits {left} s: {failure}")
        else:
            lines.append(f"app {name} waits for an offer")
    if ports == "virtual":
        lines += filter(None, map(check_without_port, apps.values()))
    return "\n".join(lines) or "no app waits"


def marathon_apps(queue_url: str) -> list[dict[str, Any]]:
    url = queue_url.removesuffix("queue") + "apps?embed=apps.counts&embed=apps.lastTaskFailure"
    apps: list[dict[str, Any]] = json.loads(get(url))["apps"]
    return apps


def last_failure(app: dict[str, Any]) -> str | None:
    """State and message; None where the app was changed since."""
    failure = app.get("lastTaskFailure")
    if not failure or failure["version"] != app["version"]:
        return None
    return f"{failure['state']}: {failure['message'] or 'see its log'}"


def check_without_port(app: dict[str, Any]) -> str | None:
    """What is wrong with an app whose check asks for a port that is never bound."""
    networks = app.get("networks") or [{}]
    if networks[0].get("mode") == "container" or app.get("tasksHealthy"):
        return None
    for check in app.get("healthChecks", []):
        if (kind := check.get("protocol", "HTTP")) in OWN_CHECKS:
            return (
                f"app {app['id']}: its {kind} check asks for a port that is never bound; "
                f"use MESOS_{kind}"
            )
    return None


def taken(address: str, ports: list[str]) -> str | None:
    for port in ports:
        with socket.socket() as probe:
            # Connections of a server that has just ended do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, int(port)))
            except OSError:
                return port
    return None


ASK: Mapping[str, Callable[..., str]] = {
    "get": get,
    "tasks": tasks,
    "agents": agents,
    "leader": leader,
    "queue": queue,
}


def main(argv: list[str]) -> int:
    if argv[0] in ASK:
        try:
            print(ASK[argv[0]](*argv[1:]))
        except (OSError, ValueError, LookupError, TypeError):
            return 1
        return 0
    port = taken(argv[1], argv[2:])
    if port is not None:
        print(port)
    return 0 if port is not None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
