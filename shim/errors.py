"""The families of failure. What a caller does about an error follows from its class alone.

Each adapter maps the exceptions of its library (aiohttp, docker, sqlite3, kazoo, ...) to these
once. Code above an adapter catches only the classes of this module.
"""

from __future__ import annotations


class ShimError(Exception):
    """Base of every error raised on purpose; ``str()`` is fit to be shown to a user."""


def error_text(error: BaseException) -> str:
    """The error's message, never empty.

    An error without a message (a timeout, a broken pipe) gives the name of its class. An error
    about a file begins with the file's path.
    """
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


class ConfigError(ShimError):
    """A flag, file or environment variable is wrong: names it and the value. Exit code 2."""


class FatalError(ShimError):
    """The agent cannot go on (work_dir in use, journal of a newer version). Exit code 1."""


class PeerError(ShimError):
    """The peer broke the protocol: answer 4xx, drop the message, count it. Never ends the agent."""


class UnsafeMessage(ShimError):
    """An outgoing message that would abort a master. It is never sent; the shim has a bug."""


class Transient(ShimError):
    """The remote side did not answer, or asked to come back later: retry.

    A Transient says nothing about the state of any task.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds to wait before the next attempt; None leaves it to the caller."""


class AccessDenied(Transient):
    """The remote side denies access, to all clients for now or to this one.

    ``str()`` names the remedy.
    """


class InProgress(ShimError):
    """Nothing failed: the work is under way or queued, and its caller will be called back."""


class Ambiguous(Transient):
    """The error text does not tell a server fault from a bad request.

    Retry a few times; then treat it as :class:`Permanent`. ``str()`` holds the remote side's words.
    """


class Permanent(ShimError):
    """The remote side rejected the request for good; ``str()`` holds its words. Do not retry."""


class NotFound(Permanent):
    """No such container, image or file."""


class NameTaken(Permanent):
    """A container of that name exists: inspect it and adopt it, or give up."""


class InvalidTask(Permanent):
    """A TaskInfo that cannot be run here. ``str()`` names the field and the value."""
