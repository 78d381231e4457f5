"""The owner of persistent volumes: the user of the container that mounts them.

As at a stock agent, each launch gives the top directory of its volumes, and nothing in them, to the
user of its container, unless another container may mount the volume already. Source: Mesos'
``slave/containerizer/docker.cpp`` (``updatePersistentVolumes``).
"""

from __future__ import annotations

import io
import json
import logging
import posixpath
import tarfile
import time
from collections.abc import Collection, Sequence
from typing import NamedTuple

from shim.engine.api import Engine, PathModes
from shim.engine.fetch.sandbox_archive import is_root
from shim.errors import NotFound, Permanent, Transient

log = logging.getLogger(__name__)

_ACCOUNT_FILE_BYTES = 2**20
"""More than ``/etc/passwd`` of any image has."""


class Account(NamedTuple):
    uid: int
    gid: int


async def give_volumes(engine: Engine, container: str, names: Collection[str]) -> None:
    """Give the writable mounts among these volumes to the user of a container not yet started.

    Root needs nothing. An endpoint without PathModes keeps the owners that it has.
    """
    if not (names and isinstance(engine, PathModes)):
        return
    found = await engine.inspect(container)
    (described,) = json.loads(found.inspect) if found.inspect else ({},)
    user = (described.get("Config") or {}).get("User") or ""
    account = await _account_of(engine, container, user)
    if account is None:
        return
    read_only_root = (described.get("HostConfig") or {}).get("ReadonlyRootfs")
    for mount in described.get("Mounts") or []:
        if mount.get("Name") in names and mount.get("RW"):
            path = posixpath.normpath(mount["Destination"])
            mode = await engine.path_mode(container, path)
            # An engine unpacks nothing to a root that is read-only, and ignores an entry ".".
            place, name = "/", path.lstrip("/")
            if read_only_root:
                place, name = path, f"../{posixpath.basename(path)}"
            await _set_owner(engine, container, place, _directory_tar(name, mode, account))


async def _set_owner(engine: Engine, container: str, place: str, tar: bytes) -> None:
    """Unpack the tar. The server of a network volume may know better who owns its files."""
    try:
        await engine.put_archive(container, place, tar)
    except Transient as error:
        if "not permitted" not in str(error):
            raise
        log.warning("%s: a persistent volume keeps its owner: %s", container, error)


async def _account_of(engine: Engine, container: str, user: str) -> Account | None:
    if is_root(user):
        return None
    name, _, group = user.partition(":")
    return find_account(
        name,
        group,
        passwd=await _lines(engine, container, "/etc/passwd"),
        groups=await _lines(engine, container, "/etc/group") if group else [],
    )


def find_account(
    user: str, group: str, *, passwd: Sequence[str], groups: Sequence[str]
) -> Account | None:
    """The ids of a user and a group, each a name, a number or empty, as an engine finds them.

    A user that is only a number, without a group, is in group 0. None: the container has no such
    user or group, and will not start.
    """
    uid, gid = (int(user) if _is_id(user) else None), 0
    for fields in _entries(passwd, 4):
        if fields[0] == user or (uid is not None and fields[2] == str(uid)):
            uid, gid = int(fields[2]), int(fields[3])
            break
    if _is_id(group):
        gid = int(group)
    elif group:
        named = [int(fields[2]) for fields in _entries(groups, 3) if fields[0] == group]
        if not named:
            return None
        gid = named[0]
    return None if uid is None else Account(uid, gid)


def _is_id(text: str) -> bool:
    """An engine starts no container with another user or group id than from 0 to 2147483647."""
    is_number = text.isascii() and text.isdecimal()
    return is_number and len(text) <= 10 and int(text) < 2**31


def _entries(lines: Sequence[str], numbers_end: int) -> list[list[str]]:
    """The fields of each line whose fields from the third on, up to ``numbers_end``, are ids."""
    entries = [line.split(":") for line in lines]
    return [
        entry
        for entry in entries
        if len(entry) >= numbers_end and all(map(_is_id, entry[2:numbers_end]))
    ]


async def _lines(engine: Engine, container: str, path: str) -> Sequence[str]:
    """The lines of a text file of the container; none of one that is missing or too large."""
    try:
        data = await engine.get_archive(container, path, _ACCOUNT_FILE_BYTES)
    except (NotFound, Permanent):
        return []
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        content = next((tar.extractfile(member) for member in tar if member.isreg()), None)
        return [] if content is None else content.read().decode("utf-8", "replace").splitlines()


def _directory_tar(name: str, mode: int, owner: Account) -> bytes:
    """A tar that sets the mode and the owner of a directory that is there."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.mode = tarfile.DIRTYPE, mode
        member.uid, member.gid, member.mtime = *owner, int(time.time())
        tar.addfile(member)
    return buffer.getvalue()
