"""The live page at ``/``: assets, an event stream of all tasks, and one task in full.

Imported by ``http.pages`` only. :mod:`~shim.http.live.rows` is pure and says what a task shows;
:mod:`~shim.http.live.feed` follows the agent and serves any number of streams from one table.
"""
