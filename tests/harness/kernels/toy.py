# SPDX-License-Identifier: MIT
"""A generic kernel: an operation for each primitive. Each section checks for itself that its lock excluded the other tasks.

Every operation releases what it acquires and locks are nested in one order, so any program of them is a healthy one, except that
`consume` sleeps for ever if no task produces.
"""

from vmrace.harness.kernel import (
    BUG,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    add_wait_queue,
    add_wait_queue_exclusive,
    atomic_dec_and_lock,
    atomic_inc,
    atomic_read,
    atomic_set,
    atomic_t,
    down,
    down_read,
    down_trylock,
    down_write,
    downgrade_write,
    embed,
    flags_t,
    guarded,
    list_add,
    list_del_init,
    list_head,
    local_irq_disable,
    local_irq_enable,
    local_irq_restore,
    local_irq_save,
    plain,
    racy,
    raise_irq,
    read_lock,
    read_unlock,
    remove_wait_queue,
    rw_semaphore,
    rwlock_t,
    schedule,
    semaphore,
    set_current_state,
    smp_mb,
    spin_lock,
    spin_lock_irq,
    spin_lock_irqsave,
    spin_trylock,
    spin_unlock,
    spin_unlock_irq,
    spin_unlock_irqrestore,
    spinlock_t,
    struct,
    test_and_set_bit,
    up,
    up_read,
    up_write,
    wait_queue_head_t,
    wake_up,
    wake_up_all,
    write_lock,
    write_unlock,
    yield_cpu,
)

__FILE__ = "kernel/toy.c"


class task_struct(struct):
    runs = plain(0)


class node(struct):
    """Data that a lock guards. `inside` and the fields below it are the sections' own checks, which the machine does not see."""
    lock = embed(spinlock_t)
    rwlock = embed(rwlock_t)
    sem = embed(semaphore)
    rwsem = embed(rw_semaphore)
    irq_lock = embed(spinlock_t)
    wait = embed(wait_queue_head_t)
    count = embed(atomic_t)
    made = embed(atomic_t)
    flags = embed(flags_t)
    value = guarded(0, ".lock")
    hint = racy(0, ".lock")
    free_for_all = racy(0)
    head = embed(list_head, guard=".lock")
    entry = embed(list_head)
    inside = plain(0)
    readers = plain(0)
    asleep = plain(0)
    sleepy_readers = plain(0)
    irq_inside = plain(0)


nodes = [node("A"), node("B"), node("C")]


def enter(n):
    if n.inside:
        BUG(1)
    n.inside = 1


def leave(n):
    if n.inside != 1:
        BUG(2)
    n.inside = 0


def work(i):
    atomic_inc(nodes[i].count)


def fails(i, value):
    atomic_inc(nodes[i].count)
    return value


def store(i, value):
    nodes[i].free_for_all = value


def bump(i):
    nodes[i].free_for_all = nodes[i].free_for_all + 1


def flag(i):
    test_and_set_bit(i, nodes[i].flags)
    smp_mb()


def section(i):
    n = nodes[i]
    spin_lock(n.lock)
    enter(n)
    n.value += 1
    n.hint = n.value
    atomic_inc(n.count)
    leave(n)
    spin_unlock(n.lock)


def peek(i):
    n = nodes[i]
    if n.hint > 1:
        spin_lock(n.lock)
        enter(n)
        n.value = 0
        leave(n)
        spin_unlock(n.lock)


def listed(i):
    n = nodes[i]
    spin_lock(n.lock)
    enter(n)
    if n.entry.on is None:
        list_add(n.entry, n.head)
    else:
        list_del_init(n.entry)
    atomic_inc(n.count)
    leave(n)
    spin_unlock(n.lock)


def nested(i, j):
    if i > j:
        i, j = j, i
    spin_lock(nodes[i].lock)
    enter(nodes[i])
    if i != j:
        spin_lock(nodes[j].lock)
        enter(nodes[j])
        atomic_inc(nodes[j].count)
        leave(nodes[i])
        spin_unlock(nodes[i].lock)          # not the lock acquired last
        leave(nodes[j])
        spin_unlock(nodes[j].lock)
    else:
        leave(nodes[i])
        spin_unlock(nodes[i].lock)


def trylock(i):
    n = nodes[i]
    if spin_trylock(n.lock):
        enter(n)
        atomic_inc(n.count)
        leave(n)
        spin_unlock(n.lock)


