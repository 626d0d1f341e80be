# SPDX-License-Identifier: MIT
"""Loops that wait by reading: found, so that an exploration of them ends.

A task that reads in a loop, without a store, until another task has changed something, can go round any number of times. An iteration
after which the task is where it was, with the same local state, and in which it only read, changes nothing: leaving it out of a run
gives a run to the same end. Runs with such an iteration need not be made. A task that has completed one is parked: it runs no
more. If at the end of the run all that the iteration read is as it was, the task really waits for ever, and that is a finding. If not,
another run has the task read later, and this one is left aside (Kokologiannakis, Ren, Vafeiadis, "Dynamic Partial Order Reductions for
Spinloops", FMCAD 2021, where a compiler finds these loops).

"The same local state" is compared here: the code positions and local variables of the frames from the loop inwards, and all plain data
that the task's function leads to. A value that cannot be compared (an iterator, a file) makes no loop one that waits: the answer
is then that a run has too many points. Some state is out of sight: that of a generator's caller, of C code, of a module. Each
loop is therefore left to itself once (harness/explore/again.py, Alone), and one that ends is in `ends` of the image: no task is
parked there again. Nothing is looked at but loops of the `while` kind, where a task holds no lock and is in no interrupt.
"""

from __future__ import annotations

import collections
import dis
import functools
import itertools
import sys
import types
from collections.abc import Callable
from typing import Any

from vmrace.harness import points
from vmrace.harness.functions.comparable import comparable
from vmrace.harness.functions.watched import uses
from vmrace.harness.functions.whose import Mentioned, is_users
from vmrace.harness.kernel.barrier import smp_cond_load_relaxed
from vmrace.harness.kernel.bitops import flags_t
from vmrace.harness.kernel.registry import is_kernel_object
from vmrace.harness.kernel.struct import array, struct
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import RUNNING, Cpu, Task
from vmrace.harness.sanitizers.links import slots_of

Read = tuple[Any, Any, Any]                 # object, argument of the point, the value that was read
Function = Callable[..., Any]


class Reads(list[Read]):
    """The loads that a task repeats in a loop."""

    def unchanged(self) -> bool:
        """True if all these loads would read what they read."""
        return all(value_of(obj, arg) == value for obj, arg, value in self)


class _Opaque(Exception):
    """A value that cannot be compared with what it was before."""


class _History:
    """The reads of a task since it last did something else, and its state at points to which it may come back."""

    __slots__ = ("pending", "reads", "visits")

    def __init__(self) -> None:
        self.pending: tuple[Any, Any] | None = None
        self.reads: list[Read] = []
        self.visits: dict[Any, tuple[types.FrameType, Any, int]] = {}      # point and place -> frame of the loop, local state, reads before

    def has_read(self) -> None:
        """The task has gone on since its last point, and nobody else ran meanwhile: what it read there is what is there now."""
        if self.pending is not None:
            self.reads.append((*self.pending, value_of(*self.pending)))
            self.pending = None


class Spinning:
    """Watches the points of the runs of one exploration. `function_of(task)` is what the task runs; None if that is not known."""

    def __init__(self, function_of: Callable[[Task], Function | None]):
        self.function_of = function_of
        self.of: dict[int, _History] = {}

    def begin(self) -> None:
        """From here on every point is seen."""
        self.of.clear()

    def completes_an_iteration(self, m: Machine, task: Task, kind: int, obj: Any, arg: Any) -> Reads | None:
        """The task has come to a point: what it has read since it stood there before, if it is as it was then, and did nothing else."""
        history = self.of.get(task.id)
        if kind != points.READ:
            if history is not None:
                history.has_read()
                if not only_reads(task, kind, obj, arg):
                    del self.of[task.id]
            return None
        loop = _loop_around(sys._getframe(1), m.image.origin) if (task.id, obj, arg) not in m.image.ends else None
        if loop is None or task.irq_depth or task.held is not m.image.lockdep.root:
            if history is not None:
                history.has_read()
                history.pending = (obj, arg)
            return None
        if history is None:
            history = self.of[task.id] = _History()
        history.has_read()
        history.pending = (obj, arg)
        frame, inner = loop
        seen, uses.on = uses.on, False          # looking is no use
        try:
            state = m.irqs_raised, self._local_state(task, inner)       # an iteration that raises an interrupt does more than read
        except _Opaque:
            return None
        finally:
            uses.on = seen
        at = (obj, arg, inner[-1].f_code, inner[-1].f_lasti)
        before = history.visits.get(at)
        if before is not None and before[0] is frame and before[1] == state:
            return Reads(history.reads[before[2]:])
        history.visits[at] = (frame, state, len(history.reads))
        return None

    def _local_state(self, task: Task, frames: list[types.FrameType]) -> Any:
        walker = _Walker()
        out: list[Any] = [(id(frame.f_code), frame.f_lasti) for frame in frames]
        for frame in frames:
            out.append(walker.of(dict(frame.f_locals)))
        function = self.function_of(task)
        if function is None:
            raise _Opaque
        out.append(walker.of(function))
        return out


