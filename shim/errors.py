"""The families of failure. What a caller does about an error follows from its class alone.

Foreign exceptions (aiohttp, docker, sqlite3, kazoo, ...) are mapped to these once, at the
adapter that met them; nothing above an adapter catches a library's own exception.
"""

from __future__ import annotations


class ShimError(Exception):
    """Base of every error raised on purpose; ``str()`` is fit to be shown to a user."""


def told(error: BaseException) -> str:
    """What an error says; one without words (a timeout, a broken pipe) is told by its class, one
    about a file by the file first."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


class ConfigError(ShimError):
    """A flag, file or environment variable is wrong: names it and the value. Exit code 2."""


class FatalError(ShimError):
    """The agent cannot go on (work_dir in use, journal of a newer version). Exit code 1."""


class PeerError(ShimError):
    """The other side broke the protocol: answer 4xx, drop, count. Never fatal to us."""


class UnsafeMessage(ShimError):
    """A message of ours that would abort a master: never sent (a bug of ours)."""


class Transient(ShimError):
    """The outside did not answer, or said "later". Says nothing about any task: retry."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds to wait before: what the other side asked for, or is known to need."""


class AccessDenied(Transient):
    """The outside answered, and lets nobody in now, or not us. ``str()`` says what would help."""


class InProgress(ShimError):
    """Nothing failed: what was asked is under way, or in line, and whoever asked is called back."""


class Ambiguous(Transient):
    """The outside failed in words that may be about itself or about what was asked.

    Retry a few times; then take it for :class:`Permanent`. ``str()`` holds its own words.
    """


class Permanent(ShimError):
    """The outside refused for good; ``str()`` holds its own words. Retrying cannot help."""


class NotFound(Permanent):
    """No such container, image or file."""


class NameTaken(Permanent):
    """A container of that name exists: look at it and adopt it, or give up."""


class InvalidTask(Permanent):
    """A TaskInfo that cannot be run here. ``str()`` names the field and the value."""
