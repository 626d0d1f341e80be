# SPDX-License-Identifier: MIT
"""atomic_sleep: CONFIG_DEBUG_SPINLOCK_SLEEP. Sleeping, or being about to, under a spinlock or in an interrupt."""

from vmrace.harness.finding import Kind

NAME = "atomic_sleep"


def slept(m):
    """The running task goes off its cpu where it must not."""
    m.report(Kind.SLEEP.title(f"{_why(m.current)} in {m.where()}"), NAME)


def might_sleep(m):
    """A primitive that can sleep was called where it must not, whether or not it would have slept."""
    m.report(Kind.SLEEP.title(f"{_why(m.current)} in {m.where()}"), NAME)


def _why(task):
    if task.irq_depth:
        return "sleeping in an interrupt"
    if task.held.spinning:
        return "sleeping with a spinlock held"
    return "sleeping with interrupts off"
