# SPDX-License-Identifier: MIT
"""The kinds of shared access a point can be, and which pairs of them commute."""

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

# which of them always go on, and touch the same whatever others do
ALONE = [kind not in (ACQUIRE, TRYLOCK, WAKE, IRQ) for kind in range(END + 1)]

NAMES = {
    READ: "read", WRITE: "write", RMW: "rmw", ACQUIRE: "lock", TRYLOCK: "trylock", RELEASE: "unlock",
    WAIT: "wait", WAKE: "wake", BARRIER: "barrier", IRQ: "irq", LOCAL: "op",
}


def place_of(obj: object, arg: object) -> object:
    """What two points have to have in common to meet: an object, or a bit, an item or a field of it; of a list, all of it."""
    return obj if arg is None or isinstance(arg, tuple) else (obj, arg)
