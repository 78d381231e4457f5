"""Stand-ins for the images that a registry would have, made of this machine's own programs.

The shim's own image is no stand-in: compose/Dockerfile, on a base image made here.
"""

from __future__ import annotations

import configparser
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from tests.compose.tree import Tree, add_java, add_python, add_shell, zookeeper_jars

HERE = Path(__file__).parent
TREE = HERE.parent.parent
PREFIX = "mesos-shim-test"
PYMESOS = "pymesos==0.3.15"


def base(client: docker.DockerClient, wheels: Path) -> str:
    """For BASE_IMAGE: Python, a shell, and the wheels that pip would fetch."""
    files = (TREE / "setup.cfg", TREE / "pyproject.toml", HERE / "tree.py")
    key = (sys.version, *(file.read_text() for file in files))

    def fill(tree: Tree) -> None:
        add_shell(tree)
        add_python(tree)
        fetch_wheels(wheels)
        for wheel in wheels.iterdir():
            tree.copy(wheel, f"wheels/{wheel.name}")

    changes = ["ENV PIP_NO_INDEX=1", "ENV PIP_FIND_LINKS=/wheels", "ENV PATH=/usr/bin:/bin"]
    return made(client, "base", key, fill, changes)


def fetch_wheels(target: Path) -> None:
    """What the package needs, as wheels, and what builds it."""
    config = configparser.ConfigParser()
    config.read(TREE / "setup.cfg")
    needs = config["options"]["install_requires"].split("\n")
    needs = [line for line in needs if line and not line.startswith("#")]
    project = tomllib.loads((TREE / "pyproject.toml").read_text())
    needs += project["build-system"]["requires"]
    pip = [sys.executable, "-m", "pip", "-q", "wheel", "--wheel-dir", str(target)]
    subprocess.run([*pip, *needs], check=True)
    subprocess.run([*pip, "--no-deps", PYMESOS], check=True)


def zookeeper(client: docker.DockerClient) -> str:
    """As the official image: ZOO_SERVERS and ZOO_MY_ID make it one of several."""
    jars = ":".join(map(str, zookeeper_jars()))
    start = f"""#!/bin/sh
set -eu
mkdir -p /tmp/data
{{
  printf '%s\\n' tickTime=1000 initLimit=10 syncLimit=5 dataDir=/tmp/data admin.enableServer=false
  if [ -n "${{ZOO_SERVERS:-}}" ]; then
    echo "$ZOO_MY_ID" >/tmp/data/myid
    printf '%s\\n' $ZOO_SERVERS
  else
    echo clientPort=2181
  fi
}} >/tmp/zoo.cfg
exec java -Xmx64m -XX:TieredStopAtLevel=1 -cp {jars} \\
  org.apache.zookeeper.server.quorum.QuorumPeerMain /tmp/zoo.cfg
"""

    def fill(tree: Tree) -> None:
        add_shell(tree)
        add_java(tree)
        tree.file("start.sh", start.encode(), 0o755)

    key = (start, (HERE / "tree.py").read_text())
    return made(client, "zookeeper", key, fill, ['CMD ["/start.sh"]'])


def consul(client: docker.DockerClient) -> str:
    """As the official image: what follows is given to consul."""
    program = Path(which("consul"))

    def fill(tree: Tree) -> None:
        add_shell(tree)
        tree.program(program, "bin/consul")

    key = (str(program.stat().st_size), (HERE / "tree.py").read_text())
    return made(client, "consul", key, fill, ['ENTRYPOINT ["consul"]'])


def prometheus(client: docker.DockerClient) -> str:
    """As the official image: it reads /etc/prometheus/prometheus.yml."""
    program = Path(which("prometheus"))

    def fill(tree: Tree) -> None:
        add_shell(tree)
        tree.program(program, "bin/prometheus")

    flags = ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
    entrypoint = json.dumps(["prometheus", *flags])
    key = (str(program.stat().st_size), (HERE / "tree.py").read_text())
    return made(client, "prometheus", key, fill, [f"ENTRYPOINT {entrypoint}"])


