"""A tiny image made on the spot from static busybox: no registry is needed to run containers."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from tests.support.locks import machine_lock

IMAGE = "mesos-shim-test/busybox:1"
BUSYBOX = Path("/bin/busybox")
APPLETS = """
    sh cat chmod cp date dd echo env false grep head hostname httpd id ip kill ls mkdir mv nc
    netstat nslookup ping printf ps pwd rm sed seq sleep sort stat stty sync tail test touch
    tr trap true wc wget yes
"""
"""Change the tag of IMAGE with them."""


def root_file_system() -> bytes:
    """A tar with busybox, a link for each applet, and the directories programs expect."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("www", 0o755)):
            tar.addfile(_member(name, tarfile.DIRTYPE, mode))
        tar.add(BUSYBOX.resolve(), "bin/busybox")
        for applet in APPLETS.split():
            link = _member(f"bin/{applet}", tarfile.SYMTYPE, 0o777)
            link.linkname = "busybox"
            tar.addfile(link)
        for name, text in (
            ("etc/passwd", "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"),
            ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
            ("www/index.html", "it works\n"),
        ):
            member = _member(name, tarfile.REGTYPE, 0o644)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def build(client: docker.DockerClient, name: str = IMAGE) -> str:
    """Make sure that the engine has the image; returns its name."""
    with machine_lock("busybox"):
        try:
            client.images.get(name)
        except ImageNotFound:
            repository, _, tag = name.rpartition(":")
            client.api.import_image_from_data(
                root_file_system(), repository=repository, tag=tag, changes=['CMD ["sh"]']
            )
    return name


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = kind, mode
    return member
