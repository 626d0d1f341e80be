# SPDX-License-Identifier: MIT
"""Every schedule by stateful search: the second opinion on what optimal.py explores. Shares nothing with it.

A run is cut where it comes to a state that was seen before. A state is what is shared, plus what each stack has done: the
accesses it made and what it found at each, of which its local variables are a function (whoever takes a lock is said to have
seen everything). Nothing is assumed about which accesses commute. Two orders of the same accesses meet again if nobody
could tell them apart; so it takes many more runs than optimal.py, and is for small programs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vmrace.harness import points
from vmrace.harness.errors import Abort
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import NEVER
from vmrace.harness.sanitizers.links import slots_of


class Stateful:
    """`for result in Stateful(state, bound).runs(execute): ...`; None for a run that came to a known state.

    `state()` is all that is shared, as one hashable value. `bound`: at most so many preemptions; None: any number.
    """

    explores = True

    def __init__(self, state: Callable[[], Any], bound: int | None = None, yields_max: int = 2):
        self.state = state
        self.bound = NEVER if bound is None else bound
        self.counts = bound is not None
        self.yields_max = yields_max
        self.seen: dict[Any, int] = {}          # state -> the fewest preemptions it was reached with
        self.run_count = 0

    def runs(self, execute: Callable[[Stateful], Any]) -> Iterator[Any]:
        todo: list[tuple[int, ...]] = [()]
        while todo:
            self.path = todo.pop()
            self.more: list[tuple[int, ...]] = []
            self.done: list[int] = []
            self.cost = 0
            self.did: dict[int, int] = {}       # stack -> hash of all it has done and found
            self.known = False
            result = execute(self)
            self.run_count += 1
            todo += self.more
            yield None if self.known else result

    def begin(self, m: Machine) -> None:
        m.want(1)

    def at(self, m: Machine) -> int:
        m.want(m.step + 1)
        return self._choose(m, m.choices(), True)

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        return self._choose(m, choices, False)

    def wake(self, m: Machine) -> None:
        pass

    def ended(self, m: Machine) -> None:
        pass

    def touched(self, m: Machine, what: Any, kind: int) -> None:
        self.did[m.current.id] = hash((self.did.get(m.current.id), what if isinstance(what, str) else id(what), kind, m.step))

    def _choose(self, m: Machine, choices: Sequence[int], preempts: bool) -> int:
        at, me = len(self.done), m.current.id
        if at < len(self.path):
            choice = self.path[at]
        else:
            key = self._key(m, preempts)
            if self.seen.get(key, NEVER) <= self.cost:
                self.known = m.aborting = True
                raise Abort
            self.seen[key] = self.cost
            choice = me if preempts else choices[0]
            if not preempts or self.cost < self.bound:
                self.more += [(*self.done, other) for other in choices if other != choice]
        self.cost += preempts and choice != me
        self.done.append(choice)
        self._note(m, choice)
        return choice

    def _note(self, m: Machine, choice: int) -> None:
        """The stack that goes on makes the access it is at."""
        base = len(m.tasks)
        if choice >= base:
            number, cpu = divmod(choice - base, len(m.cpus))
            running = m.cpus[cpu].running
            stack, found = running.id if running is not None else -2 - cpu, hash(("irq", number))
        else:
            stack = choice
            task = m.tasks[choice] if choice >= 0 else m.cpus[-2 - choice].idle
            assert task is not None
            at = task.resumes if task.at is not None and task.at[0] == points.IRQ else task.at
            found = hash(at and (at[0], id(at[1]), at[2], self.state() if at[0] == points.ACQUIRE else _value(at[1])))
        self.did[stack] = hash((self.did.get(stack), found))

    def _key(self, m: Machine, preempts: bool) -> Any:
        tasks = tuple((task.finished, type(task.waiting), id(task.waiting), task.state, task.yields) for task in m.tasks)
        cpus = tuple((cpu.running and cpu.running.id, frozenset(task.id for task in cpu.ready)) for cpu in m.cpus)
        pending = tuple((irq.name, irq.number) for irq in m.pending)
        found = tuple(sorted(finding.title for finding in m.findings + m.notes))
        who = (m.current.id, preempts) if self.counts else ()
        return hash((frozenset(self.did.items()), tasks, cpus, pending, found, m.cut, who, self.state()))


def _value(obj: Any) -> Any:
    """What an access to `obj` may find: all its slots that can change."""
    values = (getattr(obj, slot) for slot in slots_of(type(obj)))
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)
