"""One Mesos agent in front of a whole datacenter."""

__version__ = "0.1.0"
