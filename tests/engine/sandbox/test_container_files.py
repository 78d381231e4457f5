from __future__ import annotations

import asyncio
import io
import tarfile
from typing import Any

import pytest

from shim import limits
from shim.engine.sandbox.container_files import ContainerFiles
from shim.errors import NotFound, Permanent
from shim.model.container import Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from tests.support.wait import until

REF = Ref(TaskKey(FrameworkId("f"), TaskId("t")), ContainerId("c"))


def a_tar(*members: tuple[str, Any]) -> bytes:
    """Files by content, directories by None, links by a one-element tuple."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, what in members:
            info = tarfile.TarInfo(name)
            info.mode, info.mtime = 0o640, 1_700_000_000
            if what is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(what, tuple):
                info.type, info.linkname = tarfile.SYMTYPE, what[0]
            else:
                info.size = len(what)
            tar.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return buffer.getvalue()


class Engine:
    def __init__(self, **tars: bytes) -> None:
        self.tars = {f"/mnt/box/{path}".rstrip("/"): tar for path, tar in tars.items()}
        self.asked: list[str] = []

    async def get_archive(self, name: str, path: str, limit: int) -> bytes:
        self.asked.append(path)
        await asyncio.sleep(0.01)
        if path not in self.tars:
            raise NotFound(f"no {path}")
        return self.tars[path]


def files(engine: Engine) -> ContainerFiles:
    return ContainerFiles(engine, "/mnt/box/")  # type: ignore[arg-type]


async def test_a_directory_lists_its_direct_entries() -> None:
    top = a_tar(("box", None), ("box/a", b"12"), ("box/sub", None), ("box/sub/deep", b"x"))
    found = await files(Engine(**{"": top})).fetch(REF, "")
    assert found.is_directory
    assert [(e.name, e.size, e.mode, e.uid) for e in found.entries] == [
        ("a", 2, "-rw-r-----", "root"),
        ("sub", 0, "drwxr-xr-x", "root"),
    ]


async def test_a_file_is_fetched_with_its_content() -> None:
    engine = Engine(out=a_tar(("out", b"content")))
    assert (await files(engine).fetch(REF, "out")).content == b"content"
    assert engine.asked == ["/mnt/box/out"]


@pytest.mark.parametrize("target", ["out", "./out", "/mnt/box/out", "sub/../out"])
async def test_a_link_within_the_sandbox_is_followed(target: str) -> None:
    engine = Engine(link=a_tar(("link", (target,))), out=a_tar(("out", b"content")))
    assert (await files(engine).fetch(REF, "link")).content == b"content"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "/mnt/boxes/x", ".."])
async def test_a_path_or_link_out_of_the_sandbox_is_refused(target: str) -> None:
    engine = Engine(link=a_tar(("link", (target,))))
    with pytest.raises(Permanent, match="not in the sandbox"):
        await files(engine).fetch(REF, "link")
    with pytest.raises(Permanent, match="not in the sandbox"):
        await files(engine).fetch(REF, target)
    assert engine.asked == ["/mnt/box/link"]


async def test_a_link_to_a_link_is_refused() -> None:
    engine = Engine(a=a_tar(("a", ("b",))), b=a_tar(("b", ("a",))))
    with pytest.raises(Permanent, match="link to a link"):
        await files(engine).fetch(REF, "a")


async def test_concurrent_readers_share_one_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ARCHIVE_AGE", 1.0)
    engine = Engine(out=a_tar(("out", b"1")))
    these = files(engine)
    await asyncio.gather(*(these.fetch(REF, "out") for _ in range(20)))
    await these.fetch(REF, "out")
    assert len(engine.asked) == 1
    engine.tars["/mnt/box/out"] = a_tar(("out", b"2"))

    async def is_new() -> bool:
        return (await these.fetch(REF, "out")).content == b"2"

    await until(is_new, "the new content")


async def test_the_cache_is_bounded_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ARCHIVES_HELD_BYTES", 10)
    engine = Engine(a=a_tar(("a", b"12345678")), b=a_tar(("b", b"12345678")))
    these = files(engine)
    for path in ("a", "b", "b", "a"):
        await these.fetch(REF, path)
    assert engine.asked == ["/mnt/box/a", "/mnt/box/b", "/mnt/box/a"]


async def test_a_missing_file_is_not_found_and_not_cached() -> None:
    these = files(Engine())
    for _ in range(2):
        with pytest.raises(NotFound):
            await these.fetch(REF, "x")
