# SPDX-License-Identifier: MIT
"""Objects of threading, queue and similar modules, and threads that a task starts, are refused by name."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import multiprocessing
import queue
import threading
from collections.abc import Callable
from queue import Queue
from threading import Lock, Thread
from typing import Any

import pytest
from vmrace.harness.errors import ProgramError
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.functions.verify import verify
from vmrace.harness.kernel import spin_lock, spin_unlock, spinlock_t
from vmrace.harness.kernel.cell import cell
from vmrace.harness.schedulers import NoPreempt


def reaches(thing: Any) -> Callable[[], Program]:
    def make() -> Program:
        x = cell("x", value=0)

        def task() -> Any:
            x.value = 1
            return thing
        return Program([task])
    return make


class OwnThread(threading.Thread):
    pass


OBJECTS = [
    (threading.Lock(), "_thread.lock"), (threading.RLock(), "_thread.RLock"), (threading.Condition(), "threading.Condition"),
    (threading.Event(), "threading.Event"), (threading.Semaphore(), "threading.Semaphore"), (threading.Barrier(2), "threading.Barrier"),
    (threading.Thread(), "threading.Thread"), (OwnThread(), "tests.harness.test_foreign.OwnThread"), (threading.local(), "_thread._local"),
    (queue.Queue(), "queue.Queue"), (queue.SimpleQueue(), "_queue.SimpleQueue"), (queue.PriorityQueue(), "queue.PriorityQueue"),
    (multiprocessing.Lock(), "multiprocessing.synchronize.Lock"), (asyncio.Lock(), "asyncio.locks.Lock"),
    (asyncio.Event(), "asyncio.locks.Event"), (concurrent.futures.Future(), "concurrent.futures._base.Future")]


@pytest.mark.parametrize(("thing", "kind"), OBJECTS, ids=[kind for _, kind in OBJECTS])
def test_an_object_that_threads_wait_for_is_refused_where_a_task_reaches_it(thing: Any, kind: str) -> None:
    with pytest.raises(ProgramError, match=rf"make: thing, a {kind} that task closes over: no explorer sees which task waits for it"):
        Runner(reaches(thing))


def test_a_refused_object_is_named_by_its_place() -> None:
    class Cache:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def put(self) -> None:
            with self.lock:
                pass
    cache = Cache()
    with pytest.raises(ProgramError, match=r"put.self.lock, a _thread.lock that put reaches"):
        Runner(lambda: Program([cache.put, cache.put]))


def test_a_threading_lock_inside_a_cell_is_refused() -> None:
    def make() -> Program:
        x = cell("x", value=threading.Lock())
        return Program([lambda: x.value])
    with pytest.raises(ProgramError, match=r"x.value, a _thread.lock inside cell x"):
        Runner(make)


def starts_inside() -> None:
    import threading as hidden
    hidden.Thread(target=print).start()


MADE: list[tuple[Callable[[], Any], str]] = [
    (lambda: threading.Lock(), "a task makes a threading.Lock"), (lambda: Lock(), "a task makes a Lock"),
    (lambda: threading.Event(), "a task makes a threading.Event"), (lambda: Thread(target=print), "a task makes a Thread"),
    (lambda: queue.Queue(), "a task makes a queue.Queue"), (lambda: Queue(), "a task makes a Queue"),
    (lambda: OwnThread(), "a task makes a OwnThread"), (lambda: _thread.allocate_lock(), "a task makes a _thread.allocate_lock"),
    (lambda: _thread.start_new_thread(print, ()), "a task makes a _thread.start_new_thread"),
    (lambda: asyncio.Lock(), "a task makes a asyncio.Lock"), (lambda: multiprocessing.Process(target=print), "a task makes a multiproc"),
    (lambda: concurrent.futures.ThreadPoolExecutor(1), "a task makes a concurrent.futures.ThreadPoolExecutor"),
    (starts_inside, "a task starts a thread, Thread-")]


@pytest.mark.parametrize("caught", [False, True])
@pytest.mark.parametrize("backend", ["greenlets", "threads"])
@pytest.mark.parametrize(("makes", "why"), MADE, ids=[why for _, why in MADE])
def test_a_lock_or_thread_that_a_task_makes_during_a_run_is_refused(makes: Callable[[], Any], why: str, backend: str, caught: bool) -> None:
    def make() -> Program:
        x = cell("x", value=0)

        def task() -> None:
            x.value = 1
            try:
                makes()
            except Exception:
                if not caught:
                    raise
        return Program([task, lambda: x.value])
    runner, before = Runner(make, backend=backend), (threading.Thread.start, threading.Lock, Lock, queue.Queue)
    for _ in range(2):
        with pytest.raises(ProgramError, match=why):
            runner.run(NoPreempt())
    assert before == (threading.Thread.start, threading.Lock, Lock, queue.Queue)


def test_threads_may_be_started_outside_of_the_program() -> None:
    def make() -> Program:
        def task() -> str:
            name = []
            beside = threading.get_ident()
            x.value = 1
            name.append(str(beside))
            return name[0]
        x = cell("x", value=0)
        return Program([task])
    assert Runner(make).run(NoPreempt()).results == (str(threading.get_ident()),)
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def test_a_program_that_only_mentions_threading_is_not_refused() -> None:
    def make() -> Program:
        x, lock = cell("x", value=0), spinlock_t("lock")

        def task() -> int:
            spin_lock(lock)
            try:
                x.value += isinstance(x, threading.Thread) + isinstance(x, Thread)
                if x.value > 5:
                    threading.Thread(target=task).start()
            except queue.Empty:
                pass
            spin_unlock(lock)
            return int(x.value)
        return Program([task, task])
    assert verify(make).proved
