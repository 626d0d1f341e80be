# SPDX-License-Identifier: MIT
"""The kinds of point, and the rule that says where a point must stand.

A process is a task or an interrupt handler. An event is everything that one process does from one point up to its next, and no other
process runs in between. The rule follows: **between two actions of one process that others can observe there is a point.** Others can
observe an access to shared state (data, a lock, a wait queue, the state of a task), and an action that lets them run or keeps them out:

    turning interrupts off while they are on    a point (MASK): an interrupt may come just before it; so may another task of the
                                                cpu, if tasks can be preempted
    turning interrupts on                       no point: an interrupt can come at the next point, and finds the same state there
    raising an interrupt                        no point: its handler can run at the next point at the earliest
    giving up the cpu                           a point (WAIT)
    letting a thread begin; its end             a point (SPAWN; RELEASE)

`tests/harness/test_points.py` tests every primitive of the toolkit against this rule: each change that it makes comes after a point,
and between two points it makes at most one.
"""

from __future__ import annotations

READ = 1        # a load
WRITE = 2       # a blind store: its effect does not depend on the old value
RMW = 3         # an atomic read-modify-write, or any store that depends on the old value
ACQUIRE = 4     # the acquire of a lock: enabled only while the lock is available
TRYLOCK = 5     # the acquire of a lock if it is free: always enabled, and observes whether it is
RELEASE = 6     # the release of a lock
WAIT = 7        # a task says that it will sleep, or goes to sleep
WAKE = 8        # a task wakes others
BARRIER = 9     # orders the accesses of this cpu; no other cpu can observe it
IRQ = 10        # an interrupt enters or leaves
LOCAL = 11      # an event that only its own cpu can observe: the start of an operation

BEGIN = 12      # user space begins an access that it will report
END = 13        # user space reports it
MASK = 14       # a cpu turns its interrupts off
SPAWN = 15      # a task lets a new thread begin
TOUCH = 16      # no point: in the log of a run, an access that its point does not announce

# by kind: True if such a point is always enabled, and touches the same objects whatever other processes do
ALONE = [kind not in (ACQUIRE, TRYLOCK, WAKE, IRQ) for kind in range(SPAWN + 1)]

NAMES = {
    READ: "read", WRITE: "write", RMW: "rmw", ACQUIRE: "lock", TRYLOCK: "trylock", RELEASE: "unlock",
    WAIT: "wait", WAKE: "wake", BARRIER: "barrier", IRQ: "irq", LOCAL: "op", MASK: "mask", SPAWN: "spawn",
}


def place_of(obj: object, arg: object) -> object:
    """Return the key that two points must have in common to conflict: an object, or a bit, an item or a field of it.

    `arg` is a tuple for a link of a list; then the key is the whole list.
    """
    return obj if arg is None or isinstance(arg, tuple) else (obj, arg)
