"""toxiproxy: a TCP proxy that delays, throttles, cuts and refuses on demand."""

from __future__ import annotations

import json
import urllib.request
import uuid
from functools import partial
from pathlib import Path
from typing import Any

from tests.servers.binaries import TOXIPROXY
from tests.servers.process import Process, answers, free_port


class Proxy:
    """One proxied port. Clients must sign for `endpoint`, so they talk to it from the start.

    Attributes:
        endpoint: The URL, or host and port, that leads through the proxy.
    """

    def __init__(self, server: Toxiproxy, name: str, endpoint: str) -> None:
        self._server = server
        self._name = name
        self.endpoint = endpoint

    def add(self, kind: str, *, stream: str = "downstream", toxicity: float = 1.0, **attributes: int) -> None:
        """Disturb the traffic.

        Args:
            kind: "latency" (attributes latency and jitter, ms), "bandwidth" (rate, KB/s), "limit_data" (bytes),
                "timeout" (timeout, ms) or "slow_close" (delay, ms).
            stream: "downstream", which is what clients receive, or "upstream".
            toxicity: The share of connections that are disturbed.
            attributes: How much.
        """
        toxic = {"type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        self._server.call("POST", f"/proxies/{self._name}/toxics", toxic)

    def clear(self) -> None:
        """Remove every toxic."""
        for toxic in self._server.call("GET", f"/proxies/{self._name}/toxics"):
            self._server.call("DELETE", f"/proxies/{self._name}/toxics/{toxic['name']}")

    def disable(self) -> None:
        """Refuse connections and cut those that are open."""
        self._server.call("POST", f"/proxies/{self._name}", {"enabled": False})

    def enable(self) -> None:
        """Accept connections again."""
        self._server.call("POST", f"/proxies/{self._name}", {"enabled": True})

    def close(self) -> None:
        """Remove the proxy."""
        self._server.call("DELETE", f"/proxies/{self._name}")


class Toxiproxy:
    """A toxiproxy server.

    Args:
        folder: Where its log goes.
    """

    name = "toxiproxy"

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.process = Process(
            [str(TOXIPROXY.path()), "-host", "127.0.0.1", "-port", str(port)],
            log=folder / "toxiproxy.log",
            ready=partial(answers, f"{self.endpoint}/version"),
        )
        self.process.start()

    def stop(self) -> None:
        """Stop the server."""
        self.process.stop()

    def proxy(self, endpoint: str) -> Proxy:
        """Open a port that leads to `endpoint`, a URL or host and port, and return it."""
        scheme, separator, upstream = endpoint.rpartition("://")
        name, listen = uuid.uuid4().hex, f"127.0.0.1:{free_port()}"
        self.call("POST", "/proxies", {"name": name, "listen": listen, "upstream": upstream, "enabled": True})
        return Proxy(self, name, f"{scheme}{separator}{listen}")

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send one request of toxiproxy's HTTP API and return the decoded answer."""
        data = None if body is None else json.dumps(body).encode()
        # Its API refuses what looks like a browser.
        request = urllib.request.Request(
            self.endpoint + path, data=data, method=method, headers={"User-Agent": "mlflow-versioned-store-tests"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None
