"""Which page is at which path: tables for a standby, a starting agent, and the running agent.

``/leader`` answers 200 on the agent that leads its journal, and 503 on a standby, for the health
checks of proxies. A starting agent has no tasks to show yet: it waits for the first answer of its
Docker endpoint. ``/health``, ``/leader``, ``/version`` and ``/flags`` answer in all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from shim.http.files import FilesPages
from shim.http.live.assets import assets
from shim.http.live.feed import LiveFeed
from shim.http.live.task_page import task_json
from shim.http.live.usage import usage_json
from shim.http.metrics_snapshot import snapshot
from shim.http.protojson import dump
from shim.http.responses import (
    JSON,
    HttpError,
    Response,
    event_stream,
    json_response,
    json_stream,
)
from shim.http.state import StatePage
from shim.http.statistics import StatisticsPages
from shim.http.task_json_cache import TaskJsonCache
from shim.http.view import BUILD, View

Page = Callable[[Mapping[str, str]], Awaitable[Response]]
"""From the query of a request to its answer. Raises HttpError."""


Leadership = Callable[[], Mapping[str, Any]]
"""What ``/leader`` shows; ``leading`` says whether this agent leads."""


def standby_pages(
    version: str,
    flags: Mapping[str, str],
    problems: Callable[[], Sequence[str]],
    leadership: Leadership,
) -> Mapping[str, Page]:
    """While another agent leads. ``/health`` answers 200: a restart would not help."""

    async def standby(query: Mapping[str, str]) -> Response:
        raise HttpError(503, _standby_text(leadership()))

    async def health(query: Mapping[str, str]) -> Response:
        if found := problems():
            raise HttpError(503, "\n".join(found) + "\n")
        return Response(_standby_text(leadership()).encode())

    return {
        **_general_pages(version, flags, problems, leadership),
        **dict.fromkeys(_ABOUT_TASKS, standby),
        "/": health,
        "/health": health,
    }


def _standby_text(leadership: Mapping[str, Any]) -> str:
    return f"standby: {leadership.get('leader') or 'no agent'} leads\n"


def starting_pages(
    version: str,
    flags: Mapping[str, str],
    problems: Callable[[], Sequence[str]],
    leadership: Leadership,
) -> Mapping[str, Page]:
    """Until the endpoint answers. Pages about tasks answer 503."""
    return {
        **_general_pages(version, flags, problems, leadership),
        **dict.fromkeys(_ABOUT_TASKS, _recovering),
    }


_ABOUT_TASKS = (
    "/live/events",
    "/live/task",
    "/live/usage",
    "/state",
    "/metrics/snapshot",
    "/monitor/statistics",
    "/containers",
    "/files/browse",
    "/files/read",
    "/files/download",
    "/api/v1",
)


def agent_pages(view: View, cache: TaskJsonCache, files: FilesPages) -> Mapping[str, Page]:
    state = StatePage(view, cache)
    statistics = StatisticsPages(view, cache)
    feed = LiveFeed(view)

    def problems() -> Sequence[str]:
        return view.liveness().problems()

    async def show_state(query: Mapping[str, str]) -> Response:
        if view.agent.recovering:
            return await _recovering(query)
        return json_stream(state.pieces())

    async def show_snapshot(query: Mapping[str, str]) -> Response:
        return json_response(await snapshot(view, cache))

    async def show_events(query: Mapping[str, str]) -> Response:
        if feed.is_full:
            raise HttpError(503, f"{feed.streams} event streams are open already\n")
        return event_stream(feed.events())

    async def show_task(query: Mapping[str, str]) -> Response:
        found = task_json(view, query)
        if found is None:
            raise HttpError(404)
        return json_response(found)

    async def show_usage(query: Mapping[str, str]) -> Response:
        return json_response(await usage_json(view, query.get("ids", "").split(",")))

    return {
        **_general_pages(view.agent.version, view.flags, problems, view.leadership),
        "/live/events": show_events,
        "/live/task": show_task,
        "/live/usage": show_usage,
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
    version: str,
    flags: Mapping[str, str],
    problems: Callable[[], Sequence[str]],
    leadership: Leadership,
) -> Mapping[str, Page]:
    async def health(query: Mapping[str, str]) -> Response:
        if found := problems():
            raise HttpError(503, "\n".join(found) + "\n")
        return Response(b"")

    async def show_version(query: Mapping[str, str]) -> Response:
        return json_response({"version": version, **BUILD})

    async def show_flags(query: Mapping[str, str]) -> Response:
        return json_response({"flags": dict(flags)})

    async def show_leader(query: Mapping[str, str]) -> Response:
        found = leadership()
        status = 200 if found["leading"] else 503
        return Response(dump(found), {"Content-Type": JSON}, status)

    return {
        **assets(),
        "/health": health,
        "/leader": show_leader,
        "/version": show_version,
        "/flags": show_flags,
    }


async def _recovering(query: Mapping[str, str]) -> Response:
    raise HttpError(503, "Agent has not finished recovery")


async def _nothing_pending(query: Mapping[str, str]) -> Response:
    return json_response({"pending": []})
