# SPDX-License-Identifier: MIT
"""Schedules bred from schedules: the decisions of a kept run up to some point, then new preemptions.

First each child of a kept run is run once: it is preempted at one contended access, for one of the others that could run there. After
that the children are random, with one or two new preemptions. If a race needs two preemptions at exact points, and a run that makes the
first of them is kept, the race is found sooner by a factor of about the number of points in a run.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import NEVER

STRIDE = 4_096  # more than the tasks and pending interrupts of a run
NEAR = 12       # points, on average, from the first of two preemptions to a second that is near it


@dataclass
class Bred:
    """A kept run: its decisions, its number of points, and in `places` the steps at which tasks touch each contended object.

    A preemption at another step changes nothing that another task could observe. `places` is None while they are not known;
    `listed`: the steps whose children have been listed. `weight` is the worth of the run, for the caller.
    """

    switches: Sequence[int] = ()
    forced: Sequence[int] = ()
    steps: int = 100
    places: dict[Any, list[int]] | None = None
    weight: int = 1
    listed: array[int] = field(default_factory=lambda: array("L"))      # a set of the same numbers takes ten times the memory
    children: array[int] = field(default_factory=lambda: array("L"))    # not yet run: step * STRIDE + index of the other

    def breed(self, rng: random.Random, places: Iterable[Sequence[int]], others: Mapping[int, int]) -> None:
        """List more children, in random order: those of contended accesses whose steps are not listed yet. They are run before the others.
        `places`: the steps of contended accesses; `others`: step -> number of other choices."""
        since = self.switches[-2] if self.switches else 0
        steps = sorted({step for steps in places for step in steps if step > since}.difference(self.listed))
        self.listed = self.listed + array("L", steps)
        more = [step * STRIDE + other for step in steps for other in range(others[step])]
        rng.shuffle(more)
        self.children = self.children + array("L", more)


class Mutate:
    """A scheduler that breeds its runs from `base`.

    A new preemption chooses an object at random, then one of its steps. Thus an object that is touched once weighs as much as a lock
    that is acquired all the time.
    """

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.base = Bred()

    def begin(self, m: Machine) -> None:
        uniform = self.rng.random
        base = self.base
        self.kept_forced = base.forced
        self.other = -1
        if base.children:
            step, self.other = divmod(base.children.pop(), STRIDE)
            self._start(m, list(base.switches), [step])
            return
        count = len(base.switches) // 2
        if count and uniform() < 0.3:
            count = int(uniform() * count)
        kept = list(base.switches[: 2 * count])
        since = kept[-2] if kept else 0
        own = [self._place(since)]
        if uniform() < 0.5:
            near = uniform() < 0.6
            own.append(own[0] + 1 + int(self.rng.expovariate(1 / NEAR)) if near else self._place(since))
            own.sort(reverse=True)
        self._start(m, kept, own)

    def _start(self, m: Machine, kept: list[int], own: list[int]) -> None:
        self.kept, self.own = kept, own
        self.used = 0
        self.follows = True             # the run is still the same as the kept run
        self.kept.reverse()             # decision, step, decision, step ...: the next is at the end
        m.want(self._next())

    def _place(self, since: int) -> int:
        """Return a random step after `since` for a new preemption."""
        uniform, base = self.rng.random, self.base
        if base.places and uniform() < 0.8:
            steps = self.rng.choice(list(base.places.values()))
            step = steps[int(uniform() * len(steps))]
            if step > since:
                return step
        return since + 1 + int(uniform() * max(base.steps - since, 1))

    def _next(self) -> int:
        first = self.kept[-1] if self.kept else NEVER
        return min(first, self.own[-1]) if self.own else first

    def at(self, m: Machine) -> int:
        me = m.current.id
        decision = me
        if self.kept and self.kept[-1] <= m.step:
            self.kept.pop()
            decision = self.kept.pop()
            if decision not in m.choices():
                decision = me
                self.follows = False
        elif self.own and self.own[-1] <= m.step:
            self.own.pop()
            others = [choice for choice in m.choices() if choice != me]
            if others:
                pick = self.other if 0 <= self.other < len(others) else int(self.rng.random() * len(others))
                decision = others[pick]
            self.follows = False
        m.want(self._next())
        return decision

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        if self.follows and self.used < len(self.kept_forced):
            decision = self.kept_forced[self.used]
            self.used += 1
            if decision in choices:
                return decision
            self.follows = False
        return choices[int(self.rng.random() * len(choices))]

    def wake(self, m: Machine) -> None:
        pass
