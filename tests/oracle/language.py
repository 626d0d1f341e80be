# SPDX-License-Identifier: MIT
"""Small kernel programs as plain data: shared objects, tasks on cpus, and interrupt handlers, as statements over registers.

A statement is a tuple: the name of a primitive, then its arguments in the kernel's order. If the primitive returns something, the
register that receives it stands first. A register is a name: `r...` is part of a task's result, `f...` (saved flags) is not.
A value is an int or a register. `if` and `while` hold blocks: ("if", register, value, block, block) compares for equality;
("while", register, value, times, block) repeats while they are equal, at most `times`; ("until", object, value) reads until it reads
that. `racy` and `guarded` objects are fields
of one struct with their lock; `racy` ones may be loaded without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Statement = tuple[Any, ...]
Block = tuple[Statement, ...]

FIELDS = ("cell", "racy", "guarded")
READ_AT_WILL = ("cell", "atomic")                   # kinds that a task may wait for by reading
LOCKS = ("spinlock", "rwlock", "mutex", "rwsem")
VALUES = (*FIELDS, "atomic", "word")                # kinds whose final value is part of an outcome
KINDS = (*VALUES, *LOCKS, "semaphore", "queue", "completion", "thread")

RUNNING, UNINTERRUPTIBLE = "TASK_RUNNING", "TASK_UNINTERRUPTIBLE"

# primitive -> its arguments: "to" is a register that it sets, "value" an int or a register, "block" statements, "state" of a task,
# "handler" the name of one, or a kind of object ("field": any of FIELDS)
FORMS: dict[str, tuple[str, ...]] = {
    "set": ("to", "value"), "if": ("value", "value", "block", "block"), "while": ("value", "value", "value", "block"),
    "until": ("at will", "value"), "load": ("to", "field"), "store": ("field", "value"), "add": ("field", "value"),
    "atomic_read": ("to", "atomic"), "atomic_set": ("atomic", "value"), "atomic_inc": ("atomic",), "atomic_dec": ("atomic",),
    "atomic_add": ("value", "atomic"), "atomic_sub": ("value", "atomic"), "atomic_dec_and_test": ("to", "atomic"),
    "atomic_inc_and_test": ("to", "atomic"), "xchg": ("to", "atomic", "value"), "cmpxchg": ("to", "atomic", "value", "value"),
    "test_bit": ("to", "value", "word"), "set_bit": ("value", "word"), "clear_bit": ("value", "word"),
    "test_and_set_bit": ("to", "value", "word"), "test_and_clear_bit": ("to", "value", "word"),
    "test_and_change_bit": ("to", "value", "word"), "read_word": ("to", "word"), "write_word": ("word", "value"),
    "__set_bit": ("value", "word"), "__clear_bit": ("value", "word"),
    "spin_lock": ("spinlock",), "spin_unlock": ("spinlock",), "spin_trylock": ("to", "spinlock"), "spin_is_locked": ("to", "spinlock"),
    "spin_lock_irq": ("spinlock",), "spin_unlock_irq": ("spinlock",), "spin_lock_irqsave": ("to", "spinlock"),
    "spin_unlock_irqrestore": ("spinlock", "value"), "atomic_dec_and_lock": ("to", "atomic", "spinlock"),
    "local_irq_disable": (), "local_irq_enable": (), "local_irq_save": ("to",), "local_irq_restore": ("value",),
    "read_lock": ("rwlock",), "read_unlock": ("rwlock",), "write_lock": ("rwlock",), "write_unlock": ("rwlock",),
    "down": ("semaphore",), "down_trylock": ("to", "semaphore"), "up": ("semaphore",),
    "down_read": ("rwsem",), "up_read": ("rwsem",), "down_write": ("rwsem",), "up_write": ("rwsem",), "downgrade_write": ("rwsem",),
    "add_wait_queue": ("queue",), "add_wait_queue_exclusive": ("queue",), "remove_wait_queue": ("queue",),
    "waitqueue_active": ("to", "queue"), "wake_up": ("queue",), "wake_up_all": ("queue",),
    "set_current_state": ("state",), "__set_current_state": ("state",), "schedule": (), "yield_cpu": (),
    "wait_for_completion": ("completion",), "complete": ("completion",), "complete_all": ("completion",),
    "spawn": ("thread",), "join": ("thread",),
    "raise_irq": ("handler",), "smp_processor_id": ("to",),
}
# kind of an argument -> kinds of object, where they differ
ACCEPTS = {"field": FIELDS, "at will": READ_AT_WILL, "semaphore": ("semaphore", "mutex")}


@dataclass(frozen=True)
class Object:
    """A shared object. `initial`: its value, or the count of a semaphore or a completion; `lock`: the lock of a racy or a guarded field."""

    name: str
    kind: str
    initial: int = 0
    lock: str = ""


@dataclass(frozen=True)
class Task:
    """A task. `thread`: the object that a spawn of the task names, "" if it runs from the start."""

    cpu: int
    body: Block
    thread: str = ""


@dataclass(frozen=True)
class Program:
    """A program. `pending` names the handler of each interrupt that is pending when the tasks start."""

    objects: tuple[Object, ...]
    tasks: tuple[Task, ...]
    handlers: tuple[tuple[str, Block], ...] = ()
    pending: tuple[str, ...] = ()
    cpus: int = 0
    preempt: bool = False

    @property
    def cpu_count(self) -> int:
        return max(self.cpus, 1 + max(task.cpu for task in self.tasks))

    @property
    def blocks(self) -> list[Block]:
        """The body of each task and of each handler."""
        return [task.body for task in self.tasks] + [body for _, body in self.handlers]

    @property
    def statements(self) -> Iterator[Statement]:
        """Every statement, nested ones too."""
        for body in self.blocks:
            yield from every_statement(body)

    @property
    def shares_cpus(self) -> bool:
        return len({task.cpu for task in self.tasks}) < len(self.tasks)


@dataclass(frozen=True)
class Outcome:
    """The end of a run.

    `results` has the registers of each task, None for a task that does not end. `values` has the value of each shared object, None for
    one that is not compared.
    """

    results: tuple[tuple[int, ...] | None, ...]
    values: tuple[int | None, ...]
    stuck: bool


def every_statement(block: Block) -> Iterator[Statement]:
    for statement in block:
        yield statement
        for argument in statement:
            if isinstance(argument, tuple):
                yield from every_statement(argument)


def registers(block: Block) -> tuple[str, ...]:
    """Return the registers that make up the result of a task with that body, in the order of its result."""
    names = {argument for statement in every_statement(block) for argument in statement if is_register(argument)}
    return tuple(sorted(name for name in names if name[0] == "r"))


def is_register(argument: Any) -> bool:
    return isinstance(argument, str) and argument[0] in "rf" and argument[1:].isdigit()


def check(program: Program) -> None:
    """Raise AssertionError unless every statement has the arguments of its form, and every name is declared."""
    kinds = {one.name: one.kind for one in program.objects}
    handlers = [name for name, _ in program.handlers]
    assert len(kinds) == len(program.objects), "two objects of one name"
    assert all(one.kind in KINDS and (not one.lock or kinds[one.lock] in LOCKS) for one in program.objects), program.objects
    for name, *arguments in program.statements:
        form = FORMS[name]
        assert len(form) == len(arguments), (name, arguments)
        for wanted, argument in zip(form, arguments, strict=True):
            if wanted in KINDS or wanted in ACCEPTS:
                assert kinds[argument] in ACCEPTS.get(wanted, (wanted,)), (name, arguments)
            elif wanted == "to":
                assert is_register(argument), (name, arguments)
            elif wanted == "handler":
                assert argument in handlers, (name, arguments)
            elif wanted == "value":
                assert isinstance(argument, int) or is_register(argument), (name, arguments)


def source(program: Program) -> str:
    """Return the program as a text for people."""
    lines = []
    for one in program.objects:
        lock = f" under {one.lock}" if one.lock else ""
        lines.append(f"{one.kind} {one.name}{f' = {one.initial}' if one.initial else ''}{lock}")
    lines.append(f"{program.cpu_count} cpu{'s' if program.cpu_count > 1 else ''}{', preempt' if program.preempt else ''}")
    if program.pending:
        lines.append(f"pending: {', '.join(program.pending)}")
    for name, body in program.handlers:
        lines += [f"interrupt {name}:", *_lines(body)]
    for number, task in enumerate(program.tasks):
        lines += [f"task{number} on cpu{task.cpu}:", *_lines(task.body)]
    return "\n".join(lines)


def _lines(block: Block) -> list[str]:
    return ["    " + line for statement in block for line in _statement(statement)]


def _statement(statement: Statement) -> list[str]:
    name, *arguments = statement
    if name == "if":
        register, value, then, otherwise = arguments
        return [f"if {register} == {value}:", *_lines(then), *(["else:", *_lines(otherwise)] if otherwise else [])]
    if name == "while":
        register, value, times, body = arguments
        return [f"while {register} == {value}, at most {times} times:", *_lines(body)]
    if name == "until":
        return ["while {}.value != {}: cpu_relax()".format(*arguments)]
    if name in _OPERATORS:
        return [_OPERATORS[name].format(*arguments)]
    returns = FORMS[name][:1] == ("to",)
    call = f"{name}({', '.join(str(argument) for argument in arguments[returns:])})"
    return [f"{arguments[0]} = {call}" if returns else call]


_OPERATORS = {"set": "{} = {}", "load": "{} = {}.value", "store": "{}.value = {}", "add": "{}.value += {}"}
