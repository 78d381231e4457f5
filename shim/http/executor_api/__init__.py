"""The v1 executor API, ``/api/v1/executor``: calls of executors in, their event streams out.

An executor opens its stream with SUBSCRIBE and sends its other calls over any connection. Each call
is checked here, then posted to the core as one fact; the core decides on everything else, and its
orders arrive at the streams. Begin with ``handler``, the way of one request. ``calls`` parses and
validates, ``event_streams`` holds the open streams, ``token`` proves which executor calls.

May import: what ``http`` may, and ``wire.non_utf8``. Codes and texts are those of a stock agent.
"""
