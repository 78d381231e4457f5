"""Checks ``command.uris`` before anything is fetched. Pure."""

from __future__ import annotations

import enum
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from shim import limits
from shim.errors import Permanent
from shim.protos.mesos_pb2 import CommandInfo

_ILLEGAL = ("\\", "'", "\0")
_USERINFO = re.compile(r"(?<=://)[^/@]*@")


class ArchiveKind(enum.Enum):
    """How a file is unpacked, by the end of its name as at a stock agent."""

    TAR = (".tar",)
    TAR_GZ = (".tgz", ".tar.gz")
    TAR_BZ2 = (".tbz2", ".tar.bz2")
    TAR_XZ = (".txz", ".tar.xz")
    ZIP = (".zip",)
    GZ = (".gz",)


@dataclass(frozen=True, slots=True)
class FetchItem:
    """One URI to fetch."""

    url: str
    name: str
    """The file's path, relative to the sandbox."""
    executable: bool
    kind: ArchiveKind | None
    """None: the file is not unpacked."""
    cache: bool

    @property
    def printable_url(self) -> str:
        """The URL without user and password."""
        return _USERINFO.sub("", self.url)


def fetch_items(uris: Sequence[CommandInfo.URI], file_root: Path | None = None) -> list[FetchItem]:
    """Return the items of a task's URIs. Permanent with the reason, the field and the value.

    ``file_root`` is the directory below which ``file://`` URIs may read. None: nowhere.
    """
    if len(uris) > limits.FETCH_URIS:
        _reject(f"More than {limits.FETCH_URIS} URIs", "command.uris", str(len(uris)))
    return [_item(uri, f"command.uris[{i}]", file_root) for i, uri in enumerate(uris)]


def _item(uri: CommandInfo.URI, field: str, file_root: Path | None) -> FetchItem:
    url = uri.value.lstrip()
    if any(character in url for character in _ILLEGAL):
        _reject("Illegal characters in URI", f"{field}.value", _USERINFO.sub("", url))
    _check_scheme(url, f"{field}.value", file_root)
    name = _name(uri, url, field)
    unpack = uri.extract and not uri.executable
    return FetchItem(url, name, uri.executable, kind_of(name) if unpack else None, uri.cache)


def kind_of(name: str) -> ArchiveKind | None:
    for kind in ArchiveKind:
        if name.endswith(kind.value):
            return kind
    return None


def _check_scheme(url: str, field: str, file_root: Path | None) -> None:
    scheme, separator, _ = url.partition("://")
    if scheme in ("http", "https") and separator:
        if not _has_path(url, field):
            _reject("Malformed URI (missing path)", field, _USERINFO.sub("", url))
    elif scheme == "file" and separator:
        if file_root is None:
            _reject("Local files need file:// and --fetcher_file_root", field, url)
    elif separator:
        _reject("Only http and https URIs can be fetched", field, _USERINFO.sub("", url))
    else:
        _reject("Local files need file:// and --fetcher_file_root", field, url)


def _has_path(url: str, field: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname and parts.port != 0 and parts.path.strip("/"))
    except ValueError as error:
        _reject(f"Malformed URI ({error})", field, _USERINFO.sub("", url))


def _name(uri: CommandInfo.URI, url: str, field: str) -> str:
    """Return ``output_file``, else the text after the URL's last slash, query included."""
    if uri.HasField("output_file"):
        name, field = uri.output_file, f"{field}.output_file"
        if not name:
            _reject("URI output file path is empty", field)
    else:
        name, field = url.rpartition("/")[2], f"{field}.value"
        if not name:
            _reject("Malformed URI (missing path)", field, _USERINFO.sub("", url))
    inside = not name.startswith("/") and ".." not in name.split("/") and "\0" not in name
    if not inside or posixpath.normpath(name) == ".":
        _reject("URI output file must be within the sandbox directory", field, name)
    return posixpath.normpath(name)


def _reject(reason: str, field: str, value: str | None = None) -> NoReturn:
    raise Permanent(
        f"Could not fetch: {reason}: {field}" + ("" if value is None else f" {value!r}")
    )
