# SPDX-License-Identifier: MIT
"""The machine follows the rules of the kernel. Each is shown by the smallest program on which another rule gives other outcomes.

Generated programs found most of these. test_primitives.py has the same rules for the oracle alone, with the outcomes written down.
"""

from __future__ import annotations

import pytest

from tests.oracle.build import run_in_every_way
from tests.oracle.compare import compare, pruned
from tests.oracle.interpreter import outcomes
from tests.oracle.language import UNINTERRUPTIBLE, Block, Program
from tests.oracle.test_primitives import MAKE_TRUE, SEES_X, SLEEP, TEST, program, waits

EXCLUSIVE: Block = (("add_wait_queue_exclusive", "queue"), *SLEEP, ("remove_wait_queue", "queue"))
OFF_AND_ON = {
    "local_irq_save": (("local_irq_save", "f0"), ("local_irq_restore", "f0")),
    "local_irq_disable": (("local_irq_disable",), ("local_irq_enable",)),
    "spin_lock_irq": (("spin_lock_irq", "lock"), ("spin_unlock_irq", "lock")),
    "spin_lock_irqsave": (("spin_lock_irqsave", "f0", "lock"), ("spin_unlock_irqrestore", "lock", "f0")),
}
RULES = {
    **{f"an interrupt comes before {name}": program((("store", "x", 1), off, ("store", "x", 0), on), handlers=(SEES_X,), pending=("h0",))
       for name, (off, on) in OFF_AND_ON.items()},
    **{f"an interrupt comes between two regions of {name}": program((off, ("add", "x", 1), on) * 2, handlers=(SEES_X,), pending=("h0",))
       for name, (off, on) in OFF_AND_ON.items()},
    **{f"a task is preempted before {name}": program((("store", "x", 1), off, ("store", "x", 0), on), (("load", "r0", "x"),),
                                                     cpus=(0, 0), preempt=True) for name, (off, on) in OFF_AND_ON.items()},
    "an interrupt comes between raising it and interrupts off":
        program((("store", "x", 1), ("raise_irq", "h0"), ("local_irq_disable",), ("store", "x", 0), ("local_irq_enable",)),
                handlers=(SEES_X,)),
    "__set_current_state after the test loses the wake-up":
        program(waits(TEST, ("if", "r0", 0, (("__set_current_state", UNINTERRUPTIBLE), ("schedule",)), ())), MAKE_TRUE),
    "an exclusive entry of a running task does not use up the wake-up":
        program((("waitqueue_active", "r0", "queue"), *EXCLUSIVE), (("add_wait_queue_exclusive", "queue"), ("wake_up", "queue"))),
    "a task that does not yet sleep does not use up the wake-up": program(EXCLUSIVE, EXCLUSIVE, (("wake_up", "queue"),)),
    "atomic_dec_and_lock needs no lock below one":
        program((("atomic_set", "a", 0), ("spin_lock", "lock"), ("atomic_dec_and_lock", "r0", "a", "lock"), ("spin_unlock", "lock"))),
    "two tasks that wait on one cpu for what never comes are stuck, though each may be preempted":
        program((("until", "x", 1),), (("until", "x", 1),), cpus=(0, 0), preempt=True),
    "a reader that tries does not pass a writer that waits":
        program((("down_read", "rwsem"), ("down_read_trylock", "r0", "rwsem"), ("up_read", "rwsem"),
                 ("if", "r0", 1, (("load", "r1", "x"), ("up_read", "rwsem")), ())),
                (("down_write", "rwsem"), ("store", "x", 1), ("up_write", "rwsem"))),
    "a task that slept for a mutex is running after it":
        program((("set_current_state", UNINTERRUPTIBLE), ("down", "mutex"), ("up", "mutex"), ("schedule",)),
                (("down", "mutex"), ("up", "mutex"))),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_machine_follows_the_rule(rule: str) -> None:
    found = compare(pruned(RULES[rule]))
    assert not found.undecided
    assert not found.differs, f"\n{found}"


def _woken_too_early(take: str, release: str, lock: str, alone: tuple[str, str]) -> Program:
    """Return a program with a task that sleeps for a lock while it stands on a wait queue, which another task wakes."""
    sleeper: Block = (("add_wait_queue", "queue"), (take, lock), ("load", "r0", "x"), (release, lock), ("remove_wait_queue", "queue"))
    waker: Block = ((alone[0], lock), ("store", "x", 1), ("wake_up", "queue"), ("store", "x", 0), (alone[1], lock))
    return pruned(program(sleeper, waker))


@pytest.mark.parametrize("made", [
    _woken_too_early("down", "up", "mutex", ("down", "up")),
    _woken_too_early("down_read", "up_read", "rwsem", ("down_write", "up_write")),
    _woken_too_early("down_write", "up_write", "rwsem", ("down_write", "up_write")),
], ids=["down", "down_read", "down_write"])
def test_a_sleeper_that_is_woken_without_the_lock_sleeps_again_on_the_machine(made: Program) -> None:
    assert run_in_every_way(made) == outcomes(made)
