# SPDX-License-Identifier: MIT
"""Finds every outcome of a program: it visits the reachable states, breadth first.

In each state, each cpu may do any of these. Its running stack takes its next step, if that is possible. If nothing runs, one of
the tasks that are ready there is put on the cpu. With `preempt`, another ready task takes it from one that holds no spinlock, has
interrupts on and is in no interrupt. A pending interrupt comes, if interrupts are on and fewer than IRQ_DEPTH_MAX are nested.
A cpu that waits for a lock which it holds itself, below an interrupt or not, is dead: it does nothing any more and takes no
interrupt, as on the machine. A run ends when no stack can take a step, except for tasks that take a cpu from each other and wait there.
Then it is stuck unless every task and interrupt has ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.oracle.language import VALUES, Object, Outcome, Program
from tests.oracle.primitives import Code
from tests.oracle.state import DEAD, DONE, NEW, NOBODY, READY, RUNNING, Frame, Frozen, Illegal, State, World

IRQ_DEPTH_MAX = 2
STATES_MAX = 30_000

FIRST = {"semaphore": lambda one: (one.initial, ()), "mutex": lambda one: (1, ()), "rwsem": lambda one: (False, 0, ()),
         "queue": lambda one: (), "completion": lambda one: (one.initial, ())}


class TooManyStates(Exception):
    """The program has more than `states_max` states."""


@dataclass
class Answer:
    """The outcomes of a program. `touched`: object -> the bodies that access it in some run, as numbers of `program.blocks`."""

    program: Program
    outcomes: set[Outcome]
    touched: dict[str, set[int]]


def outcomes(program: Program, states_max: int = STATES_MAX) -> set[Outcome]:
    """Return all outcomes of the program. Raises Illegal or TooManyStates."""
    return answer(program, states_max).outcomes


def answer(program: Program, states_max: int = STATES_MAX) -> Answer:
    """Return all outcomes of the program, and the bodies that touch each object. Raises Illegal or TooManyStates."""
    interpreter = Interpreter(program)
    start = interpreter.start()
    seen, todo, found = {start}, [start], set()
    while todo:
        following = []
        for state in todo:
            for successor in interpreter.successors(state):
                if successor not in seen:
                    seen.add(successor)
                    following.append(successor)
            if interpreter.is_over(state):
                found.add(interpreter.outcome(state))
        if len(seen) > states_max:
            raise TooManyStates
        todo = following
    return Answer(program, found, {one.name: interpreter.touched[number] for number, one in enumerate(program.objects)})


class Interpreter:
    """Takes steps of one program. Stacks are numbered: the tasks, then the idle loop of each cpu."""

    def __init__(self, program: Program):
        self.program = program
        self.codes = [Code(program, body) for body in program.blocks]
        self.tasks = len(program.tasks)
        self.cpus = program.cpu_count
        self.on_cpu = [[number for number, task in enumerate(program.tasks) if task.cpu == cpu] for cpu in range(self.cpus)]
        self.values = [number for number, one in enumerate(program.objects) if one.kind in VALUES]
        self.touched: dict[int, set[int]] = defaultdict(set)
        self.thread_of = {task.thread: number for number, task in enumerate(program.tasks) if task.thread}

    def start(self) -> State:
        program = self.program
        handlers = [name for name, _ in program.handlers]
        stacks = [(self._frame(number),) for number in range(self.tasks)] + [()] * self.cpus
        pending = tuple(sorted(self.tasks + handlers.index(name) for name in program.pending))
        memory = tuple((self.thread_of[one.name], ()) if one.kind == "thread" else _first(one) for one in program.objects)
        return State(memory, tuple(stacks), tuple(NEW if task.thread else READY for task in program.tasks), (RUNNING,) * self.tasks,
                     (NOBODY,) * self.cpus, pending, (None,) * self.tasks)

    def _frame(self, code: int) -> Frozen:
        return Frozen(code, 0, (0,) * self.codes[code].register_count, True, ())

    def successors(self, state: State) -> Iterator[State]:
        yield from self.steps(state)
        yield from self.preemptions(state)

    def is_over(self, state: State) -> bool:
        """True if nothing but preemptions can follow, and these change nothing."""
        seen, todo = {state}, [state]
        while todo:
            one = todo.pop()
            if next(self.steps(one), None) is not None:
                return False
            for successor in self.preemptions(one):
                if successor not in seen:
                    seen.add(successor)
                    todo.append(successor)
        return all(self.outcome(one) == self.outcome(state) for one in seen)

    def preemptions(self, state: State) -> Iterator[State]:
        for cpu, running in enumerate(state.running if self.program.preempt else ()):
            if running not in (DEAD, NOBODY) and self._is_preemptible(state, running):
                yield from (self._put(state, cpu, task) for task in self._ready(state, cpu))

    def _ready(self, state: State, cpu: int) -> list[int]:
        return [task for task in self.on_cpu[cpu] if state.places[task] == READY and task != state.running[cpu]]

    def steps(self, state: State) -> Iterator[State]:
        """Yield the states after each possible step that is no preemption."""
        for cpu, running in enumerate(state.running):
            if running == DEAD:
                continue
            if running == NOBODY:
                yield from (self._put(state, cpu, task) for task in self._ready(state, cpu))
            else:
                moved = self._move(state, cpu)
                if moved is not None:
                    yield moved
            if state.pending and self._takes_interrupts(state, running):
                for handler in set(state.pending):
                    yield self._interrupt(state, cpu, handler)

    def _is_preemptible(self, state: State, stack: int) -> bool:
        frames = state.stacks[stack]
        return stack < self.tasks and len(frames) == 1 and frames[0].irqs_on and not Frame(frames[0]).spins

    def _takes_interrupts(self, state: State, stack: int) -> bool:
        if stack == NOBODY:
            return True
        frames = state.stacks[stack]
        depth = len(frames) - (stack < self.tasks)
        return depth < IRQ_DEPTH_MAX and frames[-1].irqs_on

    def _put(self, state: State, cpu: int, task: int) -> State:
        """Put the task on the cpu, where it goes on or starts."""
        world = World(state, cpu)
        world.running[cpu] = world.me = task
        self._go_on(world, Frame(state.stacks[task][-1]))
        return world.freeze()

    def _interrupt(self, state: State, cpu: int, handler: int) -> State:
        world = World(state, cpu)
        world.pending.remove(handler)
        if world.me == NOBODY:
            world.running[cpu] = world.me = self.tasks + cpu
        world.stacks[world.me] = (*world.stacks[world.me], self._frame(handler))
        self._go_on(world, Frame(world.stacks[world.me][-1]))
        return world.freeze()

    def _move(self, state: State, cpu: int) -> State | None:
        """Take the next step of the running stack. Return None if that is impossible."""
        world = World(state, cpu)
        frame = Frame(state.stacks[world.me][-1])
        step = self.codes[frame.code].steps[frame.at]
        frame.at += 1
        for touched in step.touches:
            self.touched[touched].add(frame.code)
        if step.does(world, frame, *step.arguments) is False:
            return None
        self._go_on(world, frame)
        return world.freeze()

    def _go_on(self, world: World, frame: Frame) -> None:
        """Take the local steps after an atomic one, and leave frames that have ended, unless the stack has left the cpu."""
        code = self.codes[frame.code]
        runs = world.running[world.cpu] == world.me
        while runs and frame.at < len(code.steps) and code.steps[frame.at].local:
            step = code.steps[frame.at]
            frame.at += 1
            step.does(world, frame, *step.arguments)
        below = world.stacks[world.me][:-1]
        if not runs or frame.at < len(code.steps):
            frozen = Frozen(frame.code, frame.at, tuple(frame.registers), frame.irqs_on, frame.held)
            world.stacks[world.me] = (*below, frozen)
            return
        if not frame.irqs_on or frame.spins or (frame.held and (below or world.me >= self.tasks)):
            raise Illegal("something ends with interrupts off or with a spinlock held, or an interrupt with any lock")
        world.stacks[world.me] = below
        if not below:
            world.running[world.cpu] = NOBODY
            if world.me < self.tasks:
                world.places[world.me] = DONE
                for number, one in enumerate(self.program.objects):
                    if one.kind == "thread" and one.name == self.program.tasks[world.me].thread:
                        for joiner in world.memory[number][1]:
                            world.wake(joiner)
                world.results[world.me] = tuple(frame.registers[number] for number in code.returns)

    def outcome(self, state: State) -> Outcome:
        started = [number for number in range(len(state.stacks)) if number >= self.tasks or state.places[number] != NEW]
        stuck = any(state.stacks[number] for number in started) or bool(state.pending)
        return Outcome(state.results, tuple(state.memory[number] for number in self.values), stuck)


def _first(one: Object) -> object:
    return FIRST[one.kind](one) if one.kind in FIRST else one.initial
