"""What ``status`` says of apps that wait, from answers as Marathon 1.11 gives them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from scripts import probe
from tests.compose.marathon import refusals

Json = dict[str, Any]
VERSION = "2026-11-29T12:31:16.347Z"
NOT_ONE = [{**step, "processed": 0, "declined": 0} for step in refusals("UnfulfilledRole")]


def entry(name: str, steps: list[Json], seconds: int = 0) -> Json:
    return {
        "app": {"id": name, "version": VERSION},
        "count": 1,
        "role": "*",
        "delay": {"timeLeftSeconds": seconds, "overdue": not seconds},
        "since": VERSION,
        "processedOffersSummary": {
            "processedOffersCount": 31,
            "unusedOffersCount": 31,
            "lastUnusedOfferAt": VERSION,
            "rejectSummaryLastOffers": steps,
            "rejectSummaryLaunchAttempt": steps,
        },
    }


def app(name: str, **fields: Any) -> Json:
    return {"id": name, "version": VERSION, "networks": [{"mode": "host"}], **fields}


def failure(message: str, version: str = VERSION) -> Json:
    return {"lastTaskFailure": {"state": "TASK_FAILED", "message": message, "version": version}}


Ask = Callable[[list[Json], list[Json], str], list[str]]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """The lines for a queue, the apps and the offered ports, asked from a server."""
    answers: dict[str, Json] = {}

    class Marathon(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = json.dumps(answers[self.path.partition("?")[0]]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Marathon)
    serve = partial(server.serve_forever, poll_interval=0.01)
    threading.Thread(target=serve, daemon=True).start()

    def lines(queue: list[Json], apps: list[Json], ports: str) -> list[str]:
        answers.update({"/v2/queue": {"queue": queue}, "/v2/apps": {"apps": apps}})
        url = f"http://127.0.0.1:{server.server_address[1]}/v2/queue"
        return probe.queue(url, ports).splitlines()

    yield lines
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("ports", "cure"),
    [
        ("[31000-32000]", "the agent offers [31000-32000]: give the app a free port of that range"),
        ("none", "the agent offers none"),
    ],
)
def test_the_reason_that_refused_the_last_offers(ask: Ask, ports: str, cure: str) -> None:
    (line,) = ask([entry("/web", refusals("InsufficientPorts"))], [app("/web")], ports)
    assert line.startswith(f"app /web waits: InsufficientPorts: it asks for a host port: {cure}")
    assert '"networks": [{"mode": "container"}]' in line


@pytest.mark.parametrize("step", refusals("UnfulfilledRole"))
def test_each_reason_has_a_cure(ask: Ask, step: Json) -> None:
    (line,) = ask([entry("/web", refusals(step["reason"]))], [app("/web")], "[1-9]")
    assert line.startswith(f"app /web waits: {step['reason']}: ")
    assert "see the app's page" not in line


def test_an_app_that_fails_over_and_over_waits_between_its_instances(ask: Ask) -> None:
    apps = [app("/web", **failure("Container exited with status 3"))]
    (line,) = ask([entry("/web", NOT_ONE, 9)], apps, "[1-9]")
    assert line == "app /web waits 9 s: TASK_FAILED: Container exited with status 3"


def test_a_failure_of_an_earlier_version_is_over(ask: Ask) -> None:
    apps = [app("/web", **failure("gone", "2025-01-01T00:00:00.000Z"))]
    assert ask([entry("/web", NOT_ONE)], apps, "[1-9]") == ["app /web waits for an offer"]


def test_a_check_of_marathon_s_own_with_virtual_ports(ask: Ask) -> None:
    own = [{"protocol": "HTTP"}]
    apps = [
        app("/host", healthChecks=own),
        app("/answers", healthChecks=own, tasksHealthy=1),
        app("/mesos", healthChecks=[{"protocol": "MESOS_HTTP"}]),
        app("/container", healthChecks=own, networks=[{"mode": "container", "name": "bridge"}]),
    ]
    assert ask([], apps, "virtual") == [
        "app /host: its HTTP check asks for a port that is never bound; use MESOS_HTTP"
    ]
    assert ask([], apps, "[1-9]") == ["no app waits"]
