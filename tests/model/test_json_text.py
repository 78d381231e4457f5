from __future__ import annotations

import json

import pytest

from shim.model.json_text import has_lone_surrogate, load_json


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (rb'{"a": "\ud83d\ude00"}', {"a": "\U0001f600"}),
        (rb'{"a": "x\ud83d"}', {"a": "x\ufffd"}),
        (rb'{"\uDC00": ["\ud83d\ude00\uD83D"]}', {"\ufffd": ["\U0001f600\ufffd"]}),
        (b'["\xff", "\xed\xa0\x80"]', ["\ufffd", "\ufffd\ufffd\ufffd"]),
        (r'["\\ud800"]', [r"\ud800"]),
        ("1", 1),
    ],
)
def test_a_text_that_is_no_unicode_is_replaced(raw: bytes | str, value: object) -> None:
    found = load_json(raw)
    assert found == value
    assert not has_lone_surrogate(found)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", "\ufeff1"])
def test_what_is_no_json_is_a_value_error(raw: bytes | str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        load_json(raw)


def test_half_of_a_pair_is_found_in_texts_and_keys() -> None:
    assert has_lone_surrogate(json.loads(r'{"a": ["\ud800"]}'))
    assert has_lone_surrogate({"\udfff": 1})
    assert not has_lone_surrogate({"\U0001f600": "\ufffd"})
