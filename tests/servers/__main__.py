"""`python -m tests.servers install [NAME …]`: install the servers that are missing; `list`: say where each one is."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from tests.servers.binaries import ALL, Binary, BinaryAbsent


def main() -> int:
    """Run the command line and return its exit code: 1 where a named server could not be installed."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("action", choices=("install", "list"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(ALL)}; all by default")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(ALL)
    if unknown:
        parser.error(f"unknown server: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    chosen = [ALL[name] for name in arguments.names or ALL]
    if arguments.action == "list":
        for binary in chosen:
            print(f"{binary.name:12} {binary.find() or 'absent'}")
        return 0
    failed = [binary for binary in chosen if not _install(binary)]
    return 1 if failed else 0


def _install(binary: Binary) -> bool:
    if binary.find() is not None:
        return True
    print(f"installing {binary.package} …", flush=True)
    started = time.monotonic()
    try:
        binary.install()
    except BinaryAbsent as absent:
        print(f"  skipped: {absent}", file=sys.stderr)
        return False
    except subprocess.CalledProcessError as failure:
        print(f"  failed: {failure}", file=sys.stderr)
        return False
    print(f"  done in {time.monotonic() - started:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
