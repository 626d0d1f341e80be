# SPDX-License-Identifier: MIT
"""Plain data that one task changes and another reaches. No explorer sees the uses of such data, so nothing can be proved about it.

This recorder watches whole runs. At each point it compares the plain data with that at the point before. A change since then was made
by the task or the interrupt that reaches this point. Reads cannot be seen, so every task whose functions reach the data (see
python_state.py) counts as a reader. A task may use data freely if no other task reaches it, and `check` may read all data.

The uses of a list, dict or deque can be seen if only the program refers to it (watched.py). It is shared well if all uses, in all
runs, are under one lock.

Data that only the value of a kernel object reaches belongs to that object. A task may change it right after a point that stores to the
object (also `point(cell, RMW)`). If the value is in a field that a lock guards, a task may also change it with the lock held.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

from vmrace.harness.kernel.registry import is_kernel_object
from vmrace.harness.link.guards import holds_of
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import Irq
from vmrace.harness.points import IRQ, LOCAL, RMW, WRITE
from vmrace.harness.user_data.comparable import frozen
from vmrace.harness.user_data.places import Contents, Place
from vmrace.harness.user_data.python_state import Kept
from vmrace.harness.user_data.watched import count_of, is_watched, locks_of, used_unseen, uses
from vmrace.harness.user_data.whose import function_name

Process = int               # a task by its number, an interrupt n as -1 - n


class Sharing:
    """The recorder of plain data that the tasks of a program share.

    `why`: the first piece of such data, in one line, or "". `places`: all that have places of their own. `points`: the points seen.
    """

    def __init__(self, kept: Kept, tasks: Sequence[Callable[..., Any]], keys: Sequence[str], irqs: Sequence[Callable[..., Any]],
                 objects: Sequence[Any], names: dict[str, Any]):
        """`names`: the objects that guards name, as names_of in harness/link/guards.py returns them."""
        self.why = ""
        self.places: set[int] = set()           # the shared data, if it has places of its own
        self.points = 0
        self.kept = kept
        self.names = [f"{function_name(task)} on {key}" for task, key in zip(tasks, keys, strict=True)]
        self.tasks = tasks
        reached = [kept.reached(task) or set() for task in tasks]
        count = [0] * len(kept.places)
        for places in (*reached, *(kept.reached(handler) or set() for handler in irqs)):
            for number in places:
                count[number] += 1
        raises = any(one.__name__ == "raise_irq" for one in kept.seen.values() if isinstance(one, types.FunctionType))
        self.reached = reached
        self.shared = [number for number, times in enumerate(count) if times > 1 or (times and raises)]
        # a variable that no function stores to cannot change, and is not compared at each point
        self.looked_at = [number for number in self.shared
                          if kept.places[number].kind != "a variable" or kept.places[number].name.path in kept.stored]
        self.last: list[tuple[int, Place, Any]] = []    # the places that are compared, with the data at the last point
        self.known: set[int] = set()            # places that changed in a watched run
        self.fields = [_Field(made, key, names) for made in objects for key, field in getattr(type(made), "fields", {}).items()
                       if field.kind != "plain"]
        self.fields_of: dict[int, list[_Field]] = {}
        for one in self.fields:
            self.fields_of.setdefault(id(one.made), []).append(one)

    # ---- one run -----------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a run: the data is as it was in the beginning."""
        places, first = self.kept.places, self.kept.first
        self.last = [(number, places[number], first[number]) for number in self.looked_at]
        self.opened: dict[Process, tuple[int, Any]] = {}        # the last point of each
        self.handlers: dict[Process, Irq] = {}
        self.changes: dict[int, tuple[set[Process], str]] = {}
        self.counts = {number: count_of(_container(places[number])) for number in self.looked_at
                       if is_watched(getattr(places[number], "value", None))}
        self.stored: set[int] = set()           # objects that some point stores to
        for field in self.fields:
            field.begin()
        self.holding = [field for field in self.fields if field.holds is not None]

    def __call__(self, kind: int, obj: Any, arg: Any = None) -> None:
        """Record a point, an interrupt that enters or leaves, or a task that begins or ends."""
        if m.findings:                          # a task that has failed reaches no more points
            return
        me = m.current
        who = -1 - me.irqs[-1] if me.irqs else me.id
        uses.on = False
        self._look(who)
        uses.on = True
        if kind != IRQ:
            self.opened[who] = kind, obj
            self.points += kind != LOCAL
            if kind in (WRITE, RMW):
                self.stored.add(id(obj))
        elif arg == "enter":
            self.handlers[who] = obj

    def _look(self, who: Process) -> None:
        for index, (number, place, since) in enumerate(self.last):
            if place.changed(since):
                self.changes.setdefault(number, (set(), place.described(since)))[0].add(who)
                self.last[index] = number, place, place.now()
                if number in self.counts:
                    before, self.counts[number] = self.counts[number], count_of(_container(place))
                    if self.counts[number] == before or not self._knows_all(_container(place)):
                        used_unseen(_container(place))
        kind, obj = self.opened.get(who, (LOCAL, None))
        stores = kind in (WRITE, RMW)
        for field in self.holding:
            if field.changed() and not (stores and obj is field.made) and not (field.guarded and field.is_locked_by(m.current)):
                self._refuse(f"what {field.name} holds, a {field.kind}, is changed by {self._name(who)} without a point "
                             f"of {field.made.name}")
        if stores and id(obj) in self.fields_of:
            self.holding = [field for field in self.holding if field.made is not obj]
            self.holding += [field for field in self.fields_of[id(obj)] if field.looks()]

    def finish(self) -> None:
        """End a run, and judge the changes that were seen in it."""
        if m.findings:
            return
        places, first = self.kept.places, self.kept.first
        for number, (processes, described) in self.changes.items():
            for who in processes:
                others = self._others(number, who)
                if others and not (number in self.counts and locks_of(_container(places[number]))):
                    self.places.add(number)
                    self._refuse(f"{described}: changed by {self._name(who)}, reached by {' and '.join(others)}")
        for number in self.shared:              # those that were not compared at each point
            if number not in self.changes and places[number].changed(first[number]):
                others = self._others(number, None)
                if len(others) > 1:
                    self._refuse(f"{places[number].described(first[number])}: changed by one of {' and '.join(others)}")
                self.known.add(number)
        for field in self.fields:
            if not field.guarded and id(field.made) not in self.stored and field.value() is not field.first:
                self._refuse(f"{field.name} is stored to without a point of {field.made.name}")
        self.known |= self.changes.keys()

    def anew(self) -> bool:
        """True if a run that was not watched has changed shared data that no watched run has changed: such a run must be watched, too."""
        places, first = self.kept.places, self.kept.first
        return any(number not in self.known and places[number].changed(first[number]) for number in self.shared)

    def _knows_all(self, container: Any) -> bool:
        """True if each item of `container` is constant, or has a place of its own, which is compared.

        A task that takes another item out of it, under a lock, may change that item later without the lock.
        """
        items = container.values() if isinstance(container, dict) else container
        return all(_is_constant(item) or id(item) in self.kept.seen for item in items)

    # ---- who reaches what --------------------------------------------------------------------------------------------------

    def _others(self, number: int, who: Process | None) -> list[str]:
        """Return the names of the other tasks and interrupts that reach the place `number`."""
        handler = self.handlers.get(who) if who is not None else None
        reached = self.reached
        if handler is not None:                 # a task that only raises the interrupt does not touch its data
            hidden = frozenset({id(_function(handler)), id(getattr(_function(handler), "__func__", None))})
            reached = [self.kept.reached(task, hidden) or set() for task in self.tasks]
        out = [self.names[task] for task, places in enumerate(reached) if task != who and number in places]
        for process, irq in self.handlers.items():
            places = self.kept.reached(_function(irq))
            if process != who and (places is None or number in places):
                out.append(self._name(process))
        return out

    def _name(self, who: Process) -> str:
        return self.names[who] if who >= 0 else f"interrupt {self.handlers[who].name}"

    def _refuse(self, why: str) -> None:
        self.why = self.why or why