def only_reads(task: Task, kind: int, obj: Any, arg: Any) -> bool:
    """True if nobody can tell that the task has passed such a point: it reads, or it gives up a cpu that no other task wants, by yield()
    or by schedule() in TASK_RUNNING."""
    yields = kind == points.WAIT and obj is task and arg is None and task.state == RUNNING and not task.cpu.shared
    return kind in (points.READ, points.BARRIER) or yields


def value_of(obj: Any, arg: Any) -> Any:
    """The value that a load at such a point reads, and all that this leads to: a list may change while it stays the same one."""
    value = _stored(obj, arg)
    return value if type(value) in (int, bool, str) or value is None else comparable(value)


def _stored(obj: Any, arg: Any) -> Any:
    if isinstance(obj, Cpu):
        return bool(obj.ready)
    if isinstance(obj, flags_t) and arg is not None:
        return obj.word >> arg & 1
    if isinstance(obj, struct) and arg is not None:
        return getattr(obj, obj.slot_of[arg])
    if isinstance(obj, array) and arg is not None:
        return obj.items[arg]
    return [getattr(obj, slot) for slot in slots_of(type(obj))]


# ---- where the loop is -----------------------------------------------------------------------------------------------------

def _loop_around(frame: types.FrameType | None, origin: Any) -> tuple[types.FrameType, list[types.FrameType]] | None:
    """The frame of the innermost `while` loop around a point, and it with the frames in it, of the user's code."""
    inner: list[types.FrameType] = []
    while frame is not None:
        code = frame.f_code
        if code is smp_cond_load_relaxed.__code__ or origin.get(code) is not None:
            inner.insert(0, frame)
            left, loops = _place(code, frame.f_lasti)
            if left is None:
                return None
            if any(left == depth for depth in loops):
                return frame, inner
            if left:                        # a value that was worked out in this iteration, maybe from what was read
                return None
        frame = frame.f_back
    return None


@functools.cache
def _place(code: types.CodeType, at: int) -> tuple[int | None, tuple[int, ...]]:
    """Of the instruction that a frame is in: how many values are on its stack below the operands (None: not known), and how many were
    there where each `while` loop around it begins."""
    instructions = {one.offset: one for one in dis.get_instructions(code)}
    depths = _depths(code)
    at = max((offset for offset in instructions if offset <= at), default=-1)      # a call stands in its instruction's inline cache
    if at not in depths:
        return None, ()
    if instructions[at].opname == "PRECALL":            # of Python 3.11, which calls some builtins here already, once it is warm
        at = min(offset for offset in instructions if offset > at)
    one = instructions[at]
    if one.opname not in _ONE_RESULT:
        return None, ()
    loops = []
    for jump in instructions.values():
        target = jump.argval if jump.opcode in dis.hasjrel or jump.opcode in dis.hasjabs else None
        if target is not None and target <= at <= jump.offset and instructions[target].opname != "FOR_ITER" and target in depths:
            loops.append(depths[target])
    return depths[at] + dis.stack_effect(one.opcode, one.arg, jump=False) - 1, tuple(loops)


