"""The container's health check: does the agent answer? A password it asks for is an answer."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

url = f"http://127.0.0.1:{os.environ.get('MESOS_PORT', '5051')}/health"
try:
    urllib.request.urlopen(url, timeout=3)
except urllib.error.HTTPError as answer:
    sys.exit(answer.code >= 500)
except OSError:
    sys.exit(1)