def _container(place: Place) -> Any:
    assert isinstance(place, Contents)
    return place.value


def _function(irq: Irq) -> Any:
    return getattr(irq.handler, "__wrapped__", irq.handler)


class _Field:
    """A watched field of a struct. Its value may be a list, or another object that can change without a point."""

    def __init__(self, made: Any, key: str, names: dict[str, Any]):
        self.made = made
        self.name = f"{made.name}.{key}"
        field = type(made).fields[key]
        self.guarded = field.kind == "guarded"
        self.is_locked_by = holds_of(field.guards, made, names)
        self.slot = type(made).slot_of[key]
        self.first = self.value()

    def value(self) -> Any:
        return getattr(self.made, self.slot)

    @property
    def kind(self) -> str:
        return type(self.holds).__name__

    def begin(self) -> None:
        self.first = self.value()
        self.looks()

    def looks(self) -> bool:
        """Remember the present value. True if that can change."""
        value = self.value()
        self.holds = None if _is_constant(value) else value
        self.deep = _deep(value) if self.holds is not None else None
        return self.holds is not None

    def changed(self) -> bool:
        """True if the value has changed without a store to the field. Remember the present value."""
        deep, held = self.deep, self.holds
        if self.value() is not held:
            self.looks()
            return False
        self.deep = _deep(held)
        return bool(self.deep != deep)


def _is_constant(value: Any) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(map(_is_constant, value))
    return isinstance(value, _CONSTANT) or is_kernel_object(value)


_CONSTANT = (int, float, complex, str, bytes, type(None), type, type(_is_constant), type(len))


def _deep(value: Any) -> Any:
    return frozen(value, _attributes)


def _attributes(value: Any, within: tuple[int, ...]) -> Any:
    """Return an image of an object: its id and the images of its attributes."""
    if _is_constant(value) or not hasattr(value, "__dict__"):
        return id(value)
    return id(value), frozen(value.__dict__, _attributes, within)
