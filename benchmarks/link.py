"""A network link between a client and a server: a rate all connections share, and latency.

A rate per connection, which general fault proxies give, would reward whoever opens more connections; a real link does
not. `python -m benchmarks.link --help` runs one by itself.
"""

from __future__ import annotations

import argparse
import queue
import socket
import threading
import time
from dataclasses import dataclass, field

BUFFER_BYTES = 128 << 10
BUFFERS_WAITING = 32


@dataclass
class Direction:
    """One direction of a link: decides when bytes that arrive now come out at the other end.

    Attributes:
        rate: bytes per second of all connections together; 0 means unlimited.
        latency: seconds each byte is under way.
    """

    rate: float
    latency: float
    _free_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def due(self, size: int) -> float:
        """The monotonic time at which `size` bytes that arrive now have come through."""
        now = time.monotonic()
        if not self.rate:
            return now + self.latency
        with self._lock:
            self._free_at = max(now, self._free_at) + size / self.rate
            return self._free_at + self.latency


def carry(source: socket.socket, target: socket.socket, direction: Direction) -> None:
    """Copies one direction of one connection until it ends."""
    waiting: queue.Queue[tuple[float, bytes]] = queue.Queue(BUFFERS_WAITING)

    def deliver() -> None:
        try:
            while True:
                due, data = waiting.get()
                if (early := due - time.monotonic()) > 0:
                    time.sleep(early)
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
        except OSError:
            source.close()

    threading.Thread(target=deliver, daemon=True).start()
    try:
        while data := source.recv(BUFFER_BYTES):
            waiting.put((direction.due(len(data)), data))
    except OSError:
        data = b""
    waiting.put((direction.due(0), b""))


def serve(listen: int, target: int, *, rate: float, latency: float) -> None:
    """Carries connections from loopback port `listen` to `target` for ever; `latency` is added to each round trip."""
    up, down = Direction(rate, 0.0), Direction(rate, latency)
    with socket.create_server(("127.0.0.1", listen), backlog=256) as server:
        while True:
            client, _ = server.accept()
            upstream = socket.create_connection(("127.0.0.1", target))
            for one, other, direction in ((client, upstream, up), (upstream, client, down)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=carry, args=(one, other, direction), daemon=True).start()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.link", description=__doc__)
    parser.add_argument("--listen", type=int, required=True, help="loopback port clients connect to")
    parser.add_argument("--target", type=int, required=True, help="loopback port of the server")
    parser.add_argument("--mbit", type=float, default=0, help="Mbit/s in each direction (default: unlimited)")
    parser.add_argument("--latency-ms", type=float, default=0, help="added to each round trip")
    options = parser.parse_args()
    serve(options.listen, options.target, rate=options.mbit * 1e6 / 8, latency=options.latency_ms / 1000)


if __name__ == "__main__":
    main()
