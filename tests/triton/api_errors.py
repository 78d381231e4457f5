"""Error answers of the endpoint: plain text, ``(Code) message (request id)``, never JSON."""

from __future__ import annotations


class ApiError(Exception):
    """One error answer. Triton omits the ``(Code)`` part where there is no code."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code

    def text(self, request_id: str) -> str:
        code = f"({self.code}) " if self.code else ""
        return f"{code}{self.message} ({request_id})"


def not_implemented(what: str) -> ApiError:
    return ApiError(400, f"{what} is not implemented", "NotImplemented")


def validation_error(message: str) -> ApiError:
    return ApiError(422, message, "Validation")


def no_such_container(ref: str) -> ApiError:
    return ApiError(404, f"No such container: {ref}")


def docker_error(message: str) -> ApiError:
    """Triton's DockerError: status 500 without code, whatever the cause."""
    return ApiError(500, message)