# The instructions that can come to a point within them, and leave one result.
_ONE_RESULT = frozenset(("CALL", "CALL_KW", "CALL_FUNCTION_EX", "LOAD_ATTR", "BINARY_SUBSCR", "CONTAINS_OP", "COMPARE_OP", "BINARY_OP",
                         "UNARY_NOT"))


@functools.cache
def _depths(code: types.CodeType) -> dict[int, int]:
    """How many values are on the stack before each instruction that is reached without an exception."""
    listed = list(dis.get_instructions(code))
    following = {one.offset: after.offset for one, after in itertools.pairwise(listed)}
    by_offset = {one.offset: one for one in listed}
    depths = {listed[0].offset: 0}
    todo = [listed[0].offset]
    while todo:
        offset = todo.pop()
        one = by_offset[offset]
        ways = []
        if one.opcode in dis.hasjrel or one.opcode in dis.hasjabs:
            ways.append((one.argval, True))
        if one.opname not in _ENDS and offset in following:
            ways.append((following[offset], False))
        for there, jumps in ways:
            try:
                depth = depths[offset] + dis.stack_effect(one.opcode, one.arg, jump=jumps)
            except ValueError:
                continue
            if there not in depths:
                depths[there] = depth
                todo.append(there)
    return depths


_ENDS = frozenset(("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD",
                   "JUMP_BACKWARD_NO_INTERRUPT", "JUMP_ABSOLUTE"))


# ---- the local state -------------------------------------------------------------------------------------------------------

class _Walker:
    """Values as ones that can be compared later: everything that they lead to is followed, each object once. Kernel objects are
    told apart by what they are; of the task's own data it is enough that it looks the same, and shares the same parts."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []          # an id is one object's for as long as that lives

    def of(self, value: Any) -> Any:
        if value is None or isinstance(value, int | float | complex | str | bytes | types.ModuleType | types.BuiltinFunctionType):
            return value
        number = self.seen.get(id(value))
        if number is not None:
            return ("again", number)
        self.seen[id(value)] = len(self.seen)
        self.alive.append(value)
        return self._within(value)

    def _within(self, value: Any) -> Any:
        if isinstance(value, types.FunctionType):
            return id(value.__code__), self._function(value) if is_users(value.__module__) else None
        if isinstance(value, types.MethodType):
            return self.of(value.__func__), self.of(value.__self__)
        if isinstance(value, functools.partial):
            return self.of(value.func), self.of(value.args), self.of(value.keywords)
        if isinstance(value, dict):
            return [(self.of(key), self.of(item)) for key, item in value.items()]
        if isinstance(value, list | tuple | collections.deque):
            return [self.of(item) for item in value]
        if isinstance(value, set | frozenset):
            return [self.of(item) for item in sorted(value, key=id)]
        if isinstance(value, bytearray):
            return bytes(value)
        if isinstance(value, range):
            return value
        if isinstance(value, type):
            return [(name, self.of(item)) for name, item in vars(value).items() if not name.startswith("__")] if is_users(
                value.__module__) else None
        if isinstance(value, staticmethod | classmethod):
            return self.of(value.__func__)
        if isinstance(value, property):
            return [self.of(one) for one in (value.fget, value.fset)]
        if is_kernel_object(value):
            fields = getattr(type(value), "fields", {})
            return id(value), [self.of(getattr(value, value.slot_of[key])) for key, field in fields.items() if field.kind == "plain"]
        if is_users(type(value).__module__):
            slots = [self.of(getattr(value, name, None)) for base in type(value).__mro__ for name, slot in vars(base).items()
                     if isinstance(slot, types.MemberDescriptorType)]
            return self.of(getattr(value, "__dict__", None)), slots
        raise _Opaque

    def _function(self, function: types.FunctionType) -> Any:
        cells = []
        for cell in function.__closure__ or ():
            try:
                cells.append(self.of(cell.cell_contents))
            except ValueError:              # not bound yet
                cells.append(None)
        names = _names_of(function.__code__)
        return cells, [self.of(function.__globals__.get(name)) for name in names], self.of(function.__defaults__)


@functools.cache
def _names_of(code: types.CodeType) -> tuple[str, ...]:
    return tuple(sorted(Mentioned(code).globals))
