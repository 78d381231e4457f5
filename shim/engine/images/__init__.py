"""Images of tasks: their references, who pulls them, and with which credentials.

The engines, the mapping, the fetcher and ``config`` read references and credentials here; the
containers package lets its ``puller`` provide the images. The package imports the common packages,
``engine.api`` and ``engine.client.retry``. ``image_reference`` and ``credentials`` are pure.

Begin with ``puller``: one pull serves all launches that wait for the same image.
"""
