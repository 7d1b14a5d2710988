"""Quotas: who has one, and who comes near it."""

from __future__ import annotations

import pytest

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.counting import CountingBackend, counts_of
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.catalog.quotas import Quota, measure_limited, near
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.settings import Settings
from mlflow_versioned_store.store import Store
from mlflow_versioned_store.testing.clients import client, new_store
from tests.engine.uploads import noise


@pytest.fixture
def store() -> Store:
    """A store whose experiments 1, 2 and 3 take a little over 100, 200 and 300 kB."""
    store = new_store(open_memory("quotas"))
    for number in (1, 2, 3):
        root = store.root(f"{number}/{'a' * 32}/artifacts")
        root.upload([Item("a", noise(number, number * 100_000))], context=Context())
    return store


def test_an_experiment_without_a_quota_is_left_out(store: Store) -> None:
    """Only experiments that have one are measured, and only their roots are read."""
    counting = CountingBackend(store.backend)
    (quota,) = measure_limited(client(counting), Settings(quotas={"2": 400_000, "9": 1}))
    assert (quota.experiment, quota.limit) == ("2", 400_000)
    assert 200_000 <= quota.stored < 201_000
    assert counts_of(counting).get <= 3


def test_others_have_the_quota_of_others(store: Store) -> None:
    """The quota of "*" counts for every experiment that has none of its own."""
    quotas = measure_limited(store, Settings(quotas={"2": 1_000_000, "*": 400_000}))
    assert {quota.experiment: quota.limit for quota in quotas} == {"1": 400_000, "2": 1_000_000, "3": 400_000}


def test_four_fifths_is_near() -> None:
    """At 80 % somebody should know, and of the fullest first."""
    quotas = [Quota("a", 79, 100), Quota("b", 80, 100), Quota("c", 300, 100)]
    assert [quota.experiment for quota in near(quotas)] == ["c", "b"]
    assert str(quotas[2]) == "experiment c needs 300% of its quota of 100 bytes"
