# SPDX-License-Identifier: MIT
"""Explicit states of a running program: all that is shared, every stack, the stack on each cpu, the pending interrupts.

A stack belongs to a task, or to the idle loop of a cpu, which only takes interrupts. Its frames are the task's own code and one
for each interrupt on top of it. A stack that is not empty stands before an atomic step: steps that only its own frame can see are
taken at once, since no other stack can tell when.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

NOBODY = -1
DEAD = -2                   # stands for the stack of a cpu that waits for itself
NEW, READY, ASLEEP, DONE = "new", "ready", "asleep", "done"         # is a task on the run queue? A task that runs is.
RUNNING, UNINTERRUPTIBLE = "TASK_RUNNING", "TASK_UNINTERRUPTIBLE"


class Illegal(Exception):
    """The program does something that no kernel code may do: there is no right outcome."""


class Step(NamedTuple):
    """One step. `does(world, frame, *arguments)` returns False if it cannot be taken now. `local`: no other frame can see it.
    `touches`: the objects that it may access."""

    does: Callable[..., Any]
    arguments: tuple[Any, ...]
    local: bool
    touches: tuple[int, ...]


class Frozen(NamedTuple):
    """A frame of a stack. `held`: the locks it has, as (object, side, spins)."""

    code: int
    at: int
    registers: tuple[int, ...]
    irqs_on: bool
    held: tuple[tuple[int, str, bool], ...]


class State(NamedTuple):
    """`running`: for each cpu a stack, NOBODY or DEAD. `pending`: the codes of the handlers, sorted. `results`: None until a task ends."""

    memory: tuple[Any, ...]
    stacks: tuple[tuple[Frozen, ...], ...]
    places: tuple[str, ...]
    task_states: tuple[str, ...]
    running: tuple[int, ...]
    pending: tuple[int, ...]
    results: tuple[tuple[int, ...] | None, ...]


class Frame:
    """A frame while a step is taken."""

    __slots__ = ("at", "code", "held", "irqs_on", "registers")

    def __init__(self, frozen: Frozen):
        self.code, self.at, registers, self.irqs_on, self.held = frozen
        self.registers = list(registers)

    def value(self, operand: tuple[bool, int]) -> int:
        """Return the value of an operand, which is (is it a register, its number or the value)."""
        return self.registers[operand[1]] if operand[0] else operand[1]

    @property
    def spins(self) -> bool:
        return any(spins for _, _, spins in self.held)

    def take(self, lock: int, side: str, spins: bool) -> None:
        self.held = (*self.held, (lock, side, spins))

    def give_back(self, lock: int, side: str) -> None:
        for number, (held, held_side, _) in enumerate(self.held):
            if (held, held_side) == (lock, side):
                self.held = self.held[:number] + self.held[number + 1:]
                return
        raise Illegal("a lock is released by a stack that does not hold it")

    def holds(self, lock: int, alone: bool) -> bool:
        return any(held == lock and (not alone or side != "read") for held, side, _ in self.held)


class World:
    """A state while one step is taken from it. `me`: the stack that moves, on cpu `cpu`."""

    def __init__(self, state: State, cpu: int):
        self.memory = list(state.memory)
        self.stacks = list(state.stacks)
        self.places = list(state.places)
        self.task_states = list(state.task_states)
        self.running = list(state.running)
        self.pending = list(state.pending)
        self.results = list(state.results)
        self.cpu = cpu
        self.me = state.running[cpu]

    def freeze(self) -> State:
        return State(tuple(self.memory), tuple(self.stacks), tuple(self.places), tuple(self.task_states), tuple(self.running),
                     tuple(sorted(self.pending)), tuple(self.results))

    def wake(self, task: int) -> bool:
        """Do try_to_wake_up(): True if the task was asleep. A task that does not yet sleep only gets its state set."""
        self.task_states[task] = RUNNING
        if self.places[task] != ASLEEP:
            return False
        self.places[task] = READY
        return True

    def sleep(self) -> None:
        self.places[self.me] = ASLEEP
        self.leave_cpu()

    def wait_for_lock(self, frame: Frame, lock: int) -> bool:
        """Stop the cpu if the frame waits for a lock that it has alone, or that a frame below it has. True if the cpu is dead now."""
        held = [*frame.held, *(one for below in self.stacks[self.me][:-1] for one in below.held)]
        if not any(other == lock and side == "alone" for other, side, _ in held):
            return False
        self.running[self.cpu] = DEAD
        return True

    def leave_cpu(self) -> None:
        self.running[self.cpu] = NOBODY

    def task(self) -> int:
        """Return the task that runs, and is in no interrupt."""
        if self.me >= len(self.places) or len(self.stacks[self.me]) > 1:
            raise Illegal("an interrupt touches the state of current, or sleeps")
        return self.me

    def may_sleep(self, frame: Frame) -> int:
        """Return the task that sleeps now, or might sleep."""
        if frame.spins or not frame.irqs_on:
            raise Illegal("sleeping with a spinlock held or with interrupts off")
        return self.task()
