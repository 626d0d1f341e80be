# SPDX-License-Identifier: MIT
"""Shards of a campaign made by libFuzzer: `vmrace fuzz --engine atheris`.

A worker has one child process, whose stack belongs to libFuzzer: it can be started once in a process, and never returns. The child makes
the runs of one shard after the other, and waits between two of them. Its inputs stay in its memory. Programs that other workers kept come
with a shard, and libFuzzer gets them as if its mutator had made them.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import random
import signal
import tempfile
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import IO

from vmrace.fuzz.campaign.libfuzzer_memory import Memory
from vmrace.fuzz.campaign.memory import Kept, Learnt, changed, increase
from vmrace.fuzz.campaign.messages import ShardResult, ShardTask
from vmrace.fuzz.libfuzzer import counters, start
from vmrace.fuzz.libfuzzer.inputs import Input, decode, encode
from vmrace.fuzz.libfuzzer.runner import Runner, mutator_of
from vmrace.fuzz.sampling.coverage import MAP_BITS
from vmrace.harness import stop
from vmrace.variants.program import Program

# libFuzzer neither ends the child, nor counts the time between two shards as that of a hanging input
FLAGS = ("-timeout=10000000", "-rss_limit_mb=0", "-handle_int=0", "-handle_term=0", "-verbosity=0", "-detect_leaks=0")
PR_SET_PDEATHSIG = 1


class Child:
    """A child process with libFuzzer, and the worker's end of its pipe."""

    def __init__(self, task: ShardTask):
        self.log: IO[bytes] = tempfile.TemporaryFile()      # noqa: SIM115     # for as long as the child lives
        self.pipe, theirs = multiprocessing.Pipe()
        self.number = os.fork()
        if not self.number:
            self.pipe.close()
            _serve(task, theirs, self.log.fileno())
        theirs.close()

    def make(self, task: ShardTask) -> ShardResult:
        """Have the child make the runs of a shard. If it is killed, this process ends, too: the driver then runs the shard again. If it
        ends by itself, its last line is an error of the shard."""
        try:
            self.pipe.send(task)
            result: ShardResult = self.pipe.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            if os.waitstatus_to_exitcode(os.waitpid(self.number, 0)[1]) < 0:
                os._exit(1)
            self.log.seek(0)
            lines = self.log.read().decode(errors="replace").split("\n")
            return ShardResult(number=task.number, error=f"libFuzzer ended: {next((line for line in reversed(lines) if line.strip()), '')}")
        return result


_children: dict[tuple[str, str], Child] = {}


def run_shard(task: ShardTask) -> ShardResult:
    """Run a shard in a worker process, by libFuzzer. An error of vmrace ends the shard, and is returned with what was found before."""
    key = (task.family, task.variant)
    if key not in _children:
        _children[key] = Child(task)
    result = _children[key].make(task)
    if result.error:
        del _children[key]
    return result


class Serving:
    """The target in a child: it counts runs for the present shard, and asks for the next one when that is over."""

    def __init__(self, pipe: Connection, runner: Runner):
        self.pipe, self.runner = pipe, runner
        self.mutator = mutator_of(runner)
        self.adopted: deque[Program] = deque()
        self.seen: set[Program] = set()         # adopted or kept
        self.kept: list[Program] = []
        self.registered = False
        self.pairs, self.reached = bytes(MAP_BITS), dict[int, int]()       # what the answers so far have reported
        self.task: ShardTask | None = None
        self.until = 0.0

    def call(self, data: bytes) -> None:
        """Run an input, and send the result of the shard if it was the last one."""
        if self.task is None:
            if not self.registered:
                self.registered = True
                counters.register(self.runner.buffers)
            self._next()
        runner, error = self.runner, ""
        try:
            runner.run(data)
            program = decode(data, runner.operations).program
            if runner.fresh_blocks() and program not in self.seen:
                self.seen.add(program)
                self.kept.append(program)
        except Exception as raised:             # MemoryError and RecursionError, too
            error = f"{type(raised).__name__}: {str(raised).partition(chr(10))[0]}"
        if error or self._over():
            self._answer(error)

    def mutate(self, data: bytes, size_max: int, seed: int) -> bytes:
        """Return an adopted program, if there is one that libFuzzer has not yet run; else change the input."""
        while self.adopted:
            text = encode(Input(self.adopted.popleft()))
            if len(text) <= size_max:
                return text
        return self.mutator.mutate(data, size_max, seed)

    def _over(self) -> bool:
        assert self.task is not None
        return self.task.ends_with(self.runner.counts.hits) or self.runner.over() or time.monotonic() > self.until

    def _next(self) -> None:
        try:
            task: ShardTask = self.pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        self.task, self.until = task, time.monotonic() + task.seconds
        self.runner.known |= task.known.union(*(learnt.titles for learnt in task.lesson.learnt))
        if task.lesson.memory is not None:
            self.runner.known |= task.lesson.memory.titles
        self.runner.begin(task.runs)
        self.kept = []
        new = [program for program in (*task.programs, *task.lesson.programs) if program not in self.seen]
        self.seen.update(new)
        self.adopted.extend(new)

    def _learnt(self) -> Learnt:
        """Return what is new since the last answer."""
        runner, reached = self.runner, dict(self.runner.features.reached)
        pairs = runner.pairs.to_bytes(MAP_BITS, "little")
        news = Learnt([hit.title for hit in runner.counts.hits], changed(pairs, self.pairs), increase(reached, self.reached),
                      kept=[Kept.of(program, (), ()) for program in self.kept])
        self.pairs, self.reached = pairs, reached
        return news

    def _answer(self, error: str) -> None:
        assert self.task is not None
        runner = self.runner
        result = ShardResult(number=self.task.number, **vars(runner.counts), kept=self.kept, left_open=dict(runner.fast.left_open),
                             error=error, learnt=self._learnt())
        if not error:
            result.check(self.task)
        self.task = None
        runner.end()
        try:
            self.pipe.send(result)
        except OSError:
            os._exit(0)
        if error:
            os._exit(1)


def _serve(task: ShardTask, pipe: Connection, log: int) -> None:
    """Give this process, a child of a worker, to libFuzzer. It ends with the worker, even if an input hangs."""
    stop.belong(raises=False)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        serving = Serving(pipe, Runner(task.family, task.variant, Memory()))
        seed = random.Random(f"{task.seed}/{task.number}").randrange(1, 1 << 31)
        start.fuzz(["vmrace", *FLAGS, f"-seed={seed}"], serving.call, serving.mutate, serving.mutator.cross)
    finally:
        os._exit(1)
