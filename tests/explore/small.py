# SPDX-License-Identifier: MIT
"""Small random programs over everything that one process can do to another. The explorers are compared on them."""

from __future__ import annotations

import random
from collections.abc import Callable

from vmrace.harness import points
from vmrace.harness.functions.program import Program
from vmrace.harness.kernel import (
    BUG_ON,
    LIST_HEAD,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    add_wait_queue,
    add_wait_queue_exclusive,
    atomic_dec_and_lock,
    atomic_dec_and_test,
    atomic_inc,
    atomic_read,
    atomic_set,
    atomic_t,
    clear_bit,
    cmpxchg,
    current,
    down,
    down_read,
    down_trylock,
    down_write,
    embed,
    flags_t,
    guarded,
    kfree,
    list_add,
    list_add_tail,
    list_del,
    list_empty,
    list_head,
    local_irq_restore,
    local_irq_save,
    need_resched,
    plain,
    racy,
    racy_array,
    raise_irq,
    read_lock,
    read_unlock,
    read_word,
    remove_wait_queue,
    rw_semaphore,
    rwlock_t,
    schedule,
    semaphore,
    set_bit,
    set_current_state,
    spin_is_locked,
    spin_lock,
    spin_lock_irqsave,
    spin_trylock,
    spin_unlock,
    spin_unlock_irqrestore,
    spinlock_t,
    struct,
    test_and_set_bit,
    test_bit,
    up,
    up_read,
    up_write,
    wait_queue_head_t,
    waitqueue_active,
    wake_up,
    wake_up_all,
    write_lock,
    write_unlock,
    write_word,
    yield_cpu,
)
from vmrace.harness.kernel.cell import cell
from vmrace.harness.kernel.user import touches
from vmrace.harness.machine.machine import m

Operation = tuple[str, int, int, list]      # kind, two operands, the operations inside

DATA = ("read", "set", "inc", "cas", "dec", "bug", "test_bit", "set_bit", "clear_bit", "test_and_set", "read_word", "write_word",
        "load", "store")
LOCKS = ("lock", "trylock", "is_locked", "read_lock", "write_lock", "lock_irq", "two", "dec_and_lock")
BLOCKS = ("down", "down_read", "down_write", "wait", "wait_alone")              # may sleep
YIELDS = ("give_way", "yield", "yield_until")
WAKES = ("down_trylock", "wake", "wake_all", "active")
SLEEPS = BLOCKS + YIELDS + WAKES
IRQS = ("raise", "irqs_off")
NESTS = ("lock", "trylock", "read_lock", "write_lock", "lock_irq", "two", "irqs_off", "down", "down_trylock", "down_read", "down_write",
         "dec_and_lock", "down_touch", "lock_touch")
SORTS = (
    DATA,
    DATA + LOCKS,
    DATA + SLEEPS,
    DATA + LOCKS + IRQS,
    LOCKS + SLEEPS,
    ("load", "store", "bug", "inc", *LOCKS, *IRQS, "raise", "raise"),
    DATA + LOCKS + SLEEPS + IRQS,
    ("wait", "wait_alone", "wake", "wake_all", "active", "raise", "clear_bit", "inc"),
    ("lock", "two", "lock_irq", "read_lock", "write_lock", "trylock", "inc", "raise"),
    ("yield", "yield_until", "give_way", "set_bit", "store", "load", "lock", "down", "raise"),
)
OWN = (     # data of only one process makes no events
    ("mine", "load", "store", "inc", "lock_irq", "irqs_off", "raise"),
    ("mine", "inc", "read", "cas", "store", "load", "give_way", "yield", "two", "trylock"),
)
BLOCKS_TOO = ("down_touch", "await")        # more of these, in the sorts below only
TOUCHING = (    # accesses behind a point that does not announce them
    ("touch", "down_touch", "signal", "await"),
    ("touch", "signal", "signal", "await", "await", "resched"),
    ("touch", "lock_touch", "down_touch", "inc"),
    ("signal", "await", "resched", "give_way", "touch", "raise"),
    ("lock_touch", "touch", "raise", "lock_irq", "signal"),
    ("wake", "wait", "touch", "resched", "lock_touch"),
)
MEMORY = (      # objects that may be free, and lists
    ("kfree", "thing_load", "thing_store", "thing_fixed", "inc", "read"),
    ("kfree", "thing_guarded", "thing_lock", "thing_inc", "thing_bit", "inc", "read"),
    ("slab_free", "slab_alloc", "thing_load", "thing_guarded", "thing_slot", "thing_waiters"),
    ("slab_free", "slab_alloc", "kfree", "thing_sem", "thing_lock", "list_in", "list_out"),
    ("list_in", "list_out", "list_empty", "list_peek", "list_next", "lock", "inc", "read"),
    ("list_in", "list_out", "list_empty", "kfree", "thing_load", "list_next"),
    ("bare_in", "bare_out", "bare_next", "bare_empty", "store", "load"),
    ("list_in", "list_out", "bare_in", "bare_out", "list_empty", "inc"),
)


