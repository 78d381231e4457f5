"""Who owns a persistent volume: the user of the container that is launched with it."""

from __future__ import annotations

import tarfile
from typing import Any

import pytest

from shim.engine.api import ContainerSpec, ImageRef
from shim.engine.containers.volume_owner import Account, find_account, give_volumes
from shim.errors import Transient
from tests.fakes.engine import FakeEngine

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
postgres:x:70:71:postgres:/var/lib/postgresql:/bin/sh
1234:x:9:9::/:
damaged:x:no:no
"""
GROUPS = "root:x:0:\nstaff:x:50:\n"
NAME = "mesos-v"


@pytest.mark.parametrize(
    ("user", "group", "account"),
    [
        ("postgres", "", (70, 71)),
        ("70", "", (70, 71)),
        ("postgres", "staff", (70, 50)),
        ("postgres", "7", (70, 7)),
        ("1000", "", (1000, 0)),
        ("1000", "1000", (1000, 1000)),
        ("2147483647", "", (2147483647, 0)),
        ("2147483648", "", None),
        ("9" * 5000, "", None),
        ("postgres", "9" * 5000, None),
        ("1234", "", (9, 9)),
        ("nobody", "", None),
        ("damaged", "", None),
        ("postgres", "wheel", None),
    ],
)
def test_an_account_is_found_as_an_engine_finds_it(
    user: str, group: str, account: tuple[int, int] | None
) -> None:
    found = find_account(user, group, passwd=PASSWD.splitlines(), groups=GROUPS.splitlines())
    assert found == (account and Account(*account))


FRESH = {"/data": (0, 0, 0o700)}


async def owners(
    user: str, *, mode: str = "RW", error: Exception | None = None, **files: str
) -> dict[str, tuple[int, int, int]]:
    """What the launch of a container with this user makes of the fresh volume at ``/data``.

    ``error``: of the upload that changes it.
    """
    engine: Any = FakeEngine()
    mount = {"Type": "volume", "Source": NAME, "Target": "/data", "ReadOnly": mode == "RO"}
    other = {"Type": "volume", "Source": "another", "Target": "/other", "ReadOnly": False}
    body = {"User": user, "HostConfig": {"Mounts": [mount, other]}, "Labels": {}}
    await engine.create(
        ContainerSpec("c", ImageRef("busybox:1", "busybox", "1", "docker.io"), body)
    )
    engine.boxes["c"].files = {f"/etc/{name}": text.encode() for name, text in files.items()}
    fresh = engine.boxes["c"].directories["/data"] = tarfile.TarInfo("data")
    fresh.mode = 0o700
    if error is not None:
        engine.fail("put_archive", error)
    await give_volumes(engine, "c", {NAME})
    made = engine.boxes["c"].directories
    return {path: (each.uid, each.gid, each.mode) for path, each in made.items()}


async def test_a_volume_is_given_to_the_containers_user_and_keeps_its_mode() -> None:
    assert await owners("postgres:staff", passwd=PASSWD, group=GROUPS) == {"/data": (70, 50, 0o700)}
    assert await owners("1000") == {"/data": (1000, 0, 0o700)}


@pytest.mark.parametrize("user", ["", "root", "0:0", "nobody"])
async def test_root_and_an_unknown_user_are_given_nothing(user: str) -> None:
    assert await owners(user, passwd=PASSWD) == FRESH


async def test_a_list_of_users_that_is_too_large_is_not_read() -> None:
    assert await owners("postgres", passwd=PASSWD * 10_000) == FRESH
    assert await owners("70:71", passwd=PASSWD * 10_000) == {"/data": (70, 71, 0o700)}


async def test_a_volume_that_is_mounted_read_only_keeps_its_owner() -> None:
    assert await owners("1000", mode="RO") == FRESH


async def test_a_server_that_forbids_a_new_owner_has_the_last_word() -> None:
    squashed = Transient("lchown /data: operation not permitted")
    assert await owners("1000", error=squashed) == FRESH
    with pytest.raises(Transient, match="no answer"):
        await owners("1000", error=Transient("upload: no answer"))
