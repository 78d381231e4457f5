"""The pages on the agent's port, ``/state``, ``/files``, health, metrics, and its operator API.

Pages only read; what changes something is a call of ``operator_api``. Both see the core through
``core.view.AgentView``, and everything else through the small protocols in ``view`` and
``operator_api.processes``; the package knows no engine. Only ``agent`` builds them, in
``agent.http_service``.

Begin with ``pages``, the table of paths, and ``router``, the way of one request. ``state`` is the
largest page; ``task_json_cache`` and ``time_slicer`` keep it quick with 10,000 tasks. README.md in
this directory describes every page and metric for users.
"""