class thing(struct):
    value = racy(0)
    counted = guarded(0, "lock0")
    fixed = plain(0)
    slots = embed(racy_array, 2, 0)
    lock = embed(spinlock_t)
    sem = embed(semaphore)
    count = embed(atomic_t)
    flags = embed(flags_t)
    wait = embed(wait_queue_head_t)
    link = embed(list_head)
    slab = embed(list_head)


class Small:
    """One program: `code` has a list of operations for each task, `handlers` one for each interrupt handler."""

    def __init__(self, rng: random.Random, size: int, kinds: tuple[str, ...]):
        self.kinds = kinds
        self.rng = rng
        tasks = rng.choice((2, 2, 2, 3))
        self.interrupts = "raise" in kinds
        self.handlers = [self.block(rng.randint(1, 2), number) for number in range(2)] if self.interrupts else []
        self.code = [self.block(max(1, (size + extra) // tasks), None) for extra in range(tasks)]
        shared = rng.random()
        self.together = 0 if shared < 0.6 else 2 if shared < 0.8 or tasks == 2 else 3    # the number of tasks that share the last cpu
        self.preempt = bool(self.together) and rng.random() < 0.5
        self.spare_cpu = self.interrupts and rng.random() < 0.3                          # a cpu that only takes interrupts
        self.pending = self.interrupts and rng.random() < 0.3

    def __repr__(self) -> str:
        handlers = [self.handlers[number] for number in range(len(self.handlers))]
        return (f"code={self.code} handlers={handlers} together={self.together} preempt={self.preempt} spare_cpu={self.spare_cpu} "
                f"pending={self.pending}")

    def block(self, size: int, handler: int | None) -> list[Operation]:
        return [self.operation(handler, 0) for _ in range(size)]

    def operation(self, handler: int | None, depth: int) -> Operation:
        """Return an operation that is legal there: no task sleeps in an interrupt or with a lock held; handler 0 may raise 1."""
        rng = self.rng
        banned: set[str] = set()
        if handler is not None or depth:
            banned.update(BLOCKS + BLOCKS_TOO + YIELDS)
        if handler or (handler == 0 and rng.random() < 0.7):
            banned.add("raise")
        kind = rng.choice([kind for kind in self.kinds if kind not in banned] or ["inc"])
        one = 1 if handler is not None and kind == "raise" else int(rng.random() < 0.3)     # mostly the same object, so that tasks meet
        nests = kind in NESTS and depth < 2
        inner = [self.operation(handler, depth + 1) for _ in range(rng.randint(0, 1 if depth else 2))] if nests else []
        return kind, one, rng.randrange(2), inner

    def make(self) -> Program:
        things = _Things(self)
        tasks: list = [things.function(ops) for ops in self.code]
        if self.together:
            tasks[-self.together:] = [tasks[-self.together:]]
        irqs = [things.handlers[0]] if self.pending else []
        return Program(tasks, cpus=len(tasks) + self.spare_cpu, preempt=self.preempt, irqs=irqs)


class _Things:
    def __init__(self, small: Small):
        self.counts = [atomic_t(f"count{i}") for i in range(2)]
        self.word = flags_t("word")
        self.locks = [spinlock_t(f"lock{i}") for i in range(2)]
        self.rwlock = rwlock_t("rwlock")
        self.sem = semaphore("sem")
        self.signal = semaphore("signal", count=0)
        self.touched = [0, 0]
        self.rwsem = rw_semaphore("rwsem")
        self.queue = wait_queue_head_t("queue")
        self.cells = [cell(f"cell{i}", value=0) for i in range(2)]
        self.own = {task: cell(f"own{task}", value=0) for task in range(-5, 4)}
        self.handlers = [self.function(ops) for ops in small.handlers]
        if any(set(small.kinds) & set(sort) - set(DATA + LOCKS) for sort in MEMORY):
            self._memory("slab_free" in small.kinds or "slab_alloc" in small.kinds)

    def _memory(self, slab: bool) -> None:
        self.things = [thing(f"thing{i}") for i in range(2)]
        self.list = LIST_HEAD("list", "lock1")
        self.bare = LIST_HEAD("bare")
        if slab:
            self.slab_lock = spinlock_t("slab_lock")
            self.slab = LIST_HEAD("slab", "slab_lock", freelist=True)

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
        BUG_ON(value == 1, 7 + other)

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

    def do_load(self, one, other, inner, seen):
        seen.append(self.cells[one].value)

    def do_store(self, one, other, inner, seen):
        self.cells[one].value = other + 1

    def do_mine(self, one, other, inner, seen):
        current()
        own = self.own[m.current.id]            # of an interrupt: of the task that it interrupts
        own.value = own.value + 1
        seen.append(own.value)

    def _touch(self, one, seen):
        touches(points.WRITE, "xy"[one])
        self.touched[one] += 1
        seen.append(self.touched[one])

    def do_touch(self, one, other, inner, seen):
        atomic_read(self.counts[0])
        self._touch(one, seen)
        if other:
            self._touch(1 - one, seen)

    def do_lock_touch(self, one, other, inner, seen):
        spin_lock(self.locks[0])
        self._touch(one, seen)
        if other:
            self.block(inner, seen)
        spin_unlock(self.locks[0])

    def do_down_touch(self, one, other, inner, seen):
        down(self.sem)
        self._touch(one, seen)
        self.block(inner, seen)
        up(self.sem)
        if other:
            self._touch(1 - one, seen)

    def do_signal(self, one, other, inner, seen):
        up(self.signal)
        if other:
            self._touch(one, seen)

    def do_await(self, one, other, inner, seen):
        down(self.signal)
        if other:
            self._touch(one, seen)

    def do_resched(self, one, other, inner, seen):
        atomic_read(self.counts[one])
        seen.append(need_resched())

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

    def do_dec_and_lock(self, one, other, inner, seen):
        got = atomic_dec_and_lock(self.counts[one], self.locks[other])
        seen.append(got)
        if got:
            self.block(inner, seen)
            spin_unlock(self.locks[other])

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
        self.sleep(one)

    def do_wait_alone(self, one, other, inner, seen):
        add_wait_queue_exclusive(self.queue)
        self.sleep(one)

    def sleep(self, bit):
        set_current_state(TASK_UNINTERRUPTIBLE)
        if not test_bit(bit, self.word):
            schedule()
        set_current_state(TASK_RUNNING)
        remove_wait_queue(self.queue)

    def do_active(self, one, other, inner, seen):
        seen.append(waitqueue_active(self.queue))

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

    def do_yield_until(self, one, other, inner, seen):
        while not test_bit(one, self.word):
            yield_cpu()

    def do_kfree(self, one, other, inner, seen):
        kfree(self.things[one])

    def do_slab_free(self, one, other, inner, seen):
        spin_lock(self.slab_lock)
        list_add(self.things[one].slab, self.slab)
        spin_unlock(self.slab_lock)

    def do_slab_alloc(self, one, other, inner, seen):
        spin_lock(self.slab_lock)
        entry = None if list_empty(self.slab) else self.slab.next
        if entry is not None:
            list_del(entry)
        spin_unlock(self.slab_lock)
        seen.append(getattr(entry, "name", ""))

    def do_thing_load(self, one, other, inner, seen):
        seen.append(self.things[one].value)

    def do_thing_store(self, one, other, inner, seen):
        self.things[one].value = other + 1

    def do_thing_guarded(self, one, other, inner, seen):
        spin_lock(self.locks[0])
        if other:
            atomic_inc(self.counts[0])
        self.things[one].counted += 1
        seen.append(self.things[one].counted)
        spin_unlock(self.locks[0])

    def do_thing_fixed(self, one, other, inner, seen):
        if other:
            atomic_inc(self.counts[0])
        seen.append(self.things[one].fixed)

    def do_thing_slot(self, one, other, inner, seen):
        self.things[one].slots[other] += 1

    def do_thing_lock(self, one, other, inner, seen):
        spin_lock(self.things[one].lock)
        spin_unlock(self.things[one].lock)

    def do_thing_sem(self, one, other, inner, seen):
        if not down_trylock(self.things[one].sem):
            up(self.things[one].sem)

    def do_thing_inc(self, one, other, inner, seen):
        atomic_inc(self.things[one].count)

    def do_thing_bit(self, one, other, inner, seen):
        seen.append(test_and_set_bit(other, self.things[one].flags))

    def do_thing_waiters(self, one, other, inner, seen):
        if other:
            wake_up(self.things[one].wait)
        seen.append(waitqueue_active(self.things[one].wait))

    def do_list_in(self, one, other, inner, seen):
        spin_lock(self.locks[1])
        (list_add_tail if other else list_add)(self.things[one].link, self.list)
        spin_unlock(self.locks[1])

    def do_list_out(self, one, other, inner, seen):
        spin_lock(self.locks[1])
        if not list_empty(self.list):
            list_del(self.list.next)
        spin_unlock(self.locks[1])

    def do_list_empty(self, one, other, inner, seen):
        if other:
            atomic_inc(self.counts[0])
        seen.append(list_empty(self.list))

    def do_list_next(self, one, other, inner, seen):
        spin_lock(self.locks[1])
        seen.append(self.list.next.name)
        seen.append(self.list.next.next.name)
        spin_unlock(self.locks[1])

    def do_list_peek(self, one, other, inner, seen):
        seen.append(self.list.prev.name)

    def do_bare_in(self, one, other, inner, seen):
        list_add(self.things[one].link, self.bare)

    def do_bare_out(self, one, other, inner, seen):
        list_del(self.things[one].link)

    def do_bare_next(self, one, other, inner, seen):
        entry = self.bare.next
        seen.append(entry.name)
        seen.append(entry.next.name)

    def do_bare_empty(self, one, other, inner, seen):
        seen.append(list_empty(self.bare))


def small(seed: int, size: int = 6, sorts: tuple[tuple[str, ...], ...] = SORTS) -> Small:
    """Return the program of that seed, made of one of these sorts of operations."""
    rng = random.Random(seed)
    sort = sorts[seed % len(sorts)]
    kinds = rng.sample(sort, min(len(sort), rng.randint(2, 5)))
    if "raise" in sort and rng.random() < 0.6:
        kinds.append("raise")
    if "bug" in sort and rng.random() < 0.4:
        kinds += ["bug", "inc"]             # a BUG needs something that changes
    if sort in MEMORY:
        kinds.append(sort[0])               # operations that free, or link
    if set(kinds) <= set(SLEEPS):
        kinds += ["inc", "read"]
    return Small(rng, size, tuple(kinds))
