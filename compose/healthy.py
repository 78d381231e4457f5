"""The container's health check: does the agent answer? A password it asks for is an answer."""

from __future__ import annotations

import os
import ssl
import sys
import urllib.error
import urllib.request

_SSL = "LIBPROCESS_SSL_"


def tls() -> ssl.SSLContext | None:
    """With the agent's own certificate, which it may demand; None where it is plain."""
    settings = {
        name.upper().removeprefix(_SSL): value.removeprefix("file://")
        for name, value in os.environ.items()
        if name.upper().startswith(_SSL)
    }
    if settings.get("ENABLED") not in ("1", "true"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Both ends are in this container: there is no name to check.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL")
    context.load_cert_chain(settings["CERT_FILE"], settings["KEY_FILE"])
    return context


context = tls()
scheme = "http" if context is None else "https"
url = f"{scheme}://127.0.0.1:{os.environ.get('MESOS_PORT', '5051')}/health"
try:
    urllib.request.urlopen(url, timeout=3, context=context)
except urllib.error.HTTPError as answer:
    sys.exit(answer.code >= 500)
except OSError:
    sys.exit(1)
