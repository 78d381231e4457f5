"""Which page is at which path: one table for the start of the agent, one for the running agent.

A starting agent has no tasks to show yet: it waits for the first answer of its Docker endpoint.
``/health``, ``/version`` and ``/flags`` answer in both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from shim.http.files import FilesPages
from shim.http.health import EndpointWait
from shim.http.log_ring import LogRing
from shim.http.metrics_snapshot import snapshot
from shim.http.responses import HttpError, Response, json_response, json_stream
from shim.http.state import StatePage
from shim.http.statistics import StatisticsPages
from shim.http.task_json_cache import TaskJsonCache
from shim.http.view import BUILD, View

Page = Callable[[Mapping[str, str]], Awaitable[Response]]
"""From the query of a request to its answer. Raises HttpError."""


def starting_pages(
    version: str, flags: Mapping[str, str], endpoint_wait: EndpointWait
) -> Mapping[str, Page]:
    """Until the endpoint answers. Pages about tasks answer 503."""
    return {
        **_general_pages(version, flags, endpoint_wait.problems),
        "/state": _recovering,
        "/metrics/snapshot": _recovering,
        "/monitor/statistics": _recovering,
        "/containers": _recovering,
        "/files/browse": _recovering,
        "/files/read": _recovering,
        "/files/download": _recovering,
    }


def agent_pages(view: View, cache: TaskJsonCache, log_ring: LogRing) -> Mapping[str, Page]:
    state = StatePage(view, cache)
    files = FilesPages(view, log_ring)
    statistics = StatisticsPages(view, cache)

    async def show_state(query: Mapping[str, str]) -> Response:
        if view.agent.recovering:
            return await _recovering(query)
        return json_stream(state.pieces())

    async def show_snapshot(query: Mapping[str, str]) -> Response:
        return json_response(await snapshot(view, cache))

    return {
        **_general_pages(view.agent.version, view.flags, lambda: view.liveness().problems()),
        "/state": show_state,
        "/metrics/snapshot": show_snapshot,
        "/monitor/statistics": statistics.statistics,
        "/containers": statistics.containers,
        "/containerizer/debug": _nothing_pending,
        "/files/browse": files.browse,
        "/files/read": files.read,
        "/files/download": files.download,
        "/files/debug": files.debug,
    }


def _general_pages(
    version: str, flags: Mapping[str, str], problems: Callable[[], Sequence[str]]
) -> Mapping[str, Page]:
    async def health(query: Mapping[str, str]) -> Response:
        if found := problems():
            raise HttpError(503, "\n".join(found) + "\n")
        return Response(b"")

    async def show_version(query: Mapping[str, str]) -> Response:
        return json_response({"version": version, **BUILD})

    async def show_flags(query: Mapping[str, str]) -> Response:
        return json_response({"flags": dict(flags)})

    return {"/health": health, "/version": show_version, "/flags": show_flags}


async def _recovering(query: Mapping[str, str]) -> Response:
    raise HttpError(503, "Agent has not finished recovery")


async def _nothing_pending(query: Mapping[str, str]) -> Response:
    return json_response({"pending": []})
