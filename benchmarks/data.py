"""The inputs of the benchmarks, made once from fixed seeds and kept in a folder.

Everything is deterministic, so that two machines, or two releases, measure the same bytes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MIB = 1 << 20
RANDOM_BYTES = 512 * MIB
CSV_ROWS = 886_000
PARQUET_ROWS = 8 << 20
TABLE_ROWS = 5_000_000
SMALL_FILES = 10_000
SMALL_FOLDERS = 20
SERVER_FILES = 300

HEADER = (
    b"customerID,gender,SeniorCitizen,Partner,Dependents,tenure,PhoneService,MultipleLines,InternetService,"
    b"OnlineSecurity,OnlineBackup,DeviceProtection,TechSupport,StreamingTV,Contract,PaperlessBilling,"
    b"PaymentMethod,MonthlyCharges,TotalCharges,Churn"
)
LETTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", dtype=np.uint8)
YES_NO = ("Yes", "No")
INTERNET = ("Yes", "No", "No internet service")


@dataclass(frozen=True)
class Data:
    """Makes each input when it is first asked for, and finds it again afterwards.

    Attributes:
        folder: where inputs are kept; nothing else may write there.
    """

    folder: Path

    def random(self, size: int = RANDOM_BYTES, seed: int = 1) -> Path:
        """A file of random bytes."""
        return self._once(f"random-{size}-{seed}.bin", lambda path: _write(path, random_blocks(size, seed)))

    def inserted(self) -> Path:
        """The random file with 1 MiB of other bytes put into its middle."""

        def make(path: Path) -> None:
            source = self.random()
            with source.open("rb") as old, path.open("wb") as new:
                new.write(old.read(RANDOM_BYTES // 2))
                _write_to(new.write, random_blocks(MIB, seed=2))
                shutil.copyfileobj(old, new, MIB)

        return self._once("random-inserted.bin", make)

    def csv(self, edits: tuple[int, ...] = ()) -> Path:
        """The churn table of 118 MB; `edits` are the seeds of edits of 1 % of its rows, applied in turn."""

        def make(path: Path) -> None:
            rows = churn_rows(CSV_ROWS, seed=7)
            for edit in edits:
                rows = edit_rows(rows, edit)
            write_rows(path, rows)

        return self._once("churn" + "".join(f"-{seed}" for seed in edits) + ".csv", make)

    def parquet(self, rows: int = PARQUET_ROWS) -> Path:
        """A Parquet table of 16 columns of random numbers, 1 GiB, in row groups of 1 Mi rows."""

        def make(path: Path) -> None:
            import pyarrow as pa
            import pyarrow.parquet as pq

            random = np.random.default_rng(11)
            columns = [f"c{number:02d}" for number in range(16)]
            with pq.ParquetWriter(path, pa.schema([(name, pa.float64()) for name in columns])) as writer:
                for start in range(0, rows, MIB):
                    count = min(MIB, rows - start)
                    writer.write_table(pa.table({name: random.normal(size=count) for name in columns}))

        return self._once(f"table-{rows}.parquet", make)

    def tables(self, rows: int = TABLE_ROWS) -> Path:
        """A directory of two CSV tables of ten columns; in the new one, every hundredth row has another amount."""

        def make(path: Path) -> None:
            import pyarrow as pa
            from pyarrow.csv import CSVWriter

            path.mkdir()
            random = np.random.default_rng(12)
            schema = pa.schema([(name, pa.array(column).type) for name, column in table_columns(random, 0, 1).items()])
            with CSVWriter(path / "old.csv", schema) as old, CSVWriter(path / "new.csv", schema) as new:
                for start in range(0, rows, MIB):
                    columns = table_columns(random, start, min(MIB, rows - start))
                    old.write_table(pa.table(columns, schema=schema))
                    columns["amount"] = columns["amount"] + (columns["id"] % 100 == 0)
                    new.write_table(pa.table(columns, schema=schema))

        return self._once(f"tables-{rows}", make)

    def small_files(self, count: int = SMALL_FILES, seed: int = 3) -> Path:
        """A directory of random files of 0.5 to 8 KB in 20 folders."""

        def make(path: Path) -> None:
            random = np.random.default_rng(seed)
            for number in range(SMALL_FOLDERS):
                (path / f"part-{number:02d}").mkdir(parents=True)
            for number, size in enumerate(random.integers(512, 8192, count)):
                (path / f"part-{number % SMALL_FOLDERS:02d}" / f"{number:05d}.bin").write_bytes(random.bytes(int(size)))

        return self._once(f"small-{count}-{seed}", make)

    def _once(self, name: str, make: Callable[[Path], None]) -> Path:
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            # Made under another name first: an interrupted run must not leave half an input.
            unfinished = self.folder / f"{name}.{os.getpid()}"
            make(unfinished)
            unfinished.rename(path)
        return path


def table_columns(random: np.random.Generator, start: int, count: int) -> dict[str, np.ndarray[Any, Any]]:
    """Columns of the kinds that tables of customers have: an id, a day, categories, counts, amounts, a code."""
    return {
        "id": np.arange(start, start + count),
        "day": np.datetime64("2020-01-01") + random.integers(0, 2000, count),
        "city": random.choice(["Berlin", "Madrid", "Oslo", "Paris", "Prague", "Rome"], count),
        "plan": random.choice(["month-to-month", "one year", "two years"], count),
        "tenure": random.integers(0, 72, count),
        "active": random.integers(0, 2, count).astype(bool),
        "amount": random.integers(1800, 12_000, count) / 100,
        "total": random.integers(1800, 900_000, count) / 100,
        "score": random.normal(size=count),
        "code": np.char.mod("%08x", random.integers(0, 1 << 32, count)),
    }


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a directory."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def random_blocks(size: int, seed: int) -> Iterable[bytes]:
    """Random bytes in blocks of at most 16 MiB."""
    random = np.random.default_rng(seed)
    for start in range(0, size, 16 * MIB):
        yield random.bytes(min(16 * MIB, size - start))


def churn_rows(count: int, seed: int) -> list[bytes]:
    """Rows of a telecom churn table, about 133 bytes each: an id, categories, counts, two amounts and a label."""
    random = np.random.default_rng(seed)
    numbers = random.integers(1000, 10_000, count)
    letters = LETTERS[random.integers(0, 26, (count, 5))]
    text = letters.tobytes().decode()
    ids = [f"{number}-{text[5 * at : 5 * at + 5]}" for at, number in enumerate(numbers.tolist())]
    return [f"{who},{rest}".encode() for who, rest in zip(ids, _values(count, random), strict=True)]


def edit_rows(rows: list[bytes], seed: int, *, insertions: int = 0, deletions: int = 0) -> list[bytes]:
    """The same table with the values of 1 % of its rows drawn again, some rows deleted and some inserted.

    Args:
        rows: the table, without its header.
        seed: of everything that is drawn.
        insertions: how many new rows are put at random places.
        deletions: how many rows are taken out.
    """
    random = np.random.default_rng(seed)
    edited = list(rows)
    chosen = random.choice(len(rows), len(rows) // 100, replace=False).tolist()
    for at, values in zip(chosen, _values(len(chosen), random), strict=True):
        edited[at] = edited[at].split(b",", 1)[0] + b"," + values.encode()
    for at in sorted(random.choice(len(edited), deletions, replace=False).tolist(), reverse=True):
        del edited[at]
    for row in churn_rows(insertions, seed):
        edited.insert(int(random.integers(0, len(edited))), row)
    return edited


def edit_file(path: Path, seed: int, *, insertions: int, deletions: int) -> None:
    """Edits the table in a file as `edit_rows` does."""
    write_rows(path, edit_rows(read_rows(path), seed, insertions=insertions, deletions=deletions))


def read_rows(path: Path) -> list[bytes]:
    """The rows of a table, without its header."""
    return path.read_bytes().splitlines()[1:]


def write_rows(path: Path, rows: list[bytes]) -> None:
    """Writes a table with its header."""
    path.write_bytes(b"\n".join([HEADER, *rows, b""]))


def _values(count: int, random: np.random.Generator) -> Iterable[str]:
    def pick(choices: tuple[str, ...], weights: tuple[float, ...] | None = None) -> list[str]:
        return [choices[at] for at in random.choice(len(choices), count, p=weights).tolist()]

    tenure = random.integers(0, 73, count)
    cents = random.integers(1825, 11_876, count)
    total = cents * tenure + random.integers(-5000, 5000, count) * (tenure > 0)
    columns = [
        pick(("Female", "Male")),
        pick(("0", "1"), (0.84, 0.16)),
        pick(YES_NO),
        pick(YES_NO, (0.3, 0.7)),
        [str(months) for months in tenure.tolist()],
        pick(YES_NO, (0.9, 0.1)),
        pick(("No", "Yes", "No phone service"), (0.48, 0.42, 0.1)),
        pick(("Fiber optic", "DSL", "No"), (0.44, 0.34, 0.22)),
        *(pick(INTERNET, (0.35, 0.43, 0.22)) for _ in range(5)),
        pick(("Month-to-month", "Two year", "One year"), (0.55, 0.24, 0.21)),
        pick(YES_NO, (0.6, 0.4)),
        pick(("Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)")),
        [f"{amount / 100:.2f}" for amount in cents.tolist()],
        [f"{abs(amount) / 100:.2f}" for amount in total.tolist()],
        pick(YES_NO, (0.27, 0.73)),
    ]
    return map(",".join, zip(*columns, strict=True))


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        _write_to(file.write, blocks)


def _write_to(write: Callable[[bytes], object], blocks: Iterable[bytes]) -> None:
    for block in blocks:
        write(block)
