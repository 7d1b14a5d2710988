"""Soft quotas of experiments: what their versions need of the store, against what the settings say they shall need.

Nothing enforces them. An upload does not know what its experiment needs, since that takes reading all its commits; so
whoever measures is told.
"""

from __future__ import annotations

from typing import NamedTuple

from mlflow_versioned_store.catalog.ledger import Group
from mlflow_versioned_store.catalog.usage import measure
from mlflow_versioned_store.settings import OTHER_EXPERIMENTS, Settings
from mlflow_versioned_store.store import Store
from mlflow_versioned_store.wording import counted

WARNED_AT = 0.8


class Quota(NamedTuple):
    """What an experiment needs of the store, and what it shall need at most; bytes."""

    experiment: str
    stored: int
    limit: int

    @property
    def share(self) -> float:
        """How much of the quota is needed; 1 is all of it."""
        return self.stored / self.limit

    def __str__(self) -> str:
        limit = counted(self.limit, "byte")
        return f"experiment {self.experiment or '(none)'} needs {self.share:.0%} of its quota of {limit}"


def measure_limited(store: Store, settings: Settings) -> list[Quota]:
    """Return the quota of every experiment that has one. Costs what measuring these experiments costs."""
    if OTHER_EXPERIMENTS in settings.quotas:
        return of_groups(measure(store, by="experiment"), settings)
    return [
        quota
        for experiment in sorted(settings.quotas)
        for quota in of_groups(measure(store, by="experiment", below=experiment), settings)
    ]


def of_groups(whole: Group, settings: Settings) -> list[Quota]:
    """Return the quota of every measured experiment that has one."""
    limits = [(group, settings.quota(group.name)) for group in whole.groups.values()]
    return [Quota(group.name, group.stored, limit) for group, limit in limits if limit is not None]


def near(quotas: list[Quota]) -> list[Quota]:
    """Return those of which at least 80 % are needed, the fullest first."""
    return sorted((quota for quota in quotas if quota.share >= WARNED_AT), key=lambda quota: -quota.share)
