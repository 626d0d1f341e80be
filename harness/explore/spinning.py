# SPDX-License-Identifier: MIT
"""Finds loops that wait by reading, so that an exploration of them ends.

A task that only reads in a loop, until another task has changed something, can repeat the loop any number of times. If an iteration
only reads, and the task is then at the same point with the same local state, the iteration changes nothing. A run without it has the
same end, so no run needs such an iteration. A task that has completed one is parked: it runs no more. If the loads of the iteration
would still read the same values at the end of the run, the task waits for ever, which is a finding. If not, another run has the task
read later, and this run does not count (Kokologiannakis, Ren, Vafeiadis, "Dynamic Partial Order Reductions for Spinloops", FMCAD 2021,
where a compiler finds these loops).

The local state is compared: the code positions and local variables of the frames from the loop inwards, and all plain data that
the function of the task leads to. If a value cannot be compared (an iterator, a file), no task is parked in that loop; a run of it
then has too many points. Some state is invisible here: that of the caller of a generator, of C code, of a module. Each loop is
therefore run alone once (harness/explore/again.py, Alone). A loop that ends then is in `ends` of the image, and no task is parked there
again. Only `while` loops are examined, and only while the task holds no lock and is in no interrupt.
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
from vmrace.harness.kernel.barrier import smp_cond_load_relaxed
from vmrace.harness.kernel.bitops import flags_t
from vmrace.harness.kernel.registry import is_kernel_object
from vmrace.harness.kernel.struct import array, struct
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import RUNNING, Cpu, Task
from vmrace.harness.sanitizers.links import slots_of
from vmrace.harness.user_data.comparable import comparable
from vmrace.harness.user_data.watched import uses
from vmrace.harness.user_data.whose import Mentioned, is_users

Read = tuple[Any, Any, Any]                 # object, argument of the point, the value that was read
Function = Callable[..., Any]


class Reads(list[Read]):
    """The loads that a task repeats in a loop, each with the value that it read."""

    def unchanged(self) -> bool:
        """True if all these loads would read the same values again."""
        return all(value_of(obj, arg) == value for obj, arg, value in self)


class _Opaque(Exception):
    """A value that cannot be compared with an earlier one."""


class _History:
    """The reads of a task since its last point that was no read, and its state at points that it may reach again."""

    __slots__ = ("pending", "reads", "visits")

    def __init__(self) -> None:
        self.pending: tuple[Any, Any] | None = None
        self.reads: list[Read] = []
        # point and code position -> frame of the loop, local state, number of reads before
        self.visits: dict[Any, tuple[types.FrameType, Any, int]] = {}

    def note_read(self) -> None:
        """Note the value that the task read at its last point. No other task has run since then, so it is the present value."""
        if self.pending is not None:
            self.reads.append((*self.pending, value_of(*self.pending)))
            self.pending = None


class Spinning:
    """Watches the points of the runs of one exploration. `function_of(task)` returns the function of a task; None if it is unknown."""

    def __init__(self, function_of: Callable[[Task], Function | None]):
        self.function_of = function_of
        self.of: dict[int, _History] = {}

    def begin(self) -> None:
        """Begin a run, or the watched part of one: from here on every point is reported."""
        self.of.clear()

    def completes_an_iteration(self, m: Machine, task: Task, kind: int, obj: Any, arg: Any) -> Reads | None:
        """Return the loads of an iteration if the task completes one here: it only read since it was here before, in the same state."""
        history = self.of.get(task.id)
        if kind != points.READ:
            if history is not None:
                history.note_read()
                if not only_reads(task, kind, obj, arg):
                    del self.of[task.id]
            return None
        loop = _loop_around(sys._getframe(1), m.image.origin) if (task.id, obj, arg) not in m.image.ends else None
        if loop is None or task.irq_depth or task.held is not m.image.lockdep.root:
            if history is not None:
                history.note_read()
                history.pending = (obj, arg)
            return None
        if history is None:
            history = self.of[task.id] = _History()
        history.note_read()
        history.pending = (obj, arg)
        frame, inner = loop
        recording, uses.on = uses.on, False     # a comparison is no use of the data
        try:
            state = m.irqs_raised, self._local_state(task, inner)       # an iteration that raises an interrupt does more than read
        except _Opaque:
            return None
        finally:
            uses.on = recording
        at = (obj, arg, inner[-1].f_code, inner[-1].f_lasti)
        before = history.visits.get(at)
        if before is not None and before[0] is frame and before[1] == state:
            return Reads(history.reads[before[2]:])
        history.visits[at] = (frame, state, len(history.reads))
        return None

    def _local_state(self, task: Task, frames: list[types.FrameType]) -> list[Any]:
        """Return the local state of the task as a value that can be compared. Raises _Opaque if that is impossible."""
        walker = _Walker()
        state: list[Any] = [(id(frame.f_code), frame.f_lasti) for frame in frames]
        for frame in frames:
            state.append(walker.of(dict(frame.f_locals)))
        function = self.function_of(task)
        if function is None:
            raise _Opaque
        state.append(walker.of(function))
        return state


def only_reads(task: Task, kind: int, obj: Any, arg: Any) -> bool:
    """True if no other task can notice that the task has passed such a point: it reads, or it gives up a cpu that no other task wants, by
    yield() or by schedule() in TASK_RUNNING."""
    yields = kind == points.WAIT and obj is task and arg is None and task.state == RUNNING and not task.cpu.shared
    return kind in (points.READ, points.BARRIER) or yields


def value_of(obj: Any, arg: Any) -> Any:
    """Return the value that a load at such a point reads, with all data that it leads to: a list may change and remain the same list."""
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


# ---- the loop around a point -----------------------------------------------------------------------------------------------

def _loop_around(frame: types.FrameType | None, origin: Any) -> tuple[types.FrameType, list[types.FrameType]] | None:
    """Return the frame of the innermost `while` loop around a point, and the frames of user code from that one inwards; None if there
    is no such loop. `origin` has the code of the program."""
    inner: list[types.FrameType] = []
    while frame is not None:
        code = frame.f_code
        if code is smp_cond_load_relaxed.__code__ or origin.get(code) is not None:
            inner.insert(0, frame)
            depth, loops = _stack_depths(code, frame.f_lasti)
            if depth is None:
                return None
            if depth in loops:
                return frame, inner
            if depth:                       # the stack has a value of this iteration, maybe one that depends on a read
                return None
        frame = frame.f_back
    return None


@functools.cache
def _stack_depths(code: types.CodeType, at: int) -> tuple[int | None, tuple[int, ...]]:
    """Return two things of the instruction at offset `at`: the number of values on the stack below its operands (None: not known), and
    the number of values on the stack at the beginning of each `while` loop around it."""
    instructions = {instruction.offset: instruction for instruction in dis.get_instructions(code)}
    depths = _depths(code)
    at = max((offset for offset in instructions if offset <= at), default=-1)      # the offset of a call is in its inline cache
    if at not in depths:
        return None, ()
    if instructions[at].opname == "PRECALL":            # Python 3.11 calls some builtins in this instruction once the code is warm
        at = min(offset for offset in instructions if offset > at)
    instruction = instructions[at]
    if instruction.opname not in _ONE_RESULT:
        return None, ()
    loops = []
    for jump in instructions.values():
        target = jump.argval if jump.opcode in dis.hasjrel or jump.opcode in dis.hasjabs else None
        if target is not None and target <= at <= jump.offset and instructions[target].opname != "FOR_ITER" and target in depths:
            loops.append(depths[target])
    return depths[at] + dis.stack_effect(instruction.opcode, instruction.arg, jump=False) - 1, tuple(loops)


# The instructions in the middle of which a task can be at a point, and which leave one result.
_ONE_RESULT = frozenset(("CALL", "CALL_KW", "CALL_FUNCTION_EX", "LOAD_ATTR", "BINARY_SUBSCR", "CONTAINS_OP", "COMPARE_OP", "BINARY_OP",
                         "UNARY_NOT"))


@functools.cache
def _depths(code: types.CodeType) -> dict[int, int]:
    """Return the number of values on the stack before each instruction that is reached without an exception, by offset."""
    instructions = list(dis.get_instructions(code))
    following = {instruction.offset: after.offset for instruction, after in itertools.pairwise(instructions)}
    by_offset = {instruction.offset: instruction for instruction in instructions}
    depths = {instructions[0].offset: 0}
    todo = [instructions[0].offset]
    while todo:
        offset = todo.pop()
        instruction = by_offset[offset]
        successors = []
        if instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
            successors.append((instruction.argval, True))
        if instruction.opname not in _ENDS and offset in following:
            successors.append((following[offset], False))
        for successor, jumps in successors:
            try:
                depth = depths[offset] + dis.stack_effect(instruction.opcode, instruction.arg, jump=jumps)
            except ValueError:
                continue
            if successor not in depths:
                depths[successor] = depth
                todo.append(successor)
    return depths


_ENDS = frozenset(("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD",
                   "JUMP_BACKWARD_NO_INTERRUPT", "JUMP_ABSOLUTE"))


# ---- the local state -------------------------------------------------------------------------------------------------------

class _Walker:
    """Turns values into values that can be compared later. It follows everything that they lead to, each object once.

    Kernel objects are compared by identity. Data of the task itself is equal if it has equal values and shares the same parts.
    """

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []          # keeps the objects alive: until then no other object gets the same id

    def of(self, value: Any) -> Any:
        """Return the value in a form that can be compared. Raises _Opaque if it cannot be compared."""
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
            return [self.of(accessor) for accessor in (value.fget, value.fset)]
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
