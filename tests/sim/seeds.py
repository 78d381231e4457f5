"""Seeds that once found a bug. A change of the plans makes them other runs: that costs nothing."""

from __future__ import annotations

ONCE_FAILED = (
    59,  # an update of a former agent id was said under the new one
    63,  # a reservation was forgotten with the agent id
    67,  # the same, of a task group that was refused
    106,  # a drain did not end with the last silent end
    579,  # tasks of a former agent id were kept
    870,  # a refusal of a former agent id was kept
    1489,  # a launch before the answer to the first registration was lost
    2324,  # a task without checkpointing, its end heard, then asked for again
    2633,  # a refusal of a framework that was removed while we were away
    4350,  # two answers to one registration, with two ids
    5774,  # re-registrations that arrived minutes later
    6226,  # a kill that arrived after the end was acknowledged
    7030,  # a detection between registration and its answer
    12149,  # a cancelling that came too late and found nothing
)
