# SPDX-License-Identifier: MIT
"""Worker processes, each with a pipe of its own: what happens to one is nobody else's matter.

    workers = Workers(2)
    job = workers.give(function, args, seconds=60.0)
    for job in workers.done(timeout=0.5):
        job.result()                    # what the function returned; Lost, or Erred

A worker is lost if it ends before it has answered, with whatever exit code, or if it has not answered in time: then it is killed.
Another one takes its place. An exception in a function costs its job alone. A worker that has lost its driver ends, too.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from vmrace.fuzz.run import stop_request

START_TRIES = 4         # to start a process, so many seconds apart
START_SECONDS = 0.3
JOIN_SECONDS = 5.0      # that a process may take to be gone after SIGKILL


class Lost(Exception):
    """A worker ended without an answer, or was ended for want of one: how, in a few words."""


class Erred(Exception):
    """A worker raised an exception of ours: its text, in one line. `trace` has where."""

    def __init__(self, told: str, trace: str):
        super().__init__(told, trace)
        self.told, self.trace = told, trace

    def __str__(self) -> str:
        return self.told


@dataclass(eq=False)
class Job:
    """One piece of work of a worker. `until`: when it is no longer waited for, of time.monotonic."""

    worker: Worker
    until: float
    seconds: float
    answer: tuple[Any, Exception | None] | None = None      # what was returned, or why there is nothing

    def result(self) -> Any:
        """The return value of the function. Lost, or Erred, if there is nothing."""
        assert self.answer is not None
        returned, error = self.answer
        if error is not None:
            raise error
        return returned


@dataclass(eq=False)
class Worker:
    """One process, and the driver's end of its pipe."""

    process: Any
    pipe: Connection
    job: Job | None = None


class Workers:
    """Up to `count` processes, forked when they are needed. `begin(*args)` runs first in each."""

    def __init__(self, count: int, begin: Callable[..., None] | None = None, args: Sequence[Any] = ()):
        self.count, self.begin, self.args = count, begin, args
        self.context = multiprocessing.get_context("fork")
        self.workers: list[Worker] = []

    def give(self, function: Callable[..., Any], args: Sequence[Any], seconds: float) -> Job:
        """Have a worker that is idle do that, within so many seconds. OSError if there is none, and none can be started."""
        worker = next((one for one in self.workers if one.job is None and one.process.is_alive()), None) or self._start()
        job = worker.job = Job(worker, time.monotonic() + seconds, seconds)
        try:
            worker.pipe.send((function, args))
        except OSError:
            self._end(worker, "it was gone")
        return job

    def done(self, timeout: float) -> list[Job]:
        """The jobs that have come to an end, within so many seconds, each of them told once."""
        busy = [worker for worker in self.workers if worker.job is not None]
        ready = [worker.job for worker in busy if worker.job is not None and worker.job.answer is not None]
        now = time.monotonic()
        until = min([now + timeout, *(job.until for worker in busy if (job := worker.job) is not None)])
        waited = {} if ready else {worker.pipe: worker for worker in busy}
        if waited:
            for pipe in wait(list(waited), max(0.0, until - now)):
                self._receive(waited[pipe])  # type: ignore[index]
        now = time.monotonic()
        for worker in busy:
            if worker.job is not None and worker.job.answer is None and now >= worker.job.until:
                self._end(worker, f"no answer in {worker.job.seconds:.0f} s")
        out = []
        for worker in busy:
            if worker.job is not None and worker.job.answer is not None:
                out.append(worker.job)
                worker.job = None
        self.workers = [worker for worker in self.workers if worker.job is not None or not self._gone(worker)]
        return out

    def kill(self) -> None:
        """End all of them at once: whatever they had is lost."""
        for worker in self.workers:
            with contextlib.suppress(OSError):
                worker.process.kill()

    def stop(self) -> None:
        """End all of them, and wait until they are gone."""
        self.kill()
        for worker in self.workers:
            worker.process.join(JOIN_SECONDS)
            worker.pipe.close()
        self.workers = []

    # ---- one of them -------------------------------------------------------------------------------------------------

    def _start(self) -> Worker:
        for _ in range(START_TRIES - 1):
            with contextlib.suppress(OSError):
                return self._fork()
            time.sleep(START_SECONDS)           # a machine that is full may not be so for long
        return self._fork()

    def _fork(self) -> Worker:
        ours, theirs = self.context.Pipe()
        try:
            others = [worker.pipe for worker in self.workers]
            process = self.context.Process(target=_serve, args=(theirs, [ours, *others], self.begin, self.args), daemon=True)
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        worker = Worker(process, ours)
        self.workers.append(worker)
        return worker

    def _receive(self, worker: Worker) -> None:
        assert worker.job is not None
        try:
            worker.job.answer = worker.pipe.recv()
        except Exception:               # half an answer can be anything
            self._end(worker, "")

    def _gone(self, worker: Worker) -> bool:
        """True if it has ended. One that has a job is not asked: it may have died a moment ago, and its pipe says so next time."""
        assert worker.job is None
        if worker.process.is_alive():
            return False
        worker.pipe.close()
        return True

    def _end(self, worker: Worker, why: str) -> None:
        """It will not answer. `why`: or else how it ended by itself."""
        if not why:
            worker.process.join(JOIN_SECONDS)
        else:
            worker.process.kill()
            worker.process.join(JOIN_SECONDS)
        worker.pipe.close()
        if worker.job is not None:
            worker.job.answer = None, Lost(why or _ending(worker.process.exitcode))


def _ending(code: int | None) -> str:
    if code is None:
        return "it closed its pipe"
    return f"killed by signal {-code}" if code < 0 else f"it ended with exit code {code}, and no answer"


def _serve(pipe: Connection, others: list[Connection], begin: Callable[..., None] | None, args: Sequence[Any]) -> None:
    """In a worker: one job after the other, until the driver is gone."""
    for other in others:
        other.close()               # or it would not be noticed that the driver is gone
    stop_request.begin()
    if begin is not None:
        begin(*args)
    while True:
        try:
            function, arguments = pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        with stop_request.working():
            try:
                answer: Any = function(*arguments), None
                said = pickle.dumps(answer)
            except Exception as error:          # MemoryError and RecursionError, too
                said = pickle.dumps((None, _erred(error)))
        try:
            pipe.send_bytes(said)
        except OSError:
            os._exit(1)


def _erred(error: Exception) -> Erred:
    first, _, _ = str(error).partition("\n")
    return Erred(f"{type(error).__name__}: {first}" if first else type(error).__name__, traceback.format_exc())
