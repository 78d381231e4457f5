"""The infra container of a pod: it holds the network that the pod's tasks share, and waits.

Its image comes with the agent, since a datacenter without a registry runs pods as well.
``program`` writes the one program of the image, ``image`` the archive that an engine loads. The
package imports only ``errors``. Begin to read at ``image``.
"""
