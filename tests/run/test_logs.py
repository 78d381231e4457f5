from __future__ import annotations

import io

from shim.run.logs import TaskLogs


class Files:
    """A fake ``/files/read`` that returns at most four bytes at a time."""

    def __init__(self) -> None:
        self.content = {"stdout": b"", "stderr": b""}
        self.asked: list[str] = []
        self.away = False

    def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        if self.away:
            raise ConnectionRefusedError("refused")
        path, _, offset = url.partition("&offset=")
        data = self.content[path.rpartition("/")[2]][int(offset) :][:4]
        return b'{"offset":%d,"data":"%s"}' % (int(offset), data)


def logs(files: Files) -> TaskLogs:
    return TaskLogs(files, io.StringIO(), io.StringIO())


def text(out: object) -> str:
    assert isinstance(out, io.StringIO)
    return out.getvalue()


def test_new_output_is_printed_once_to_its_own_stream() -> None:
    files = Files()
    followed = logs(files)
    followed.add("http://10.0.0.1:5051", "F", "web/1")
    followed.poll()
    files.content["stdout"] = b"hello world"
    followed.poll()
    files.content["stdout"] += b"!"
    files.content["stderr"] = "öö".encode()
    followed.poll()
    assert followed.end("web/1") is None
    assert (text(followed.out), text(followed.err)) == ("hello world!", "öö")
    assert files.asked[0] == (
        "http://10.0.0.1:5051/files/read?path=/frameworks/F/executors/web/1/runs/latest/stdout"
        "&offset=0"
    )


def test_the_rest_is_printed_at_the_end_and_the_task_is_not_read_again() -> None:
    files = Files()
    followed = logs(files)
    followed.add("http://a", "F", "one")
    files.content["stdout"] = b"last words"
    assert followed.end("one") is None
    assert text(followed.out) == "last words"
    asked = len(files.asked)
    followed.poll()
    assert len(files.asked) == asked


def test_an_unreachable_agent_is_reported_at_the_end_only() -> None:
    files = Files()
    files.away = True
    followed = logs(files)
    followed.add("http://a", "F", "one")
    followed.poll()
    assert followed.end("one") == "refused"


def test_a_temporary_outage_of_the_agent_is_not_a_failure() -> None:
    files = Files()
    files.away = True
    followed = logs(files)
    followed.add("http://a", "F", "one")
    followed.poll()
    files.away = False
    assert followed.end("one") is None


def test_output_that_is_no_utf_8_loses_and_repeats_nothing() -> None:
    files = Files()
    followed = logs(files)
    followed.add("http://a", "F", "one")
    files.content["stdout"] = b"\xff\xff\xff\xff  "
    followed.poll()
    files.content["stdout"] += b"0123456789ABCDEF\xe2\x82"
    assert followed.end("one") is None
    assert text(followed.out) == "\ufffd" * 4 + "  0123456789ABCDEF\ufffd"


def test_a_character_cut_by_the_agent_is_printed_whole() -> None:
    files = Files()
    followed = logs(files)
    followed.add("http://a", "F", "one")
    files.content["stdout"] = "abc\u20ac\U0001f600".encode()
    followed.poll()
    assert followed.end("one") is None
    assert text(followed.out) == "abc\u20ac\U0001f600"
