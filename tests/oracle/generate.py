# SPDX-License-Identifier: MIT
"""Random programs, each a function of its profile and seed: legal kernel code, small enough to see all of its states.

No task sleeps in an interrupt, under a spinlock or with interrupts off. A guarded field is touched under its lock. Every lock is
released, except a semaphore that a task may keep at its end. Deadlocks, lost wake-ups and lost updates are possible on purpose.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.oracle.compare import pruned
from tests.oracle.language import RUNNING, UNINTERRUPTIBLE, VALUES, Object, Program, Statement, Task, check, every_statement, registers

OBJECTS = (
    Object("x", "cell"), Object("y", "cell"), Object("z", "cell"),
    Object("a", "atomic", 1), Object("b", "atomic", 2), Object("bits", "word"),
    Object("lock", "spinlock"), Object("lock_racy", "racy", 0, "lock"), Object("lock_guarded", "guarded", 0, "lock"),
    Object("lock2", "spinlock"), Object("rw", "rwlock"), Object("rw_racy", "racy", 0, "rw"), Object("rw_guarded", "guarded", 0, "rw"),
    Object("mutex", "mutex"), Object("mutex_racy", "racy", 0, "mutex"), Object("mutex_guarded", "guarded", 0, "mutex"),
    Object("sem", "semaphore", 0), Object("slots", "semaphore", 2),
    Object("rwsem", "rwsem"), Object("rwsem_racy", "racy", 0, "rwsem"), Object("rwsem_guarded", "guarded", 0, "rwsem"),
    Object("queue", "queue"), Object("queue2", "queue"),
    Object("done", "completion"), Object("done2", "completion", 1), Object("worker", "thread"),
)
YIELDS_MAX = 2              # of one task: the explorer follows at most this number
TRIES_MAX = 20              # attempts to generate tasks that meet


@dataclass(frozen=True)
class Profile:
    """A kind of program. `kinds` names the statements that its programs are made of; a name that stands there twice is twice as likely.

    `sizes` maps a number of tasks to the least and the greatest number of statements of a task. `interrupts` is the most interrupts
    in one run, plus one in one program of ten.
    """

    kinds: tuple[str, ...]
    sizes: dict[int, tuple[int, int]]
    interrupts: int = 0
    shares: float = 0.0     # the share of its programs whose tasks share a cpu
    preempt: float = 0.0    # the share of these that can switch at any point


DATA = ("load", "load", "store", "store", "add", "atomic", "atomic", "bit", "bit", "word")
SPINNING = ("spin", "spin", "spin_try", "rw_read", "rw_write", "dec_and_lock", "is_locked")
IRQS_OFF = ("irq_disable", "irq_save", "spin_irq", "spin_irqsave")
SLEEPING = ("mutex", "mutex_try", "signal", "await", "slots", "rwsem_read", "rwsem_write", "rwsem_downgrade")
QUEUES = ("wait", "wait", "wait", "wake", "wake", "wake", "wake_alone", "active")

PROFILES = {
    "smp": Profile(DATA + SPINNING, {2: (2, 5), 3: (1, 3)}),
    "semaphores": Profile(SLEEPING * 3 + DATA, {2: (2, 4), 3: (1, 3)}, shares=0.2),
    "queues": Profile(QUEUES * 3 + DATA + ("mutex", "signal", "await"), {2: (2, 3), 3: (1, 2)}, shares=0.15),
    "interrupts": Profile(DATA * 2 + IRQS_OFF * 4 + SPINNING + ("raise", "processor") * 3, {1: (2, 5), 2: (1, 3)}, interrupts=2),
    "wake from interrupts": Profile(QUEUES * 2 + IRQS_OFF * 2 + SLEEPING + DATA + ("raise",) * 4, {1: (1, 3), 2: (1, 2)},
                                    interrupts=1, shares=0.2, preempt=0.3),
    "shared": Profile(DATA * 2 + SLEEPING * 2 + QUEUES + ("give_way",) * 8 + ("spin", "spin_irq"), {2: (2, 4), 3: (1, 3)}, shares=1.0),
    "preempt": Profile(DATA * 2 + SPINNING + SLEEPING + IRQS_OFF * 2, {2: (2, 4), 3: (1, 3)}, shares=1.0, preempt=1.0),
    "preempt with interrupts": Profile(DATA * 2 + SPINNING + IRQS_OFF * 3 + ("raise",) * 3, {2: (1, 2)},
                                       interrupts=1, shares=1.0, preempt=1.0),
    "spinning": Profile(DATA * 2 + ("until",) * 6 + SPINNING + ("irq_disable", "raise", "mutex", "signal"), {2: (2, 4), 3: (1, 3)},
                        interrupts=1, shares=0.2, preempt=0.5),
    "completions": Profile((("completes",) * 2 + ("completes_all",) + ("waits_for",) * 3) * 2 + DATA + ("spin", "mutex"),
                           {2: (2, 4), 3: (1, 3)}),
    "completions from interrupts": Profile(("completes", "waits_for") * 3 + DATA + ("raise",) * 4, {1: (1, 3), 2: (1, 3)}, interrupts=1),
    "threads": Profile(("joins",) * 3 + ("completes", "waits_for") + DATA + ("spin",), {2: (1, 4), 3: (1, 3)}),
    "threads of one cpu": Profile(("joins",) * 3 + DATA + ("give_way", "spin"), {2: (1, 4), 3: (1, 3)}, shares=0.7, preempt=0.3),
    "yield": Profile(DATA * 2 + ("yield", "yield_until") * 7 + ("spin", "spin_irq", "mutex", "signal"), {2: (2, 4), 3: (1, 3)},
                     shares=0.7, preempt=0.2),
}


def generate(profile: str, seed: int) -> Program:
    """Return the program of that profile and seed."""
    rng = random.Random(f"{profile} {seed}")
    for _ in range(TRIES_MAX):
        program = pruned(_Generator(rng, PROFILES[profile]).program())
        if _meet(program):
            break
    check(program)
    return program


def _meet(program: Program) -> bool:
    """True if two bodies, or two interrupts, name the same data, and one of them has a register that can show it."""
    data = {one.name for one in program.objects if one.kind in VALUES}
    names = [{part for statement in every_statement(body) for part in statement if isinstance(part, str)} for body in program.blocks]
    return any(data & one & other and registers(body) for number, one in enumerate(names) for body in program.blocks
               for other in names[:number])


@dataclass(frozen=True)
class Where:
    """The rules of a place in a body. `sleeps`: the task may sleep; `held`: its locks; `handler`: the number of the handler it is in."""

    sleeps: bool = True
    irqs_on: bool = True
    held: tuple[str, ...] = ()
    queued: tuple[str, ...] = ()
    handler: int | None = None
    depth: int = 0


class _Generator:
    def __init__(self, rng: random.Random, profile: Profile):
        self.rng = rng
        self.profile = profile
        self.cells = rng.choice((("x",), ("x", "y"), ("x", "y")))
        self.kinds = profile.kinds
        self.registers = 0
        self.interrupts = 0
        self.interrupts_max = profile.interrupts + (rng.random() < 0.1)
        self.yields = 0
        self.queues: tuple[str, ...] = ("queue", "queue", "queue", "queue2")

    def program(self) -> Program:
        rng, profile = self.rng, self.profile
        count = rng.choice(list(profile.sizes))
        low, high = profile.sizes[count]
        pending: list[str] = []
        if profile.interrupts:
            pending = [f"h{rng.randrange(2)}" for _ in range(min(self.interrupts_max, rng.choice((0, 1, 1, 1, 2))))]
            self.interrupts = len(pending)
        if "wait" in self.kinds and count > 1 and rng.random() < 0.5:
            tasks = self.sleepers_and_waker(count)
        else:
            tasks = [self.body(rng.randint(low, high), Where()) for _ in range(count)]
        if profile.interrupts and not self.interrupts:
            tasks[0].insert(rng.randrange(len(tasks[0]) + 1) if len(tasks[0]) < 3 else 0, ("raise_irq", "h0"))
            self.interrupts += 1
        handlers = tuple((f"h{number}", tuple(self.body(rng.randint(1, 3 - number), Where(sleeps=False, handler=number))))
                         for number in range(2)) if profile.interrupts else ()
        if "joins" in self.kinds:
            tasks[0].insert(rng.randrange(len(tasks[0]) + 1), ("spawn", "worker"))
        shares = count > 1 and rng.random() < profile.shares
        apart = rng.randrange(count) if shares and count > 2 and rng.random() < 0.5 else None
        cpus = [int(number == apart) if shares else number for number in range(count)]
        spare = 1 if profile.interrupts and rng.random() < 0.3 else 0
        spawned = ["worker" if "joins" in self.kinds and number == count - 1 else "" for number in range(count)]
        return Program(OBJECTS, tuple(Task(cpu, tuple(body), thread) for cpu, body, thread in zip(cpus, tasks, spawned, strict=True)),
                       handlers, tuple(pending),
                       max(cpus) + 1 + spare if spare else 0, shares and rng.random() < profile.preempt)

    def sleepers_and_waker(self, count: int) -> list[list[Statement]]:
        """Return the bodies of tasks that all sleep on one queue, but for the last one, which wakes them and does something else."""
        self.queues = ("queue",)
        tasks = []
        for _ in range(count - 1):
            self.registers = 0
            tasks.append(self.wait(Where()) or [])
        self.registers = 0
        tasks.append([*self.wake(Where()), *(self.wake(Where()) if self.rng.random() < 0.4 else self.one(Where()))])
        return tasks

    def body(self, size: int, where: Where) -> list[Statement]:
        self.registers = self.yields = 0
        out = self.block(size, where)
        if self.rng.random() < 0.04 and where.handler is None and out[-1][0] in ("up", "up_read", "up_write"):
            out.pop()                           # the task keeps the lock for ever
        return out

    def block(self, size: int, where: Where) -> list[Statement]:
        out: list[Statement] = []
        for _ in range(size):
            out += self.one(where)
        return out

    def one(self, where: Where) -> list[Statement]:
        """Return statements of one kind that is legal there."""
        while True:
            made: list[Statement] | None = getattr(self, self.rng.choice(self.kinds))(where)
            if made is not None:
                return made

    def inner(self, where: Where, **changes: Any) -> list[Statement]:
        """Return the statements inside a region."""
        inside = replace(where, depth=where.depth + 1, **changes)
        return self.block(self.rng.choice((0, 1, 1, 2)) if where.depth < 1 else self.rng.randint(0, 1), inside)

    def region(self, where: Where, lock: str, enter: list[Statement], leave: list[Statement], alone: bool = True,
               **changes: Any) -> list[Statement] | None:
        """Return a region between these statements, under that lock, often with accesses to its fields. None if it is not legal there."""
        if lock in where.held or where.depth > 1:
            return None
        fields = [self.field(lock, alone) for _ in range(self.rng.choice((0, 1, 1, 2)))] if f"{lock}_racy" in _NAMES else []
        return [*enter, *fields, *self.inner(where, held=(*where.held, lock), **changes), *leave]

    def field(self, lock: str, alone: bool) -> Statement:
        field = f"{lock}_{self.rng.choice(('racy', 'guarded'))}"
        choice = self.rng.random()
        if not alone or choice < 0.4:
            return ("load", self.register(), field)
        return ("store", field, self.rng.randint(1, 3)) if choice < 0.6 else ("add", field, 1)

    def register(self) -> str:
        self.registers += 1
        return f"r{self.registers - 1}"

    def flags(self) -> str:
        self.registers += 1
        return f"f{self.registers - 1}"

    def value(self) -> int | str:
        return f"r{self.rng.randrange(self.registers)}" if self.registers and self.rng.random() < 0.4 else self.rng.randint(1, 3)

    # ---- data

    def load(self, where: Where) -> list[Statement]:
        racy = ["lock_racy"] if self.rng.random() < 0.15 else []
        return [("load", self.register(), self.rng.choice([*self.cells, *racy]))]

    def store(self, where: Where) -> list[Statement]:
        return [("store", self.rng.choice((*self.cells, "z")), self.value())]

    def add(self, where: Where) -> list[Statement]:
        return [("add", self.rng.choice(self.cells), 1)]

    def atomic(self, where: Where) -> list[Statement]:
        rng, one = self.rng, self.rng.choice("aab")
        name = rng.choice(("read", "read", "set", "inc", "dec", "add", "sub", "dec_and_test", "inc_and_test", "xchg", "cmpxchg"))
        if name in ("set", "inc", "dec"):
            return [("atomic_set", one, rng.randint(0, 2)) if name == "set" else (f"atomic_{name}", one)]
        if name in ("add", "sub"):
            return [(f"atomic_{name}", 2, one)]
        if name == "xchg":
            return [("xchg", self.register(), one, rng.randint(0, 3))]
        if name == "cmpxchg":
            return [("cmpxchg", self.register(), one, rng.randint(0, 2), rng.randint(0, 3))]
        return [(f"atomic_{name}", self.register(), one)]

    def bit(self, where: Where) -> list[Statement]:
        bit = int(self.rng.random() < 0.3)
        name = self.rng.choice(("test_bit", "set_bit", "clear_bit", "test_and_set_bit", "test_and_clear_bit", "test_and_change_bit"))
        return [(name, bit, "bits") if name in ("set_bit", "clear_bit") else (name, self.register(), bit, "bits")]

    def word(self, where: Where) -> list[Statement]:
        name = self.rng.choice(("read_word", "write_word", "__set_bit", "__clear_bit"))
        if name == "read_word":
            return [(name, self.register(), "bits")]
        return [(name, "bits", self.rng.randrange(4)) if name == "write_word" else (name, self.rng.randrange(2), "bits")]

    def processor(self, where: Where) -> list[Statement]:
        register = self.register()
        return [("smp_processor_id", register),
                ("if", register, 0, (("add", "x", 1),), (("add", "y", 1),)) if self.rng.random() < 0.6 else ("store", "z", register)]

    # ---- spinning

    def spin(self, where: Where) -> list[Statement] | None:
        lock = self.rng.choice(("lock", "lock", "lock2"))
        return self.region(where, lock, [("spin_lock", lock)], [("spin_unlock", lock)], sleeps=False)

    def spin_try(self, where: Where) -> list[Statement] | None:
        got = self.register()
        body = self.region(where, "lock", [], [("spin_unlock", "lock")], sleeps=False)
        return body and [("spin_trylock", got, "lock"), ("if", got, 1, tuple(body), ())]

    def is_locked(self, where: Where) -> list[Statement]:
        return [("spin_is_locked", self.register(), "lock")]

    def dec_and_lock(self, where: Where) -> list[Statement] | None:
        got = self.register()
        body = self.region(where, "lock", [], [("spin_unlock", "lock")], sleeps=False)
        return body and [("atomic_dec_and_lock", got, self.rng.choice("aab"), "lock"), ("if", got, 1, tuple(body), ())]

    def rw_read(self, where: Where) -> list[Statement] | None:
        return self.region(where, "rw", [("read_lock", "rw")], [("read_unlock", "rw")], alone=False, sleeps=False)

    def rw_write(self, where: Where) -> list[Statement] | None:
        return self.region(where, "rw", [("write_lock", "rw")], [("write_unlock", "rw")], sleeps=False)

    def until(self, where: Where) -> list[Statement] | None:
        """Return a loop that waits by reading. The explorer finds such a loop only if the task has no lock and is in no interrupt."""
        if where.held or where.queued or not where.irqs_on or where.handler is not None:
            return None
        return [("until", self.rng.choice((*self.cells, "a")), self.rng.choice((0, 1, 1, 2)))]

    # ---- interrupts off

    def irq_disable(self, where: Where) -> list[Statement] | None:
        if not where.irqs_on or where.depth > 1:
            return None
        return [("local_irq_disable",), *self.inner(where, sleeps=False, irqs_on=False), ("local_irq_enable",)]

    def irq_save(self, where: Where) -> list[Statement] | None:
        if where.depth > 1:
            return None
        flags = self.flags()
        return [("local_irq_save", flags), *self.inner(where, sleeps=False, irqs_on=False), ("local_irq_restore", flags)]

    def spin_irq(self, where: Where) -> list[Statement] | None:
        if not where.irqs_on:
            return None
        return self.region(where, "lock", [("spin_lock_irq", "lock")], [("spin_unlock_irq", "lock")], sleeps=False, irqs_on=False)

    def spin_irqsave(self, where: Where) -> list[Statement] | None:
        flags = self.flags()
        return self.region(where, "lock", [("spin_lock_irqsave", flags, "lock")], [("spin_unlock_irqrestore", "lock", flags)],
                           sleeps=False, irqs_on=False)

    def __getattribute__(self, name: str) -> Callable[..., list[Statement] | None]:
        return object.__getattribute__(self, {"raise": "raise_", "yield": "yield_", "await": "await_"}.get(name, name))

    def raise_(self, where: Where) -> list[Statement] | None:
        """Return a raise of an interrupt. Only handler 0 raises, and only handler 1, so every run ends."""
        if self.interrupts >= self.interrupts_max or where.handler == 1:
            return None
        if where.handler is not None and self.interrupts * 2 > self.interrupts_max:
            return None                         # the handler may run several times
        self.interrupts += 1
        return [("raise_irq", "h1" if where.handler is not None else self.rng.choice(("h0", "h1")))]

    # ---- sleeping

    def mutex(self, where: Where) -> list[Statement] | None:
        return self.region(where, "mutex", [("down", "mutex")], [("up", "mutex")]) if where.sleeps else None

    def mutex_try(self, where: Where) -> list[Statement] | None:
        if not where.sleeps:
            return None
        got = self.register()
        body = self.region(where, "mutex", [], [("up", "mutex")])
        return body and [("down_trylock", got, "mutex"), ("if", got, 0, tuple(body), ())]

    def slots(self, where: Where) -> list[Statement] | None:
        return self.region(where, "slots", [("down", "slots")], [("up", "slots")]) if where.sleeps else None

    def signal(self, where: Where) -> list[Statement]:
        return [("up", "sem")]

    def await_(self, where: Where) -> list[Statement] | None:
        if self.rng.random() < 0.2:
            return [("down_trylock", self.register(), "sem")]
        return [("down", "sem")] if where.sleeps else None

    def rwsem_read(self, where: Where) -> list[Statement] | None:
        return self.region(where, "rwsem", [("down_read", "rwsem")], [("up_read", "rwsem")], alone=False) if where.sleeps else None

    def rwsem_write(self, where: Where) -> list[Statement] | None:
        return self.region(where, "rwsem", [("down_write", "rwsem")], [("up_write", "rwsem")]) if where.sleeps else None

    def rwsem_downgrade(self, where: Where) -> list[Statement] | None:
        if not where.sleeps:
            return None
        after = self.inner(where, held=(*where.held, "rwsem"))
        return self.region(where, "rwsem", [("down_write", "rwsem")], [("downgrade_write", "rwsem"), *after, ("up_read", "rwsem")])

    # ---- completions and threads

    def completes(self, where: Where) -> list[Statement]:
        return [("complete", self.rng.choice(("done", "done", "done2")))]

    def completes_all(self, where: Where) -> list[Statement]:
        return [("complete_all", self.rng.choice(("done", "done2")))]

    def waits_for(self, where: Where) -> list[Statement] | None:
        return [("wait_for_completion", self.rng.choice(("done", "done", "done2")))] if where.sleeps else None

    def joins(self, where: Where) -> list[Statement] | None:
        return [("join", "worker")] if where.sleeps else None

    # ---- wait queues

    def queue(self) -> str:
        return self.rng.choice(self.queues)

    def condition(self) -> tuple[Statement, list[Statement]]:
        """Return a test that leaves 0 in a register until the task may go on, and statements that make it 1."""
        choice, register = self.rng.random(), self.register()
        if choice < 0.5:
            return ("load", register, "x"), [("store", "x", 1)]
        if choice < 0.8:
            return ("test_bit", register, 0, "bits"), [("set_bit", 0, "bits")]
        return ("test_and_clear_bit", register, 0, "bits"), [("set_bit", 0, "bits")]

    def wait(self, where: Where) -> list[Statement] | None:
        """Return the loop of wait_event(), or a wrong version of it."""
        queue, rng = self.queue(), self.rng
        if not where.sleeps or queue in where.queued or where.depth > 1:
            return None
        test, _ = self.condition()
        result = test[1]
        sleepy = (rng.choice(("set_current_state", "set_current_state", "__set_current_state")), UNINTERRUPTIBLE)
        awake = (rng.choice(("set_current_state", "__set_current_state")), RUNNING)
        shape = rng.choice(("right", "right", "loop", "loop", "late state", "unconditional"))
        inside = self.inner(replace(where, depth=1), queued=(*where.queued, queue)) if rng.random() < 0.2 else []
        if shape == "right":
            body = [sleepy, test, ("if", result, 0, (("schedule",),), ())]
        elif shape == "loop":
            body = [sleepy, test, ("while", result, 0, 2, (("schedule",), sleepy, test))]
        elif shape == "late state":
            body = [test, ("if", result, 0, (sleepy, ("schedule",)), ())]
        else:
            body = [sleepy, ("schedule",)]
        if body[0] == sleepy and rng.random() < 0.3:
            body[1:1] = inside                  # in a state that sleeping for a lock resets
            inside = []
        add = "add_wait_queue_exclusive" if rng.random() < 0.5 else "add_wait_queue"
        return [(add, queue), *inside, *body, awake, ("remove_wait_queue", queue)]

    def wake(self, where: Where) -> list[Statement]:
        _, make_true = self.condition()
        queue = self.queue()
        wakes: Statement = (self.rng.choice(("wake_up", "wake_up", "wake_up_all")), queue)
        if self.rng.random() < 0.2:
            register = self.register()
            return [*make_true, ("waitqueue_active", register, queue), ("if", register, 1, (wakes,), ())]
        return [wakes, *make_true] if self.rng.random() < 0.1 else [*make_true, wakes]

    def wake_alone(self, where: Where) -> list[Statement]:
        return [("wake_up", self.queue())]

    def active(self, where: Where) -> list[Statement]:
        return [("waitqueue_active", self.register(), self.queue())]

    # ---- giving way

    def give_way(self, where: Where) -> list[Statement] | None:
        return [("schedule",)] if where.sleeps and not where.queued else None

    def yield_(self, where: Where) -> list[Statement] | None:
        if not where.sleeps or self.yields >= YIELDS_MAX:
            return None
        self.yields += 1
        return [("yield_cpu",)]

    def yield_until(self, where: Where) -> list[Statement] | None:
        if not where.sleeps or self.yields:
            return None
        self.yields = YIELDS_MAX
        test, _ = self.condition()
        return [test, ("while", test[1], 0, YIELDS_MAX, (("yield_cpu",), test))]


_NAMES = {one.name for one in OBJECTS}
