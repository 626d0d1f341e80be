# SPDX-License-Identifier: MIT
"""Primitives with a fault, which the comparison has to find. Each stands for a mistake that a developer could make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import vmrace.harness.kernel as kernel
from vmrace.harness.machine.machine import m

RIGHT = dict(vars(kernel))


@dataclass(frozen=True)
class Fault:
    """A fault: `primitives` maps a name to the function that is called instead.

    It shows in programs of `profile` that call each primitive in `uses` at least as often as it is named there.
    """

    profile: str
    uses: tuple[str, ...]
    primitives: dict[str, Callable[..., Any]]


def _unlock_own(lock: Any) -> None:
    if lock.owner is m.current:
        RIGHT["spin_unlock"](lock)


def _try_and_go_on(lock: Any) -> int:
    RIGHT["spin_trylock"](lock)
    return 1


def _up_to_one(sem: Any) -> None:
    if sem.mutex or sem.count <= 0:
        RIGHT["up"](sem)


def _up_in_silence(sem: Any) -> None:
    sleepers = sem.sleepers[:]
    sem.sleepers.clear()
    RIGHT["up"](sem)
    sem.sleepers[:] = sleepers


def _set_state_without_event(state: int) -> None:
    m.current.state = state


def _test_then_set(bit: int, word: Any) -> int:
    old = RIGHT["test_bit"](bit, word)
    RIGHT["set_bit"](bit, word)
    return old


def _read_then_write(v: Any, new: int) -> int:
    old = RIGHT["atomic_read"](v)
    RIGHT["atomic_set"](v, new)
    return old


def _read_then_store_sum(v: Any) -> None:
    RIGHT["atomic_set"](v, RIGHT["atomic_read"](v) + 1)


def _dec_then_lock(v: Any, lock: Any) -> int:
    zero = RIGHT["atomic_dec_and_test"](v)
    if zero:
        RIGHT["spin_lock"](lock)
    return zero


def _lock_with_interrupts_on(lock: Any) -> int:
    RIGHT["spin_lock"](lock)
    return 0


def _exclusive_at_the_head(queue: Any) -> None:
    RIGHT["add_wait_queue_exclusive"](queue)
    queue.entries.insert(0, queue.entries.pop())


def _downgrade_alone(sem: Any) -> None:
    queue = sem.queue[:]
    sem.queue.clear()
    RIGHT["downgrade_write"](sem)
    sem.queue[:] = queue


def _wait_and_leave(x: Any) -> None:
    RIGHT["wait_for_completion"](x)
    x.done += 1


def _nothing(*arguments: Any) -> None:
    pass


EXCLUSIVE = ("add_wait_queue_exclusive", "add_wait_queue_exclusive", "wake_up")
ONE_OF_EACH = ("add_wait_queue_exclusive", "add_wait_queue", "wake_up")

FAULTS = {
    "wake_up forgets to wake": Fault("queues", ("wake_up",), {"wake_up": RIGHT["waitqueue_active"]}),
    "wake_up wakes every exclusive sleeper": Fault("queues", EXCLUSIVE, {"wake_up": RIGHT["wake_up_all"]}),
    "exclusive sleepers stand at the head": Fault("queues", ONE_OF_EACH, {"add_wait_queue_exclusive": _exclusive_at_the_head}),
    "set_current_state is no event": Fault("queues", ("set_current_state",), {"set_current_state": _set_state_without_event}),
    "schedule does not sleep": Fault("queues", ("schedule",), {"schedule": _nothing}),
    "a spin lock admits two": Fault("smp", ("spin_lock",), {"spin_lock": _try_and_go_on, "spin_unlock": _unlock_own}),
    "spin_trylock always succeeds": Fault("smp", ("spin_trylock",), {"spin_trylock": _try_and_go_on, "spin_unlock": _unlock_own}),
    "a read lock keeps no writer out": Fault("smp", ("read_lock",), {"read_lock": _nothing, "read_unlock": _nothing}),
    "atomic_read has no point": Fault("smp", ("atomic_read",), {"atomic_read": lambda v: v.counter}),
    "test_and_set_bit is two steps": Fault("smp", ("test_and_set_bit",), {"test_and_set_bit": _test_then_set}),
    "xchg is two steps": Fault("smp", ("xchg",), {"xchg": _read_then_write}),
    "atomic_inc is two steps": Fault("smp", ("atomic_inc",), {"atomic_inc": _read_then_store_sum}),
    "atomic_dec_and_lock drops to 0 without the lock": Fault("smp", ("atomic_dec_and_lock",), {"atomic_dec_and_lock": _dec_then_lock}),
    "up loses a count": Fault("semaphores", ("up",), {"up": _up_to_one}),
    "up wakes nobody": Fault("semaphores", ("up",), {"up": _up_in_silence}),
    "downgrade_write keeps the readers asleep": Fault("semaphores", ("downgrade_write",), {"downgrade_write": _downgrade_alone}),
    "down_read keeps no writer out": Fault("semaphores", ("down_read",), {"down_read": _nothing, "up_read": _nothing}),
    "complete does nothing": Fault("completions", ("complete", "wait_for_completion"), {"complete": _nothing}),
    "wait_for_completion does not wait": Fault("completions", ("wait_for_completion",), {"wait_for_completion": _nothing}),
    "wait_for_completion takes nothing": Fault("completions", ("wait_for_completion", "wait_for_completion"),
                                               {"wait_for_completion": _wait_and_leave}),
    "join does not wait": Fault("threads", ("join",), {"join": _nothing}),
    "local_irq_restore forgets": Fault("interrupts", ("local_irq_restore",), {"local_irq_restore": _nothing}),
    "local_irq_disable does nothing": Fault("interrupts", ("local_irq_disable",),
                                            {"local_irq_disable": _nothing, "local_irq_enable": _nothing}),
    "spin_lock_irqsave leaves interrupts on": Fault(
        "interrupts", ("spin_lock_irqsave",),
        {"spin_lock_irqsave": _lock_with_interrupts_on, "spin_unlock_irqrestore": lambda lock, flags: RIGHT["spin_unlock"](lock)}),
    "raise_irq loses the interrupt": Fault("interrupts", ("raise_irq",), {"raise_irq": _nothing}),
    "yield_cpu yields to nobody": Fault("yield", ("yield_cpu",), {"yield_cpu": _nothing}),
}