def grafana(client: docker.DockerClient) -> str:
    """Serves all its files, so that a test sees what is mounted where Grafana would read it."""

    def fill(tree: Tree) -> None:
        add_shell(tree)
        tree.file("api/health", b"{}")

    key = ("grafana", (HERE / "tree.py").read_text())
    entrypoint = json.dumps(["httpd", "-f", "-p", "3000", "-h", "/"])
    return made(client, "grafana", key, fill, [f"ENTRYPOINT {entrypoint}"])


def couchbase(client: docker.DockerClient) -> str:
    """Answers on 8091 as a node does; couchbase-cli is a script of ours."""
    cli = (HERE / "couchbase-cli.sh").read_bytes()
    serve = b"#!/bin/sh\nexec httpd -f -p 8091 -h /www\n"
    load = b'#!/bin/sh\nprintf "%s " "$@" | curl -sf -X PUT -d @- http://$CONSUL/v1/kv/stub/load\n'

    def fill(tree: Tree) -> None:
        add_shell(tree)
        tree.program(Path(which("curl")), "opt/couchbase/bin/curl")
        tree.link("bin/curl", "/opt/couchbase/bin/curl")
        tree.file("opt/couchbase/bin/couchbase-cli", cli, 0o755)
        tree.file("opt/couchbase/bin/cbworkloadgen", load, 0o755)
        tree.file("entrypoint.sh", serve, 0o755)
        tree.file("www/pools", b"{}")
        tree.file("www/ui/index.html", b"<!doctype html>")

    key = (cli.decode(), serve.decode(), load.decode(), (HERE / "tree.py").read_text())
    return made(client, "couchbase", key, fill, ["ENV PATH=/bin"])


def which(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, name
    return found


def made(
    client: docker.DockerClient,
    name: str,
    key: tuple[str, ...],
    fill: Callable[[Tree], None],
    changes: list[str],
) -> str:
    """The image's name; built only if the engine has none of the same key."""
    digest = hashlib.sha256("\0".join((*key, *changes)).encode()).hexdigest()[:12]
    image = f"{PREFIX}/{name}:{digest}"
    try:
        client.images.get(image)
    except ImageNotFound:
        tree = Tree()
        fill(tree)
        client.api.import_image_from_data(
            tree.bytes(), repository=f"{PREFIX}/{name}", tag=digest, changes=changes
        )
    return image


SHIM_PARTS = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "shim", "compose")


def shim(client: docker.DockerClient, tree: Path, base_image: str) -> str:
    """compose/Dockerfile, as ``start.sh`` would build it; its layers are then there for it.

    The tag is a digest of the tree: a run on another tree has an image of its own.
    """
    digest = hashlib.sha256(base_image.encode())
    for part in SHIM_PARTS:
        for path in sorted(((tree / part).rglob("*"), [tree / part])[(tree / part).is_file()]):
            if path.is_file():
                digest.update(path.relative_to(tree).as_posix().encode() + path.read_bytes())
    name = f"{PREFIX}/shim:{digest.hexdigest()[:12]}"
    client.images.build(
        path=str(tree),
        dockerfile="compose/Dockerfile",
        buildargs={"BASE_IMAGE": base_image},
        tag=name,
        rm=True,
    )
    return name


def on_shim(client: docker.DockerClient, shim_image: str, script: str) -> str:
    """An image that runs one of our scripts with the shim's Python."""
    body = (HERE / f"{script}.py").read_bytes()
    tag = hashlib.sha256(shim_image.encode() + body).hexdigest()[:12]
    name = f"{PREFIX}/{script}:{tag}"
    lines = (
        f"FROM {shim_image}",
        f"COPY {script}.py /{script}.py",
        "HEALTHCHECK NONE",
        f'ENTRYPOINT ["python3", "/{script}.py"]',
        "CMD []",
        "STOPSIGNAL SIGKILL",
    )
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        tar.add(HERE / f"{script}.py", f"{script}.py")
        member = tarfile.TarInfo("Dockerfile")
        body = "\n".join(lines).encode()
        member.size = len(body)
        tar.addfile(member, io.BytesIO(body))
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=name, rm=True)
    return name
