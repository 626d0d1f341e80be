# SPDX-License-Identifier: MIT
"""The floor: the toolkit without an engine. The same kernel functions, linked over this, are plain Python.

One task runs after another, so locks are only counted, no task sleeps, and an interrupt runs at once.
"""

from __future__ import annotations

import types
from typing import Any

CPU = types.SimpleNamespace(number=0)
now_running = types.SimpleNamespace(task=None, irqs=0, pending=[])


def nothing(*args: Any) -> int:
    return 0


def atomic_read(v):
    return v.counter


def atomic_set(v, n):
    v.counter = n


def atomic_inc(v):
    v.counter += 1


def atomic_dec(v):
    v.counter -= 1


def atomic_dec_and_test(v):
    v.counter -= 1
    return not v.counter


def atomic_dec_and_lock(v, lock):
    v.counter -= 1
    if v.counter:
        return 0
    lock.owner = now_running
    return 1


def test_bit(nr, w):
    return (w.word >> nr) & 1


def set_bit(nr, w):
    w.word |= 1 << nr


def clear_bit(nr, w):
    w.word &= ~(1 << nr)


def test_and_set_bit(nr, w):
    old = w.word
    w.word = old | 1 << nr
    return (old >> nr) & 1


def test_and_clear_bit(nr, w):
    old = w.word
    w.word = old & ~(1 << nr)
    return (old >> nr) & 1


def read_word(w):
    return w.word


def write_word(w, value):
    w.word = value


def spin_lock(lock):
    lock.owner = now_running


def spin_unlock(lock):
    lock.owner = None


def spin_trylock(lock):
    lock.owner = now_running
    return 1


def spin_lock_irqsave(lock):
    lock.owner = now_running
    return 0


def spin_unlock_irqrestore(lock, flags):
    lock.owner = None


def list_add(new, head):
    nxt = head.next
    head.next = new
    new.prev = head
    new.next = nxt
    nxt.prev = new


def list_add_tail(new, head):
    list_add(new, head.prev)


def list_del(entry):
    entry.next.prev = entry.prev
    entry.prev.next = entry.next


def waitqueue_active(q):
    return bool(q.entries)


def current():
    return now_running.task


def in_interrupt():
    return now_running.irqs > 0


def raise_irq(handler, *args):
    now_running.pending.append((handler, args))


def deliver():
    """Run the interrupts that devices have raised; the caller does it where a task ends."""
    while now_running.pending:
        handler, args = now_running.pending.pop(0)
        now_running.irqs += 1
        handler(*args)
        now_running.irqs -= 1


def BUG(line):
    raise AssertionError(f"BUG {line}")


TOOLKIT: dict[str, Any] = {
    function.__name__: function for function in (
        atomic_read, atomic_set, atomic_inc, atomic_dec, atomic_dec_and_test, atomic_dec_and_lock, test_bit, set_bit, clear_bit,
        test_and_set_bit, test_and_clear_bit, read_word, write_word, spin_lock, spin_unlock, spin_trylock, spin_lock_irqsave,
        spin_unlock_irqrestore, list_add, list_add_tail, list_del, waitqueue_active, current, in_interrupt, raise_irq, BUG)
}
TOOLKIT |= {"spin_lock_irq": spin_lock, "spin_unlock_irq": spin_unlock, "write_lock": spin_lock, "write_unlock": spin_unlock}
TOOLKIT |= dict.fromkeys((
    "read_lock", "read_unlock", "down", "up", "down_read", "up_read", "down_write", "up_write", "add_wait_queue",
    "add_wait_queue_exclusive", "remove_wait_queue", "set_task_state", "set_current_state", "__set_current_state",
    "__set_task_state", "schedule", "yield_cpu", "need_resched", "mb", "smp_mb", "smp_rmb", "smp_wmb", "wake_up", "wake_up_all",
    "smp_mb__before_clear_bit", "smp_mb__after_clear_bit", "local_irq_save", "local_irq_restore", "smp_processor_id", "point",
    "saw", "now", "printk"), nothing)
