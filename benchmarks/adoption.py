"""Plain objects that lie in a bucket, and taking them in."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_THREADS = 16
_OBJECTS_A_RUN = 100
Work = Callable[[], None]


def put_plain(order: dict[str, Any]) -> Work:
    """As many small objects as the order says, where MLflow's own repository would have put them, 100 a run."""
    from mlflow_versioned_store.backends.opening import open_container

    backend, folder = open_container(_place(order))

    def put(number: int) -> None:
        run, file = divmod(number, _OBJECTS_A_RUN)
        backend.put(f"{folder}/1/{run:032x}/artifacts/data/part-{file:02d}.csv", b"row %d\n" % number)

    def work() -> None:
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(put, range(order["count"])):
                pass

    return work


def adopt_all(order: dict[str, Any]) -> Work:
    """Take in all of them."""
    from mlflow_versioned_store.direct.adopting import Adoption, adopt
    from mlflow_versioned_store.direct.listing import Place
    from mlflow_versioned_store.store import create_store

    uri = _place(order)

    def work() -> None:
        place = Place(uri.removeprefix("versioned-"))
        adoption = Adoption(place, "", write=True, hashed=False, on_version=lambda: None)
        found = adopt(create_store(uri), adoption)
        if found.versions != order["count"]:
            raise RuntimeError(f"{found.versions} objects were adopted, {order['count']} are there")

    return work


def _place(order: dict[str, Any]) -> str:
    """Return where the experiment's artifacts are, beside those of the run that every worker has."""
    import mlflow

    location = mlflow.get_experiment(order["experiment"]).artifact_location
    return f"{location}/old"


OPERATIONS: dict[str, Callable[[dict[str, Any]], Work]] = {"put_plain": put_plain, "adopt_all": adopt_all}
