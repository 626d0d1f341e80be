# SPDX-License-Identifier: MIT
"""The least number of preemptions with which a run, or one equivalent to it, can be had.

What is equivalent is every order of a run's events that agrees with happens-before. A switch is a preemption where the process
that ran could have gone on: it had not ended, did not sleep, and was not at a lock that somebody else had just then. So an
outcome is possible with at most b preemptions if, and only if, some class of runs that has it has a member with at most b;
which makes a bound sound for an exploration that knows no bounds.
"""

from __future__ import annotations

from collections import deque

from vmrace.harness.explore.access import ACQUIRE_SHARED, ACQUIRES, CONFLICTS
from vmrace.harness.explore.event import IRQS_FROM, NO_PROCESS, Event
from vmrace.harness.explore.optimal import Optimal

_Stacks = tuple[tuple[int, ...], ...]       # of each cpu that is shared: its number, the task that has it, the interrupts over that
_State = tuple[int, int, _Stacks]           # the events that are done, who runs, who has the cpus


def least_preemptions(explorer: Optimal, below: int = 1 << 30) -> int:
    """Of the run that `explorer` has just made; `below` if it is not less than that."""
    return _Search(explorer).least(below) if below else 0


class _Search:
    def __init__(self, explorer: Optimal):
        self.events = explorer.events
        self.bits: dict[int, int] = {}          # process -> of its events
        for event in self.events:
            self.bits[event.process] = self.bits.get(event.process, 0) | 1 << event.number
        self.over = {event.process: event.entered_over for event in self.events if event.enters}     # interrupt -> whom it interrupts
        self.parked = {self.events[number].process for number, *_ in explorer.record.parks}
        self.wishes = {event.process: event for event in explorer.reversal.waiting}
        self.sections: dict[Event, list[tuple[int, int]]] = {}
        self.explorer = explorer

    def least(self, below: int) -> int:
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
                return cost
            stays = running != NO_PROCESS and self._could_go_on(running, done)
            for process in (running,) if stays and cost + 1 >= below else self.bits:
                left = self.bits.get(process, 0) & ~done
                if not left:
                    continue
                first = left & -left
                event = self.events[first.bit_length() - 1]
                if event.past & ~done != first:
                    continue
                price = int(stays and process != running)
                after = (done | first, *self._after(event, stacks))
                if cost + price < min(best.get(after, 1 << 60), below):
                    best[after] = cost + price
                    if price:
                        todo.append((cost + price, after))
                    else:
                        todo.appendleft((cost, after))
        return below

    def _after(self, event: Event, stacks: _Stacks) -> tuple[int, _Stacks]:
        """Who can go on after `event` without a switch, and who is then on the cpus that are shared."""
        process, cpu = event.process, event.cpu
        if cpu not in self.explorer.cpus.shared:
            over = self.over[process] if event.leaves else process
            return NO_PROCESS if event.yields_cpu or over is None else over, stacks
        others = tuple(stack for stack in stacks if stack[0] != cpu)
        mine = next((stack for stack in stacks if stack[0] == cpu), (cpu,))
        if event.leaves:                    # whom it came over is a matter of the order
            mine = tuple(one for one in mine if one != process)
            return mine[-1] if len(mine) > 1 else NO_PROCESS, tuple(sorted((*others, mine)))
        if event.enters:
            mine = (*mine, process)
        elif process < IRQS_FROM:
            mine = (cpu,) if event.leaves_cpu else (cpu, process)
        return NO_PROCESS if event.yields_cpu else process, tuple(sorted((*others, mine)))

    def _could_go_on(self, process: int, done: int) -> bool:
        left = self.bits.get(process, 0) & ~done
        event = self.events[(left & -left).bit_length() - 1] if left else self.wishes.get(process)
        if event is None:
            return process not in self.parked             # an interrupt died on top of it
        if not left and event.asleep:
            return False
        if event not in self.sections:
            self.sections[event] = self._sections_of(event)
        return not any(done >> taking & 1 and not done >> giving & 1 for taking, giving in self.sections[event])

    def _sections_of(self, event: Event) -> list[tuple[int, int]]:
        """All that is taken and given back of what `event` takes, before it or after, where it has to wait for that. It hangs, and
        goes on so far, where its own process has that lock, or one that it interrupts; but it waits where these only read. What it
        has come to take in the end, its process has given back before, maybe where nobody can tell."""
        mine, below = {event.process}, self.over.get(event.process)
        while below is not None:
            mine.add(below)
            below = self.over.get(below)
        waits = event.number == len(self.events)
        out = []
        for location, mode in event.accesses:
            if ACQUIRES >> mode & 1:
                out += [(hold.acquired, hold.released) for hold in self.explorer.record.holds[location]
                        if CONFLICTS[mode] >> hold.mode & 1 and (hold.process not in mine or (waits and hold.mode == ACQUIRE_SHARED))]
        return out
