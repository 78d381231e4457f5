"""``/files``: browse, read, download and debug, as tools and the web UI use them."""

from __future__ import annotations

import mimetypes
import posixpath
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass

from shim import limits
from shim.errors import NotFound, Permanent, ShimError
from shim.http.executor import directory
from shim.http.log_ring import LogRing
from shim.http.paths import LATEST, Inaccessible, Sandbox, resolve
from shim.http.protojson import Json
from shim.http.responses import Refusal, Response, json_response, json_stream, stream_response
from shim.http.task_json_cache import dump
from shim.http.text import decode
from shim.http.view import Fetched, View
from shim.model.sandbox import OUTPUTS, Entry

AGENT_LOG = "/slave/log"

_Read = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class Window:
    """What a read asks for. -1: offset, the file's size; length, as much as there is."""

    offset: int
    length: int

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Window:
        return cls(_number(query, "offset"), _number(query, "length"))


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "-1")
    if not re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
        raise Refusal(400, f"Failed to parse {name}: Failed to convert '{text}' to number.\n")
    if int(text) < -1:
        raise Refusal(400, f"Negative {name} provided: {text}.\n")
    return int(text)


class FilesPages:
    def __init__(self, sources: View, log: LogRing) -> None:
        self._sources = sources
        self._log = log

    # --- the four pages ---------------------------------------------------------------------

    async def browse(self, query: Mapping[str, str]) -> Response:
        path = _path(query)
        if path == AGENT_LOG:
            return json_response([])
        sandbox = self._find(path)
        if sandbox.inside in OUTPUTS:
            return json_response([])
        entries = sorted(await self._listing(sandbox), key=lambda entry: entry.name)
        return json_response([_shown(path, entry) for entry in entries])

    async def read(self, query: Mapping[str, str]) -> Response:
        path, window = _path(query), Window.of(query)
        if path == AGENT_LOG:
            log = self._log
            return _window(window, log.size, log.read, ends=False)
        sandbox = self._find(path)
        if sandbox.inside in OUTPUTS:
            return await self._read_output(sandbox, window)
        fetched = await self._fetch(sandbox)
        if fetched.is_directory:
            raise Refusal(400, "Cannot read a directory.\n")
        content = fetched.content
        return _window(window, len(content), lambda o, n: content[o : o + n], ends=False)

    async def download(self, query: Mapping[str, str]) -> Response:
        path = _path(query)
        if path == AGENT_LOG:
            held = self._log.held
            return _attachment("mesos-shim.log", len(held), _once(held))
        sandbox = self._find(path)
        if sandbox.inside in OUTPUTS:
            return await self._download_output(sandbox)
        fetched = await self._fetch(sandbox)
        if fetched.is_directory:
            raise Refusal(400, "Cannot download a directory.\n")
        name = posixpath.basename(sandbox.inside)
        return _attachment(name, len(fetched.content), _once(fetched.content))

    async def debug(self, query: Mapping[str, str]) -> Response:
        """Virtual path -> where it comes from, of what lives."""
        return json_stream(self._table())

    async def _table(self) -> AsyncIterator[bytes]:
        breather = self._sources.pacer.breather()
        yield b"{%s:%s" % (dump(AGENT_LOG), dump("the log's newest part, in memory"))
        for key, task in list(self._sources.agent.tasks.items()):
            await breather.pause()
            path = directory(self._sources.work_dir, task.wire.slave_id.value, task.ref)
            short = f"/frameworks/{key.framework_id}/executors/{key.task_id}/runs/{LATEST}"
            for name in (path, short):
                yield b",%s:%s" % (dump(name), dump(f"container {task.ref.name}"))
        yield b"}"

    # --- finding ----------------------------------------------------------------------------

    def _find(self, path: str) -> Sandbox:
        sources = self._sources
        try:
            found = resolve(path, sources.work_dir, sources.agent, sources.outputs)
        except Inaccessible:
            raise Refusal(400, f"'{path}' is inaccessible.\n") from None
        if found is None or posixpath.dirname(found.inside) in OUTPUTS:
            raise Refusal(404)
        return found

    async def _listing(self, sandbox: Sandbox) -> list[Entry]:
        """The outputs are there whatever becomes of the other files."""
        if sandbox.inside:
            fetched = await self._fetch(sandbox)
            return list(fetched.entries)
        outputs = list(await self._sources.outputs.entries(sandbox.ref, sandbox.live))
        try:
            others = (await self._fetch(sandbox)).entries
        except Refusal:
            return outputs
        return outputs + [entry for entry in others if entry.name not in OUTPUTS]

    async def _fetch(self, sandbox: Sandbox) -> Fetched:
        """Out of the container; without one there are no files but the outputs."""
        if not sandbox.live:
            raise Refusal(404)
        try:
            return await self._sources.files.fetch(sandbox.ref, sandbox.inside)
        except NotFound:
            raise Refusal(404) from None
        except Permanent as error:
            raise Refusal(400, f"'{sandbox.inside}' is inaccessible: {error}\n") from None
        except ShimError as error:
            raise Refusal(503, f"{error}\n") from None

    # --- outputs ----------------------------------------------------------------------------

    async def _size(self, sandbox: Sandbox) -> int:
        entries = await self._sources.outputs.entries(sandbox.ref, sandbox.live)
        return next(entry.size for entry in entries if entry.name == sandbox.inside)

    async def _read_output(self, sandbox: Sandbox, window: Window) -> Response:
        size = await self._size(sandbox)
        offset, length = _clipped(window, size)
        data = b""
        if length:
            outputs = self._sources.outputs
            data = await outputs.read(sandbox.ref, sandbox.inside, offset, length, sandbox.live)
        return _window(window, size, lambda o, n: data, ends=not sandbox.live)

    async def _download_output(self, sandbox: Sandbox) -> Response:
        """What is kept of it, without what was dropped in between."""
        outputs = self._sources.outputs
        extents = await outputs.extents(sandbox.ref, sandbox.inside, sandbox.live)

        async def pieces() -> AsyncIterator[bytes]:
            for offset, length in extents:
                for start in range(offset, offset + length, limits.PAGE_SLICE_BYTES):
                    wanted = min(limits.PAGE_SLICE_BYTES, offset + length - start)
                    yield await outputs.read(
                        sandbox.ref, sandbox.inside, start, wanted, sandbox.live
                    )

        return _attachment(sandbox.inside, sum(length for _, length in extents), pieces())


