# SPDX-License-Identifier: MIT
"""The list of all programs of a small scope, each once up to symmetry.

Two programs are the same up to symmetry if renaming turns one into the other and no run can tell them apart:

    tasks       their order on a cpu: every schedule is explored
    cpus        any of them; except cpu 0 if there is a setup, which runs on cpu 0 and leaves per-cpu data there
    m1, m2, m3  alike until they are forked. A task leaves its processes in the order of their numbers, so a renaming must not
                change the order of two that one task names
    k0 .. k3    alike
    f0, f1      alike in a program that uses only one of them. With both they differ: page 1 of f0 and page 0 of f1 share a
                bucket of lru_free_2_4's page hash
    numbers     truncates to more pages than a file can have are alike

The pages of an address space or of a file seem symmetric and are not. Scans and walks go by address: `store m0.0` beside `swap_out`
has 104 classes of schedules on lru_free_2_4/pre_patch, `store m0.1` has 108. A scope with one page only (`page=1`) is smaller.

An operation whose operand cannot exist does nothing by rule (see vmrace.variants.family). A program with such an operation is left
out if the same program without it is in the scope and can reach the same outcomes. It is kept if the operation alone makes a task a
thread of a live address space. `idle_operation` has the rules; in doubt a program is kept.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vmrace.harness import stop
from vmrace.variants.operations import FILE_PAGES, FILES, MM_PAGES, MMS, NUMBER_MAX, OPERANDS, OPERATIONS, PINS
from vmrace.variants.program import TASKS_PER_CPU_MAX, Op, Program, TaskProgram

CHOICES_MAX = 30_000_000        # choices of operations to look at; more would take hours to list
PROGRAMS_MAX = 3_000_000        # programs in a scope

Letter = tuple[str, tuple[str, ...]]            # an operation: its name, its operands
Line = tuple[Letter, ...]                       # the operations of a setup or of a task
Cpus = tuple[tuple[Line, ...], ...]             # cpu -> its tasks
Form = tuple[Line, Cpus]                        # setup, cpus


class ScopeError(ValueError):
    """An error for a scope that has too many programs to list. Its text is one line."""


OPERAND_KINDS = {"page": MM_PAGES, "file": FILES, "fpage": FILE_PAGES, "number": NUMBER_MAX}       # -> the number of operands


@dataclass(frozen=True)
class Scope:
    """The set of programs with at most `size` operations in all tasks together, on `cpus` cpus, after a setup of at most `setup`.

    `operations` names those allowed in tasks and setups; empty means all. `operands` limits the pages of an address space (page),
    the files (file), the pages of a file (fpage) and the largest number (number); a missing one means no limit. `preemptions` limits
    the schedules of each program to those with at most that many preemptions; None means every schedule.
    """

    size: int
    cpus: int
    setup: int = 0
    operations: tuple[str, ...] = ()
    operands: dict[str, int] = field(default_factory=dict)
    preemptions: int | None = None

    def alphabet(self, operations: Sequence[str], mms: int = MMS, pins: int = PINS) -> list[Letter]:
        """List every allowed operation with every allowed operand, of the first `mms` address spaces and the first `pins` pins."""
        limit = {"page": 1 << 30, "file": 1 << 30, "fpage": 1 << 30, "number": 1 << 30, **self.operands}

        def within(operand: str) -> bool:
            first, _, second = operand.partition(".")
            if operand[0] == "m":
                return int(first[1:]) < mms and (not second or int(second) < limit["page"])
            if operand[0] == "f":
                return int(first[1:]) < limit["file"] and (not second or int(second) < limit["fpage"])
            return int(operand[1:]) < pins if operand[0] == "k" else int(operand) <= limit["number"]

        return [(name, operands) for name in operations if not self.operations or name in self.operations
                for operands in itertools.product(*([one for one in OPERANDS[kind] if within(one)] for kind in OPERATIONS[name].operands))]

    def all_count(self, operations: Sequence[str]) -> int:
        """Count the programs without regard to symmetry: every order of tasks, every operand, every setup."""
        letters = len(self.alphabet(operations))
        setups: int = sum(letters ** count for count in range(self.setup + 1))
        programs: int = setups * sum(len(_shapes(count, self.cpus)) * letters ** count for count in range(self.size + 1))
        return programs

    def programs(self, operations: Sequence[str]) -> list[Form]:
        """List one program of each symmetry class, small ones first. Raises ScopeError if there are too many."""
        return list(_forms(self, tuple(operations)))


def program_of(form: Form) -> Program:
    """Make the program of a form, on a machine with every cpu of the scope. Cpus without a task take interrupts. A form without any
    operation becomes one idle task."""
    setup, cpus = form
    tasks = tuple(TaskProgram(cpu, tuple(Op(*letter) for letter in line)) for cpu, lines in enumerate(cpus) for line in lines)
    return Program(tuple(Op(*letter) for letter in setup), tasks or (TaskProgram(0, ()),), len(cpus))


def form_of(program: Program) -> Form:
    """Return the form of a program; idle tasks are dropped."""
    cpus: list[list[Line]] = [[] for _ in range(program.cpus)]
    for task in program.tasks:
        if task.ops:
            cpus[task.cpu].append(tuple((op.name, op.operands) for op in task.ops))
    return tuple((op.name, op.operands) for op in program.setup), tuple(tuple(lines) for lines in cpus)


def text_of(form: Form) -> str:
    """Write a form in one line: `setup: pin m0.0 k0 | cpu0: store m0.0, load m0.0 | cpu1: swap_out`."""
    setup, cpus = form
    parts = [f"cpu{cpu}: {_line_text(line)}" for cpu, lines in enumerate(cpus) for line in lines]
    return (f"setup: {_line_text(setup)} | " if setup else "") + (" | ".join(parts) or "nothing")


def _line_text(line: Line) -> str:
    return ", ".join(" ".join((name, *operands)) for name, operands in line)


# ---- the canonical form ------------------------------------------------------------------------------------------------

def canonical(form: Form) -> Form:
    """Return the least form that renaming can make. Two programs are the same up to symmetry if and only if these are equal."""
    setup, cpus = _numbers_cut(form)
    lines = [setup, *(line for tasks in cpus for line in tasks)]
    mms = sorted({mm for line in lines for mm in _names(line, "m") if mm != "m0"})
    pins = sorted({pin for line in lines for pin in _names(line, "k")})
    files = sorted({file for line in lines for file in _names(line, "f")})
    file_map = {files[0]: "f0"} if len(files) == 1 else {}
    together = [sorted(_names(line, "m")) for tasks in cpus for line in tasks]
    best = None
    for mm_order in itertools.permutations([f"m{number}" for number in range(1, len(mms) + 1)]):
        mm_map = dict(zip(mms, mm_order))
        if any(mm_map.get(one, one) > mm_map.get(other, other) for line in together for one, other in itertools.pairwise(line)):
            continue
        for pin_order in itertools.permutations([f"k{number}" for number in range(len(pins))]):
            made = _sorted(*_renamed((setup, cpus), {**mm_map, **file_map, **dict(zip(pins, pin_order))}))
            if best is None or _key(made) < _key(best):
                best = made
    assert best is not None, f"no renaming of {text_of(form)} keeps the order of its address spaces"
    return best


def _key(form: Form) -> tuple[object, ...]:
    return form[0], tuple(_cpu_key(tasks) for tasks in form[1])


def _cpu_key(tasks: tuple[Line, ...]) -> tuple[object, ...]:
    """Order cpus: those with many tasks first, then those with long tasks."""
    return -len(tasks), tuple(-len(line) for line in tasks), tasks


def _sorted(setup: Line, cpus: Cpus) -> Form:
    each = [tuple(sorted(tasks, key=lambda line: (-len(line), line))) for tasks in cpus]
    kept = each[:1] if setup else []
    return setup, (*kept, *sorted(each[len(kept):], key=_cpu_key))


def _renamed(form: Form, names: dict[str, str]) -> Form:
    if all(name == other for name, other in names.items()):
        return form
    frozen = tuple(sorted(names.items()))
    setup, cpus = form
    return (tuple(_letter(letter, frozen) for letter in setup),
            tuple(tuple(tuple(_letter(letter, frozen) for letter in line) for line in tasks) for tasks in cpus))


@functools.lru_cache(1 << 16)
def _letter(letter: Letter, names: tuple[tuple[str, str], ...]) -> Letter:
    table = dict(names)
    return letter[0], tuple(table.get(operand[:2], operand[:2]) + operand[2:] for operand in letter[1])


def _numbers_cut(form: Form) -> Form:
    setup, cpus = form
    return tuple(map(_cut, setup)), tuple(tuple(tuple(map(_cut, line)) for line in tasks) for tasks in cpus)


@functools.lru_cache(1 << 12)
def _cut(letter: Letter) -> Letter:
    name, operands = letter
    if name == "truncate" and int(operands[1]) > FILE_PAGES + 1:
        return name, (operands[0], str(FILE_PAGES + 1))
    return letter


@functools.lru_cache(1 << 16)
def _names(line: Line, initial: str) -> frozenset[str]:
    return frozenset(operand[:2] for letter in line for operand in letter[1] if operand[0] == initial)


# ---- operations that do nothing ---------------------------------------------------------------------------------------------

def idle_operation(form: Form) -> bool:
    """True if the program has an operation that surely does nothing, so that the program without it reaches the same outcomes."""
    setup, cpus = form
    lines = [line for tasks in cpus for line in tasks]
    born, _ = _supplied((*setup, *(letter for line in lines for letter in line)))
    if any(_idle(setup[:at], letter, *_supplied(setup[:at])) for at, letter in enumerate(setup)):
        return True
    for number, line in enumerate(lines):
        others = (*setup, *(letter for other, theirs in enumerate(lines) if other != number for letter in theirs))
        for at, letter in enumerate(line):
            # The operations of other tasks may all have run by then; of this task only the earlier ones have.
            here_born, here_made = _supplied((*others, *line[:at]))
            if _idle(line[:at], letter, here_born, here_made):
                left = _names((*line[:at], *line[at + 1:]), "m")
                if _names((letter,), "m") & born <= left:
                    return True
    return False


def _idle(before: Line, letter: Letter, born: frozenset[str], made: frozenset[str]) -> bool:
    """True if `letter` surely does nothing. `before`: the earlier operations of its task. `born`, `made`: the address spaces and pins
    that may exist by then."""
    name, operands = letter
    kinds = OPERATIONS[name].operands
    if kinds == ("mm", "mm") and operands[1] in ("m0", operands[0]):
        return True
    mm = operands[0][:2] if kinds and kinds[0] in ("mm", "page") else ""
    if mm and (mm not in born or (mm == "m0" and ("exit", ("m0",)) in before)):
        return True
    return kinds == ("pin",) and operands[0] not in made


@functools.lru_cache(1 << 16)
def _supplied(letters: Line) -> tuple[frozenset[str], frozenset[str]]:
    """Return the address spaces that can be alive and the pins that can be held if `letters` run in any order."""
    born = {"m0"}
    while True:
        more = {operands[1] for name, operands in letters if name == "fork" and operands[0] in born} - born
        if not more:
            break
        born |= more
    made = {operands[-1] for name, operands in letters
            if len(operands) > 1 and operands[-1][0] == "k" and (operands[0][0] != "m" or operands[0][:2] in born)}
    return frozenset(born), frozenset(made)


# ---- the list ------------------------------------------------------------------------------------------------------------

@functools.cache
def _shapes(count: int, cpus: int) -> list[tuple[tuple[int, ...], ...]]:
    """List every way to spread `count` operations over tasks on `cpus` cpus: for each cpu the lengths of its tasks."""
    if not cpus:
        return [] if count else [()]
    out = []
    for here in range(count + 1):
        for tasks in range(min(here, TASKS_PER_CPU_MAX) + 1):
            for lengths in _compositions(here, tasks):
                out += [(lengths, *rest) for rest in _shapes(count - here, cpus - 1)]
    return out


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    if not parts:
        if not total:
            yield ()
        return
    for first in range(1, total - parts + 2):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)


@functools.cache
def _plain_shapes(count: int, cpus: int, setup: bool) -> list[tuple[tuple[int, ...], ...]]:
    """List the shapes that a canonical form can have."""
    def plain(shape: tuple[tuple[int, ...], ...]) -> bool:
        free = [(-len(lengths), tuple(-length for length in lengths)) for lengths in (shape[1:] if setup else shape)]
        return free == sorted(free) and all(list(lengths) == sorted(lengths, reverse=True) for lengths in shape)
    return [shape for shape in _shapes(count, cpus) if plain(shape)]


def _forms(scope: Scope, operations: tuple[str, ...]) -> Iterator[Form]:
    """Choose the operations first, without an order, and drop choices that lack an operand; then yield each order of the rest that is
    its own canonical form."""
    most = scope.size + scope.setup
    letters = _letters(scope, operations, most)
    if _choices(len(letters), most) > CHOICES_MAX:
        raise ScopeError(f"too many programs to list: {len(letters)} operations with their operands, {most} in a program; "
                         "name fewer operations, or fewer operands")
    count = 0
    for total in range(most + 1):
        letters = _letters(scope, operations, total)
        splits = [(setup, total - setup) for setup in range(min(scope.setup, total) + 1) if total - setup <= scope.size]
        for chosen in itertools.combinations_with_replacement(letters, total):
            stop.look()
            if not _may_be_canonical(chosen):
                continue
            for order in sorted(set(itertools.permutations(chosen))):
                for setup, rest in splits:
                    for shape in _plain_shapes(rest, scope.cpus, setup > 0):
                        form = _filled(order, setup, shape)
                        if _sorted(*form) == form and not idle_operation(form) and canonical(form) == form:
                            count += 1
                            if count > PROGRAMS_MAX:
                                raise ScopeError(f"more than {PROGRAMS_MAX:,} programs; name fewer operations, or fewer operands")
                            yield form


def _letters(scope: Scope, operations: tuple[str, ...], total: int) -> list[Letter]:
    """List the operations that a program of `total` operations can have, in canonical names."""
    return [letter for letter in scope.alphabet(operations, min(MMS, total + 1), min(PINS, total)) if _cut(letter) == letter]


def _choices(letters: int, total: int) -> int:
    """Count the choices of `total` operations out of `letters`, with repetition and without order."""
    return math.comb(letters + total - 1, total) if letters else int(not total)


def _may_be_canonical(chosen: Line) -> bool:
    """True unless the names have a gap, or some operation does nothing in every order."""
    mms, pins, files = _names(chosen, "m"), _names(chosen, "k"), _names(chosen, "f")
    if any(f"m{number}" not in mms for number in range(1, len(mms - {"m0"}) + 1)):
        return False
    if any(f"k{number}" not in pins for number in range(len(pins))) or files == {"f1"}:
        return False
    born, made = _supplied(chosen)
    return not any(_idle((), letter, born, made) and not _names((letter,), "m") & born for letter in chosen)


def _filled(order: Line, setup: int, shape: tuple[tuple[int, ...], ...]) -> Form:
    at, cpus = setup, []
    for lengths in shape:
        tasks = []
        for length in lengths:
            tasks.append(order[at:at + length])
            at += length
        cpus.append(tuple(tasks))
    return order[:setup], tuple(cpus)
