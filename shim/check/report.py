"""Checks, their results, and the output of the command."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

from shim import limits
from shim.client.text import printable
from shim.errors import AccessDenied, Ambiguous, ShimError, Transient


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check: success, or a failure with advice."""

    what: str
    """The name of the check (``master``, ``endpoint``, ...): stable, for programs."""
    ok: bool
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``probe`` returns a text on success; a ShimError is a failure."""

    what: str
    advice: str
    probe: Callable[[], Awaitable[str]]

    async def __call__(self) -> CheckResult:
        try:
            async with asyncio.timeout(limits.CHECK_TIMEOUT):
                return CheckResult(self.what, True, await self.probe())
        except CheckFailed as error:
            return CheckResult(self.what, False, str(error), error.advice or self.advice)
        except AccessDenied as error:
            # The endpoint answers, and the error text says what to do.
            return CheckResult(self.what, False, str(error))
        except ShimError as error:
            return CheckResult(self.what, False, str(error), self.advice)
        except TimeoutError:
            text = f"no answer within {limits.CHECK_TIMEOUT:g} s"
            return CheckResult(self.what, False, text, self.advice)


@contextlib.contextmanager
def behind_endpoint() -> Iterator[None]:
    """For a check that needs the endpoint: that of the endpoint says why it does not answer."""
    try:
        yield
    except Ambiguous:
        raise
    except Transient:
        advice = "correct that first"
        raise CheckFailed("not checked: the check of the endpoint failed", advice) from None


class CheckFailed(ShimError):
    """A failed check. Its ``advice``, if given, replaces that of the check."""

    def __init__(self, found: str, advice: str = "") -> None:
        super().__init__(found)
        self.advice = advice


def results_text(results: Iterable[CheckResult]) -> str:
    """One line each."""
    return "\n".join(map(_line, results))


def results_json(results: Iterable[CheckResult]) -> str:
    """``{"ok": ..., "findings": [{"what", "ok", "found", "advice"}]}``."""
    listed = list(results)
    body = {"ok": all(one.ok for one in listed), "findings": [asdict(one) for one in listed]}
    return json.dumps(body, indent=2)


def _line(result: CheckResult) -> str:
    text = printable(" ".join(result.found.split()))
    advice = f"; {result.advice}" if result.advice else ""
    return f"{'ok' if result.ok else 'FAIL':4}  {result.what:11}  {text}{advice}"
