"""The container's health check: does the agent answer? A password it asks for is an answer."""

from __future__ import annotations

import os
import ssl
import sys
import urllib.error
import urllib.request


def tls() -> ssl.SSLContext | None:
    """As the agent speaks to its own kind; None where it is plain."""
    if not any(name.upper() == "LIBPROCESS_SSL_ENABLED" for name in os.environ):
        return None
    # Not above: a plain agent's check has to be cheap.
    from shim.config.libprocess import tls_settings
    from shim.wire.tls import Tls

    settings = tls_settings(os.environ)
    return None if settings is None else Tls(settings).client()


context = tls()
scheme = "http" if context is None else "https"
url = f"{scheme}://127.0.0.1:{os.environ.get('MESOS_PORT', '5051')}/health"
try:
    urllib.request.urlopen(url, timeout=3, context=context)
except urllib.error.HTTPError as answer:
    sys.exit(answer.code >= 500)
except OSError:
    sys.exit(1)
