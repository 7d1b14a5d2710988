"""Running the endpoint with uvicorn."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from mlflow_versioned_store.errors import InvalidInput, Unsupported
from mlflow_versioned_store.gateway.app import Gateway

if TYPE_CHECKING:
    import uvicorn

_REQUESTS_MAX = 512
_STOP_SECONDS = 10


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: The address to listen at.
        port: The port; 0 is any that is free.

    Raises:
        InvalidInput: The address is not this machine's, or the port is taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        raise InvalidInput(f"Nothing can listen at {host}, port {port}: {error}. Choose others.") from error


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def server(gateway: Gateway, *, certificate: str | None = None, private_key: str | None = None) -> uvicorn.Server:
    """Return a server; its `run(sockets=[listen(…)])` serves until it is interrupted.

    Args:
        gateway: What is served.
        certificate: A file with the TLS certificate, where it speaks TLS.
        private_key: A file with its private key, where the certificate's has none.

    Raises:
        InvalidInput: The certificate or its key cannot be used.
        Unsupported: What it needs is not installed.
    """
    try:
        # Loaded here, so that the first request need not wait for it.
        import starlette.concurrency
        import starlette.requests
        import starlette.responses  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise Unsupported("The S3 endpoint needs an extra: pip install 'mlflow-versioned-store[gateway]'.") from error
    config = uvicorn.Config(
        gateway,
        log_level="warning",
        # Reads are recorded by the endpoint itself, with what a web server cannot know.
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        limit_concurrency=_REQUESTS_MAX,
        timeout_graceful_shutdown=_STOP_SECONDS,
        ssl_certfile=certificate,
        ssl_keyfile=private_key,
    )
    try:
        config.load()
    except OSError as error:  # of which ssl.SSLError is one
        raise InvalidInput(f"The certificate {certificate} cannot be used with its key: {error}.") from error
    return uvicorn.Server(config)
