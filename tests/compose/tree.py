"""Root file systems out of what this machine has: a program, and the libraries it needs."""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

Skip = Callable[[Path], bool]


class Tree:
    """A tar in the making. A path that was added once is not added again."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w")
        self._seen: set[str] = set()
        for name, mode in (("tmp", 0o1777), ("etc", 0o755), ("var/lib", 0o755), ("bin", 0o755)):
            self.directory(name, mode)
        self.file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")
        self.file("etc/group", b"root:x:0:\n")
        # Without it names are looked up in DNS before /etc/hosts, or not there at all.
        self.file("etc/nsswitch.conf", b"hosts: files dns\n")

    def bytes(self) -> builtins.bytes:
        self._tar.close()
        return self._buffer.getvalue()

    def directory(self, name: str, mode: int = 0o755) -> None:
        self._put(name, tarfile.DIRTYPE, mode)

    def file(
        self, name: str, content: builtins.bytes, mode: int = 0o644, modified: int = 0
    ) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(content), mode, modified
        self._seen.add(name)
        self._tar.addfile(member, io.BytesIO(content))

    def link(self, name: str, target: str) -> None:
        if name not in self._seen:
            self._seen.add(name)
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
            self._tar.addfile(member)

    def copy(self, path: Path, name: str | None = None) -> None:
        """One file's content, whatever links lead to it."""
        name = name or str(path).lstrip("/")
        if name in self._seen:
            return
        self._parents(name)
        real = path.resolve()
        mode = 0o755 if os.access(real, os.X_OK) else 0o644
        self.file(name, real.read_bytes(), mode, int(real.stat().st_mtime))

    def copy_all(self, top: Path, skip: Skip = lambda path: False) -> None:
        """A directory at its own place, readable by all, links followed."""
        for directory, folders, names in os.walk(top, followlinks=True):
            here = Path(directory)
            folders[:] = [f for f in folders if not skip(here / f)]
            for name in names:
                if not skip(here / name) and (here / name).exists():
                    self.copy(here / name)

    def program(self, path: Path, name: str | None = None) -> None:
        self.copy(path, name)
        self.libraries([path])

    def libraries(self, programs: Iterable[Path]) -> None:
        """What the loader would load for them, each where it looks for it."""
        said = subprocess.run(
            ["ldd", *map(str, programs)], check=False, capture_output=True, text=True
        ).stdout
        for found in re.findall(r"(/\S+) \(0x", said):
            # As the loader writes it: /usr/lib/x/./y.so
            self.copy(Path(os.path.normpath(found)))

    def _parents(self, name: str) -> None:
        for parent in reversed(Path(name).parents[:-1]):
            if str(parent) not in self._seen:
                self.directory(str(parent))

    def _put(self, name: str, kind: builtins.bytes, mode: int) -> None:
        self._seen.add(name)
        member = tarfile.TarInfo(name)
        member.type, member.mode = kind, mode
        self._tar.addfile(member)


def add_shell(tree: Tree) -> None:
    """bash, and busybox for everything else."""
    tree.program(Path("/bin/bash"), "bin/bash")
    tree.program(Path("/bin/busybox"), "bin/busybox")
    listed = subprocess.run(
        ["/bin/busybox", "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    for applet in listed:
        tree.link(f"bin/{applet}", "busybox")


def add_python(tree: Tree) -> None:
    """The Python that runs this, without what was installed into it."""
    base = Path(sys.base_prefix)
    short = f"python{sys.version_info.major}.{sys.version_info.minor}"
    program = base / "bin" / short
    library = Path(sysconfig.get_paths(vars={"base": str(base)})["stdlib"])
    tree.program(program)
    tree.copy_all(library, _is_superfluous)
    tree.libraries([program, *library.glob("lib-dynload/*.so")])
    for name in MANYLINUX:
        for found in Path("/lib").glob(f"*-linux-gnu/{name}"):
            tree.copy(found)
    # Debian keeps ensurepip's wheels here.
    tree.copy_all(Path("/usr/share/python-wheels"))
    with contextlib.suppress(StopIteration):
        tree.copy(next(p for p in map(Path, _CERTIFICATES) if p.exists()), "etc/ssl/cert.pem")
    for name in (short, "python3"):
        tree.link(f"bin/{name}", str(program))


MANYLINUX = (
    *("libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0"),
    *("librt.so.1", "libstdc++.so.6", "libutil.so.1", "libz.so.1"),
)
"""What a wheel may expect of every Linux, whoever built it."""

_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def _is_superfluous(path: Path) -> bool:
    """Bytecode stays: without it, each Python in a container would compile what it imports."""
    return (
        path.name
        in {
            "dist-packages",
            "idlelib",
            "lib2to3",
            "site-packages",
            "test",
            "tests",
            "tkinter",
            "turtledemo",
        }
        or path.name.startswith("config-")
        or ".opt-" in path.name
    )


def add_java(tree: Tree) -> None:
    """A Java runtime and Debian's ZooKeeper with the jars that its manifest names."""
    found = shutil.which("java")
    assert found is not None
    program = Path(found)
    home = program.resolve().parent.parent
    tree.copy_all(home, _is_not_runtime)
    tree.libraries([program.resolve(), *home.glob("lib/*.so"), *home.glob("lib/server/*.so")])
    tree.link("bin/java", str(home / "bin/java"))
    for jar in zookeeper_jars():
        tree.copy(jar)


def _is_not_runtime(path: Path) -> bool:
    return path.name in {"src.zip", "jmods", "man", "include", "ct.sym", "demo", "cacerts"} or (
        path.parent.name == "server" and path.suffix == ".jsa"
    )


ZOOKEEPER = Path("/usr/share/java/zookeeper.jar")


def zookeeper_jars() -> list[Path]:
    """The main one and its Class-Path, one level deep: what a single server needs."""
    manifest = zipfile.ZipFile(ZOOKEEPER).read("META-INF/MANIFEST.MF").decode()
    unfolded = manifest.replace("\r\n", "\n").replace("\n ", "")
    found = re.search(r"^Class-Path: (.*)$", unfolded, re.MULTILINE)
    return [ZOOKEEPER, *(Path(p) for p in (found[1].split() if found else ()) if Path(p).exists())]
