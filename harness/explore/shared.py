# SPDX-License-Identifier: MIT
"""One exploration shared by several processes, each of which explores a part of the tree of runs in the same way.

Whoever explores gives away what is left at the first place that has more than one branch, whenever a worker is free: a fork
of it goes on there, with what is being run at that place asleep. What else is to be run at that place or before belongs to
whoever has these places: such plans come back with the result, and no place is left before all who might plan something there
are done. So the same classes are run as by one process, if not always as few that turn out to be known: while what somebody who
sleeps begins with is being explored elsewhere, all that it plans may come too late. So that a plan could as well begin with it is
no reason to drop the plan; and where it is a part of the plan, but came only after what the plan is for, that part is left out.
What is not known of an access that only a worker has seen is taken to depend on everything.

A worker that learned something which makes earlier runs worthless, says so, and all is done again by one process; one that
is lost leaves the exploration incomplete.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness import stop
from harness.errors import HarnessError
from harness.explore.access import Access, Locations
from harness.explore.event import step_of
from harness.explore.optimal import IRQS_FROM, Name, Optimal
from harness.explore.wakeup import Branch, Place, Plan, Sleep, Step

ALONE_MAX = 256             # runs before anything is given away: most explorations are over by then
GIVE_EVERY = 32             # runs between two times that a process gives something away: a fork costs as much as some

POLL_SECONDS = 0.3              # between two looks at whether this is to stop, while a worker is waited for
SIGNALS = {signal.SIGINT: signal.SIG_IGN, signal.SIGHUP: signal.SIG_IGN, signal.SIGTERM: signal.SIG_DFL}    # whoever forked it is told

Told = tuple[int, list[tuple[int | Name, tuple[Access, ...] | None, int, int, int]] | None]    # place, plan (interrupts by name)


class Lost(Exception):
    """A worker ended without a result: what stopped it."""


class Slots:
    """How many processes may explore at a time, and how many runs they have made together."""

    def __init__(self, workers: int):
        self.workers = workers
        self.alone = 0                  # runs, before there is anybody else
        self.free: Any = None           # a semaphore: how many more may explore
        self.together: Any = None       # runs, from then on: a semaphore too, as no process can be killed while it holds that

    def take(self) -> bool:
        """Whether there is a process to be had. It is to be given back by whoever ends."""
        if self.workers == 1 or sys.platform == "darwin":      # where a semaphore cannot be read
            return False
        if self.free is None:
            from multiprocessing import get_context  # here: most explorations need none
            self.free, self.together = get_context("fork").Semaphore(self.workers - 1), get_context("fork").Semaphore(0)
        return bool(self.free.acquire(block=False))

    def ran(self) -> None:
        if self.together is None:
            self.alone += 1
        else:
            self.together.release()

    @property
    def run_count(self) -> int:
        return self.alone if self.together is None else self.alone + int(self.together.get_value())


@dataclass
class Worker:
    """A process that explores what was given away at a place."""

    number: int
    place: Place
    given: frozenset[int]
    pid: int
    pipe: Any                       # a connection, as of multiprocessing: imported only where there are workers


class Shared(Optimal):
    """Optimal, by several processes. `result()` is what a worker has to say; `take(it)` is told of it where it was forked."""

    def __init__(self, routes: Mapping[Name, int] | None, up: bool, locations: Locations | None, slots: Slots, result: Callable[[], Any],
                 take: Callable[[Any], None], reset: Callable[[], None]):
        self.slots = slots
        self.result, self.take, self.reset = result, take, reset
        self.workers: list[Worker] = []
        self.pipe: Any = None                   # to whoever has the places before `base`
        super().__init__(routes, up, locations)
        self.parent = 0
        self.told: list[Told] = []
        self.others: Any = None                 # the place `base`, with what others are to run there: so that it is told once
        self.sharing = True
        self.gives_next = ALONE_MAX             # from that run on
        self.known = 0                          # locations that whoever has the places before `base` knows too

    # ---- giving away -----------------------------------------------------------------------------------------------

    def between(self) -> None:
        if self.pipe is not None and os.getppid() != self.parent:
            self.slots.free.release()           # nobody waits for this any more
            os._exit(1)
        self.slots.ran()
        if not self.sharing or self.run_count < self.gives_next:
            return
        number = next((number for number in range(self.base, len(self.places) - 1) if self._has_more(number)), None)
        if number is not None and self.slots.take():
            self.gives_next = self.run_count + GIVE_EVERY
            self._give_away(number)

    def _has_more(self, number: int) -> bool:
        place = self.places[number]
        return isinstance(place, Place) and len(place.tree) > 1

    def _give_away(self, number: int) -> None:
        place = self.place(number)
        given, place.tree = place.tree[1:], place.tree[:1]
        from multiprocessing import Pipe
        ours, theirs = Pipe()
        state = random.getstate()
        pid = os.fork()
        if pid:
            theirs.close()
            names = frozenset(branch.process for branch in given)
            self.workers.append(Worker(number, place, names, pid, ours))
            place.sleep = place.sleep.with_({branch.process: branch.steps[0].accesses for branch in given}, names)
        else:
            for number_of_signal, action in SIGNALS.items():
                signal.signal(number_of_signal, action)
            stop.belong(raises=True)
            random.setstate(state)              # a fork has another one
            ours.close()
            self._begin_at(number, given, theirs)

    def _begin_at(self, number: int, branches: list[Branch], pipe: Any) -> None:
        """In a new worker."""
        place, event = self.place(number), self.events[number]
        self.parent, self.pipe, self.workers, self.told = os.getppid(), pipe, [], []
        self.put_to_sleep(place, event, frozenset([event.process]))
        place.tree = branches
        self.others = Place(place.sleep, [])
        self.branch, self.branch_step = number, step_of(event)
        self.take_back(number)
        del self.places[number + 1:]
        self.base = number
        self.run_count = self.blocked_count = 0
        self.gives_next = GIVE_EVERY
        self.known = len(self.locations.keys)
        self.reset()

    # ---- plans for places that are somebody else's ---------------------------------------------------------------------

    def plan_at(self, number: int, plan: Plan | None) -> None:
        place = self.place(number)
        if self.pipe is None or number > self.base:
            place.add(number, plan)
        elif number == self.base and plan is not None and any(_begins(branch, plan) for branch in place.tree):
            place.add(number, plan)                             # with what was given to this process
        else:
            steps = None if plan is None else [(self._name(step.process), self._known(step.accesses), plan.before(step), step.number,
                                                step.points) for step in plan.steps]
            if (self.others if number == self.base else place).add(number, plan):       # it was not told before
                self.told.append((number, steps))

    def _name(self, process: int) -> int | Name:
        return self.irq_name[process] if process >= IRQS_FROM else process

    def _known(self, accesses: tuple[Access, ...] | None) -> tuple[Access, ...] | None:
        return None if accesses is None or any(location >= self.known for location, _ in accesses) else accesses

    # ---- taking back -----------------------------------------------------------------------------------------------

    def awaited(self, number: int) -> bool:
        return any(worker.number >= number for worker in self.workers)

    def settle(self, number: int) -> None:
        while self.awaited(number):
            self._receive(max(self.workers, key=lambda worker: worker.number))

    def gather(self) -> None:
        """All is run: take what is left of the workers, or, in a worker, say what came of it and end."""
        while self.workers:
            self._receive(self.workers[-1])
        if self.pipe is not None:
            self._say((self.result(), self.told, list(self.names)))

    def _receive(self, worker: Worker) -> None:
        self.slots.free.release()               # somebody else may run while this one waits
        while not worker.pipe.poll(POLL_SECONDS):
            stop.look()
        self.workers.remove(worker)
        try:
            said = pickle.loads(worker.pipe.recv_bytes())
        except Exception:                       # it ended without a result, with whatever exit code, or in the middle of one
            raise Lost("a worker process was lost") from None
        finally:
            worker.pipe.close()
            os.waitpid(worker.pid, 0)
        while not self.slots.free.acquire(timeout=POLL_SECONDS):
            stop.look()
        if isinstance(said, BaseException):
            raise said
        if said is None:
            self._alone()
            return
        result, told, names = said
        self.take(result)
        sleep = worker.place.sleep
        worker.place.sleep = Sleep(sleep.processes, sleep.away - worker.given)
        for name in names:
            self.process_of_name(name)
        for number, plan in told:
            steps = [Step(self.process_of_name(who) if isinstance(who, tuple) else who, *step) for who, *step in plan or ()]
            self.plan_at(number, None if plan is None else Plan([*steps], -1, [*steps], {}))

    def fail(self, error: BaseException) -> None:
        """In a worker: let whoever forked it raise that."""
        try:
            pickle.dumps(error)
        except Exception:
            error = HarnessError(f"{type(error).__name__}: {error}")
        self._say(error)

    def _say(self, what: Any) -> None:
        """To whoever forked this worker, which ends with that, and leaves none of its own."""
        assert self.pipe is not None
        self.kill_workers()
        self.slots.free.release()
        with contextlib.suppress(OSError):
            self.pipe.send_bytes(pickle.dumps(what))
        os._exit(0)

    def _alone(self) -> None:
        """What was learned is not known here: once more from the beginning, by one process."""
        if self.pipe is not None:
            self._say(None)
        self.sharing = False
        self.locations.restart = True

    def _forget(self) -> None:
        self.kill_workers()
        if self.pipe is not None:
            self._say(None)
        super()._forget()

    def kill_workers(self) -> None:
        """Without what the workers still had to say."""
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)
            worker.pipe.close()
            self.slots.free.release()
        self.workers = []


def _begins(branch: Branch, plan: Plan) -> bool:
    return plan.starts(branch.process, branch.steps[0].accesses) is not None
