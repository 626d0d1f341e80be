# SPDX-License-Identifier: MIT
"""Every primitive as the atomic steps that a kernel takes, on explicit states.

The rules are those of Linux 2.4 and 2.6 on a machine with sequential memory. Turning interrupts off or on is a step of its own,
so spin_lock_irqsave() is "interrupts off", then "acquire". `x += 1` is a load and a store. A sleeper of a semaphore competes
again when it is woken, and keeps its place in the queue (__down). A rw_semaphore hands over in order (lib/rwsem.c).
__wake_up_common() walks the queue and stops at the exclusive sleeper for which try_to_wake_up() returned 1: one that was asleep.
A task whose state is a sleeping one, but which has not yet called schedule(), gets its state set and does not count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.oracle.language import FIELDS, FORMS, Block, Program, registers
from tests.oracle.state import DONE, NEW, READY, RUNNING, UNINTERRUPTIBLE, Frame, Illegal, Step, World

Operand = tuple[bool, int]

UINT_MAX = (1 << 32) - 1

# ---- steps that only the frame itself can see -----------------------------------------------------------------------------


def assign(w: World, f: Frame, to: int, value: Operand) -> None:
    f.registers[to] = f.value(value)


def sum_of(w: World, f: Frame, to: int, one: Operand, other: Operand) -> None:
    f.registers[to] = f.value(one) + f.value(other)


def goto(w: World, f: Frame, target: int) -> None:
    f.at = target


def goto_unless_equal(w: World, f: Frame, one: Operand, other: Operand, target: int) -> None:
    if f.value(one) != f.value(other):
        f.at = target


def count_down(w: World, f: Frame, counter: int, target: int) -> None:
    """Go to `target` when the counter is used up."""
    if not f.registers[counter]:
        f.at = target
    f.registers[counter] -= 1


def processor(w: World, f: Frame, to: int) -> None:
    f.registers[to] = w.cpu


# ---- data -----------------------------------------------------------------------------------------------------------------


def load(w: World, f: Frame, to: int, what: int) -> None:
    f.registers[to] = w.memory[what]


def until(w: World, f: Frame, what: int, value: Operand) -> bool:
    """Loop until the object has that value. An earlier turn changes nothing, so only the last one is a step."""
    return bool(w.memory[what] == f.value(value))


def load_guarded(w: World, f: Frame, to: int, what: int, lock: int) -> None:
    if not f.holds(lock, alone=False):
        raise Illegal("a guarded field is loaded without its lock")
    load(w, f, to, what)


def store(w: World, f: Frame, what: int, value: Operand) -> None:
    w.memory[what] = f.value(value)


def store_guarded(w: World, f: Frame, what: int, value: Operand, lock: int) -> None:
    if not f.holds(lock, alone=True):
        raise Illegal("a guarded field is stored without its lock")
    store(w, f, what, value)


def add(w: World, f: Frame, value: Operand, what: int) -> None:
    w.memory[what] += f.value(value)


def subtract(w: World, f: Frame, value: Operand, what: int) -> None:
    w.memory[what] -= f.value(value)


def add_and_test(w: World, f: Frame, to: int, value: Operand, what: int) -> None:
    w.memory[what] += f.value(value)
    f.registers[to] = int(w.memory[what] == 0)


def exchange(w: World, f: Frame, to: int, what: int, value: Operand) -> None:
    value_now = f.value(value)
    f.registers[to] = w.memory[what]
    w.memory[what] = value_now


def compare_exchange(w: World, f: Frame, to: int, what: int, old: Operand, new: Operand) -> None:
    expected, value = f.value(old), f.value(new)
    f.registers[to] = w.memory[what]
    if w.memory[what] == expected:
        w.memory[what] = value


def test_bit(w: World, f: Frame, to: int, bit: Operand, what: int) -> None:
    f.registers[to] = w.memory[what] >> f.value(bit) & 1


def change_bit(w: World, f: Frame, to: int | None, bit: Operand, what: int, how: str) -> None:
    """Change a bit in one locked instruction: the old bit goes to register `to`."""
    mask = 1 << f.value(bit)
    old = w.memory[what]
    w.memory[what] = old | mask if how == "set" else old & ~mask if how == "clear" else old ^ mask
    if to is not None:
        f.registers[to] = int(bool(old & mask))


def store_bit(w: World, f: Frame, loaded: int, bit: Operand, what: int, on: bool) -> None:
    """Take the second half of __set_bit() or __clear_bit(): store the whole word."""
    mask = 1 << f.value(bit)
    w.memory[what] = f.registers[loaded] | mask if on else f.registers[loaded] & ~mask


# ---- interrupts -----------------------------------------------------------------------------------------------------------


def set_irqs(w: World, f: Frame, on: bool) -> None:
    f.irqs_on = on


def save_irqs(w: World, f: Frame, to: int) -> None:
    """Do local_irq_save(): the saved flags are 1 if interrupts were off already."""
    f.registers[to] = int(not f.irqs_on)
    f.irqs_on = False


def restore_irqs(w: World, f: Frame, flags: Operand) -> None:
    f.irqs_on = not f.value(flags)


def raise_irq(w: World, f: Frame, handler: int) -> None:
    w.pending.append(handler)


# ---- spinning locks. A spinlock is 0 or 1; a rwlock the number of its readers, or -1 for a writer. --------------------------


def spin_lock(w: World, f: Frame, lock: int) -> bool:
    if w.memory[lock]:
        return w.wait_for_lock(f, lock)
    w.memory[lock] = 1
    f.take(lock, "alone", True)
    return True


def spin_trylock(w: World, f: Frame, to: int, lock: int) -> None:
    f.registers[to] = int(not w.memory[lock])
    if f.registers[to]:
        spin_lock(w, f, lock)


def spin_unlock(w: World, f: Frame, lock: int) -> None:
    f.give_back(lock, "alone")
    w.memory[lock] = 0


def spin_is_locked(w: World, f: Frame, to: int, lock: int) -> None:
    f.registers[to] = w.memory[lock]


def read_lock(w: World, f: Frame, lock: int) -> bool:
    if w.memory[lock] < 0:
        return w.wait_for_lock(f, lock)
    w.memory[lock] += 1
    f.take(lock, "read", True)
    return True


def read_unlock(w: World, f: Frame, lock: int) -> None:
    f.give_back(lock, "read")
    w.memory[lock] -= 1


def write_lock(w: World, f: Frame, lock: int) -> bool:
    if w.memory[lock]:
        return w.wait_for_lock(f, lock)
    w.memory[lock] = -1
    f.take(lock, "alone", True)
    return True


def write_unlock(w: World, f: Frame, lock: int) -> None:
    f.give_back(lock, "alone")
    w.memory[lock] = 0


def decrement_unless_one(w: World, f: Frame, to: int, what: int, done: int) -> None:
    """Do atomic_add_unless(v, -1, 1), the fast path of atomic_dec_and_lock()."""
    if w.memory[what] != 1:
        w.memory[what] -= 1
        f.registers[to] = 0
        f.at = done


# ---- sleeping -------------------------------------------------------------------------------------------------------------


def schedule(w: World, f: Frame) -> None:
    me = w.may_sleep(f)
    if w.task_states[me] == RUNNING:
        w.leave_cpu()                           # and stays on the run queue
    else:
        w.sleep()


def yield_cpu(w: World, f: Frame) -> None:
    w.may_sleep(f)
    w.leave_cpu()


def set_task_state(w: World, f: Frame, state: str) -> None:
    w.task_states[w.task()] = state


# A semaphore is its count and its sleepers, each (task, was it woken by up()).


def down(w: World, f: Frame, sem: int, mutex: bool) -> None:
    me = w.may_sleep(f)
    count, sleepers = w.memory[sem]
    slept = any(task == me for task, _ in sleepers)
    if count > 0:
        w.memory[sem] = count - 1, tuple(one for one in sleepers if one[0] != me)
        if slept:
            w.task_states[me] = RUNNING
        if mutex:
            f.take(sem, "alone", False)
        return
    if slept:
        sleepers = tuple((task, woken and task != me) for task, woken in sleepers)
    else:
        sleepers = (*sleepers, (me, False))
    w.memory[sem] = count, sleepers
    w.task_states[me] = UNINTERRUPTIBLE
    w.sleep()
    f.at -= 1                                   # once woken, it competes again


def down_trylock(w: World, f: Frame, to: int, sem: int, mutex: bool) -> None:
    count, sleepers = w.memory[sem]
    f.registers[to] = int(count <= 0)
    if count > 0:
        w.memory[sem] = count - 1, sleepers
        if mutex:
            f.take(sem, "alone", False)


def up(w: World, f: Frame, sem: int, mutex: bool) -> None:
    if mutex:
        f.give_back(sem, "alone")
    count, sleepers = w.memory[sem]
    longest = next((task for task, woken in sleepers if not woken), None)
    w.memory[sem] = count + 1, tuple((task, woken or task == longest) for task, woken in sleepers)
    if longest is not None:
        w.wake(longest)


# A completion is `done` and its sleepers, each (task, was it woken). All sleepers are exclusive.


def wait_for_completion(w: World, f: Frame, x: int) -> None:
    me = w.may_sleep(f)
    done, sleepers = w.memory[x]
    if done:
        w.memory[x] = done - 1, tuple(one for one in sleepers if one[0] != me)
        w.task_states[me] = RUNNING
        return
    if any(task == me for task, _ in sleepers):
        sleepers = tuple((task, woken and task != me) for task, woken in sleepers)
    else:
        sleepers = (*sleepers, (me, False))
    w.memory[x] = done, sleepers
    w.task_states[me] = UNINTERRUPTIBLE
    w.sleep()
    f.at -= 1                                   # once woken, it looks again


def complete(w: World, f: Frame, x: int, for_all: bool) -> None:
    done, sleepers = w.memory[x]
    woken = [task for task, awake in sleepers if not awake][:None if for_all else 1]
    w.memory[x] = done + (UINT_MAX // 2 if for_all else 1), tuple((task, awake or task in woken) for task, awake in sleepers)
    for task in woken:
        w.wake(task)


# A thread is the number of its task, and the tasks that sleep until it ends.


def spawn(w: World, f: Frame, thread: int) -> None:
    task, _ = w.memory[thread]
    if w.places[task] != NEW:
        raise Illegal("a thread is spawned twice")
    w.places[task] = READY


def join(w: World, f: Frame, thread: int) -> None:
    me = w.may_sleep(f)
    task, joiners = w.memory[thread]
    if w.places[task] == DONE:
        w.task_states[me] = RUNNING
        return
    w.memory[thread] = task, (*joiners, me)
    w.task_states[me] = UNINTERRUPTIBLE
    w.sleep()
    f.at -= 1


# A rw_semaphore is (does somebody write, number of readers, sleepers), each sleeper (task, does it write).


def down_read(w: World, f: Frame, sem: int) -> None:
    me = w.may_sleep(f)
    writer, readers, queue = w.memory[sem]
    if writer or queue:
        w.memory[sem] = writer, readers, (*queue, (me, False))
        w.task_states[me] = UNINTERRUPTIBLE
        w.sleep()
    else:
        w.memory[sem] = writer, readers + 1, queue
        f.take(sem, "read", False)
        f.at += 1                               # over the wait


def down_write(w: World, f: Frame, sem: int) -> None:
    me = w.may_sleep(f)
    writer, readers, queue = w.memory[sem]
    if writer or readers or queue:
        w.memory[sem] = writer, readers, (*queue, (me, True))
        w.task_states[me] = UNINTERRUPTIBLE
        w.sleep()
    else:
        w.memory[sem] = True, readers, queue
        f.take(sem, "alone", False)
        f.at += 1


def wait_for_rwsem(w: World, f: Frame, sem: int, side: str) -> None:
    """Let a sleeper go on once the semaphore was handed to it; if anything else woke it, it sleeps again."""
    if any(task == w.me for task, _ in w.memory[sem][2]):
        w.task_states[w.me] = UNINTERRUPTIBLE
        w.sleep()
        f.at -= 1
    else:
        w.task_states[w.me] = RUNNING
        f.take(sem, side, False)


def up_read(w: World, f: Frame, sem: int) -> None:
    f.give_back(sem, "read")
    writer, readers, queue = w.memory[sem]
    w.memory[sem] = writer, readers - 1, queue
    _hand_over(w, sem)


def up_write(w: World, f: Frame, sem: int) -> None:
    f.give_back(sem, "alone")
    _, readers, queue = w.memory[sem]
    w.memory[sem] = False, readers, queue
    _hand_over(w, sem)


def downgrade_write(w: World, f: Frame, sem: int) -> None:
    f.give_back(sem, "alone")
    f.take(sem, "read", False)
    _, readers, queue = w.memory[sem]
    w.memory[sem] = False, readers + 1, queue
    _hand_over(w, sem)


def _hand_over(w: World, sem: int) -> None:
    """Hand the semaphore to the first of the queue: one writer if no task reads, or all readers before the next writer."""
    writer, readers, queue = w.memory[sem]
    while queue and not writer and not (queue[0][1] and readers):
        (task, writer), queue = queue[0], queue[1:]
        readers += not writer
        w.wake(task)
    w.memory[sem] = writer, readers, queue


# A wait queue is its entries (task, exclusive), in the order in which they are woken. Its own lock lets in one at a time.


def add_wait_queue(w: World, f: Frame, queue: int, exclusive: bool) -> None:
    entry = w.task(), exclusive
    w.memory[queue] = (*w.memory[queue], entry) if exclusive else (entry, *w.memory[queue])


def remove_wait_queue(w: World, f: Frame, queue: int) -> None:
    w.memory[queue] = tuple(entry for entry in w.memory[queue] if entry[0] != w.task())


def waitqueue_active(w: World, f: Frame, to: int, queue: int) -> None:
    f.registers[to] = int(bool(w.memory[queue]))


def wake_up(w: World, f: Frame, queue: int, exclusive_count: int) -> None:
    """Do __wake_up_common(). A count of 0 wakes all."""
    for task, exclusive in w.memory[queue]:
        if w.task_states[task] != RUNNING and w.wake(task) and exclusive:
            exclusive_count -= 1
            if not exclusive_count:
                return


# ---- from statements to steps -----------------------------------------------------------------------------------------------

LOCAL = (assign, sum_of, goto, goto_unless_equal, count_down, processor)
MINUS_ONE, ONE = (False, -1), (False, 1)

# primitives that are one step: the step, and what it is called with besides the arguments of the statement, before and after them
SIMPLE: dict[str, tuple[Callable[..., Any], tuple[Any, ...], tuple[Any, ...]]] = {
    "set": (assign, (), ()), "until": (until, (), ()), "smp_processor_id": (processor, (), ()),
    "atomic_read": (load, (), ()), "atomic_set": (store, (), ()), "atomic_inc": (add, (ONE,), ()), "atomic_dec": (add, (MINUS_ONE,), ()),
    "atomic_add": (add, (), ()), "atomic_sub": (subtract, (), ()), "xchg": (exchange, (), ()), "cmpxchg": (compare_exchange, (), ()),
    "test_bit": (test_bit, (), ()), "set_bit": (change_bit, (None,), ("set",)), "clear_bit": (change_bit, (None,), ("clear",)),
    "test_and_set_bit": (change_bit, (), ("set",)), "test_and_clear_bit": (change_bit, (), ("clear",)),
    "test_and_change_bit": (change_bit, (), ("change",)), "read_word": (load, (), ()), "write_word": (store, (), ()),
    "local_irq_disable": (set_irqs, (False,), ()), "local_irq_enable": (set_irqs, (True,), ()),
    "local_irq_save": (save_irqs, (), ()), "local_irq_restore": (restore_irqs, (), ()), "raise_irq": (raise_irq, (), ()),
    "spin_lock": (spin_lock, (), ()), "spin_unlock": (spin_unlock, (), ()), "spin_trylock": (spin_trylock, (), ()),
    "spin_is_locked": (spin_is_locked, (), ()), "read_lock": (read_lock, (), ()), "read_unlock": (read_unlock, (), ()),
    "write_lock": (write_lock, (), ()), "write_unlock": (write_unlock, (), ()),
    "up_read": (up_read, (), ()), "up_write": (up_write, (), ()), "downgrade_write": (downgrade_write, (), ()),
    "add_wait_queue": (add_wait_queue, (), (False,)), "add_wait_queue_exclusive": (add_wait_queue, (), (True,)),
    "remove_wait_queue": (remove_wait_queue, (), ()), "waitqueue_active": (waitqueue_active, (), ()),
    "wake_up": (wake_up, (), (1,)), "wake_up_all": (wake_up, (), (0,)),
    "set_current_state": (set_task_state, (), ()), "__set_current_state": (set_task_state, (), ()),
    "schedule": (schedule, (), ()), "yield_cpu": (yield_cpu, (), ()),
    "wait_for_completion": (wait_for_completion, (), ()), "complete": (complete, (), (False,)), "complete_all": (complete, (), (True,)),
    "spawn": (spawn, (), ()), "join": (join, (), ()),
}


class Code:
    """A body as a list of steps. `returns`: the registers that are the result of a task."""

    def __init__(self, program: Program, body: Block):
        self.objects = {one.name: number for number, one in enumerate(program.objects)}
        self.kinds = {one.name: one for one in program.objects}
        self.handlers = {name: len(program.tasks) + number for number, (name, _) in enumerate(program.handlers)}
        self.numbers: dict[str, int] = {}
        self.steps: list[Step] = []
        self.register_count = 0
        self.touches: tuple[int, ...] = ()          # by the statement that is at hand
        self.block(body)
        self.returns = tuple(self.number(name) for name in registers(body))

    def number(self, register: str) -> int:
        if register not in self.numbers:
            self.numbers[register] = self.temporary()
        return self.numbers[register]

    def temporary(self) -> int:
        self.register_count += 1
        return self.register_count - 1

    def step(self, does: Callable[..., Any], *arguments: Any) -> int:
        """Append a step. Return its number."""
        self.steps.append(Step(does, arguments, does in LOCAL, self.touches))
        return len(self.steps) - 1

    def land(self, *jumps: int) -> None:
        """Have these steps go to the present end of the code: that is the last of their arguments."""
        for jump in jumps:
            step = self.steps[jump]
            self.steps[jump] = step._replace(arguments=(*step.arguments, len(self.steps)))

    def operand(self, value: Any) -> Operand:
        return (False, value) if isinstance(value, int) else (True, self.number(value))

    def block(self, block: Block) -> None:
        for statement in block:
            self.statement(*statement)

    def statement(self, name: str, *arguments: Any) -> None:
        self.touches = tuple(self.objects[one] for one in arguments if isinstance(one, str) and one in self.objects)
        if name in SIMPLE:
            does, before, after = SIMPLE[name]
            self.step(does, *before, *self.arguments(name, arguments), *after)
        else:
            getattr(self, f"do_{name}")(*arguments)

    def arguments(self, name: str, arguments: tuple[Any, ...]) -> list[Any]:
        out: list[Any] = []
        for wanted, argument in zip(FORMS[name], arguments, strict=True):
            if wanted == "to":
                out.append(self.number(argument))
            elif wanted == "value":
                out.append(self.operand(argument))
            elif wanted == "handler":
                out.append(self.handlers[argument])
            else:
                out.append(argument if wanted == "state" else self.objects[argument])
        return out

    def do_load(self, to: str, field: str) -> None:
        self._load(self.number(to), field)

    def _load(self, to: int, field: str) -> None:
        one = self.kinds[field]
        assert one.kind in FIELDS
        if one.kind == "guarded":
            self.step(load_guarded, to, self.objects[field], self.objects[one.lock])
        else:
            self.step(load, to, self.objects[field])

    def do_store(self, field: str, value: Any) -> None:
        self._store(field, self.operand(value))

    def _store(self, field: str, value: Operand) -> None:
        lock = self.kinds[field].lock
        if lock:
            self.step(store_guarded, self.objects[field], value, self.objects[lock])
        else:
            self.step(store, self.objects[field], value)

    def do_add(self, field: str, value: Any) -> None:
        loaded = self.temporary()
        self._load(loaded, field)
        total = self.temporary()
        self.step(sum_of, total, (True, loaded), self.operand(value))
        self._store(field, (True, total))

    def do___set_bit(self, bit: Any, word: str) -> None:
        self._store_bit(bit, word, True)

    def do___clear_bit(self, bit: Any, word: str) -> None:
        self._store_bit(bit, word, False)

    def _store_bit(self, bit: Any, word: str, on: bool) -> None:
        loaded = self.temporary()
        self.step(load, loaded, self.objects[word])
        self.step(store_bit, loaded, self.operand(bit), self.objects[word], on)

    def do_spin_lock_irq(self, lock: str) -> None:
        self.step(set_irqs, False)
        self.step(spin_lock, self.objects[lock])

    def do_spin_unlock_irq(self, lock: str) -> None:
        self.step(spin_unlock, self.objects[lock])
        self.step(set_irqs, True)

    def do_spin_lock_irqsave(self, to: str, lock: str) -> None:
        self.step(save_irqs, self.number(to))
        self.step(spin_lock, self.objects[lock])

    def do_spin_unlock_irqrestore(self, lock: str, flags: Any) -> None:
        self.step(spin_unlock, self.objects[lock])
        self.step(restore_irqs, self.operand(flags))

    def do_atomic_dec_and_lock(self, to: str, atomic: str, lock: str) -> None:
        fast = self.step(decrement_unless_one, self.number(to), self.objects[atomic])
        self.step(spin_lock, self.objects[lock])
        self.step(add_and_test, self.number(to), MINUS_ONE, self.objects[atomic])
        zero = self.step(goto_unless_equal, (True, self.number(to)), (False, 0))
        self.step(spin_unlock, self.objects[lock])
        self.land(fast, zero)

    def do_atomic_dec_and_test(self, to: str, atomic: str) -> None:
        self.step(add_and_test, self.number(to), MINUS_ONE, self.objects[atomic])

    def do_atomic_inc_and_test(self, to: str, atomic: str) -> None:
        self.step(add_and_test, self.number(to), ONE, self.objects[atomic])

    def do_down(self, sem: str) -> None:
        self.step(down, self.objects[sem], self.kinds[sem].kind == "mutex")

    def do_down_trylock(self, to: str, sem: str) -> None:
        self.step(down_trylock, self.number(to), self.objects[sem], self.kinds[sem].kind == "mutex")

    def do_up(self, sem: str) -> None:
        self.step(up, self.objects[sem], self.kinds[sem].kind == "mutex")

    def do_down_read(self, sem: str) -> None:
        self.step(down_read, self.objects[sem])
        self.step(wait_for_rwsem, self.objects[sem], "read")

    def do_down_write(self, sem: str) -> None:
        self.step(down_write, self.objects[sem])
        self.step(wait_for_rwsem, self.objects[sem], "alone")

    def do_if(self, one: Any, other: Any, then: Block, otherwise: Block) -> None:
        unless = self.step(goto_unless_equal, self.operand(one), self.operand(other))
        self.block(then)
        after = self.step(goto)
        self.land(unless)
        self.block(otherwise)
        self.land(after)

    def do_while(self, one: Any, other: Any, times: int, body: Block) -> None:
        left = self.temporary()
        self.step(assign, left, (False, times))
        again = len(self.steps)
        unless = self.step(goto_unless_equal, self.operand(one), self.operand(other))
        over = self.step(count_down, left)
        self.block(body)
        self.step(goto, again)
        self.land(unless, over)
