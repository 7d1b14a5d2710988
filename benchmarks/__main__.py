"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks import report
from benchmarks.data import Data
from benchmarks.lines import BOTH, LINES, SCENARIOS, Scenario
from benchmarks.runner import Bench, Measurement, link
from benchmarks.traffic import MINIO_SHOWS_COUNTERS
from tests.servers.minio import Minio


def main() -> int:
    """Runs the chosen lines and prints the table; the exit status says whether everything needed was reached."""
    parser = _parser()
    options = parser.parse_args()
    wanted = _chosen(parser, options.lines)
    options.folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(MINIO_SHOWS_COUNTERS, MLFLOW_DISABLE_TELEMETRY="true")
    # Ended by a signal, too, it stops its servers and prints what it has.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found: list[Measurement] = []
    result = report.Report(found, options.mbit, options.latency_ms)
    try:
        _run(wanted, options, found)
    finally:
        # What was measured before something failed, or somebody lost patience, is not lost.
        if options.json:
            options.json.write_text(report.as_json(found, vars(options)))
        print(result.table())
    return int(any(result.missed(line) for line in LINES))


def _run(wanted: list[Scenario], options: argparse.Namespace, found: list[Measurement]) -> None:
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="work-", dir=options.folder)))
        minio = Minio(work)
        stack.callback(minio.stop)
        endpoint = minio.endpoint
        if options.mbit or options.latency_ms:
            endpoint = stack.enter_context(link(minio, work, mbit=options.mbit, latency_ms=options.latency_ms))
        bench = Bench(minio, endpoint, work, Data(options.folder / "data"))
        for scenario in wanted:
            sides = [side for side in scenario.sides if side in options.sides]
            for number in range(1, options.rounds + 1):
                # Who goes first changes every round, so that neither always finds the machine warmer.
                for side in sides if number % 2 else reversed(sides):
                    for measured in bench.run(scenario, side, number):
                        found.append(measured)
                        print(f"{measured.line:<24}{side:<8}{measured.seconds:>8.2f} s", flush=True)


def _chosen(parser: argparse.ArgumentParser, names: list[str]) -> list[Scenario]:
    if not names:
        return [scenario for scenario in SCENARIOS if not scenario.by_request]
    known = {scenario.name for scenario in SCENARIOS} | {line.name for line in LINES}
    if unknown := set(names) - known:
        parser.error(f"no such lines: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return [found for found in SCENARIOS if found.name in names or set(found.lines) & set(names)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each side; medians are shown (default 3)")
    parser.add_argument(
        "--lines",
        nargs="*",
        default=[],
        metavar="NAME",
        help="lines or groups of lines (default: all that take minutes): "
        + "; ".join(f"{scenario.name}: {', '.join(scenario.lines)}" for scenario in SCENARIOS),
    )
    parser.add_argument("--sides", nargs="+", choices=BOTH, default=list(BOTH), help="who runs (default both)")
    parser.add_argument("--mbit", type=float, default=0, help="a link of this rate, shared by all connections")
    parser.add_argument("--latency-ms", type=float, default=0, help="latency the link adds to each round trip")
    parser.add_argument("--json", type=Path, help="where to write every measurement")
    parser.add_argument(
        "--folder",
        type=Path,
        default=_default_folder(),
        help="where data and servers live; memory keeps the disk out of the figures (default %(default)s)",
    )
    return parser


def _default_folder() -> Path:
    memory = Path("/dev/shm")  # noqa: S108 the folder below it is named for its user
    name = f"mvs-benchmarks-{os.getuid()}"
    return (memory if memory.is_dir() else Path(tempfile.gettempdir())) / name


if __name__ == "__main__":
    raise SystemExit(main())
