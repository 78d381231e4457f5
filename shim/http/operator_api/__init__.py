"""The v1 operator API of an agent, ``/api/v1``: one POST for a call, as JSON or protobuf.

Calls that read show what the pages show. Calls that touch a task (exec, attach, kill) and the log
level need a right (``rights``). A session of exec is a process in the task's container; its output
is the answer of the call that launched it, its input comes with a second call.

Begin with ``calls``, the table of calls, and ``handler``, the way of one request. ``envelope`` and
``validation`` hold the rules of a stock agent; ``sessions`` has the life of a session as a table.
The package knows no engine: ``processes`` says what it needs of one.
"""
