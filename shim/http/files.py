"""``/files``: browse, read, download and debug, as tools and Mesos' web UI use them."""

from __future__ import annotations

import mimetypes
import posixpath
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass

from shim import limits
from shim.errors import NotFound, Permanent, ShimError
from shim.http.log_ring import LogRing
from shim.http.paths import Inaccessible, SandboxPath, member_directories, resolve, task_paths
from shim.http.protojson import Json, dump
from shim.http.responses import HttpError, Response, json_response, json_stream
from shim.http.time_slicer import json_array
from shim.http.utf8 import decode
from shim.http.view import FileOrDirectory, View
from shim.model.container import OUTPUTS, Entry

AGENT_LOG = "/slave/log"

_Read = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class ReadRange:
    """Which bytes a read asks for. -1 means: as offset, the end of the file; as length, all."""

    offset: int
    length: int

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> ReadRange:
        return cls(_number(query, "offset"), _number(query, "length"))


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "-1")
    if not re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
        raise HttpError(400, f"Failed to parse {name}: Failed to convert '{text}' to number.\n")
    if int(text) < -1:
        raise HttpError(400, f"Negative {name} provided: {text}.\n")
    return int(text)


class FilesPages:
    def __init__(self, view: View, log_ring: LogRing) -> None:
        self._view = view
        self._log_ring = log_ring

    async def browse(self, query: Mapping[str, str]) -> Response:
        path = _path(query)
        entries = await self.entries(path)
        found = (dump(_entry_json(path, entry)) for entry in entries)
        return json_stream(json_array(found, self._view.time_slicer.begin()))

    async def entries(self, path: str) -> list[Entry]:
        """The entries of a directory, by name; a file has none. Raises HttpError."""
        if path == AGENT_LOG:
            return []
        if (names := member_directories(path, self._view.work_dir, self._view.agent)) is not None:
            return [Entry(name, mode="drwxr-xr-x", nlink=2) for name in names]
        sandbox = self._find(path)
        if sandbox.inside in OUTPUTS:
            return []
        return sorted(await self._listing(sandbox), key=lambda entry: entry.name)

    async def read_bytes(self, path: str, offset: int, length: int) -> tuple[int, bytes]:
        """The file's size, and at most FILE_READ_BYTES of it. ``length`` -1 means: to its end.

        Raises HttpError.
        """
        wanted = ReadRange(offset, length)
        if path == AGENT_LOG:
            log = self._log_ring
            return log.size, log.read(*_clip(wanted, log.size))
        sandbox = self._find(path)
        if sandbox.inside in OUTPUTS:
            size = await self._size(sandbox)
            start, count = _clip(wanted, size)
            if not count:
                return size, b""
            outputs = self._view.outputs
            data = await outputs.read(sandbox.ref, sandbox.inside, start, count, sandbox.live)
            return size, data
        content = await self._file(sandbox)
        start, count = _clip(wanted, len(content))
        return len(content), content[start : start + count]

    async def _file(self, sandbox: SandboxPath) -> bytes:
        fetched = await self._fetch(sandbox)
        if fetched.is_directory:
            raise HttpError(400, "Cannot read a directory.\n")
        return fetched.content

    async def read(self, query: Mapping[str, str]) -> Response:
        path, wanted = _path(query), ReadRange.parse(query)
        if path == AGENT_LOG:
            log = self._log_ring
            return _read_response(wanted, log.size, log.read, complete=False)
        sandbox = self._find(path)
        if sandbox.inside in OUTPUTS:
            return await self._read_output(sandbox, wanted)
        content = await self._file(sandbox)
        return _read_response(wanted, len(content), lambda o, n: content[o : o + n], complete=False)

    async def download(self, query: Mapping[str, str]) -> Response:
        path = _path(query)
        if path == AGENT_LOG:
            kept = self._log_ring.kept
            return _attachment("mesos-shim.log", len(kept), _once(kept))
        sandbox = self._find(path)
        if sandbox.inside in OUTPUTS:
            return await self._download_output(sandbox)
        fetched = await self._fetch(sandbox)
        if fetched.is_directory:
            raise HttpError(400, "Cannot download a directory.\n")
        name = posixpath.basename(sandbox.inside)
        return _attachment(name, len(fetched.content), _once(fetched.content))

    async def debug(self, query: Mapping[str, str]) -> Response:
        """Virtual path -> what it stands for, of the log and all tasks that the agent has."""
        return json_stream(self._attached_paths())

    async def _attached_paths(self) -> AsyncIterator[bytes]:
        time_slice = self._view.time_slicer.begin()
        yield b"{%s:%s" % (dump(AGENT_LOG), dump("the log's newest part, in memory"))
        for key, task in list(self._view.agent.tasks.items()):
            await time_slice.checkpoint()
            for name in task_paths(self._view.work_dir, key, task):
                yield b",%s:%s" % (dump(name), dump(f"container {task.ref.name}"))
        yield b"}"

    # --- sandboxes --------------------------------------------------------------------------

    def _find(self, path: str) -> SandboxPath:
        view = self._view
        try:
            found = resolve(path, view.work_dir, view.agent, view.outputs)
        except Inaccessible:
            raise HttpError(400, f"'{path}' is inaccessible.\n") from None
        if found is None or posixpath.dirname(found.inside) in OUTPUTS:
            raise HttpError(404)
        return found

    async def _listing(self, sandbox: SandboxPath) -> list[Entry]:
        """The two outputs, and the container's files as far as they can be fetched."""
        if sandbox.inside:
            fetched = await self._fetch(sandbox)
            return list(fetched.entries)
        outputs = list(await self._view.outputs.entries(sandbox.ref, sandbox.live))
        try:
            others = (await self._fetch(sandbox)).entries
        except HttpError:
            return outputs
        return outputs + [entry for entry in others if entry.name not in OUTPUTS]

    async def _fetch(self, sandbox: SandboxPath) -> FileOrDirectory:
        """Fetch out of the container. HttpError (404) when the container is gone."""
        if not sandbox.live:
            raise HttpError(404)
        try:
            return await self._view.files.fetch(sandbox.ref, sandbox.inside)
        except NotFound:
            raise HttpError(404) from None
        except Permanent as error:
            raise HttpError(400, f"'{sandbox.inside}' is inaccessible: {error}\n") from None
        except ShimError as error:
            raise HttpError(503, f"{error}\n") from None

    # --- outputs ----------------------------------------------------------------------------

    async def _size(self, sandbox: SandboxPath) -> int:
        entries = await self._view.outputs.entries(sandbox.ref, sandbox.live)
        return next(entry.size for entry in entries if entry.name == sandbox.inside)

    async def _read_output(self, sandbox: SandboxPath, wanted: ReadRange) -> Response:
        size = await self._size(sandbox)
        offset, length = _clip(wanted, size)
        data = b""
        if length:
            outputs = self._view.outputs
            data = await outputs.read(sandbox.ref, sandbox.inside, offset, length, sandbox.live)
        return _read_response(wanted, size, lambda o, n: data, complete=not sandbox.live)

    async def _download_output(self, sandbox: SandboxPath) -> Response:
        """The parts of the output that are kept, without a mark for the parts between them."""
        outputs = self._view.outputs
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
        raise HttpError(400, "Expecting 'path=value' in query.\n")
    return path


def entry_path(directory: str, name: str) -> str:
    """The path by which a client asks for an entry."""
    return f"{directory.rstrip('/')}/{name}"


def _entry_json(directory: str, entry: Entry) -> Json:
    body = asdict(entry)
    body["path"] = entry_path(directory, body.pop("name"))
    return body


def _clip(wanted: ReadRange, size: int) -> tuple[int, int]:
    """Offset and length of the bytes that are wanted and exist."""
    if wanted.offset == -1 or wanted.offset >= size:
        return (size if wanted.offset == -1 else wanted.offset), 0
    length = limits.FILE_READ_BYTES if wanted.length == -1 else wanted.length
    return wanted.offset, min(length, limits.FILE_READ_BYTES, size - wanted.offset)


def _read_response(wanted: ReadRange, size: int, read: _Read, *, complete: bool) -> Response:
    """``complete``: the file will not grow. Then a character cut at its end is shown as well."""
    offset, length = _clip(wanted, size)
    data = read(offset, length) if length else b""
    at_end = offset + length >= size
    text = decode(data, more=not (at_end and complete))
    if not text and not at_end:
        # Less than one character was asked for. An empty answer would stop the reader here.
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
    return Response(pieces, headers)
