"""/files over HTTP: the behaviour that tail commands, tools and the web UI rely on."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from shim.errors import Permanent, Transient
from shim.http.executor import executor_path
from shim.model.container import Entry, Ref
from shim.model.ids import ContainerId, FrameworkId, TaskId, TaskKey
from tests.http.conftest import Client
from tests.http.page_data import (
    AGENT,
    FRAMEWORK,
    FakeFile,
    PageData,
    accept_task,
    end_task,
    run_task,
)

TEXT = b"0123456789"


@pytest.fixture
def ref(page_data: PageData) -> Ref:
    ref = accept_task(page_data.core, "web.1")
    run_task(page_data.core, ref)
    page_data.outputs.texts = {"stdout": TEXT, "stderr": b""}
    return ref


def path_of(ref: Ref, inside: str = "") -> str:
    return executor_path("/var/lib/shim", AGENT, ref) + (f"/{inside}" if inside else "")


async def read(client: Client, path: str, **query: Any) -> Any:
    params = {"path": path, **{name: str(value) for name, value in query.items()}}
    answer = await client.get("/files/read", params=params)
    return await answer.json() if answer.status == 200 else (answer.status, await answer.text())


@pytest.mark.parametrize(
    ("query", "offset", "data"),
    [
        ({}, 10, ""),
        ({"offset": -1}, 10, ""),
        ({"offset": -1, "length": 3}, 10, ""),
        ({"offset": 0}, 0, "0123456789"),
        ({"offset": 0, "length": -1}, 0, "0123456789"),
        ({"offset": 0, "length": 0}, 0, ""),
        ({"offset": 3, "length": 4}, 3, "3456"),
        ({"offset": 8, "length": 100}, 8, "89"),
        ({"offset": 10}, 10, ""),
        ({"offset": 1000, "length": 5}, 1000, ""),
    ],
)
async def test_read_returns_the_range_that_is_asked_for(
    client: Client, ref: Ref, query: dict[str, int], offset: int, data: str
) -> None:
    answer = await read(client, path_of(ref, "stdout"), **query)
    assert answer == {"offset": offset, "data": data}


async def test_one_read_returns_64_kb_at_most(
    client: Client, ref: Ref, page_data: PageData
) -> None:
    page_data.outputs.texts["stdout"] = b"x" * 100_000
    for length in (-1, 65_536, 100_000):
        answer = await read(client, path_of(ref, "stdout"), offset=1, length=length)
        assert len(answer["data"]) == 65_536


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"offset": -2}, "Negative offset provided: -2.\n"),
        ({"offset": 0, "length": -2}, "Negative length provided: -2.\n"),
    ],
)
async def test_read_refuses_negative_numbers(
    client: Client, ref: Ref, query: dict[str, int], text: str
) -> None:
    assert await read(client, path_of(ref, "stdout"), **query) == (400, text)


@pytest.mark.parametrize("number", ["x", "1.5", "", "0x10", "9" * 30])
async def test_read_refuses_an_offset_or_length_that_is_not_a_number(
    client: Client, ref: Ref, number: str
) -> None:
    for name in ("offset", "length"):
        status, text = await read(client, path_of(ref, "stdout"), **{name: number})
        assert status == 400
        assert text.startswith(f"Failed to parse {name}: ")


async def test_read_of_files_other_than_outputs(
    client: Client, ref: Ref, page_data: PageData
) -> None:
    page_data.files.files = {
        "data/x": FakeFile(content=b"content"),
        "data": FakeFile(is_directory=True),
        "large": Permanent("more than 10 bytes"),
        "late": Transient("away"),
    }
    assert (await read(client, path_of(ref, "data/x"), offset=3))["data"] == "tent"
    assert await read(client, path_of(ref, "data")) == (400, "Cannot read a directory.\n")
    assert await read(client, path_of(ref, "absent")) == (404, "404 Not Found.")
    assert await read(client, path_of(ref, "stdout/x")) == (404, "404 Not Found.")
    status, text = await read(client, path_of(ref, "large"))
    assert (status, "more than 10 bytes" in text) == (400, True)
    assert (await read(client, path_of(ref, "late")))[0] == 503


@pytest.mark.parametrize("page", ["browse", "read", "download"])
async def test_a_request_without_path_is_refused(client: Client, page: str) -> None:
    answer = await client.get(f"/files/{page}")
    assert (answer.status, await answer.text()) == (400, "Expecting 'path=value' in query.\n")


@pytest.mark.parametrize("page", ["browse", "read", "download"])
@pytest.mark.parametrize(
    "escape", ["..", "../../x", "a/../../x", "./x", "/../../../../../../etc/passwd", "a\0b"]
)
async def test_no_path_leads_out_of_a_sandbox(
    client: Client, ref: Ref, page_data: PageData, page: str, escape: str
) -> None:
    path = path_of(ref) + "/" + escape
    answer = await client.get(f"/files/{page}", params={"path": path})
    assert (answer.status, await answer.text()) == (400, f"'{path}' is inaccessible.\n")
    assert page_data.files.fetched == []


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/",
        "x",
        "/var/lib/shim",
        "/var/lib/shim/journal.db",
        "/var/lib/shim/sandboxes",
        f"/var/lib/shim/slaves/{AGENT}/frameworks/{FRAMEWORK}/executors/web.1/runs",
        f"/frameworks/{FRAMEWORK}/executors/web.1/runs/no-such-run/stdout",
        f"/frameworks/{FRAMEWORK}/executors/nobody/runs/latest/stdout",
        "/frameworks/nobody/executors/web.1/runs/latest/stdout",
    ],
)
async def test_paths_outside_of_sandboxes_are_not_found(
    client: Client, ref: Ref, path: str
) -> None:
    for page in ("browse", "read", "download"):
        assert (await client.get(f"/files/{page}", params={"path": path})).status == 404


# --- paths of a sandbox -------------------------------------------------------------------------


async def test_each_path_of_a_sandbox_finds_it(client: Client, ref: Ref) -> None:
    under = f"frameworks/{FRAMEWORK}/executors/web.1/runs"
    for path in (
        path_of(ref),
        path_of(ref) + "/",
        f"/var/lib/shim/slaves/{AGENT}/{under}/latest",
        f"/{under}/latest",
        f"/{under}/{ref.container_id}",
    ):
        joined = path.rstrip("/") + "/stdout"
        assert (await read(client, joined, offset=0))["data"] == "0123456789"
        answer = await client.get("/files/browse", params={"path": path})
        assert [entry["path"] for entry in await answer.json()] == [
            path.rstrip("/") + "/stderr",
            joined,
        ]


async def test_output_can_be_read_while_core_or_store_knows_the_task(
    client: Client, ref: Ref, page_data: PageData
) -> None:
    latest = f"/frameworks/{FRAMEWORK}/executors/web.1/runs/latest/stdout"
    assert (await read(client, latest, offset=0))["data"]
    assert page_data.outputs.last_live is True
    end_task(page_data.core, ref)
    assert (await read(client, latest, offset=0))["data"]
    assert page_data.outputs.last_live is True, "the container still exists"
    page_data.core.tasks.pending_removals.removed(ref)
    page_data.core.tasks.forget(ref.task_key)
    assert (await read(client, latest, offset=0))["data"]
    assert page_data.outputs.last_live is False
    old = Ref(TaskKey(FrameworkId("F"), TaskId("long-ago")), ContainerId("c"))
    page_data.outputs.known.add(old)
    for path in (path_of(old, "stdout"), "/frameworks/F/executors/long-ago/runs/latest/stdout"):
        assert (await read(client, path, offset=0))["data"]
    assert await read(client, path_of(old, "other")) == (404, "404 Not Found.")


async def test_latest_is_the_newest_run_of_a_reused_task_id(
    client: Client, ref: Ref, page_data: PageData
) -> None:
    end_task(page_data.core, ref, acknowledged=True)
    again = accept_task(page_data.core, "web.1")
    run_task(page_data.core, again)
    latest = f"/frameworks/{FRAMEWORK}/executors/web.1/runs/latest"
    page_data.files.files[""] = FakeFile(is_directory=True, entries=(Entry("new"),))
    names = [e["path"] for e in await (await client.get("/files/browse?path=" + latest)).json()]
    assert f"{latest}/new" in names
    assert (await read(client, path_of(ref, "stdout"), offset=0))["data"]


# --- browse -------------------------------------------------------------------------------------


async def test_browse_shows_the_fields_of_ls(client: Client, ref: Ref, page_data: PageData) -> None:
    page_data.files.files[""] = FakeFile(
        is_directory=True,
        entries=(
            Entry("work", mode="drwxr-xr-x", nlink=2),
            Entry("stdout", size=5),
            Entry("a", size=7, uid="1000"),
        ),
    )
    path = path_of(ref)
    listed = await (await client.get("/files/browse", params={"path": path})).json()
    assert [entry["path"].removeprefix(path + "/") for entry in listed] == [
        "a",
        "stderr",
        "stdout",
        "work",
    ]
    assert listed[2] == {
        "path": f"{path}/stdout",
        "size": 10,
        "mtime": 1.5,
        "mode": "-rw-r--r--",
        "nlink": 1,
        "uid": "root",
        "gid": "root",
    }
    assert (listed[0]["uid"], listed[3]["mode"][0]) == ("1000", "d")


async def test_browse_of_a_file_is_empty(client: Client, ref: Ref, page_data: PageData) -> None:
    page_data.files.files["x"] = FakeFile(content=b"1")
    for inside in ("stdout", "x"):
        answer = await client.get("/files/browse", params={"path": path_of(ref, inside)})
        assert await answer.json() == []


@pytest.mark.parametrize("error", [Transient("away"), Permanent("too large")])
async def test_outputs_are_listed_even_if_other_files_cannot_be_fetched(
    client: Client, ref: Ref, page_data: PageData, error: Exception
) -> None:
    page_data.files.files[""] = error
    answer = await client.get("/files/browse", params={"path": path_of(ref)})
    assert [entry["path"].rpartition("/")[2] for entry in await answer.json()] == [
        "stderr",
        "stdout",
    ]


# --- download -----------------------------------------------------------------------------------


async def test_download_sends_name_type_and_length(
    client: Client, ref: Ref, page_data: PageData
) -> None:
    page_data.files.files = {
        "a/report.html": FakeFile(content=b"<p>"),
        'odd"\n.txt': FakeFile(content=b"1"),
        "dir": FakeFile(is_directory=True),
    }
    answer = await client.get("/files/download", params={"path": path_of(ref, "stdout")})
    assert await answer.read() == TEXT
    assert answer.headers["Content-Disposition"] == 'attachment; filename="stdout"'
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Length"] == "10"
    page = await client.get("/files/download", params={"path": path_of(ref, "a/report.html")})
    assert page.headers["Content-Type"] == "text/html"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    odd = await client.get("/files/download", params={"path": path_of(ref, 'odd"\n.txt')})
    assert odd.headers["Content-Disposition"] == 'attachment; filename="odd__.txt"'
    assert (await client.get("/files/download", params={"path": path_of(ref, "dir")})).status == 400


async def test_download_leaves_out_dropped_parts_of_an_output(
    client: Client, ref: Ref, page_data: PageData
) -> None:
    page_data.outputs.kept = [(0, 3), (7, 3)]
    answer = await client.get("/files/download", params={"path": path_of(ref, "stdout")})
    assert await answer.read() == b"012789"


# --- the agent's own log ------------------------------------------------------------------------


async def test_the_agents_log_can_be_read_and_downloaded(client: Client) -> None:
    logging.getLogger("shim.test").warning("something to tell")
    answer = await read(client, "/slave/log", offset=0)
    assert "something to tell" in answer["data"]
    size = (await read(client, "/slave/log"))["offset"]
    assert size == len(answer["data"])
    whole = await client.get("/files/download?path=/slave/log")
    assert "something to tell" in await whole.text()