def _path(query: Mapping[str, str]) -> str:
    path = query.get("path", "")
    if not path:
        raise Refusal(400, "Expecting 'path=value' in query.\n")
    return path


def _shown(path: str, entry: Entry) -> Json:
    shown = asdict(entry)
    shown["path"] = f"{path.rstrip('/')}/{shown.pop('name')}"
    return shown


def _clipped(window: Window, size: int) -> tuple[int, int]:
    """Offset and length of the bytes that are wanted and there."""
    if window.offset == -1 or window.offset >= size:
        return (size if window.offset == -1 else window.offset), 0
    length = limits.FILE_READ_BYTES if window.length == -1 else window.length
    return window.offset, min(length, limits.FILE_READ_BYTES, size - window.offset)


def _window(window: Window, size: int, read: _Read, *, ends: bool) -> Response:
    """``ends``: nothing will be added to what is there."""
    offset, length = _clipped(window, size)
    data = read(offset, length) if length else b""
    at_end = offset + length >= size
    text = decode(data, more=not (at_end and ends))
    if not text and not at_end:
        # Less than one character was asked for: go on in any case.
        text = decode(data, more=False)
    return json_response({"offset": offset, "data": text})


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _attachment(name: str, size: int, pieces: AsyncIterator[bytes]) -> Response:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    safe = re.sub(r"[^\w.+ -]", "_", name, flags=re.ASCII)
    headers = {
        "Content-Type": kind,
        "Content-Length": str(size),
        "Content-Disposition": f'attachment; filename="{safe}"',
    }
    return stream_response(pieces, headers)
