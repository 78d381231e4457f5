"""The agent's decisions, as pure functions of facts and time.

One job: turn each fact (a message, a container event, a deadline) into records to persist and
orders to carry out. Nothing here waits, does I/O, reads a clock or draws a random number.

May import: ``model``, ``protos``, ``limits``, ``errors``. Imported by: ``agent``; pages and metrics
import only :mod:`shim.core.view` and the types it returns, of ``task``, ``lifecycle``, ``history``.

Begin with :mod:`shim.core.agent`, the entry point. The state machines are
:mod:`shim.core.lifecycle` (a task), :mod:`shim.core.registration` (the connection to a master),
:mod:`shim.core.status_updates` (delivery) and :mod:`shim.core.shutdown` (the agent's end).
"""
