# SPDX-License-Identifier: MIT
"""Small random programs over everything a process can do to another: what the explorers are held against each other on."""

from __future__ import annotations

import random
from collections.abc import Callable

from harness.kernel import (
    BUG_ON, add_wait_queue, atomic_dec_and_test, atomic_inc, atomic_read, atomic_set, atomic_t, clear_bit, cmpxchg, down, down_read,
    down_trylock, down_write, flags_t, local_irq_restore, local_irq_save, raise_irq, read_lock, read_unlock, read_word,
    remove_wait_queue, rw_semaphore, rwlock_t, schedule, semaphore, set_bit, set_current_state, spin_is_locked, spin_lock,
    spin_lock_irqsave, spin_trylock, spin_unlock, spin_unlock_irqrestore, spinlock_t, test_and_set_bit, test_bit, up, up_read,
    up_write, wait_queue_head_t, wake_up, wake_up_all, write_lock, write_unlock, write_word, yield_cpu, TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
)
from harness.program import Program

DATA = ("read", "set", "inc", "cas", "dec", "bug", "test_bit", "set_bit", "clear_bit", "test_and_set", "read_word", "write_word")
LOCKS = ("lock", "trylock", "is_locked", "read_lock", "write_lock", "lock_irq", "two")
SLEEPS = ("down", "down_trylock", "down_read", "down_write", "wait", "wake", "wake_all", "give_way", "yield")
IRQS = ("raise", "irqs_off")


