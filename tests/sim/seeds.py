"""Seeds that found a bug, either a real one or a planted one (``tests/planted``).

A change of the plans changes the runs of these seeds: then look for new ones.
"""

from __future__ import annotations

ONCE_FAILED = (
    10,  # the agent id was not durable; the agent registered before the containers were known
    16,  # updates of a former agent id were sent under the new one
    40,  # tasks that only the master knew were not rejected
    42,  # a running container was not observed after a restart
    70,  # a removed framework still got updates
    73,  # a drain did not end with a last task without updates
    79,  # TASK_KILLING was reported twice
    85,  # orphans were left
    151,  # messages of a former master were handled
    294,  # tasks without updates were reported at re-registration
    708,  # missing pings were not noticed
    802,  # the answer to an older re-registration counted
    5482,  # a task that the master had forgotten when it arrived
    108597,  # an acknowledgement crossed a re-registration
)
