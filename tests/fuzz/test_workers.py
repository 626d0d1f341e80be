# SPDX-License-Identifier: MIT
"""Each job of a worker process gets exactly one answer, whenever its worker dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from vmrace.fuzz.run.workers import Job, Lost, Workers


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(2)
    yield made
    made.stop()


def all_done(workers: Workers, count: int = 1) -> list[Job]:
    out: list[Job] = []
    until = time.monotonic() + 60
    while len(out) < count and time.monotonic() < until:
        out += workers.done(0.2)
    return out


def sleeping(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_a_job_gets_exactly_one_answer(workers: Workers) -> None:
    jobs = [workers.give(sleeping, [0.01], 60.0) for _ in range(2)]
    assert {*all_done(workers, 2)} == {*jobs}
    assert [job.result() for job in jobs] == [0.01, 0.01]
    assert workers.done(0.05) == []


def test_a_worker_that_dies_after_the_wait_is_reported_by_the_next_wait(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies between the wait and the check of which workers are alive."""
    import vmrace.fuzz.run.workers
    wait = vmrace.fuzz.run.workers.wait
    job = workers.give(sleeping, [600.0], 600.0)

    def nothing_yet(pipes: Any, timeout: float) -> list[Any]:
        ready = wait(pipes, 0.0)
        os.kill(job.worker.process.pid, signal.SIGKILL)
        job.worker.process.join()
        return ready
    with monkeypatch.context() as patched:
        patched.setattr(vmrace.fuzz.run.workers, "wait", nothing_yet)
        assert workers.done(0.05) == []
    assert all_done(workers) == [job]
    with pytest.raises(Lost, match="killed by signal 9"):
        job.result()


def test_an_idle_worker_that_dies_is_replaced(workers: Workers) -> None:
    first = workers.give(sleeping, [0.0], 60.0)
    assert all_done(workers) == [first]
    os.kill(first.worker.process.pid, signal.SIGKILL)
    first.worker.process.join()
    assert workers.done(0.0) == []
    second = workers.give(sleeping, [0.0], 60.0)
    assert second.worker is not first.worker
    assert all_done(workers) == [second]
    assert second.result() == 0.0
