"""PyTorch: training on a version of a dataset that stays in the store, batch by batch.

    pip install mlflow-versioned-store torch numpy
    python examples/with_pytorch.py

The examples lie one after another in a single file. A batch is some of them at random, and reading it moves the chunks
that they lie in. The dataset is an address, so workers get it by pickling, and a run can record exactly what it saw.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import fsspec
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

import mlflow_versioned_store as mvs

FILE = "data/digits.bin"
SIDE = 16
# One example: a picture, and the digit in it.
EXAMPLE = np.dtype([("picture", "u1", (SIDE, SIDE)), ("digit", "u1")])


class VersionedExamples:
    """The examples of a file in a store, as a loader wants them.

    Args:
        uri: The address of a version of it.
    """

    def __init__(self, uri: str):
        self._filesystem, self._path = fsspec.url_to_fs(uri)
        self._count: int = self._filesystem.size(self._path) // EXAMPLE.itemsize

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[torch.Tensor, int]]:
        """Returns a whole batch, read in one plan: a loader calls this where there is such a method."""
        starts = [index * EXAMPLE.itemsize for index in indices]
        stops = [start + EXAMPLE.itemsize for start in starts]
        read = self._filesystem.cat_ranges([self._path] * len(starts), starts, stops)
        examples = [np.frombuffer(content, EXAMPLE)[0] for content in read]
        return [(torch.tensor(one["picture"], dtype=torch.float32) / 255, int(one["digit"])) for one in examples]


def main() -> None:
    """Trains on a dataset with wrong labels and on its correction, and says what reading a few batches moves."""
    with tempfile.TemporaryDirectory() as folder:
        root = mvs.open_root(f"versioned-file://{folder}/store/1/{'4' * 32}/artifacts", create=True)
        examples = drawn(20_000)
        mislabelled = examples.copy()
        mislabelled["digit"][::3] = 0
        root.upload(mislabelled.tobytes(), FILE)
        before = root.store.counts
        root.upload(examples.tobytes(), FILE)
        stored = (root.store.counts - before).bytes_up
        print(f"{examples.nbytes / 1e6:.1f} MB; with its labels corrected {stored / 1e6:.2f} MB more\n")

        for version in root.versions(FILE):
            address = f"{root.uri}/{FILE}@v{version.number}"
            print(f"trained on {FILE}@v{version.number}: {train(VersionedExamples(address)):.1%} right")

        before = root.store.counts
        VersionedExamples(f"{root.uri}/{FILE}@v1").__getitems__(range(5_000, 5_064))
        moved = (root.store.counts - before).bytes_down
        print(f"\na batch of 64 of the {len(examples):,} examples, in a row: {moved / 1e3:.0f} KB moved")


def train(dataset: VersionedExamples) -> float:
    """Trains a linear model for an epoch, with two workers that read; returns how many new examples it gets right."""
    torch.manual_seed(4)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(SIDE * SIDE, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for pictures, digits in DataLoader(dataset, batch_size=256, shuffle=True, num_workers=2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(pictures), digits).backward()
        optimizer.step()
    unseen = drawn(2_000, seed=5)
    guessed = model(torch.tensor(unseen["picture"], dtype=torch.float32) / 255).argmax(1).numpy()
    return float((guessed == unseen["digit"]).mean())


def drawn(count: int, seed: int = 4) -> npt.NDArray[np.void]:
    """Draws digits: each has a shape of its own, under much noise."""
    shapes = np.random.default_rng(0).integers(0, 2, (10, SIDE, SIDE)) * 90
    random = np.random.default_rng(seed)
    examples = np.zeros(count, EXAMPLE)
    examples["digit"] = random.integers(0, 10, count)
    examples["picture"] = shapes[examples["digit"]] + random.integers(0, 160, (count, SIDE, SIDE))
    return examples


if __name__ == "__main__":
    main()
