"""The embedded Mesos master, for development and tests. Never for production.

``dev.command`` and the tests import this package. Begin with ``master``: a pure machine that takes
events and returns effects. ``master_state`` is its memory. The other modules are named by what
they handle: ``registration`` and ``agents``, ``frameworks`` and ``offers``, ``accept``, ``tasks``
and ``operations``. ``agent_validation`` and ``task_validation`` decide what a master rejects.
``dev_master`` puts the machine on the network; ``http_api``, ``scheduler_api`` and
``operator_api`` parse calls. ``master`` follows the development version 1.12.0 of Mesos.
"""
