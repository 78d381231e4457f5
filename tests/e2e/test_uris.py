"""``command.uris`` end to end: what is fetched is in the sandbox, and why something was not."""

from __future__ import annotations

import gzip

import pytest

from tests.e2e.client import Json
from tests.e2e.conftest import System
from tests.e2e.tasks import docker_task, ends
from tests.engine.fetch.archives import a_tar, a_zip
from tests.engine.fetch.server import serving
from tests.support.wait import until

pytestmark = [pytest.mark.needs_docker, pytest.mark.needs_busybox]


def fetching(value: str, *uris: Json) -> Json:
    return {"value": value, "uris": list(uris)}


async def test_files_are_in_the_sandbox(shared: System) -> None:
    agent = await shared.agent()
    async with serving() as server, shared.framework() as framework:
        server.files = {
            "app.tgz": gzip.compress(a_tar({"app/a.sh": b"in a tar", "app/run.sh": b"exit 0"})),
            "app.zip": a_zip({"z.txt": b"in a zip"}),
            "run": b"#!/bin/sh\necho ran\n",
            "settings?v=2": b"some settings",
            "kept.tar": a_tar(),
        }
        everything: list[Json] = [
            {"value": server.url("app.tgz")},
            {"value": server.url("app.zip"), "cache": True},
            {"value": server.url("run"), "executable": True},
            {"value": server.url("settings?v=2"), "output_file": "conf/app.conf"},
            {"value": server.url("kept.tar"), "extract": False},
        ]
        script = (
            'cd "$MESOS_SANDBOX" && grep "in a tar" app/a.sh && grep "in a zip" z.txt'
            ' && test "$(./run)" = ran && test "$(cat conf/app.conf)" = "some settings"'
            " && test -f kept.tar && test ! -e a.txt && test -f app.tgz && test ! -e app.zip"
            " && touch mine"
        )
        root = docker_task(shared, "root", fetching(script, *everything))
        user = docker_task(
            shared, "user", fetching(script, *everything), parameters={"user": "nobody"}
        )
        elsewhere = docker_task(
            shared,
            "elsewhere",
            fetching("grep tar /conf/a.sh && touch /conf/mine", everything[0]),
            container={"volumes": [{"host_path": "app", "container_path": "/conf", "mode": "RW"}]},
        )
        found = await ends(framework, root, user, elsewhere)
    assert found == dict.fromkeys(("root", "user", "elsewhere"), "TASK_FINISHED")
    assert (server.asked["app.tgz"], server.asked["app.zip"]) == (3, 1)
    assert f"GET {server.url('')}" not in agent.log


async def test_what_cannot_be_fetched_is_named(shared: System) -> None:
    await shared.agent()
    async with serving() as server, shared.framework() as framework:
        server.files = {"evil.tar": a_tar({"../evil": b"x"}), "torn.tgz": b"\x1f\x8b torn"}
        bad = {
            "absent": {"value": server.url("absent")},
            "escape": {"value": server.url("evil.tar")},
            "torn": {"value": server.url("torn.tgz")},
            "file": {"value": "file:///etc/passwd"},
            "path": {"value": "/etc/passwd"},
            "scheme": {"value": "hdfs://name/file"},
            "output": {"value": server.url("evil.tar"), "output_file": "../out"},
        }
        tasks = [docker_task(shared, name, fetching("true", uri)) for name, uri in bad.items()]
        found = await ends(framework, *tasks)
        for name in bad:
            status = await framework.end(name)
            assert status["reason"] == "REASON_CONTAINER_LAUNCH_FAILED"
            assert framework.states(name) == ["TASK_FAILED"]
    launch, every = "TASK_FAILED Failed to launch container: ", "Failed to fetch all URIs for"
    words = {name: text.removeprefix(launch) for name, text in found.items()}
    for name, said in {
        "absent": ": the server answered 404 Not Found",
        "escape": ": the archive leads out of the sandbox: '../evil'",
        "torn": ": the archive cannot be unpacked: Compressed file ended before the"
        " end-of-stream marker was reached",
    }.items():
        told = words.pop(name)
        assert told.startswith(f"{every} container '")
        assert told.endswith(f"{bad[name]['value']}{said}")
    here = "Could not fetch: Local files need file:// and --fetcher_file_root:"
    assert words == {
        "file": f"{here} command.uris[0].value 'file:///etc/passwd'",
        "path": f"{here} command.uris[0].value '/etc/passwd'",
        "scheme": "Could not fetch: Only http and https URIs can be fetched:"
        " command.uris[0].value 'hdfs://name/file'",
        "output": "Could not fetch: URI output file must be within the sandbox directory:"
        " command.uris[0].output_file '../out'",
    }


async def test_a_kill_ends_a_download(system: System) -> None:
    async def arriving() -> bool:
        return any((system.directory / "agent0" / "fetch" / "containers").glob("*/fetched"))

    await system.agent()
    async with serving() as server, system.framework() as framework:
        uri = {"value": server.url("endless/x")}
        await framework.launch(docker_task(system, "endless", fetching("true", uri)))
        await until(arriving, "the download")
        await framework.kill("endless")
        await framework.end("endless")
        assert framework.states("endless") == ["TASK_KILLED"]
        assert not await arriving()
    assert system.containers() == []
