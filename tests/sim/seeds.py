"""The corpus: seeds that found a bug, either a real one or a planted one (``tests/planted``).

Each has the name of its story. A change of the plans changes the runs of these seeds: then look for
new ones.
"""

from __future__ import annotations

WITHOUT_EXECUTORS: dict[int, str] = {
    10: "an agent registers before its containers are known",
    16: "updates of a former agent id are sent under the new one",
    40: "tasks that only the master knows are not rejected",
    42: "a running container is not observed after a restart",
    70: "a removed framework still gets updates",
    73: "a drain does not end with a last task without updates",
    79: "TASK_KILLING is reported twice",
    85: "orphans are left",
    151: "messages of a former master are handled",
    294: "tasks without updates are reported at re-registration",
    708: "missing pings are not noticed",
    802: "the answer to an older re-registration counts",
    5482: "a task that the master forgot comes back",
    17590: "an agent dies between create and record, and launches a removed container again",
    20253: "a master admits an agent by a request that is older than a reservation",
    29620: "a launch is ignored while no master leads, and a first registration hides it",
    49768: "a master falls back to an old request, and a failed task is reported as lost",
    53589: "a reservation arrives between two partitions, and an older request admits the agent",
    68813: "two partitions deliver old requests, and an expired launch is reported as lost",
    71235: "a run ends between the answer to a restarted agent and its reservations",
    72810: "a re-registration authenticates twice, and the second failure comes late",
    108597: "an acknowledgement crosses a re-registration",
    1135584: "an agent takes another id while a rejection under the first one is not acknowledged",
    1002249: "a registered agent restarts without its id, and a launch in between is lost",
    1138146: "an agent restarts, and a master falls back to what its earlier process requested",
    1004878: "an answer to a first registration is lost, and so is the launch that follows it",
    202214: "a request older than a volume hides it from the master, which creates it again",
    8010332: "a crash loses a destroy and a create of one volume, and its data stays",
}
"""Found before there were custom executors. Their runs have none, and stay what they were."""

CORPUS: dict[int, str] = {
    **WITHOUT_EXECUTORS,
    30288177: "an agent that leaves is marked gone while an executor ignores the kill of its task",
    30297318: "an agent leaves while an executor ignores the kill of its task",
    30316631: "an executor that ignores kills keeps an agent that is marked gone",
}
