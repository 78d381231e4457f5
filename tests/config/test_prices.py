from __future__ import annotations

from pathlib import Path

import pytest

from shim.check import command as check
from shim.config import load
from shim.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not an object"),
        ('{"p": "cheap"}', "'p': 'cheap' is not a price"),
        ('{"p": -1}', "'p': -1 is not a price"),
        ('{"p": true}', "'p': True is not a price"),
        ('{"p": NaN}', "'p': nan is not a price"),
        ('{"p": Infinity}', "'p': inf is not a price"),
        ('{"p": 1%s}' % ("0" * 400), r"'p': 10{59} is not a price"),
        ('{"p": 1%s}' % ("0" * 10_000), "not JSON"),
        ('{"p": %s}' % ("[" * 500 + "]" * 500), r"'p': \[{60} is not a price"),
    ],
)
def test_prices_that_are_none(text: str, words: str, tmp_path: Path) -> None:
    """One line with flag, file and reason, whatever the file holds."""
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"--triton_prices={path}: {words}"):
        load(["--master=m:1", f"--triton_prices={path}"], {})


def test_prices_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"p-1G": 0.02, "p-2G": 1}')
    for written in (f"{path}", f"file://{path}"):
        found = load(["--master=m:1", f"--triton_prices={written}"], {})
        assert found.triton_prices == {"p-1G": 0.02, "p-2G": 1.0}
        assert found.texts["triton_prices"] == written
    assert load(["--master=m:1"], {}).triton_prices == {}


def test_check_says_what_would_end_the_agent(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path}/none.json: cannot be read: No such file"):
        check.main(["--master=127.0.0.1:1", f"--triton_prices={tmp_path}/none.json"])
