# SPDX-License-Identifier: MIT
"""Every primitive of the toolkit keeps the rule of harness/points.py, and has the points that the table here lists.

The only task of a machine runs a primitive. At each point, and at the end, the test compares the state that other tasks can see with
that at the point before. Nothing may change before the first point, and after a point only the object that it named. A new name in the
toolkit fails here until it is in one of the two tables.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from vmrace.harness import kernel
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.kernel.cell import cell
from vmrace.harness.machine.machine import m
from vmrace.harness.points import NAMES
from vmrace.harness.schedulers import NoPreempt

CORES = ("fast", "up")
k = types.SimpleNamespace()             # the toolkit of the core that is tried


class thing(kernel.struct):
    lock = kernel.embed(kernel.spinlock_t)
    field = kernel.racy(0, ".lock")


class World:
    """The objects that a primitive is called on."""

    def __init__(self) -> None:
        self.v = kernel.atomic_t("v", 1)
        self.w = kernel.flags_t("w")
        self.lock = kernel.spinlock_t("lock")
        self.rwlock = kernel.rwlock_t("rwlock")
        self.sem = kernel.semaphore("sem")
        self.rwsem = kernel.rw_semaphore("rwsem")
        self.q = kernel.wait_queue_head_t("q")
        self.done = kernel.completion("done", 1)
        self.x = cell("x", value=0)
        self.numbers = kernel.racy_array("numbers", 2, 0)
        self.thing = thing("thing")


Call = Callable[[World], Any]


@dataclass
class Primitive:
    """A call of a primitive. `points`: the kinds of its points, in order. `before` runs first, and `after` releases the locks that are
    still held. `up`: its points in a kernel for one cpu, where these differ."""

    points: str
    call: Call
    before: Call = lambda world: None
    after: Call = lambda world: None
    up: str | None = None


def _set_field(world: World) -> None:
    world.thing.field = 1


def _set_item(world: World) -> None:
    world.numbers[1] = 1


def _irqs_on(world: World) -> None:
    k.local_irq_enable()


def _irqs_off(world: World) -> None:
    k.local_irq_disable()


# The fields of structs are primitives, too.
PRIMITIVES = {
    "cell": Primitive("read", lambda o: o.x.value),
    "racy, a load": Primitive("read", lambda o: o.thing.field),
    "racy, a load under its lock": Primitive("", lambda o: o.thing.field, lambda o: k.spin_lock(o.thing.lock),
                                             lambda o: k.spin_unlock(o.thing.lock)),
    "racy, a store": Primitive("write", _set_field, lambda o: k.spin_lock(o.thing.lock), lambda o: k.spin_unlock(o.thing.lock)),
    "racy_array, a load": Primitive("read", lambda o: o.numbers[1]),
    "racy_array, a store": Primitive("write", _set_item),
    "atomic_read": Primitive("read", lambda o: k.atomic_read(o.v)),
    "atomic_set": Primitive("write", lambda o: k.atomic_set(o.v, 7)),
    "atomic_inc": Primitive("rmw", lambda o: k.atomic_inc(o.v)),
    "atomic_dec": Primitive("rmw", lambda o: k.atomic_dec(o.v)),
    "atomic_add": Primitive("rmw", lambda o: k.atomic_add(2, o.v)),
    "atomic_sub": Primitive("rmw", lambda o: k.atomic_sub(2, o.v)),
    "atomic_dec_and_test": Primitive("rmw", lambda o: k.atomic_dec_and_test(o.v)),
    "atomic_inc_and_test": Primitive("rmw", lambda o: k.atomic_inc_and_test(o.v)),
    "xchg": Primitive("rmw", lambda o: k.xchg(o.v, 5)),
    "cmpxchg": Primitive("rmw", lambda o: k.cmpxchg(o.v, 1, 5)),
    "atomic_dec_and_lock": Primitive("rmw lock rmw", lambda o: k.atomic_dec_and_lock(o.v, o.lock), after=lambda o: k.spin_unlock(o.lock),
                                     up="lock rmw"),
    "atomic_dec_and_lock, not the last": Primitive("rmw", lambda o: k.atomic_dec_and_lock(o.v, o.lock), lambda o: k.atomic_inc(o.v),
                                                   up="lock rmw unlock"),
    "test_bit": Primitive("read", lambda o: k.test_bit(1, o.w)),
    "set_bit": Primitive("write", lambda o: k.set_bit(1, o.w)),
    "clear_bit": Primitive("write", lambda o: k.clear_bit(1, o.w), lambda o: k.set_bit(1, o.w)),
    "test_and_set_bit": Primitive("rmw", lambda o: k.test_and_set_bit(1, o.w)),
    "test_and_clear_bit": Primitive("rmw", lambda o: k.test_and_clear_bit(1, o.w), lambda o: k.set_bit(1, o.w)),
    "test_and_change_bit": Primitive("rmw", lambda o: k.test_and_change_bit(1, o.w)),
    "read_word": Primitive("read", lambda o: k.read_word(o.w)),
    "write_word": Primitive("write", lambda o: k.write_word(o.w, 3)),
    "__set_bit": Primitive("read write", lambda o: k.__set_bit(1, o.w)),
    "__clear_bit": Primitive("read write", lambda o: k.__clear_bit(1, o.w), lambda o: k.set_bit(1, o.w)),
    "mb": Primitive("barrier", lambda o: k.mb()),
    "rmb": Primitive("barrier", lambda o: k.rmb()),
    "wmb": Primitive("barrier", lambda o: k.wmb()),
    "smp_mb": Primitive("barrier", lambda o: k.smp_mb()),
    "smp_rmb": Primitive("barrier", lambda o: k.smp_rmb()),
    "smp_wmb": Primitive("barrier", lambda o: k.smp_wmb()),
    "smp_mb__before_clear_bit": Primitive("barrier", lambda o: k.smp_mb__before_clear_bit()),
    "smp_mb__after_clear_bit": Primitive("barrier", lambda o: k.smp_mb__after_clear_bit()),
    "cpu_relax": Primitive("barrier", lambda o: k.cpu_relax()),
    "smp_cond_load_relaxed": Primitive("read", lambda o: k.smp_cond_load_relaxed(lambda: o.x.value, lambda value: value == 0)),
    "spin_lock": Primitive("lock", lambda o: k.spin_lock(o.lock), after=lambda o: k.spin_unlock(o.lock)),
    "spin_unlock": Primitive("unlock", lambda o: k.spin_unlock(o.lock), lambda o: k.spin_lock(o.lock)),
    "spin_trylock": Primitive("trylock", lambda o: k.spin_trylock(o.lock), after=lambda o: k.spin_unlock(o.lock)),
    "spin_is_locked": Primitive("read", lambda o: k.spin_is_locked(o.lock), up=""),
    "spin_lock_irq": Primitive("mask lock", lambda o: k.spin_lock_irq(o.lock), after=lambda o: k.spin_unlock_irq(o.lock)),
    "spin_lock_irq, off before": Primitive("lock", lambda o: k.spin_lock_irq(o.lock), _irqs_off, lambda o: k.spin_unlock_irq(o.lock)),
    "spin_unlock_irq": Primitive("unlock", lambda o: k.spin_unlock_irq(o.lock), lambda o: k.spin_lock_irq(o.lock)),
    "spin_lock_irqsave": Primitive("mask lock", lambda o: k.spin_lock_irqsave(o.lock), after=lambda o: k.spin_unlock_irq(o.lock)),
    "spin_unlock_irqrestore": Primitive("unlock", lambda o: k.spin_unlock_irqrestore(o.lock, False), lambda o: k.spin_lock_irq(o.lock)),
    "spin_unlock_irqrestore, off before": Primitive("unlock", lambda o: k.spin_unlock_irqrestore(o.lock, True),
                                                    lambda o: k.spin_lock_irq(o.lock), _irqs_on),
    "local_irq_disable": Primitive("mask", _irqs_off, after=_irqs_on),
    "local_irq_disable, off before": Primitive("", _irqs_off, _irqs_off, _irqs_on),
    "local_irq_enable": Primitive("", _irqs_on, _irqs_off),
    "local_irq_save": Primitive("mask", lambda o: k.local_irq_save(), after=_irqs_on),
    "local_irq_restore": Primitive("", lambda o: k.local_irq_restore(False), _irqs_off),
    "local_irq_restore, off before": Primitive("mask", lambda o: k.local_irq_restore(True), after=_irqs_on),
    "read_lock": Primitive("lock", lambda o: k.read_lock(o.rwlock), after=lambda o: k.read_unlock(o.rwlock)),
    "read_unlock": Primitive("unlock", lambda o: k.read_unlock(o.rwlock), lambda o: k.read_lock(o.rwlock)),
    "write_lock": Primitive("lock", lambda o: k.write_lock(o.rwlock), after=lambda o: k.write_unlock(o.rwlock)),
    "write_unlock": Primitive("unlock", lambda o: k.write_unlock(o.rwlock), lambda o: k.write_lock(o.rwlock)),
    "down": Primitive("lock", lambda o: k.down(o.sem), after=lambda o: k.up(o.sem)),
    "down_trylock": Primitive("trylock", lambda o: k.down_trylock(o.sem), after=lambda o: k.up(o.sem)),
    "up": Primitive("unlock", lambda o: k.up(o.sem), lambda o: k.down(o.sem)),
    "down_read": Primitive("lock", lambda o: k.down_read(o.rwsem), after=lambda o: k.up_read(o.rwsem)),
    "down_read_trylock": Primitive("trylock", lambda o: k.down_read_trylock(o.rwsem), after=lambda o: k.up_read(o.rwsem)),
    "up_read": Primitive("unlock", lambda o: k.up_read(o.rwsem), lambda o: k.down_read(o.rwsem)),
    "down_write": Primitive("lock", lambda o: k.down_write(o.rwsem), after=lambda o: k.up_write(o.rwsem)),
    "up_write": Primitive("unlock", lambda o: k.up_write(o.rwsem), lambda o: k.down_write(o.rwsem)),
    "downgrade_write": Primitive("unlock", lambda o: k.downgrade_write(o.rwsem), lambda o: k.down_write(o.rwsem),
                                 lambda o: k.up_read(o.rwsem)),
    "add_wait_queue": Primitive("wait", lambda o: k.add_wait_queue(o.q), after=lambda o: k.remove_wait_queue(o.q)),
    "add_wait_queue_exclusive": Primitive("wait", lambda o: k.add_wait_queue_exclusive(o.q), after=lambda o: k.remove_wait_queue(o.q)),
    "remove_wait_queue": Primitive("wait", lambda o: k.remove_wait_queue(o.q), lambda o: k.add_wait_queue(o.q)),
    "waitqueue_active": Primitive("read", lambda o: k.waitqueue_active(o.q)),
    "complete": Primitive("unlock", lambda o: k.complete(o.done)),
    "complete_all": Primitive("unlock", lambda o: k.complete_all(o.done)),
    "wait_for_completion": Primitive("lock", lambda o: k.wait_for_completion(o.done)),
    "wake_up": Primitive("wake", lambda o: k.wake_up(o.q), lambda o: (k.add_wait_queue(o.q), k.set_task_state(k.TASK_INTERRUPTIBLE)),
                         lambda o: k.remove_wait_queue(o.q)),
    "wake_up_all": Primitive("wake", lambda o: k.wake_up_all(o.q),
                             lambda o: (k.add_wait_queue(o.q), k.set_task_state(k.TASK_INTERRUPTIBLE)),
                             lambda o: k.remove_wait_queue(o.q)),
    "set_task_state": Primitive("wait", lambda o: k.set_task_state(k.TASK_UNINTERRUPTIBLE),
                                after=lambda o: k.set_task_state(k.TASK_RUNNING)),
    "set_current_state": Primitive("wait", lambda o: k.set_current_state(k.TASK_UNINTERRUPTIBLE),
                                   after=lambda o: k.set_task_state(k.TASK_RUNNING)),
    "__set_task_state": Primitive("write", lambda o: k.__set_task_state(k.TASK_UNINTERRUPTIBLE),
                                  after=lambda o: k.set_task_state(k.TASK_RUNNING)),
    "__set_current_state": Primitive("write", lambda o: k.__set_current_state(k.TASK_UNINTERRUPTIBLE),
                                     after=lambda o: k.set_task_state(k.TASK_RUNNING)),
    "schedule": Primitive("wait", lambda o: k.schedule()),
    "yield_cpu": Primitive("wait", lambda o: k.yield_cpu()),
    "need_resched": Primitive("read", lambda o: k.need_resched()),
    "point": Primitive("rmw", lambda o: k.point(o.x, k.RMW)),
}
# They touch nothing that other tasks can see, or report a state that other tasks cannot observe before the next point.
NO_POINTS = {
    "BUG": "ends the run", "BUG_ON": "ends the run", "WARN_ON": "tells the user", "printk": "tells the user",
    "READ": "a kind", "WRITE": "a kind", "RMW": "a kind", "CONFIG_SMP": "a constant",
    "TASK_RUNNING": "a constant", "TASK_INTERRUPTIBLE": "a constant", "TASK_UNINTERRUPTIBLE": "a constant",
    "likely": "its argument", "unlikely": "its argument", "data_race": "its argument",
    "current": "its own task", "function_here": "its own stack", "in_interrupt": "its own cpu", "smp_processor_id": "its own cpu",
    "raise_irq": "the handler comes at the next point at the earliest",
    "happens_before": "tells the race sanitizer", "happens_after": "tells the race sanitizer",
    "now": "the user's own history", "saw": "the user's own history", "touches": "tells explorers of what the point before it announced",
    "atomic_t": "a type", "flags_t": "a type", "list_head": "a type", "spinlock_t": "a type", "rwlock_t": "a type", "semaphore": "a type",
    "completion": "a type", "thread": "a type",
    "rw_semaphore": "a type", "wait_queue_head_t": "a type", "struct": "a type", "embed": "declares a field", "device": "declares a field",
    "guarded": "declares a field", "plain": "declares a field", "racy": "declares a field", "guarded_array": "under its lock",
    "racy_array": "a type: see its loads and stores",
    "INIT_LIST_HEAD": "under the list's lock", "LIST_HEAD": "a type", "list_add": "under the list's lock",
    "list_add_tail": "under the list's lock",
    "list_del": "under the list's lock", "list_del_init": "under the list's lock", "list_empty": "under the list's lock",
    "list_entry": "an address",
}
# The point of kfree is held against every access to what it frees: tests/canaries, and the programs about memory of tests/explore. The
# points of spawn and join are held by tests/explore/test_completions.py and by the oracle.
ELSEWHERE = {"kfree", "spawn", "join"}
# The state that an event may change besides the object that its point names.
ALSO = {"lock": ("held",), "unlock": ("held",), "trylock": ("held",), "wait": ("state",), "write": ("state",), "wake": ("state",),
        "mask": ("irqs off",)}

# They turn interrupts on, which takes no point.
TURNS_ON = ("local_irq_enable", "local_irq_restore", "spin_unlock_irq")


def test_every_name_of_the_toolkit_is_in_one_of_the_tables() -> None:
    told = {name.partition(",")[0] for name in PRIMITIVES} - {"cell", "racy", "racy_array"}
    assert told | NO_POINTS.keys() | ELSEWHERE == kernel.TOOLKIT.keys()
    assert not told & NO_POINTS.keys()


class Watched:
    """The recorder of one run: the points of the primitive, and the changes after each; the first changes are before any point."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.on = False
        self.kinds: list[str] = []
        self.objects: list[str] = [""]
        self.changed: list[set[str]] = []

    def begin(self) -> None:
        self.on, self.before = True, self.seen()

    def end(self) -> None:
        self.on = False
        self._differ()

    def __call__(self, kind: int, obj: Any, arg: Any) -> None:
        if self.on:
            self._differ()
            self.kinds.append(NAMES[kind])
            self.objects.append(obj.name)

    def _differ(self) -> None:
        now = self.seen()
        self.changed.append({name for name in now if now[name] != self.before[name]})
        self.before = now

    def seen(self) -> dict[str, Any]:
        """Return the state that other processes can see, by name."""
        task = m.tasks[0]
        out: dict[str, Any] = {"state": task.state, "held": task.held.locks, "irqs off": task.held.irqs_off,
                               "runs": task.cpu.running is task}
        for made in self.runner.image.objects:
            for slot in (*getattr(type(made), "state_slots", ()), *getattr(type(made), "volatile_slots", ())):
                value = getattr(made, slot.removesuffix("[:]"))
                out[f"{made.name} {slot}"] = tuple(value) if isinstance(value, list) else value
        return out


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", PRIMITIVES)
def test_a_primitive_changes_state_only_after_a_point_that_names_it(name: str, core: str) -> None:
    primitive = PRIMITIVES[name]
    k.__dict__.update(kernel.TOOLKIT | kernel.CORE_TOOLKIT[core])
    del k.kfree                         # if memory can be freed, every access is a point
    expected = primitive.up if core == "up" and primitive.up is not None else primitive.points

    def make() -> Program:
        world = World()

        def task() -> None:
            primitive.before(world)
            m.recorder.begin()
            primitive.call(world)
            m.recorder.end()
            primitive.after(world)
        return Program([task])
    runner = Runner(make)
    watched = Watched(runner)
    m.recorder = watched
    try:
        result = runner.run(NoPreempt())
    finally:
        m.recorder = None
    assert not result.findings
    assert " ".join(watched.kinds) == expected
    for kind, obj, changed in zip(["", *watched.kinds], watched.objects, watched.changed, strict=True):
        free = {"irqs off"} if name.startswith(TURNS_ON) else set()
        others = {what for what in changed - free if what.split(" ")[0] != obj and what not in ALSO.get(kind, ())}
        assert not others, f"{name} changes {sorted(others)} after {kind or 'no point'} {obj}"


