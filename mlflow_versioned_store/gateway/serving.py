"""Running the endpoint with uvicorn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_versioned_store.errors import Unsupported
from mlflow_versioned_store.gateway.app import Gateway

if TYPE_CHECKING:
    import uvicorn

LOOPBACK = "127.0.0.1"
_REQUESTS_MAX = 512
_STOP_SECONDS = 10


def server(
    gateway: Gateway, host: str, port: int, *, certificate: str | None = None, private_key: str | None = None
) -> uvicorn.Server:
    """Return a server, which `run` starts and an interrupt stops.

    Args:
        gateway: What is served.
        host: The address to listen at.
        port: The port; 0 is any that is free.
        certificate: A file with the TLS certificate, where it speaks TLS.
        private_key: A file with its private key.

    Raises:
        Unsupported: What it needs is not installed.
    """
    try:
        import uvicorn

        app = gateway.app()
    except ImportError as error:
        raise Unsupported("The S3 endpoint needs an extra: pip install 'mlflow-versioned-store[gateway]'.") from error
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        # Reads are recorded by the endpoint itself, with what a web server cannot know.
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=_REQUESTS_MAX,
        timeout_graceful_shutdown=_STOP_SECONDS,
        ssl_certfile=certificate,
        ssl_keyfile=private_key,
    )
    return uvicorn.Server(config)
