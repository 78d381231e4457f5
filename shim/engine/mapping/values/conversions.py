"""Small conversions of option values. ValueError with a reason."""

from __future__ import annotations

from collections.abc import Callable

from shim.engine.mapping.values import units


def pair(text: str) -> dict[str, str]:
    key, value = units.key_value(text)
    return {key: value}


def option_pair(text: str) -> dict[str, str]:
    key, _, value = text.partition("=")
    if not key:
        raise ValueError("Not of the form key=value")
    return {key: value}


def within(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        value = units.whole(text)
        if not low <= value <= high:
            raise ValueError(f"Not in {low}..{high}")
        return value

    return convert


def one_of(*words: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in words:
            raise ValueError(f"Not one of {', '.join(words)}")
        return text

    return convert


def swap(text: str) -> int:
    return -1 if text == "-1" else units.size(text)


def weight(text: str) -> int:
    return 0 if text == "0" else within(10, 1000)(text)


def tmpfs(text: str) -> dict[str, str]:
    path, _, options = text.partition(":")
    if not path.startswith("/"):
        raise ValueError("Not an absolute path")
    return {path: options}


def shell(text: str) -> list[str]:
    return ["CMD-SHELL", text]


def one_word(text: str) -> list[str]:
    return [text]
