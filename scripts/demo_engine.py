"""What the demo asks of the Docker Engine, over its API: the docker command need not be there.

demo_engine.py image NAME     makes sure that the engine has that image, pulled if need be
demo_engine.py hello BUSYBOX  makes a tiny web server from the static busybox at that path;
                              both print the image's name
demo_engine.py clear SHIM_ID  removes what that shim left behind; prints how many
demo_engine.py host           where published ports answer, as seen from here
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import docker
from docker.context import ContextAPI
from docker.errors import DockerException, ImageNotFound

SECONDS = 60
"""The engine's longest silence, also within a pull."""

HELLO = "mesos-shim-demo/hello:1"
PAGE = "<!doctype html><title>mesos-shim</title><h1>Hello from a Mesos task</h1>\n"
# Process 1 gets no default action for SIGTERM: without the trap each stop would take until
# the kill.
SERVE = "trap 'exit 0' TERM; httpd -f -p 80 -h /www & wait"


def connect() -> docker.DockerClient:
    """The engine of the environment, else of the current docker context."""
    context = ContextAPI.get_current_context()
    if context is not None and context.name != "default":
        return docker.DockerClient(context.Host, tls=context.TLSConfig, timeout=SECONDS)
    return docker.from_env(timeout=SECONDS)


def image(client: docker.DockerClient, name: str) -> str:
    try:
        client.images.get(name)
    except ImageNotFound:
        client.images.pull(name)
    return name


def hello(client: docker.DockerClient, busybox: str) -> str:
    try:
        client.images.get(HELLO)
    except ImageNotFound:
        repository, _, tag = HELLO.partition(":")
        changes = [f'CMD ["/bin/sh", "-c", "{SERVE}"]', "EXPOSE 80"]
        client.api.import_image_from_data(
            root_file_system(busybox), repository=repository, tag=tag, changes=changes
        )
    return HELLO


def root_file_system(busybox: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(busybox, "bin/busybox")
        for applet in ("sh", "httpd", "ls", "ps", "wget"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, "busybox", 0o777
            tar.addfile(link)
        page = tarfile.TarInfo("www/index.html")
        page.size, page.mode = len(PAGE), 0o644
        tar.addfile(page, io.BytesIO(PAGE.encode()))
    return buffer.getvalue()


def clear(client: docker.DockerClient, owner: str) -> int:
    found = client.containers.list(
        all=True, ignore_removed=True, filters={"label": f"mesos-shim.id={owner}"}
    )
    for container in found:
        container.remove(force=True, v=True)
    return len(found)


def host(client: docker.DockerClient) -> str:
    """127.0.0.1 for an engine on this machine, else the endpoint's own name."""
    parts = urlsplit(str(client.api.base_url))
    is_here = parts.scheme.startswith("http+") or parts.hostname in (None, "localhost")
    return "127.0.0.1" if is_here else str(parts.hostname)


def short(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error).split("\n", 1)[0][:200]


VERBS: Mapping[str, Callable[..., object]] = {
    "image": image,
    "hello": hello,
    "clear": clear,
    "host": host,
}


def main(argv: list[str]) -> int:
    try:
        print(VERBS[argv[0]](connect(), *argv[1:]))
    except (DockerException, OSError) as error:
        print(short(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
