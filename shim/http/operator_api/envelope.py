"""Headers and body of a call, checked in the order and with the words of a stock agent. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from shim.http.operator_api.validation import problem_of
from shim.http.responses import JSON, HttpError, method_not_allowed
from shim.model.v1_json import InvalidJson, from_json
from shim.protos.agent_pb2 import Call

PROTOBUF = "application/x-protobuf"
RECORDIO = "application/recordio"

_NO_CALL = "Failed to parse body into a protobuf object"
_STREAMED_ANSWERS = (Call.ATTACH_CONTAINER_OUTPUT, Call.LAUNCH_NESTED_CONTAINER_SESSION)


@dataclass(frozen=True, slots=True)
class MediaTypes:
    """Formats of a request and its answer: JSON, PROTOBUF or RECORDIO.

    ``content_record`` and ``accept_record`` are the formats of the records inside RECORDIO;
    elsewhere they are empty.
    """

    content: str
    content_record: str
    accept: str
    accept_record: str

    @property
    def record(self) -> str:
        """The format of the records of a streamed answer, which is RecordIO in any case."""
        return self.accept_record or self.accept


def media_types(method: str, headers: Mapping[str, str]) -> MediaTypes:
    """``headers`` ignores case. Raises HttpError."""
    if method != "POST":
        raise method_not_allowed(method)
    content = headers.get("Content-Type")
    if content is None:
        raise HttpError(400, "Expecting 'Content-Type' to be present")
    if content not in (JSON, PROTOBUF, RECORDIO):
        raise HttpError(415, f"Expecting 'Content-Type' of {JSON} or {PROTOBUF} or {RECORDIO}")
    content_record = _content_record(content, headers.get("Message-Content-Type"))
    accept = next((each for each in (JSON, PROTOBUF, RECORDIO) if accepts(headers, each)), "")
    if not accept:
        raise HttpError(406, f"Expecting 'Accept' to allow {JSON} or {PROTOBUF} or {RECORDIO}")
    return MediaTypes(content, content_record, accept, _accept_record(accept, headers))


def _content_record(content: str, record: str | None) -> str:
    if content != RECORDIO:
        if record is None:
            return ""
        text = "Expecting 'Message-Content-Type' to be not set for non-streaming requests"
        raise HttpError(415, text)
    if record is None:
        text = "Expecting 'Message-Content-Type' to be set for streaming requests"
        raise HttpError(400, text)
    if record not in (JSON, PROTOBUF):
        raise HttpError(415, f"Expecting 'Message-Content-Type' of {JSON} or {PROTOBUF}")
    return record


def _accept_record(accept: str, headers: Mapping[str, str]) -> str:
    if accept != RECORDIO:
        if "Message-Accept" not in headers:
            return ""
        text = "Expecting 'Message-Accept' to be not set for non-streaming responses"
        raise HttpError(406, text)
    for each in (JSON, PROTOBUF):
        if accepts(headers, each, "Message-Accept"):
            return each
    raise HttpError(406, f"Expecting 'Message-Accept' to allow {JSON} or {PROTOBUF}")


def accepts(headers: Mapping[str, str], media_type: str, header: str = "Accept") -> bool:
    """Whether the header allows the media type. A missing header allows every one."""
    text = headers.get(header)
    if text is None:
        return True
    main = media_type.partition("/")[0]
    for entry in text.split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        refused = any(each.replace(" ", "") in _ZERO for each in parameters)
        if not refused and name in (media_type, f"{main}/*", "*/*"):
            return True
    return False


_ZERO = frozenset({"q=0", "q=0.0", "q=0.00", "q=0.000"})


def parse_call(body: bytes, media_type: str) -> Call:
    """A valid call from JSON or protobuf. Raises HttpError (400)."""
    call = Call()
    if media_type == PROTOBUF:
        try:
            call.MergeFromString(body)
        except DecodeError:
            raise HttpError(400, _NO_CALL) from None
        if not call.IsInitialized():
            raise HttpError(400, _NO_CALL)
    else:
        _merge_json(body, call)
    if problem := problem_of(call):
        raise HttpError(400, f"Failed to validate agent::Call: {problem}")
    return call


def _merge_json(body: bytes, call: Call) -> None:
    try:
        # A stock agent takes no byte order mark, no other encoding and no NaN.
        value = json.loads(body.decode(), parse_constant=_no_constant)
        from_json(value, call)
    except InvalidJson as error:
        raise HttpError(400, str(error)) from None
    except ValueError as error:
        raise HttpError(400, f"Failed to parse body into JSON: {error}") from None
    except RecursionError:
        # Raised by the JSON parser, or by code that walks the parsed document.
        raise HttpError(400, "Failed to parse body into JSON: nested too deep") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def check_streaming(call: Call, types: MediaTypes) -> None:
    """Whether the call may have a streamed request or answer. Raises HttpError (415, 406)."""
    name = Call.Type.Name(call.type)
    is_input = call.type == Call.ATTACH_CONTAINER_INPUT
    if types.content == RECORDIO and not is_input:
        text = f"Streaming 'Content-Type' {RECORDIO} is not supported for {name} call"
        raise HttpError(415, text)
    if types.content != RECORDIO and is_input:
        raise HttpError(415, f"Expecting 'Content-Type' to be {RECORDIO} for {name} call")
    if types.accept == RECORDIO and call.type not in _STREAMED_ANSWERS:
        raise HttpError(406, f"Streaming response is not supported for {name} call")
