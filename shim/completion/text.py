"""Words of the flags' help texts, as shells and manuals show them. Pure."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    """Without the marks of Markdown."""
    return text.replace("`", "")


def brief(text: str) -> str:
    """The first part of a help text, for one line of a menu."""
    first = re.split(r"[;:](?:\s|$)|, (?:as|else|unless) | \(", plain(text))[0]
    return first if len(first) <= 80 else first[:79].rstrip() + "…"
