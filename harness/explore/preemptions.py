# SPDX-License-Identifier: MIT
"""The least number of preemptions among all runs of a class of schedules.

A class has every order of a run's events that agrees with happens-before. A switch is a preemption if the process that ran could
have gone on: it had not ended, did not sleep, and was not at a lock that another process had just then. An outcome is therefore
possible with at most N preemptions if, and only if, one of its classes has a run with at most N. This makes a bound sound for an
exploration that runs one schedule of each class without regard to preemptions.
"""

from __future__ import annotations

from collections import deque

from vmrace.harness.explore.access import ACQUIRE_SHARED, ACQUIRES, CONFLICTS, FINISH, JOIN, TAKE
from vmrace.harness.explore.bits import bits_by_process
from vmrace.harness.explore.event import IRQS_FROM, NO_PROCESS, Event
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.explore.tokens import wait

_Stacks = tuple[tuple[int, ...], ...]       # of each shared cpu: its number, the task that has it, the interrupts on top of that task
_State = tuple[int, int, _Stacks]           # the bits of the events that are done, the process that runs, the stacks of the shared cpus


def least_preemptions(explorer: Optimal, below: int = 1 << 30) -> int:
    """Return the least number of preemptions of the class of the run that `explorer` has just made; `below` if it is not below that."""
    return _Search(explorer).least(below) if below else 0


class _Search:
    """A breadth-first search over the orders of the events of one run, the fewest preemptions first."""

    def __init__(self, explorer: Optimal):
        self.events = explorer.events
        self.bits = bits_by_process(self.events)
        # interrupt -> the process that it interrupts
        self.interrupted = {event.process: event.entered_over for event in self.events if event.enters}
        self.parked = {self.events[number].process for number, *_ in explorer.record.parks}
        self.waiting = {event.process: event for event in explorer.reversal.waiting}
        self.sections: dict[Event, list[tuple[int, int]]] = {}          # see `_sections_of`
        self.explorer = explorer

    def least(self, below: int) -> int:
        """Return the least number of preemptions with which all events can be ordered, at most `below`."""
        full = (1 << len(self.events)) - 1
        start: _State = (0, NO_PROCESS, ())
        best = {start: 0}
        todo = deque([(0, start)])
        while todo:
            cost, state = todo.popleft()
            if best[state] < cost:
                continue
            done, running, stacks = state
            if done == full:
                assert cost < below, (cost, below)
                return cost
            could_go_on = running != NO_PROCESS and self._could_go_on(running, done)
            for process in (running,) if could_go_on and cost + 1 >= below else self.bits:
                remaining = self.bits.get(process, 0) & ~done
                if not remaining:
                    continue
                first = remaining & -remaining
                event = self.events[first.bit_length() - 1]
                if event.past & ~done != first or not self._has_token(event, done):
                    continue
                preempts = int(could_go_on and process != running)
                after = (done | first, *self._after(event, stacks))
                if cost + preempts < min(best.get(after, 1 << 60), below):
                    best[after] = cost + preempts
                    if preempts:
                        todo.append((cost + preempts, after))
                    else:
                        todo.appendleft((cost, after))
        return below

    def _after(self, event: Event, stacks: _Stacks) -> tuple[int, _Stacks]:
        """Return the process that goes on after `event` unless there is a switch, and the stacks of the shared cpus then."""
        process, cpu = event.process, event.cpu
        if cpu not in self.explorer.cpus.shared:
            successor = self.interrupted[process] if event.leaves else process
            return NO_PROCESS if event.yields_cpu or successor is None else successor, stacks
        others = tuple(stack for stack in stacks if stack[0] != cpu)
        stack = next((stack for stack in stacks if stack[0] == cpu), (cpu,))
        if event.leaves:                    # the order of the events decides which process it interrupted
            stack = tuple(number for number in stack if number != process)
            return stack[-1] if len(stack) > 1 else NO_PROCESS, tuple(sorted((*others, stack)))
        if event.enters:
            stack = (*stack, process)
        elif process < IRQS_FROM:
            stack = (cpu,) if event.leaves_cpu else (cpu, process)
        return NO_PROCESS if event.yields_cpu else process, tuple(sorted((*others, stack)))

    def _could_go_on(self, process: int, done: int) -> bool:
        """True if the process could go on once these events are done."""
        remaining = self.bits.get(process, 0) & ~done
        event = self.events[(remaining & -remaining).bit_length() - 1] if remaining else self.waiting.get(process)
        if event is None:
            return process not in self.parked             # an interrupt died on top of it
        if not self._has_token(event, done):
            return False
        for location, mode in event.accesses:
            if mode == JOIN:
                return bool(self.explorer.record.touching(location, (FINISH,)) & done)
            if mode == TAKE:
                return True
        if not remaining and event.asleep:
            return False
        if event not in self.sections:
            self.sections[event] = self._sections_of(event)
        return not any(done >> acquired & 1 and not done >> released & 1 for acquired, released in self.sections[event])

    def _has_token(self, event: Event, done: int) -> bool:
        """True unless the event waits for a completion that has no token once these events are done."""
        location = wait(event)
        return location is None or self.explorer.tree.tokens.after(one for one in self.events if done >> one.number & 1)[location] > 0

    def _sections_of(self, event: Event) -> list[tuple[int, int]]:
        """Return the holds, earlier and later ones, for whose release `event` has to wait: (event that acquires, event that releases).

        If its own process has the lock, or a process that it interrupts, `event` does not wait: it hangs, and goes on as far as that.
        But it waits if these processes only read. An event that acquired the lock in the end never waited for its own process: that
        one had released the lock before, maybe at a quiet point.
        """
        own, below = {event.process}, self.interrupted.get(event.process)
        while below is not None:
            own.add(below)
            below = self.interrupted.get(below)
        waits = event.number == len(self.events)
        sections = []
        for location, mode in event.accesses:
            if ACQUIRES >> mode & 1:
                sections += [(hold.acquired, hold.released) for hold in self.explorer.record.holds[location]
                             if CONFLICTS[mode] >> hold.mode & 1 and (hold.process not in own or (waits and hold.mode == ACQUIRE_SHARED))]
        return sections
