# SPDX-License-Identifier: MIT
"""The kinds of point, and the rule that says where a point must stand.

An event is what one process (a task, or an interrupt handler) does from one point up to its next. Nothing of another process can
come in between. So the rule is: **of two actions of a process that others can see, the second begins with a point.** Others see
an access to shared state (data, a lock, a wait queue, the state of a task), and they see what lets them in or keeps them out:

    turning interrupts off while they are on    a point (MASK): an interrupt may come just before it; so may another task of the
                                                cpu, where tasks can be preempted
    turning interrupts on                       no point: what it lets in can come at the next point, and what comes there finds
                                                the same state
    raising an interrupt                        no point: its handler can run at the next point at the earliest
    giving up the cpu                           a point (WAIT)

`tests/harness/test_points.py` holds every primitive of the toolkit against this rule: what it changes, it changes after a point,
and between two points it changes one thing.
"""

READ = 1        # a load
WRITE = 2       # a store that nobody can tell from another: blind
RMW = 3         # an atomic read-modify-write, or any store whose old value is seen
ACQUIRE = 4     # a lock is taken; enabled only while it can be
TRYLOCK = 5     # a lock is taken if it is free: always enabled, sees the holder
RELEASE = 6     # a lock is given back
WAIT = 7        # a task says it will sleep, or goes to sleep
WAKE = 8        # a task is woken
BARRIER = 9     # orders this cpu's accesses; nothing else can see it
IRQ = 10        # an interrupt enters or leaves
LOCAL = 11      # an event only its own cpu can see (the start of an operation)

BEGIN = 12      # user space begins something it will report
END = 13        # and reports it
MASK = 14       # a cpu turns its interrupts off

# which of them always go on, and touch the same whatever others do
ALONE = [kind not in (ACQUIRE, TRYLOCK, WAKE, IRQ) for kind in range(MASK + 1)]

NAMES = {
    READ: "read", WRITE: "write", RMW: "rmw", ACQUIRE: "lock", TRYLOCK: "trylock", RELEASE: "unlock",
    WAIT: "wait", WAKE: "wake", BARRIER: "barrier", IRQ: "irq", LOCAL: "op", MASK: "mask",
}


def place_of(obj: object, arg: object) -> object:
    """The key that two points must share to meet: an object, or a bit, an item or a field of it; of a list, all of it."""
    return obj if arg is None or isinstance(arg, tuple) else (obj, arg)
