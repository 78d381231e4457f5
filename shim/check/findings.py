"""What one look found, and how it is shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass

from shim import limits
from shim.errors import AccessDenied, ShimError


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: something works, or it does not and this is what to do."""

    what: str
    """``master``, ``endpoint``, ... : stable, for machines."""
    ok: bool
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """Something to try. ``found`` is its good result; a ShimError is a failure with ``advice``."""

    what: str
    advice: str
    look: Callable[[], Awaitable[str]]

    async def __call__(self) -> Finding:
        try:
            async with asyncio.timeout(limits.CHECK_TIMEOUT):
                return Finding(self.what, True, await self.look())
        except Failed as error:
            return Finding(self.what, False, str(error), error.advice or self.advice)
        except AccessDenied as error:
            # It is where it was looked for, and says itself what would help.
            return Finding(self.what, False, str(error))
        except ShimError as error:
            return Finding(self.what, False, str(error), self.advice)
        except TimeoutError:
            late = f"no answer within {limits.CHECK_TIMEOUT:g} s"
            return Finding(self.what, False, late, self.advice)


class Failed(ShimError):
    """A look that failed, with better advice than its usual one."""

    def __init__(self, found: str, advice: str = "") -> None:
        super().__init__(found)
        self.advice = advice


def as_text(findings: Iterable[Finding]) -> str:
    """One line each."""
    return "\n".join(map(_line, findings))


def as_json(findings: Iterable[Finding]) -> str:
    """``{"ok": ..., "findings": [{"what", "ok", "found", "advice"}]}``."""
    listed = list(findings)
    body = {"ok": all(one.ok for one in listed), "findings": [asdict(one) for one in listed]}
    return json.dumps(body, indent=2)


def _line(finding: Finding) -> str:
    words = " ".join(finding.found.split())
    advice = f"; {finding.advice}" if finding.advice else ""
    return f"{'ok' if finding.ok else 'FAIL':4}  {finding.what:11}  {words}{advice}"
