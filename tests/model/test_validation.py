"""Ids and versions as a master judges them."""

from __future__ import annotations

import pytest

from shim.model.validation import id_problem, version_problem


@pytest.mark.parametrize("value", ["a", "4f3e-S0", "app.1/x".replace("/", "_"), "...", "ü" * 127])
def test_an_id_may_hold_any_printable_character(value: str) -> None:
    assert id_problem(value) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "empty"),
        (".", "not an id: '.'"),
        ("..", "not an id: '..'"),
        ("a/b", "not an id: 'a/b'"),
        ("a\\b", r"not an id: 'a\\b'"),
        ("a\n", r"not an id: 'a\n'"),
        ("a\x7f", r"not an id: 'a\x7f'"),
        ("x" * 256, f"more than 255 bytes: {'x' * 40!r}..."),
        ("ü" * 128, f"more than 255 bytes: {'ü' * 40!r}..."),
    ],
)
def test_an_id_must_be_usable_as_a_directory_name(value: str, problem: str) -> None:
    assert id_problem(value) == problem


def test_the_size_on_the_wire_counts_where_it_is_given() -> None:
    assert id_problem("ü" * 200, 200) is None
    assert id_problem("a", 256) is not None


@pytest.mark.parametrize("text", ["1", "1.11", "1.11.0", "1.12.0-rc1", "2.0.0+build.7", "10.0.0"])
def test_versions_from_one_on_are_accepted(text: str) -> None:
    assert version_problem(text) is None


@pytest.mark.parametrize("text", ["", "0.28.2", "x", "1.", "1.2.3.4", "-1.0.0", "1.0.0 "])
def test_older_and_unreadable_versions_are_named(text: str) -> None:
    assert version_problem(text) == f"not a version of 1.0.0 or later: {text!r}"
