"""How the endpoint says no: plain text, ``(Code) message (request id)``, never JSON."""

from __future__ import annotations


class Refusal(Exception):
    """One error answer. Without a code the ``(Code)`` part is missing, as Triton leaves it out."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code

    def text(self, request_id: str) -> str:
        code = f"({self.code}) " if self.code else ""
        return f"{code}{self.message} ({request_id})"


def not_implemented(what: str) -> Refusal:
    return Refusal(400, f"{what} is not implemented", "NotImplemented")


def invalid(message: str) -> Refusal:
    return Refusal(422, message, "Validation")


def no_such_container(ref: str) -> Refusal:
    return Refusal(404, f"No such container: {ref}")


def broken(message: str) -> Refusal:
    """A DockerError: status 500 and no code, whatever the real cause."""
    return Refusal(500, message)
