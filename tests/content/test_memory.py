"""The memory of a process stays under its stated bound, whatever is uploaded or downloaded at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="this system does not tell a process's peak"
)
# Of bytes in use beyond those of an idle process. A process may take up to 350 MiB: what its allocator keeps of freed
# memory varies from run to run, so here every large piece is given back at once.
BOUND_MIB = 250
ENVIRONMENT = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}

PRELUDE = """
import os, threading, time
from datetime import UTC, datetime
from mlflow_versioned_store.backends.contract import Fetched, ObjectInfo, size_of
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.content.upload import upload
from tests.content.making import MIB, domain_of, reader, store, wanted

def resident(name):
    line = next(line for line in open("/proc/self/status") if line.startswith(name))
    return int(line.split()[1]) // 1024

def at_once(count, work):
    idle = resident("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")
    failures = []
    def run():
        try:
            work()
        except BaseException as error:
            failures.append(error)
    threads = [threading.Thread(target=run) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failures, failures
    print(resident("VmHWM") - idle)
"""

UPLOADS = """
class Slow(WrapperBackend):
    sizes = {}
    def put(self, key, data, *, create=False):
        if "/packs/" not in key:
            return super().put(key, data, create=create)
        time.sleep(0.1)
        self.sizes[key] = size_of(data)
        return ObjectInfo(key, size_of(data), datetime.now(UTC))

class Random:
    def __init__(self, left):
        self.left = left
    def read(self, size):
        size = min(size, self.left)
        self.left -= size
        return os.urandom(size)

domain = domain_of(Slow(open_memory("slow")))
store(domain, b"warm" * 1000, os.urandom(MIB))
at_once(COUNT, lambda: upload(domain, [Random(SIZE * MIB)]).settle())
assert sum(Slow.sizes.values()) > 512 * MIB
"""

DOWNLOADS = """
class Nowhere:
    def write(self, offset, data): pass
    def finish(self, *, empty=False): pass
    def abandon(self): pass

class Copying(WrapperBackend):
    def get(self, key, **how):
        fetched = super().get(key, **how)
        time.sleep(0.05)
        return Fetched(bytes(fetched.data), fetched.info)

backend = Copying(open_memory("full"))
uploaded = store(domain_of(backend), os.urandom(64 * MIB))
shared = reader(backend)
at_once(8, lambda: shared.read([wanted(uploaded, 0, Nowhere())]))
"""

ENCODED = """
from mlflow_versioned_store.content.codecs import Compressor, compress_delta

base, compressor, kept = os.urandom(64 << 10), Compressor(), []

def encode():
    for at in range(1000):
        kept.append(compress_delta(base[:at] + b"an edit" + base[at:], base))
        kept.append(compressor.compress(bytes([at % 256]) * len(base))[1])

at_once(1, encode)
assert sum(map(len, kept)) < MIB
"""


def peak(code: str) -> int:
    """Return how many MiB beyond idle a fresh process needed."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=Path(__file__).parents[2],
        check=False,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize(
    "code",
    [
        UPLOADS.replace("COUNT", "1").replace("SIZE", "512"),
        UPLOADS.replace("COUNT", "8").replace("SIZE", "64"),
        DOWNLOADS,
    ],
    ids=["one upload", "eight uploads", "eight downloads"],
)
def test_memory_is_bounded(code: str) -> None:
    """Half a gibibyte, in one piece or by many at once, to a store that is slower than its writers."""
    assert peak(code) <= BOUND_MIB


def test_encoded_chunks_take_the_memory_of_what_they_hold() -> None:
    """What waits for its pack to fill does not pin the buffers, as large as the chunks, that it was made in."""
    assert peak(ENCODED) <= 16
