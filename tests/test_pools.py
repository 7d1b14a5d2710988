"""Pools of threads, and working through a list in parallel."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import Future, wait
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.pools import Pool, in_order


def test_a_pool_returns_results_and_errors() -> None:
    """Work runs in threads of the pool; what it returns or raises comes out of its future."""
    pool = Pool("test", lambda: 2)
    assert pool.submit(lambda a, b: a + b, 1, b=2).result() == 3
    assert pool.submit(lambda: threading.current_thread().name).result().startswith("mvs-test")
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 // 0).result()


def test_a_pool_has_no_more_threads_than_its_size() -> None:
    """Twenty pieces of work for three threads run three at a time."""
    pool = Pool("three", lambda: 3)
    lock = threading.Lock()
    barrier = threading.Barrier(3)
    running = most = 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        barrier.wait(30)
        with lock:
            running -= 1

    futures: list[Future[None]] = [pool.submit(work) for _ in range(21)]
    assert not wait(futures, timeout=60).not_done
    assert most == 3


def run(code: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_while_the_interpreter_shuts_down_work_runs_in_the_caller() -> None:
    """What an atexit handler logs is still stored, though no thread can be started any more."""
    code = """
import atexit, threading
from mlflow_versioned_store.pools import Pool
used, fresh = Pool("used", lambda: 2), Pool("fresh", lambda: 2)
used.submit(int).result()
def late():
    for pool in (used, fresh):
        print(pool.submit(lambda: threading.current_thread() is threading.main_thread()).result())
        try:
            pool.submit(lambda: 1 // 0).result()
        except ZeroDivisionError:
            print("raised")
atexit.register(late)
"""
    assert run(code).split() == ["True", "raised"] * 2


@given(st.integers(0, 30), st.integers(1, 9), st.integers(0, 30))
def test_results_come_in_order_and_little_is_begun_in_vain(count: int, at_once: int, taken: int) -> None:
    """Whoever takes a few causes at most as many more to be begun, and never more than may be under way."""
    begun: list[int] = []

    def submit(number: int) -> Future[int]:
        begun.append(number)
        future: Future[int] = Future()
        future.set_result(number)
        return future

    made = in_order(submit, range(count), at_once=at_once)
    got = [number for number, _ in zip(made, range(taken), strict=False)]
    assert got == list(range(count))[:taken]
    waited_for = min(count, taken + 1)  # zip takes one more before it looks for its partner
    assert begun == list(range(len(begun)))
    assert len(begun) <= min(count, waited_for + max(0, min(waited_for, at_once) - 1))


def test_many_are_under_way_at_once() -> None:
    """Work that waits for others of its kind gets done, since they run beside it."""
    pool = Pool("beside", lambda: 4)
    beside = threading.Barrier(3)

    def work(number: int) -> int:
        if number in (3, 4, 5):
            beside.wait(30)
        return number

    assert list(in_order(lambda number: pool.submit(work, number), range(9), at_once=4)) == list(range(9))


def test_an_error_comes_where_its_result_would() -> None:
    """What came before it is yielded first, and what waits behind it is not begun."""
    pool = Pool("fails", lambda: 2)
    made = in_order(lambda number: pool.submit(lambda: 6 // number), (3, 2, 0, 1), at_once=4)
    assert [next(made), next(made)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(made)
