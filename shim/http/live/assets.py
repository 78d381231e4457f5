"""The files of the live page: HTML, CSS and JavaScript of our own, as they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path

from shim.http.responses import Response

_DIRECTORY = Path(__file__).parent / "assets"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, no inline script: a task's name cannot become code."""

Asset = Callable[[Mapping[str, str]], Awaitable[Response]]


@cache
def assets() -> Mapping[str, Asset]:
    """Path -> page. The document is at the root."""
    found = {f"/live/{file.name}": _asset(file) for file in sorted(_DIRECTORY.iterdir())}
    return {**found, "/": found["/live/index.html"]}


def _asset(file: Path) -> Asset:
    response = Response(
        file.read_bytes(),
        {
            "Content-Type": _TYPES[file.suffix],
            "Content-Security-Policy": _POLICY,
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        },
    )

    async def page(query: Mapping[str, str]) -> Response:
        return response

    return page
