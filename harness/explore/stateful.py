# SPDX-License-Identifier: MIT
"""Every schedule by stateful search: a second opinion on the results of optimal.py, with which it shares no code.

The search ends a run at a state that was seen before. A state is everything that is shared, plus the history of each stack: its
accesses and the value that it found at each. Its local variables are a function of these (a stack that acquires a lock is taken to
have read everything that is shared). Nothing is assumed about which accesses commute. Two orders of the same accesses reach the same
state only if no stack could notice the difference. The search therefore takes many more runs than optimal.py, and is for small programs.
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
    """A stateful search. `for result in Stateful(state, bound).runs(execute): ...`; None for a run that reached a known state.

    `state()` returns everything that is shared as one hashable value. A run has at most `bound` preemptions; None: any number. A task
    that yields `yields_max` times is left there.
    """

    explores = True

    def __init__(self, state: Callable[[], Any], bound: int | None = None, yields_max: int = 2):
        self.state = state
        self.bound = NEVER if bound is None else bound
        self.is_bounded = bound is not None
        self.yields_max = yields_max
        self.seen: dict[int, int] = {}          # hash of a state -> the fewest preemptions with which it was reached
        self.run_count = 0

    def runs(self, execute: Callable[[Stateful], Any]) -> Iterator[Any]:
        """Yield the result of `execute(self)`, which runs the program once, until every state was reached."""
        todo: list[tuple[int, ...]] = [()]
        while todo:
            self.path = todo.pop()
            self.new: list[tuple[int, ...]] = []        # the beginnings of other runs that this one leads to
            self.done: list[int] = []           # the choices of this run so far
            self.cost = 0                       # its preemptions
            self.history: dict[int, int] = {}   # stack -> hash of all its accesses and of the values that it found
            self.known = False
            result = execute(self)
            self.run_count += 1
            todo += self.new
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
        self.history[m.current.id] = hash((self.history.get(m.current.id), what if isinstance(what, str) else id(what), kind, m.step))

    def _choose(self, m: Machine, choices: Sequence[int], preempts: bool) -> int:
        """Choose among the choices. `preempts`: the running task could go on, so another choice is a preemption."""
        at, running = len(self.done), m.current.id
        if at < len(self.path):
            choice = self.path[at]
        else:
            key = self._key(m, preempts)
            if self.seen.get(key, NEVER) <= self.cost:
                self.known = m.aborting = True
                raise Abort
            self.seen[key] = self.cost
            choice = running if preempts else choices[0]
            if not preempts or self.cost < self.bound:
                self.new += [(*self.done, other) for other in choices if other != choice]
        self.cost += preempts and choice != running
        assert self.cost <= self.bound, (self.cost, self.bound)
        self.done.append(choice)
        self._note(m, choice)
        return choice

    def _note(self, m: Machine, choice: int) -> None:
        """Add the access that the chosen stack is at to the history of that stack."""
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
        self.history[stack] = hash((self.history.get(stack), found))

    def _key(self, m: Machine, preempts: bool) -> int:
        """Return a hash of the state. With a bound, the running task is a part of it: the price of a choice depends on that."""
        tasks = tuple((task.finished, type(task.waiting), id(task.waiting), task.state, task.yields) for task in m.tasks)
        cpus = tuple((cpu.running and cpu.running.id, frozenset(task.id for task in cpu.ready)) for cpu in m.cpus)
        pending = tuple((irq.name, irq.number) for irq in m.pending)
        found = tuple(sorted(finding.title for finding in m.findings + m.notes))
        running = (m.current.id, preempts) if self.is_bounded else ()
        return hash((frozenset(self.history.items()), tasks, cpus, pending, found, m.cut, running, self.state()))


def _value(obj: Any) -> Any:
    """Return the values that an access to `obj` may find: those of all its slots that can change."""
    values = (getattr(obj, slot) for slot in slots_of(type(obj)))
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)
