"""Speak Consul: which services a task is, and keeping an agent's registrations equal to that.

``services`` (with ``ports`` and ``checks``) decides what to register, ``book`` what is to be
written, ``transport`` writes it, ``sync`` runs the three. ``detect`` finds a master by name.
"""
