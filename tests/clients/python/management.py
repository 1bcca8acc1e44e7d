"""RabbitMQ's management API as far as scenarios of AMQP clients need it. Knows no AMQP library."""

import base64
import json
import os
import urllib.error
import urllib.parse
import urllib.request

from scenarios import PASSWORD, USER, Skip


def _url():
    """Where the API is; the port of a broker of ours differs from start to start."""
    if os.environ.get("MANAGEMENT_URL"):
        return os.environ["MANAGEMENT_URL"]
    state = os.environ.get("BROKER_STATE")
    if state:
        with open(os.path.join(state, "stdout"), encoding="utf-8") as banner:
            for line in banner:
                words = line.split()
                if words[:1] == ["Management"] and words[1].startswith("http"):
                    return words[1].rstrip("/") + "/api"
    raise Skip("MANAGEMENT_URL names no management API")


def call(method, *path, body=None):
    """The JSON that `method` on the segments of `path` answers; None when it answers nothing."""
    url = "/".join([_url(), *(urllib.parse.quote(part, safe="") for part in path)])
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None
