"""Small HTTP servers for what no real server does on demand: scripted answers, and a forward proxy."""

from __future__ import annotations

import http.client
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Headers = dict[str, str]


@dataclass(frozen=True)
class Received:
    """A request as it arrived; names of headers are in lower case."""

    method: str
    path: str
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What is answered; status 0 closes the connection without an answer."""

    status: int = 200
    body: bytes = b""
    headers: Headers = field(default_factory=dict)


def s3_error(status: int, code: str, message: str = "", more: str = "") -> Reply:
    """Return an error as S3 sends it."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message>{more}<RequestId>REQ1</RequestId></Error>"
    return Reply(status, body.encode(), {"x-amz-request-id": "REQ1"})


class Scripted:
    """An HTTP server that records what it receives and answers what `answer` says.

    Attributes:
        received: Every request, in order.
        answer: From a request to a reply.
        endpoint: The server's URL.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], Reply] = lambda _: Reply()
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Received(self.command, self.path, headers, body)
                script.received.append(request)
                reply = script.answer(request)
                if reply.status == 0:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(reply.status)
                defaults = {"ETag": '"tag"', "Last-Modified": "Tue, 24 Nov 2026 06:00:00 GMT"}
                content = b"" if self.command == "HEAD" else reply.body
                for name, value in (defaults | {"Content-Length": str(len(reply.body))} | reply.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815 - named by the base

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


class Proxy:
    """A forward proxy: plain requests with absolute URLs, and CONNECT.

    Attributes:
        endpoint: Its URL.
        seen: The hosts it was asked for, one entry a connection or plain request.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                proxy.seen.append(f"CONNECT {self.path}")
                host, _, port = self.path.partition(":")
                with socket.create_connection((host, int(port)), timeout=10) as upstream:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.flush()
                    _tunnel(self.connection, upstream)

            def forward(self) -> None:
                target = urlsplit(self.path)
                proxy.seen.append(f"{self.command} {target.netloc}")
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                connection = http.client.HTTPConnection(target.netloc, timeout=10)
                path = target.path + (f"?{target.query}" if target.query else "")
                connection.request(self.command, path, body, dict(self.headers))
                answer = connection.getresponse()
                data = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
                connection.close()

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815 - named by the base

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the tests."""


def _tunnel(one: socket.socket, other: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([one, other], [], [], 10)
        if not ready:
            return
        for side in ready:
            data = side.recv(65536)
            if not data:
                return
            (other if side is one else one).sendall(data)


@contextmanager
def closing(server: Scripted | Proxy) -> Iterator[None]:
    """Close a server at the end."""
    try:
        yield
    finally:
        server.close()