def try_until(i):
    n = nodes[i]
    while not spin_trylock(n.lock):
        yield_cpu()
    enter(n)
    atomic_inc(n.count)
    leave(n)
    spin_unlock(n.lock)


def reader(i):
    n = nodes[i]
    read_lock(n.rwlock)
    n.readers += 1
    atomic_read(n.count)
    n.readers -= 1
    read_unlock(n.rwlock)


def writer(i):
    n = nodes[i]
    write_lock(n.rwlock)
    if n.readers:
        BUG(5)
    atomic_inc(n.count)
    if n.readers:
        BUG(6)
    write_unlock(n.rwlock)


def mutex(i):
    n = nodes[i]
    down(n.sem)
    if n.asleep:
        BUG(9)
    n.asleep = 1
    atomic_inc(n.count)
    n.asleep = 0
    up(n.sem)


def try_mutex(i):
    n = nodes[i]
    if not down_trylock(n.sem):
        if n.asleep:
            BUG(10)
        n.asleep = 1
        atomic_inc(n.count)
        n.asleep = 0
        up(n.sem)


def rwsem_reader(i):
    n = nodes[i]
    down_read(n.rwsem)
    n.sleepy_readers += 1
    atomic_read(n.count)
    n.sleepy_readers -= 1
    up_read(n.rwsem)


def rwsem_writer(i):
    n = nodes[i]
    down_write(n.rwsem)
    if n.sleepy_readers:
        BUG(11)
    atomic_inc(n.count)
    if n.sleepy_readers:
        BUG(12)
    up_write(n.rwsem)


def rwsem_downgrader(i):
    n = nodes[i]
    down_write(n.rwsem)
    if n.sleepy_readers:
        BUG(13)
    downgrade_write(n.rwsem)
    n.sleepy_readers += 1
    atomic_read(n.count)
    n.sleepy_readers -= 1
    up_read(n.rwsem)


def drop_last(i):
    n = nodes[i]
    atomic_set(n.made, 1)
    if atomic_dec_and_lock(n.made, n.lock):
        enter(n)
        atomic_inc(n.count)
        leave(n)
        spin_unlock(n.lock)


def produce(i):
    n = nodes[i]
    atomic_inc(n.made)
    wake_up_all(n.wait)


def produce_for_one(i):
    n = nodes[i]
    atomic_inc(n.made)
    wake_up(n.wait)


def consume(i):
    n = nodes[i]
    add_wait_queue(n.wait)
    while True:
        set_current_state(TASK_UNINTERRUPTIBLE)
        if atomic_read(n.made):
            break
        schedule()
    set_current_state(TASK_RUNNING)
    remove_wait_queue(n.wait)


def consume_alone(i):
    n = nodes[i]
    add_wait_queue_exclusive(n.wait)
    while True:
        set_current_state(TASK_UNINTERRUPTIBLE)
        if atomic_read(n.made):
            break
        schedule()
    set_current_state(TASK_RUNNING)
    remove_wait_queue(n.wait)


def give_way(i):
    schedule()


def give_way_twice(i):
    yield_cpu()
    yield_cpu()


# Interrupts: their own lock, which every task acquires with interrupts off.

def irq_enter(n):
    if n.irq_inside:
        BUG(7)
    n.irq_inside = 1


def irq_leave(n):
    if n.irq_inside != 1:
        BUG(8)
    n.irq_inside = 0


def irq_section(i):
    n = nodes[i]
    spin_lock_irq(n.irq_lock)
    irq_enter(n)
    atomic_inc(n.count)
    irq_leave(n)
    spin_unlock_irq(n.irq_lock)


def irqsave_section(i):
    n = nodes[i]
    flags = spin_lock_irqsave(n.irq_lock)
    irq_enter(n)
    inner = local_irq_save()
    atomic_inc(n.count)
    local_irq_restore(inner)
    irq_leave(n)
    spin_unlock_irqrestore(n.irq_lock, flags)


def irqs_off(i):
    local_irq_disable()
    atomic_inc(nodes[i].count)
    atomic_inc(nodes[i].count)
    local_irq_enable()


def handler(i):
    atomic_inc(nodes[i].count)
    irqsave_section(i)
    atomic_inc(nodes[i].made)
    wake_up_all(nodes[i].wait)


def chained(i):
    raise_irq(handler, i)
    atomic_inc(nodes[i].count)
    irqsave_section(i)


def interrupt(i):
    raise_irq(handler, i)


def interrupt_twice(i):
    raise_irq(chained, i)
