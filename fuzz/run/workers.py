# SPDX-License-Identifier: MIT
"""Worker processes, each with its own pipe, so that the death of one does not affect the others.

    workers = Workers(2)
    job = workers.give(function, args, seconds=60.0)
    for job in workers.done(timeout=0.5):
        job.result()                    # what the function returned; Lost, or Erred

A worker is lost if it ends before it answers, with any exit code, or if it does not answer in time: then it is killed. The next job
starts a new worker in its place. An exception in a function fails its job alone. A worker ends when its driver does.
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
from multiprocessing.process import BaseProcess
from typing import Any

from vmrace.fuzz.run import stop_request

START_TRIES = 4         # attempts to start a process
START_SECONDS = 0.3     # between two attempts
JOIN_SECONDS = 5.0      # time limit for a process to end after SIGKILL


class Lost(Exception):
    """The error of a job whose worker ended without an answer, or was killed because none came. Its text says how, in a few words."""


class Erred(Exception):
    """The error of a job whose function raised an exception. `message` is its text in one line, `trace` the traceback."""

    def __init__(self, message: str, trace: str):
        super().__init__(message, trace)
        self.message, self.trace = message, trace

    def __str__(self) -> str:
        return self.message


@dataclass(eq=False)
class Job:
    """One call of a function in a worker. `until` is its deadline, of time.monotonic; `seconds` is the limit it came from."""

    worker: Worker
    until: float
    seconds: float
    answer: tuple[Any, Exception | None] | None = None      # the return value, or the error

    def result(self) -> Any:
        """Return the return value of the function. Raises Lost or Erred if there is none."""
        assert self.answer is not None, "a job without an answer has no result"
        returned, error = self.answer
        if error is not None:
            raise error
        return returned


@dataclass(eq=False)
class Worker:
    """One process, and the driver's end of its pipe."""

    process: BaseProcess
    pipe: Connection
    job: Job | None = None


class Workers:
    """A pool of at most `count` processes, forked when a job needs one. Each calls `begin(*args)` first."""

    def __init__(self, count: int, begin: Callable[..., None] | None = None, args: Sequence[Any] = ()):
        self.count, self.begin, self.args = count, begin, args
        self.context = multiprocessing.get_context("fork")
        self.workers: list[Worker] = []

    def idle(self) -> Worker | None:
        """Return the worker that gets the next job. None if it has yet to be started."""
        return next((one for one in self.workers if one.job is None and one.process.is_alive()), None)

    def give(self, function: Callable[..., Any], args: Sequence[Any], seconds: float) -> Job:
        """Have an idle worker call `function(*args)`, within `seconds`. Raises OSError if no worker is idle and none can be started."""
        worker = self.idle() or self._start()
        job = worker.job = Job(worker, time.monotonic() + seconds, seconds)
        try:
            worker.pipe.send((function, args))
        except OSError:
            self._end(worker, "it was gone")
        busy = sum(one.job is not None for one in self.workers)
        assert busy <= self.count, f"{busy} busy workers in a pool of {self.count}"
        return job

    def done(self, timeout: float) -> list[Job]:
        """Wait at most `timeout` seconds, and return the jobs that have ended. Each job is returned once."""
        busy = [worker for worker in self.workers if worker.job is not None]
        ready = [worker.job for worker in busy if worker.job is not None and worker.job.answer is not None]
        now = time.monotonic()
        until = min([now + timeout, *(job.until for worker in busy if (job := worker.job) is not None)])
        if busy and not ready:
            answered = wait([worker.pipe for worker in busy], max(0.0, until - now))
            for worker in busy:
                if worker.pipe in answered:
                    self._receive(worker)
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
        """Kill all workers. Their jobs are lost."""
        for worker in self.workers:
            with contextlib.suppress(OSError):
                worker.process.kill()

    def stop(self) -> None:
        """Kill all workers, and wait until they have ended."""
        self.kill()
        for worker in self.workers:
            worker.process.join(JOIN_SECONDS)
            worker.pipe.close()
        self.workers = []

    # ---- one worker --------------------------------------------------------------------------------------------------

    def _start(self) -> Worker:
        for _ in range(START_TRIES - 1):
            with contextlib.suppress(OSError):
                return self._fork()
            time.sleep(START_SECONDS)           # fork() fails if memory or process ids are short, which may pass
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
        except Exception:               # an answer that was cut off can raise any exception when it is unpickled
            self._end(worker, "")

    def _gone(self, worker: Worker) -> bool:
        """True if an idle worker has ended. A busy one may have answered before it died, which only its pipe shows."""
        assert worker.job is None, "only an idle worker may be dropped: a job would be lost without a report"
        if worker.process.is_alive():
            return False
        worker.pipe.close()
        return True

    def _end(self, worker: Worker, why: str) -> None:
        """Record that a worker is lost. `why` says how; if it is empty, the worker ended by itself, and its exit code says how."""
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
    """Run in a worker: take one job after the other, until the driver has ended."""
    for other in others:
        other.close()               # while any copy of the driver's end is open, recv() does not report that the driver has ended
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
                answer = pickle.dumps((function(*arguments), None))
            except Exception as error:          # MemoryError and RecursionError, too
                answer = pickle.dumps((None, _erred(error)))
        try:
            pipe.send_bytes(answer)
        except OSError:
            os._exit(1)


def _erred(error: Exception) -> Erred:
    first, _, _ = str(error).partition("\n")
    return Erred(f"{type(error).__name__}: {first}" if first else type(error).__name__, traceback.format_exc())
