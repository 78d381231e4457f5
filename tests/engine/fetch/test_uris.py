"""URIs that are accepted or refused before anything is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shim import limits
from shim.engine.fetch.uris import ArchiveKind, FetchItem, fetch_items, kind_of
from shim.errors import Permanent
from shim.protos.mesos_pb2 import CommandInfo


def uri(value: str, **fields: Any) -> CommandInfo.URI:
    return CommandInfo.URI(value=value, **fields)


def one(value: str, file_root: Path | None = None, **fields: Any) -> FetchItem:
    (item,) = fetch_items([uri(value, **fields)], file_root)
    return item


def refusal(value: str, **fields: Any) -> str:
    with pytest.raises(Permanent) as caught:
        one(value, **fields)
    return str(caught.value)


def test_by_default_an_archive_is_unpacked_and_nothing_is_cached() -> None:
    found = one("  http://h/a/b.tar.gz")
    assert found == FetchItem("http://h/a/b.tar.gz", "b.tar.gz", False, ArchiveKind.TAR_GZ, False)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"extract": False}, None),
        ({"executable": True}, None),
        ({"extract": True}, ArchiveKind.ZIP),
    ],
)
def test_files_that_are_not_unpacked(fields: dict[str, Any], kind: ArchiveKind | None) -> None:
    assert one("http://h/a.zip", **fields).kind is kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.tar", ArchiveKind.TAR),
        ("a.tgz", ArchiveKind.TAR_GZ),
        ("a.tar.gz", ArchiveKind.TAR_GZ),
        ("a.tbz2", ArchiveKind.TAR_BZ2),
        ("a.tar.bz2", ArchiveKind.TAR_BZ2),
        ("a.txz", ArchiveKind.TAR_XZ),
        ("a.tar.xz", ArchiveKind.TAR_XZ),
        ("a.zip", ArchiveKind.ZIP),
        ("a.gz", ArchiveKind.GZ),
        ("a.tgz?x=1", None),
        ("a.ZIP", None),
        ("tar", None),
    ],
)
def test_the_end_of_the_name_decides_the_kind(name: str, kind: ArchiveKind | None) -> None:
    assert kind_of(name) is kind


def test_the_name_is_the_output_file_or_the_text_after_the_last_slash() -> None:
    assert one("http://h/a/b?c=1").name == "b?c=1"
    assert one("http://h/a/b", output_file="x/./y").name == "x/y"


@pytest.mark.parametrize(
    ("value", "fields", "message"),
    [
        (
            "http://h/a\\b",
            {},
            r"Could not fetch: Illegal characters in URI: command.uris[0].value 'http://h/a\\b'",
        ),
        (
            "http://h/it's",
            {},
            'Could not fetch: Illegal characters in URI: command.uris[0].value "http://h/it\'s"',
        ),
        (
            "http://host",
            {},
            "Could not fetch: Malformed URI (missing path): command.uris[0].value 'http://host'",
        ),
        (
            "http://host/",
            {},
            "Could not fetch: Malformed URI (missing path): command.uris[0].value 'http://host/'",
        ),
        (
            "http://host/dir/",
            {},
            "Could not fetch: Malformed URI (missing path):"
            " command.uris[0].value 'http://host/dir/'",
        ),
        (
            "http://h/a",
            {"output_file": ""},
            "Could not fetch: URI output file path is empty: command.uris[0].output_file",
        ),
        (
            "http://h/a",
            {"output_file": "/etc/passwd"},
            "Could not fetch: URI output file must be within the sandbox directory:"
            " command.uris[0].output_file '/etc/passwd'",
        ),
        (
            "http://h/a",
            {"output_file": "a/../../b"},
            "Could not fetch: URI output file must be within the sandbox directory:"
            " command.uris[0].output_file 'a/../../b'",
        ),
        (
            "http://h/..",
            {},
            "Could not fetch: URI output file must be within the sandbox directory:"
            " command.uris[0].value '..'",
        ),
        (
            "ftp://h/a",
            {},
            "Could not fetch: Only http and https URIs can be fetched:"
            " command.uris[0].value 'ftp://h/a'",
        ),
        (
            "hdfs://u:p@h/a",
            {},
            "Could not fetch: Only http and https URIs can be fetched:"
            " command.uris[0].value 'hdfs://h/a'",
        ),
        (
            "file:///etc/passwd",
            {},
            "Could not fetch: Local files need file:// and --fetcher_file_root:"
            " command.uris[0].value 'file:///etc/passwd'",
        ),
        (
            "/etc/passwd",
            {},
            "Could not fetch: Local files need file:// and --fetcher_file_root:"
            " command.uris[0].value '/etc/passwd'",
        ),
        (
            "http://h:99999/a",
            {},
            "Could not fetch: Malformed URI (Port out of range 0-65535):"
            " command.uris[0].value 'http://h:99999/a'",
        ),
    ],
)
def test_a_wrong_uri_is_refused_with_its_reason(
    value: str, fields: dict[str, Any], message: str
) -> None:
    assert refusal(value, **fields) == message


def test_no_error_shows_a_password() -> None:
    assert "secret" not in one("https://me:secret@h/a").printable_url
    assert "secret" not in refusal("https://me:secret@h")


def test_file_uris_need_a_file_root() -> None:
    assert one("file:///srv/a", file_root=Path("/srv")).name == "a"


def test_the_number_of_uris_is_bounded() -> None:
    with pytest.raises(Permanent, match="More than 256 URIs"):
        fetch_items([uri("http://h/a")] * (limits.FETCH_URIS + 1))
