"""A drive of a robot, written as it happens, and replayed from any version at its own pace.

    pip install mlflow-versioned-store numpy
    python examples/robotics.py
    python examples/robotics.py --speed 1      replays in real time

The recording is cut into short files. Each is a version once it is closed, so a robot that loses power loses the last
one at most; and a folder at an address is the whole recording as it was then.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, groupby

import numpy as np

import mlflow_versioned_store as mvs

FOLDER = "drives/7/imu"
HERTZ = 200
FILE_SECONDS = 2
BIAS = 0.31
# One reading: seconds since the start, turn rates in rad/s, accelerations in m/s².
READING = np.dtype([("seconds", "f8"), ("gyro", "f4", 3), ("accelerometer", "f4", 3)])


def main() -> None:
    """Records a drive, corrects it, and replays it as it was and as it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10, help="length of the drive (default %(default)s)")
    parser.add_argument("--speed", type=float, default=20, help="how much faster to replay it (default %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = mvs.open_root(f"versioned-file://{folder}/store/1/{'7' * 32}/artifacts", create=True)
        record(root, drive(options.seconds))
        root.alias(FOLDER, "raw", f"c{next(root.history()).number}")
        print(f"recorded {len(root.list(FOLDER))} files, each when it was full; {FOLDER}@raw is the drive as it was")
        correct(root)
        print("corrected them in one commit")
        for address in (f"{FOLDER}@raw", FOLDER):
            replay(root, address, options.speed)


def drive(seconds: int, seed: int = 7) -> Iterator[np.void]:
    """Yields the readings of a drive, as a sensor would: each is there before the next one exists."""
    random = np.random.default_rng(seed)
    for number in range(seconds * HERTZ):
        at = number / HERTZ
        gyro = random.normal((0, 0, np.sin(at) + BIAS), 0.01)
        yield np.array([(at, gyro, random.normal((np.cos(at), 0, 9.81), 0.05))], READING)[0]


def record(root: mvs.ArtifactRoot, readings: Iterator[np.void]) -> None:
    """Writes readings as they come; every FILE_SECONDS a file is closed, and from then on it is kept."""
    for number, part in groupby(readings, key=lambda reading: int(reading["seconds"] // FILE_SECONDS)):
        with root.open(f"{FOLDER}/{number:06}.bin", "wb") as file:
            for reading in part:
                file.write(reading.tobytes())


def correct(root: mvs.ArtifactRoot) -> None:
    """Takes the bias of the gyroscope out of the whole recording: new versions of all its files, all at once."""
    with root.batch() as batch:
        for entry in root.list(FOLDER):
            readings = np.frombuffer(root.read_bytes(entry.path), READING).copy()
            readings["gyro"][:, 2] -= BIAS
            batch.upload(readings.tobytes(), entry.path)


def readings_at(root: mvs.ArtifactRoot, address: str) -> Iterator[np.void]:
    """Yields the readings of the recording at an address, reading ahead of whoever takes them."""
    for entry in root.list(address):
        with root.open(f"{address}/{entry.name}") as file:
            while block := file.read(READING.itemsize * HERTZ):
                yield from np.frombuffer(block, READING)


def replay(root: mvs.ArtifactRoot, address: str, speed: float) -> None:
    """Takes each reading when its time has come, adds up where the robot turned to, and says how true the pace was."""
    heading = late = last = 0.0
    readings = readings_at(root, address)
    first = next(readings)
    start = time.monotonic()
    for reading in chain([first], readings):
        due = start + (reading["seconds"] - first["seconds"]) / speed
        time.sleep(max(0.0, due - time.monotonic()))
        late = max(late, time.monotonic() - due)
        heading += reading["gyro"][2] * (reading["seconds"] - last)
        last = reading["seconds"]
    took = time.monotonic() - start
    pace = f"{last:.1f} s in {took:.2f} s, at most {late * 1000:.0f} ms late"
    print(f"{address:<18} {pace}; the robot turned by {heading:+.2f} rad")


if __name__ == "__main__":
    main()
