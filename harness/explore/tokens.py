# SPDX-License-Identifier: MIT
"""Completions in plans: a wait takes a token that some complete() has put there, and needs one.

Puts and waits change only the number of tokens, which no process reads. They therefore depend on each other only where tokens are short,
and happens-before has no edge between them: which complete() let a wait go on makes no difference. The price is that not every order that
agrees with happens-before is possible. This module says which ones are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vmrace.harness.explore.access import PUT, TAKE, Locations
from vmrace.harness.explore.bits import bits_of
from vmrace.harness.explore.event import Event
from vmrace.harness.explore.run_record import RunRecord
from vmrace.harness.kernel.completion import ALL, DONE_FOR_ALL, completion
from vmrace.harness.machine.machine import Machine

if TYPE_CHECKING:
    from vmrace.harness.explore.wakeup import Step


class Tokens:
    """The tokens of each completion of the program, by the number of its location."""

    def __init__(self, record: RunRecord, locations: Locations):
        self.record = record
        self.locations = locations
        self.first: Counter[int] | None = None          # at the start of a run

    def begin(self, m: Machine) -> None:
        """Note the tokens at the start of a run; they are the same in each."""
        if self.first is None:
            self.first = Counter({self.locations.number(one): one.done for one in m.image.objects if isinstance(one, completion)})

    def at(self, number: int) -> Counter[int]:
        """Return the tokens before the event with that number."""
        return self.after(self.record.events[:number])

    def after(self, events: Iterable[Event]) -> Counter[int]:
        """Return the tokens after these events."""
        tokens = Counter(self.first)
        if tokens:
            for event in events:
                count(tokens, event)
        return tokens

    def in_order(self, number: int, rest: Sequence[Event], planned: Step) -> tuple[list[Event] | None, set[int]]:
        """Return `rest` in an order in which each wait has a token, from the place before event `number`, and `planned` has one after it.

        Events that find none are left out, and so are waits that `planned` does not need if there is no token for it otherwise. If there is
        no such order, return None, and the completions that have too few tokens even if all waits that are not needed are left out;
        the set is empty if the order was just not found.
        """
        needs = [location for location, mode in planned.accesses or () if mode == TAKE]
        if not self.first or not (needs or any(wait(event) is not None for event in rest)):
            return list(rest), set()
        tokens = self.at(number)
        needed = planned.past
        for event in reversed(rest):
            if needed >> event.number & 1:
                needed |= event.past
        for chosen in (rest, [event for event in rest if wait(event) is None or needed >> event.number & 1]):
            order, left = _arranged(chosen, tokens)
            if not any(needed >> event.number & 1 for event in rest if event not in order) and all(left[one] > 0 for one in needs):
                return order, set()
        for event in rest:
            if wait(event) is None or needed >> event.number & 1:
                count(tokens, event)
        for location in needs:
            tokens[location] -= 1
        return None, {location for location, left_over in tokens.items() if left_over < 0}

    def used_up(self, event: Event) -> int | None:
        """Return the completion of which the event took the last token; None if it did not."""
        location = wait(event) if event.got_token < 0 else event.got_token
        return location if location is not None and self.after(self.record.events[:event.number + 1])[location] <= 0 else None

    def may_swap(self, first: Event, later: Event, events: Sequence[Event]) -> bool:
        """True if these events of the run, from its start, can all be made with the wait `later` before the wait `first`.

        Then it is the same class. If not, the other order leaves some wait without a token.
        """
        return len(_arranged(events, self.at(0), (later, first))[0]) == len(events)


def _arranged(events: Sequence[Event], tokens: Counter[int],
              swapped: tuple[Event, Event] | None = None) -> tuple[list[Event], Counter[int]]:
    """Return the events in an order in which each wait has a token, less those that can have none, and the tokens after them.

    The second of the two events `swapped` comes after the first.
    """
    tokens, left = tokens.copy(), list(events)
    order: list[Event] = []
    missing = bits_of(events)
    while True:
        ready = [one for one in left if not one.past & missing & ~(1 << one.number) and not waits_in_vain(one, tokens)
                 and not (swapped is not None and one is swapped[1] and missing >> swapped[0].number & 1)]
        if not ready:
            return order, tokens
        event = next((one for one in ready if wait(one) is None), ready[0])     # a wait comes when nothing else can
        left.remove(event)
        missing &= ~(1 << event.number)
        count(tokens, event)
        order.append(event)


def wait(event: Event | Step) -> int | None:
    """Return the completion that the event waits for; None if it is no wait, or one that may leave its cpu instead."""
    return next((location for location, mode in event.accesses or () if mode == TAKE), None)


def count(tokens: Counter[int], event: Event | Step) -> None:
    """Add the tokens that the event puts, or subtract the one that it takes."""
    for location, mode in event.accesses or ():
        if mode == PUT:
            tokens[location] += DONE_FOR_ALL if isinstance(event, Event) and event.pending[2] == ALL else 1
        elif mode == TAKE or (isinstance(event, Event) and event.got_token == location):
            tokens[location] -= 1


def least_tokens(events: Sequence[Event]) -> Counter[int]:
    """Return the fewest tokens with which a run can have these events in this order."""
    least: Counter[int] = Counter()
    tokens: Counter[int] = Counter()
    for event in events:
        count(tokens, event)
        for location, left in tokens.items():
            least[location] = max(least[location], -left)
    return least


def waits_in_vain(event: Event | Step, tokens: Counter[int]) -> bool:
    """True if the event waits for a completion that has no token."""
    location = wait(event)
    return location is not None and tokens[location] <= 0