class Small:
    """One program: `code` is a nested list of (operation, operands, inner operations) for each task and handler."""

    def __init__(self, rng: random.Random, size: int, kinds: tuple[str, ...]):
        self.kinds = kinds
        self.rng = rng
        tasks = rng.choice((2, 2, 2, 3))
        self.handlers = [self.block(rng.randint(1, 2), True) for _ in range(2)]
        self.code = [self.block(max(1, size // tasks), False) for _ in range(tasks)]
        self.together = rng.random() < 0.25 and tasks > 2
        self.preempt = self.together and rng.random() < 0.5
        self.pending = "raise" in kinds and rng.random() < 0.3

    def block(self, size: int, in_irq: bool) -> list:
        return [self.operation(in_irq) for _ in range(size)]

    def operation(self, in_irq: bool, depth: int = 0) -> tuple:
        rng = self.rng
        kinds = [kind for kind in self.kinds if not (in_irq and (kind in SLEEPS[:5] or kind in ("give_way", "yield", "raise")))
                 and not (depth and kind in SLEEPS[:5] + ("give_way", "yield"))]
        kind = rng.choice(kinds)
        nested = kind in ("lock", "trylock", "read_lock", "write_lock", "lock_irq", "two", "irqs_off", "down", "down_trylock",
                          "down_read", "down_write")
        inner = [self.operation(in_irq, depth + 1) for _ in range(rng.randint(0, 1 if depth else 2))] if nested and depth < 2 else []
        return kind, rng.randrange(2), rng.randrange(2), inner

    def make(self) -> Program:
        things = _Things(self)
        tasks: list = [things.function(ops) for ops in self.code]
        if self.together:
            tasks = [tasks[0], [*tasks[1:]]]
        irqs = [things.handlers[0]] if self.pending else []
        return Program(tasks, cpus=len(tasks), preempt=self.preempt, irqs=irqs)


class _Things:
    def __init__(self, small: Small):
        self.counts = [atomic_t(f"count{i}") for i in range(2)]
        self.word = flags_t("word")
        self.locks = [spinlock_t(f"lock{i}") for i in range(2)]
        self.rwlock = rwlock_t("rwlock")
        self.sem = semaphore("sem")
        self.rwsem = rw_semaphore("rwsem")
        self.queue = wait_queue_head_t("queue")
        self.handlers = [self.function(ops) for ops in small.handlers]

    def function(self, ops: list) -> Callable[[], object]:
        def run() -> object:
            seen: list = []
            self.block(ops, seen)
            return tuple(seen)
        return run

    def block(self, ops: list, seen: list) -> None:
        for kind, one, other, inner in ops:
            getattr(self, f"do_{kind}")(one, other, inner, seen)

    def do_read(self, one, other, inner, seen):
        seen.append(atomic_read(self.counts[one]))

    def do_set(self, one, other, inner, seen):
        atomic_set(self.counts[one], other + 5)

    def do_inc(self, one, other, inner, seen):
        atomic_inc(self.counts[one])

    def do_cas(self, one, other, inner, seen):
        seen.append(cmpxchg(self.counts[one], other, 9))

    def do_dec(self, one, other, inner, seen):
        seen.append(atomic_dec_and_test(self.counts[one]))

    def do_bug(self, one, other, inner, seen):
        value = atomic_read(self.counts[one])
        BUG_ON(value == 1 + other, 7 + other)

    def do_test_bit(self, one, other, inner, seen):
        seen.append(test_bit(one, self.word))

    def do_set_bit(self, one, other, inner, seen):
        set_bit(one, self.word)

    def do_clear_bit(self, one, other, inner, seen):
        clear_bit(one, self.word)

    def do_test_and_set(self, one, other, inner, seen):
        seen.append(test_and_set_bit(one, self.word))

    def do_read_word(self, one, other, inner, seen):
        seen.append(read_word(self.word))

    def do_write_word(self, one, other, inner, seen):
        write_word(self.word, one * 2 + other)

    def do_lock(self, one, other, inner, seen):
        spin_lock(self.locks[one])
        self.block(inner, seen)
        spin_unlock(self.locks[one])

    def do_two(self, one, other, inner, seen):
        spin_lock(self.locks[one])
        spin_lock(self.locks[1 - one])
        self.block(inner, seen)
        spin_unlock(self.locks[one])
        spin_unlock(self.locks[1 - one])

    def do_trylock(self, one, other, inner, seen):
        got = spin_trylock(self.locks[one])
        seen.append(got)
        if got:
            self.block(inner, seen)
            spin_unlock(self.locks[one])

    def do_is_locked(self, one, other, inner, seen):
        seen.append(spin_is_locked(self.locks[one]))

    def do_read_lock(self, one, other, inner, seen):
        read_lock(self.rwlock)
        self.block(inner, seen)
        read_unlock(self.rwlock)

    def do_write_lock(self, one, other, inner, seen):
        write_lock(self.rwlock)
        self.block(inner, seen)
        write_unlock(self.rwlock)

    def do_lock_irq(self, one, other, inner, seen):
        flags = spin_lock_irqsave(self.locks[one])
        self.block(inner, seen)
        spin_unlock_irqrestore(self.locks[one], flags)

    def do_irqs_off(self, one, other, inner, seen):
        flags = local_irq_save()
        self.block(inner, seen)
        local_irq_restore(flags)

    def do_raise(self, one, other, inner, seen):
        raise_irq(self.handlers[one])

    def do_down(self, one, other, inner, seen):
        down(self.sem)
        self.block(inner, seen)
        up(self.sem)

    def do_down_trylock(self, one, other, inner, seen):
        got = not down_trylock(self.sem)
        seen.append(got)
        if got:
            self.block(inner, seen)
            up(self.sem)

    def do_down_read(self, one, other, inner, seen):
        down_read(self.rwsem)
        self.block(inner, seen)
        up_read(self.rwsem)

    def do_down_write(self, one, other, inner, seen):
        down_write(self.rwsem)
        self.block(inner, seen)
        up_write(self.rwsem)

    def do_wait(self, one, other, inner, seen):
        add_wait_queue(self.queue)
        set_current_state(TASK_UNINTERRUPTIBLE)
        if not test_bit(one, self.word):
            schedule()
        set_current_state(TASK_RUNNING)
        remove_wait_queue(self.queue)

    def do_wake(self, one, other, inner, seen):
        set_bit(one, self.word)
        wake_up(self.queue)

    def do_wake_all(self, one, other, inner, seen):
        wake_up_all(self.queue)

    def do_give_way(self, one, other, inner, seen):
        schedule()

    def do_yield(self, one, other, inner, seen):
        yield_cpu()
        seen.append(atomic_read(self.counts[one]))


SORTS = (DATA, DATA + LOCKS, DATA + SLEEPS, DATA + LOCKS + IRQS, LOCKS + SLEEPS, DATA + LOCKS + SLEEPS + IRQS)


def small(seed: int, size: int = 6) -> Small:
    """The program of that number."""
    rng = random.Random(seed)
    sort = SORTS[seed % len(SORTS)]
    kinds = tuple(rng.sample(sort, min(len(sort), rng.randint(2, 7))))
    kinds += ("inc", "read") if not set(kinds) - set(SLEEPS) else ()
    kinds += ("read",) if set(kinds) <= {"raise", *SLEEPS[:5], "give_way", "yield"} else ()
    return Small(rng, size, kinds)
