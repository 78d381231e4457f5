"""Seeds that found a bug: before it was mended, or when it was planted (``tests/planted``).

A change of the plans makes other runs of them: that costs nothing, but find new ones then.
"""

from __future__ import annotations

ONCE_FAILED = (
    10,  # the agent's id was not durable; we registered before the containers were known
    16,  # what belonged to a former agent id was said under the new one
    40,  # tasks that the master had and we did not were not answered for
    42,  # a running container was not watched after a restart
    70,  # a framework that was removed still heard of its tasks
    73,  # a drain did not end with the last silent end
    79,  # TASK_KILLING was told twice
    85,  # orphans were left
    151,  # a former master was listened to
    294,  # tasks given up in silence were reported
    708,  # nobody missed the pings
    802,  # an answer to an old re-registration was believed
    5482,  # a task that the master had forgotten when it arrived
    108597,  # an acknowledgement crossed a re-registration
)
