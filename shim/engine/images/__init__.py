"""Images of tasks: their references, who pulls them, and with which credentials.

The engines, the mapping and the fetcher read references and credentials here; the containers
package lets its ``puller`` provide the images. ``image_reference`` and ``credentials`` are pure.

Begin with ``puller``: one pull serves all launches that wait for the same image.
"""
