"""The agent's configuration: flags and environment -> one frozen :class:`Config`.

``agent``, ``check``, ``dev`` and ``cli`` import this package. It imports the common packages and
the parsers of ``engine`` whose values are flags. Begin with ``flags``, the table of
all flags. ``load`` parses them (``parser``, ``values``, ``resources``, ``file_values``, ``master``,
``consul``) into ``config.Config``. ``addresses`` and ``agent_totals`` complete the configuration
at the start of an agent. ``show`` prints ``--help`` and the table of flags.
"""

from shim.config.config import Config
from shim.config.load import load

__all__ = ["Config", "load"]
