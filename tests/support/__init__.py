"""What the tests of several packages share: waiting, ports, an image, a registry, tools, tasks.

Imports nothing of the tests themselves. Begin with ``wait``: no test states a time limit of its
own for real work.
"""
