"""The lines of the figures table: what each asks for, and the steps that measure it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.data import MIB, PARQUET_ROWS, RANDOM_BYTES, SERVER_FILES, TABLE_ROWS, Data, size_of

GIB = 1024 * MIB
MEMORY_MAX = 350 * MIB
BOTH = ("stock", "ours")
# MLflow's clients then send no file past the server, by links that it signs, whatever is behind it.
THROUGH_SERVER = {"MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false", "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false"}
ADOPTED_OBJECTS = 100_000


@dataclass(frozen=True)
class Line:
    """One row of the table.

    Attributes:
        name: what `--lines` calls it.
        work: what is done, for the reader.
        ratio: stock seconds divided by ours must reach this.
        slow_ratio: what the ratio must reach behind a slow link, and which: (Mbit/s, ratio).
        stored: bytes that may be added to the bucket.
        requests: all requests that may be made.
        writes: PUT and LIST requests that may be made.
        sent: how many times the bytes that stock reads may be read.
        seconds: what ours may take.
        memory: bytes of memory that may be used over idle.
        multiple: what may be how many times that of another line: (field of the measurement, that line, factor).
    """

    name: str
    work: str
    ratio: float | None = None
    slow_ratio: tuple[int, float] | None = None
    stored: float | None = None
    requests: float | None = None
    writes: float | None = None
    sent: float | None = None
    seconds: float | None = None
    memory: float = MEMORY_MAX
    multiple: tuple[str, str, float] | None = None


@dataclass(frozen=True)
class Step:
    """One process, or several that start at the same moment, doing one thing to one run.

    Attributes:
        line: the line it measures, or None where it only prepares.
        operation: a name in `worker.OPERATIONS`.
        order: further arguments of the operation.
        run: the run it works on; each scenario has as many as it names.
        warm: whether everything is imported before the clock starts.
        each: one entry for every process that does it at once, with what only that one is told.
        cache: the local cache that it uses, shared by the steps that name the same one; by default an empty one.
    """

    line: str | None
    operation: str
    order: dict[str, Any] = field(default_factory=dict)
    run: str = "a"
    warm: bool = True
    each: tuple[dict[str, Any], ...] = ({},)
    cache: str = ""


@dataclass(frozen=True)
class Scenario:
    """Steps that follow each other in one fresh bucket.

    Attributes:
        steps: made when they are needed, since making the data takes a while.
        lines: the lines they measure.
        sides: who runs it.
        server_workers: 0 for direct access, else how many workers the proxying tracking server has.
        environment: further variables of the server and its clients.
        native: whether our side keeps everything as plain objects, as stock does anyway.
        by_request: whether it is only run when its lines are asked for.
    """

    name: str
    lines: tuple[str, ...]
    steps: Callable[[Data], list[Step]]
    sides: tuple[str, ...] = BOTH
    server_workers: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    native: bool = False
    by_request: bool = False


def _file(line: str | None, path: Any, name: str, run: str = "a", **more: Any) -> Step:
    return Step(line, "log_file", {"path": str(path), "name": name}, run, **more)


def _down(line: str, name: str, size: int, run: str = "a", **more: Any) -> Step:
    return Step(line, "download", {"name": f"data/{name}" if name else "data", "size": size}, run, **more)


def _store(inputs: Data, line: str | None = None) -> Step:
    """A first small upload: it makes the store, which happens once in all its life."""
    return _file(line, inputs.random(1024, seed=4), "first.bin", "other", warm=line is None)


def _random(inputs: Data) -> list[Step]:
    first, second = inputs.random(), inputs.inserted()
    return [
        _store(inputs),
        _file("random-first", first, "random.bin"),
        _file("random-again", first, "random.bin", "b"),
        _down("random-download", "random.bin", size_of(first), cache="shared"),
        _down("random-download-again", "random.bin", size_of(first), cache="shared"),
        _file("random-inserted", second, "random.bin"),
        _down("random-download-v2", "random.bin", size_of(second)),
    ]


def _csv(inputs: Data) -> list[Step]:
    return [
        _store(inputs),
        _file("csv-first", inputs.csv(), "churn.csv"),
        _file("csv-edited", inputs.csv((1,)), "churn.csv"),
        _file("csv-edited-elsewhere", inputs.csv((2,)), "churn.csv", "b"),
    ]


def _small(inputs: Data) -> list[Step]:
    folder = inputs.small_files()
    return [
        _store(inputs),
        Step("small-first", "log_folder", {"path": str(folder)}),
        Step("small-again", "log_folder", {"path": str(folder)}, "b"),
        _down("small-download", "", size_of(folder)),
    ]


def _texts(inputs: Data) -> list[Step]:
    return [_store(inputs), Step("texts", "log_texts", {"count": 100})]


def _cold(inputs: Data) -> list[Step]:
    return [
        _store(inputs, "cold-store"),
        _file("cold-1k", inputs.random(1024, seed=5), "small.bin", warm=False),
        _file("cold-1m", inputs.random(1_000_000, seed=6), "medium.bin", "b", warm=False),
    ]


def _model(inputs: Data) -> list[Step]:
    return [_store(inputs), Step("log-model", "log_model"), Step("load-model", "load_model")]


def _server(inputs: Data) -> list[Step]:
    folder, file = inputs.small_files(SERVER_FILES), inputs.random()
    return [
        Step(None, "log_folder", {"path": str(inputs.small_files(40, seed=8))}, "b"),
        Step("server-files-up", "log_folder", {"path": str(folder)}),
        _down("server-files-down", "", size_of(folder)),
        _file("server-file-up", file, "random.bin", "c"),
        _down("server-file-down", "random.bin", size_of(file), "c"),
    ]


def _links(inputs: Data) -> list[Step]:
    file = inputs.random()
    return [
        Step(None, "log_folder", {"path": str(inputs.small_files(40, seed=8))}, "b"),
        _file("links-file-up", file, "random.bin"),
        _down("links-file-down", "random.bin", size_of(file)),
    ]


def _writers(inputs: Data) -> list[Step]:
    return [
        _store(inputs),
        Step("writers", "log_by_threads", {"threads": 16}, each=tuple({"process": number} for number in range(16))),
    ]


def _commits(_: Data) -> list[Step]:
    return [
        Step(None, "log_texts", {"count": 10_000}),
        Step("list-commits", "list_folder", {"name": "notes", "count": 10_001}),
    ]


def _versions(inputs: Data) -> list[Step]:
    table = inputs.csv()
    return [
        _store(inputs),
        _file("versions-log-first", table, "churn.csv"),
        Step("versions-log-more", "log_edits", {"path": str(table), "name": "churn.csv", "count": 99}),
        _down("versions-first", "churn.csv@@v1", size_of(table)),
        # Rows are of different lengths, so only version 1 is known to the byte beforehand.
        _down("versions-last", "churn.csv@@v100", 0),
        _down("versions-longest", "churn.csv@@v64", 0),
    ]


def _native(inputs: Data) -> list[Step]:
    file = inputs.random()
    return [
        _file("native-first", file, "random.bin"),
        _file("native-again", file, "random.bin"),
        _file("native-elsewhere", file, "random.bin", "b"),
        _down("native-download", "random.bin", size_of(file)),
    ]


def _reading(inputs: Data) -> list[Step]:
    table = inputs.parquet()
    name, size = f"data/{table.name}", size_of(table)
    return [
        _store(inputs),
        _file(None, table, table.name),
        Step("read-column", "read_column", {"name": name, "column": "c07", "rows": PARQUET_ROWS}),
        Step("read-whole", "read_whole", {"name": name, "size": size}),
        Step("read-on", "read_on", {"name": name, "size": size}),
    ]


def _command(line: str, lines: int, *arguments: str) -> Step:
    return Step(line, "run_command", {"arguments": arguments, "lines": lines}, warm=False)


def _commands(_: Data) -> list[Step]:
    count = 100_000
    return [
        Step(None, "grow_history", {"count": count}),
        _command("mvs-help", 30, "--help"),
        _command("mvs-ls", count, "ls", "{root}/data"),
        _command("mvs-versions", 2, "versions", "{root}/data/part-050000.csv"),
        _command("mvs-log", 21, "log", "{root}"),
    ]


def _adopting(_: Data) -> list[Step]:
    order = {"count": ADOPTED_OBJECTS}
    return [Step(None, "put_plain", order), Step("adopt-objects", "adopt_all", order)]


def _diff(inputs: Data) -> list[Step]:
    order = {"path": str(inputs.tables()), "changed": TABLE_ROWS // 100}
    return [Step("diff-tables", "compare_tables", order)]


def _gateway(inputs: Data) -> list[Step]:
    file = inputs.random(GIB, seed=50)
    order = {"name": "data/big.bin", "size": GIB}
    return [
        _store(inputs),
        _file(None, file, "big.bin"),
        Step("gateway-read", "read_object", order),
        Step("gateway-first", "first_byte", order),
        Step("gateway-readers", "read_at_once", order | {"readers": 32}),
    ]


def _memory_file(inputs: Data) -> list[Step]:
    file = inputs.random(4 * GIB, seed=9)
    return [_file("memory-file-up", file, "big.bin"), _down("memory-file-down", "big.bin", size_of(file))]


def _memory_threads(inputs: Data) -> list[Step]:
    paths = [str(inputs.random(GIB, seed=10 + number)) for number in range(16)]
    return [
        Step("memory-threads-up", "log_by_threads", {"paths": paths}),
        _down("memory-threads-down", "", 16 * GIB),
    ]


def _memory_server(inputs: Data) -> list[Step]:
    uploads = tuple({"paths": [str(inputs.random(GIB // 4, seed=30 + number))]} for number in range(8))
    return [
        Step(None, "log_folder", {"path": str(inputs.small_files(40, seed=8))}, "b"),
        Step("memory-server-up", "log_by_threads", each=uploads),
        Step("memory-server-down", "download", {"name": "data", "size": 2 * GIB}, each=({},) * 8),
    ]


CSV_BYTES = 118e6
SMALL_BYTES = 43.4e6

LINES = (
    Line("random-first", "first log of 512 MiB of random bytes", 0.75, (1000, 0.97), stored=1.005 * RANDOM_BYTES),
    Line("random-again", "the same file again, from another run", 4, stored=20_000),
    Line("random-inserted", "again with 1 MiB inserted in the middle", 4, stored=1.5 * MIB),
    Line("native-first", "the 512 MiB file kept as a plain object", 0.95, stored=1.005 * RANDOM_BYTES),
    Line("native-again", "… the same file again, same run", 5, stored=20_000),
    Line("native-elsewhere", "… from another run", 1),
    Line("native-download", "… its download", 1.0),
    Line("csv-first", "a 118 MB CSV, first", 0.8, stored=0.35 * CSV_BYTES),
    Line("csv-edited", "again with 1 % of its rows edited, same run", 0.7, (200, 2), stored=0.015 * CSV_BYTES),
    Line("csv-edited-elsewhere", "… another 1 %, another run", 0.7, (200, 2), stored=0.015 * CSV_BYTES),
    Line("small-first", "10,000 files of 0.5 to 8 KB", 50, stored=1.04 * SMALL_BYTES, requests=30),
    Line("small-again", "the same directory again, from another run", 50, stored=0.02 * SMALL_BYTES),
    Line("random-download", "download of the 512 MiB file", 1.0),
    # What is asked for still comes from the store: which version it is.
    Line("random-download-again", "… again on the same machine, another process", 1.0, requests=12),
    Line("random-download-v2", "download of its version 2", 1.0),
    Line("small-download", "download of the 10,000 files", 30),
    # One request each, and a checkpoint every 64 commits.
    Line("texts", "100 × `log_text` in one run", 1.0, requests=102),
    Line("cold-store", "a cold process that logs 1 KB into a store that is not there yet"),
    Line("cold-1k", "a cold process that logs one 1 KB file", 0.8),
    # Four writes and one list, and one list to find the head.
    Line("cold-1m", "a cold process that logs one 1 MB file", 0.7, writes=6),
    Line("log-model", "`log_model` of a small scikit-learn model", 1.0),
    Line("load-model", "`load_model` of it", 1.0),
    Line("server-files-up", "through `mlflow server`, 4 workers: 300 files up", 0.9),
    Line("server-files-down", "… 300 files down", 0.9),
    Line("server-file-up", "… 512 MiB up", 0.8),
    Line("server-file-down", "… 512 MiB down", 0.8),
    Line("links-file-up", "past it, by links that it signs: 512 MiB up, kept as a plain object", 0.8),
    Line("links-file-down", "… down", 0.8),
    Line("writers", "256 writers, one file each, one artifact root", seconds=60, requests=8 * 256),
    Line("list-commits", "`list_artifacts` of a root with 10,000 commits", requests=4),
    Line("versions-log-first", "a 118 MB CSV, version 1"),
    Line("versions-log-more", "… edited 99 times", multiple=("stored", "versions-log-first", 5)),
    Line("versions-first", "… download of version 1"),
    Line("versions-last", "… download of version 100", multiple=("seconds", "versions-first", 2.5)),
    Line("versions-longest", "… of version 64, whose chains are the longest"),
    Line("read-column", "one of 16 columns of a 1 GiB Parquet file, by pyarrow", 1 / 1.3, sent=1.3),
    Line("read-whole", "all of it by `open().read()`", 0.8, memory=1.4 * GIB),
    Line("read-on", "… by `read(1 MiB)` after `read(1 MiB)`", 0.8),
    # What is listed is not asked for one by one.
    Line("adopt-objects", "adoption of 100,000 objects of 1,000 runs, unhashed", seconds=600, requests=10_000),
    Line("mvs-help", "`mvs --help`, a process from start to end", seconds=0.25, requests=0),
    Line("mvs-ls", "`mvs ls` of 100,000 files that 100,000 commits logged", seconds=1.5, requests=6),
    Line("mvs-versions", "… `mvs versions` of one of them", seconds=1.5, requests=6),
    Line("mvs-log", "… `mvs log` of the newest 20 commits"),
    Line(
        "diff-tables",
        "the diff of two CSVs of 5 million rows, 1 % changed; stock is DuckDB scanning both",
        1 / 3,
        requests=0,
        memory=GIB,
    ),
    Line("gateway-read", "a 1 GiB version read through `mvs serve-s3`; stock is MinIO itself", 0.5),
    Line("gateway-first", "… its first byte", seconds=0.1),
    Line("gateway-readers", "… by 32 readers at once", memory=GIB // 2),
    Line("memory-file-up", "a 4 GiB file up"),
    Line("memory-file-down", "… down"),
    Line("memory-threads-up", "16 threads, 1 GiB each, up"),
    Line("memory-threads-down", "… down"),
    Line("memory-server-up", "8 clients of one server worker, 256 MiB each, up"),
    Line("memory-server-down", "… down"),
)

SCENARIOS = (
    Scenario(
        "random",
        (
            "random-first",
            "random-again",
            "random-download",
            "random-download-again",
            "random-inserted",
            "random-download-v2",
        ),
        _random,
    ),
    Scenario("native", ("native-first", "native-again", "native-elsewhere", "native-download"), _native, native=True),
    Scenario("csv", ("csv-first", "csv-edited", "csv-edited-elsewhere"), _csv),
    Scenario("small", ("small-first", "small-again", "small-download"), _small),
    Scenario("texts", ("texts",), _texts),
    Scenario("cold", ("cold-store", "cold-1k", "cold-1m"), _cold),
    Scenario("model", ("log-model", "load-model"), _model),
    Scenario(
        "server",
        ("server-files-up", "server-files-down", "server-file-up", "server-file-down"),
        _server,
        server_workers=4,
        environment=THROUGH_SERVER,
    ),
    Scenario("links", ("links-file-up", "links-file-down"), _links, server_workers=4, native=True),
    Scenario("writers", ("writers",), _writers),
    Scenario("commits", ("list-commits",), _commits, by_request=True),
    Scenario(
        "versions",
        ("versions-log-first", "versions-log-more", "versions-first", "versions-last", "versions-longest"),
        _versions,
        sides=("ours",),
        by_request=True,
    ),
    Scenario("reading", ("read-column", "read-whole", "read-on"), _reading, by_request=True),
    Scenario("gateway", ("gateway-read", "gateway-first", "gateway-readers"), _gateway, by_request=True),
    Scenario(
        "commands",
        ("mvs-help", "mvs-ls", "mvs-versions", "mvs-log"),
        _commands,
        sides=("ours",),
        by_request=True,
    ),
    Scenario("adopting", ("adopt-objects",), _adopting, sides=("ours",), by_request=True),
    Scenario("diff", ("diff-tables",), _diff, by_request=True),
    Scenario("memory-file", ("memory-file-up", "memory-file-down"), _memory_file, by_request=True),
    Scenario("memory-threads", ("memory-threads-up", "memory-threads-down"), _memory_threads, by_request=True),
    Scenario(
        "memory-server",
        ("memory-server-up", "memory-server-down"),
        _memory_server,
        server_workers=1,
        environment=THROUGH_SERVER,
        by_request=True,
    ),
)
