"""The commands that talk to a running agent: ``ps``, ``status``, ``logs``, ``top``, ``events``.

Imported by ``shim.cli`` only. They read what the live page reads. Begin with
:mod:`~shim.client.commands`.
"""
