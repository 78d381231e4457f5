"""``mesos-shim completion``: completions for bash, zsh and fish, and the man page.

``shim.cli`` imports it. Everything comes from the table of flags and from the commands' parsers, by
way of :mod:`~shim.completion.syntax`, where to begin. ``files`` holds what ``scripts/completion``
wrote, for packages.
"""
