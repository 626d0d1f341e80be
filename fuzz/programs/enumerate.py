# SPDX-License-Identifier: MIT
"""All programs of a small scope, each once up to symmetry.

Two programs are the same up to symmetry if renaming leads from one to the other and no run can tell:

    tasks       their order on a cpu: every schedule is explored
    cpus        any of them; but cpu 0 stays what it is if there is a setup, which runs there and leaves per-cpu data behind
    m1, m2, m3  alike until they are forked. A task leaves its processes in the order of their numbers, so a renaming must not
                change the order of two that one task names
    k0 .. k3    alike
    f0, f1      alike in a program that uses only one of them. With both they are not: page 1 of f0 and page 0 of f1 share a
                bucket of lru_free_2_4's page hash
    numbers     a truncate to more pages than a file can have is one to all of them

Not symmetric, though it seems so: the pages of an address space and of a file. Scans and walks go by address: `store m0.0` beside
`swap_out` has 104 classes of runs on lru_free_2_4/pre_patch, `store m0.1` has 108. To look at one page only is a smaller scope.

An operation whose operand cannot be there does nothing by rule (see vmrace.variants.family). A program with one is left out if
the same program without it is in the scope and can reach the same: the operation must not be all that makes a task a thread of
an address space that lives. `idle_operation` has the rules; a program is kept if none of them is sure.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vmrace.harness import stop
from vmrace.variants.operations import FILE_PAGES, FILES, MM_PAGES, MMS, NUMBER_MAX, OPERANDS, OPERATIONS, PINS
from vmrace.variants.program import TASKS_PER_CPU_MAX, Op, Program, TaskProgram

CHOICES_MAX = 30_000_000        # choices of operations that are looked at; more would take hours to list
PROGRAMS_MAX = 3_000_000        # programs of a scope

Letter = tuple[str, tuple[str, ...]]            # an operation: its name, its operands
Line = tuple[Letter, ...]
Cpus = tuple[tuple[Line, ...], ...]             # cpu -> its tasks
Form = tuple[Line, Cpus]                        # setup, cpus


class ScopeError(ValueError):
    """A scope that cannot be listed: one line."""


OPERAND_KINDS = {"page": MM_PAGES, "file": FILES, "fpage": FILE_PAGES, "number": NUMBER_MAX}       # -> how many there are


@dataclass(frozen=True)
class Scope:
    """`ops` operations at most in all tasks together, on `cpus` cpus, after setups of at most `setup` operations.

    `kinds`: only these operations, in tasks and setups. `operands`: how many pages an address space has (page), how many files
    there are (file), how many pages of each (fpage), how large numbers get (number); nothing means all there are.
    `preemptions`: of each program only schedules with at most so many; None: all.
    """

    ops: int
    cpus: int
    setup: int = 0
    kinds: tuple[str, ...] = ()
    operands: dict[str, int] = field(default_factory=dict)
    preemptions: int | None = None

    def alphabet(self, operations: Sequence[str], mms: int = MMS, pins: int = PINS) -> list[Letter]:
        """Every operation with every operand."""
        limit = {"page": 1 << 30, "file": 1 << 30, "fpage": 1 << 30, "number": 1 << 30, **self.operands}

        def within(operand: str) -> bool:
            first, _, second = operand.partition(".")
            if operand[0] == "m":
                return int(first[1:]) < mms and (not second or int(second) < limit["page"])
            if operand[0] == "f":
                return int(first[1:]) < limit["file"] and (not second or int(second) < limit["fpage"])
            return int(operand[1:]) < pins if operand[0] == "k" else int(operand) <= limit["number"]

        return [(name, operands) for name in operations if not self.kinds or name in self.kinds
                for operands in itertools.product(*([one for one in OPERANDS[kind] if within(one)] for kind in OPERATIONS[name].operands))]

    def all_count(self, operations: Sequence[str]) -> int:
        """How many programs there are by name: each order of tasks, each operand, each setup."""
        letters = len(self.alphabet(operations))
        setups = sum(letters ** count for count in range(self.setup + 1))
        return setups * sum(len(_shapes(count, self.cpus)) * letters ** count for count in range(self.ops + 1))

    def programs(self, operations: Sequence[str]) -> list[Form]:
        """One of each class of programs, smaller ones first. ScopeError if there are too many."""
        return list(_forms(self, tuple(operations)))


def program_of(form: Form) -> Program:
    """On a machine with all the cpus of the scope; those without a task take interrupts. No operation at all is an idle task."""
    setup, cpus = form
    tasks = tuple(TaskProgram(cpu, tuple(Op(*letter) for letter in line)) for cpu, lines in enumerate(cpus) for line in lines)
    return Program(tuple(Op(*letter) for letter in setup), tasks or (TaskProgram(0, ()),), len(cpus))


def form_of(program: Program) -> Form:
    cpus: list[list[Line]] = [[] for _ in range(program.cpus)]
    for task in program.tasks:
        if task.ops:
            cpus[task.cpu].append(tuple((op.name, op.operands) for op in task.ops))
    return tuple((op.name, op.operands) for op in program.setup), tuple(tuple(lines) for lines in cpus)


def text_of(form: Form) -> str:
    """`[setup: pin m0.0 k0] cpu0: store m0.0, load m0.0 | cpu1: swap_out`"""
    setup, cpus = form
    parts = [f"cpu{cpu}: {_told(line)}" for cpu, lines in enumerate(cpus) for line in lines]
    return (f"setup: {_told(setup)} | " if setup else "") + (" | ".join(parts) or "nothing")


def _told(line: Line) -> str:
    return ", ".join(" ".join((name, *operands)) for name, operands in line)


# ---- the canonical form ------------------------------------------------------------------------------------------------

def canonical(form: Form) -> Form:
    """The least of all forms that renaming leads to. Programs are the same up to symmetry if and only if theirs are equal."""
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
    assert best is not None
    return best


def _key(form: Form) -> tuple[object, ...]:
    return form[0], tuple(_cpu_key(tasks) for tasks in form[1])


def _cpu_key(tasks: tuple[Line, ...]) -> tuple[object, ...]:
    """Cpus with many tasks first, then those with long ones."""
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
    """Is there an operation that surely does nothing, and may go without another trace?"""
    setup, cpus = form
    lines = [line for tasks in cpus for line in tasks]
    born, _ = _supplied((*setup, *(letter for line in lines for letter in line)))
    if any(_idle(setup[:at], letter, *_supplied(setup[:at])) for at, letter in enumerate(setup)):
        return True
    for number, line in enumerate(lines):
        others = (*setup, *(letter for other, theirs in enumerate(lines) if other != number for letter in theirs))
        for at, letter in enumerate(line):
            # What others do may have been done by then; of its own task only what comes before.
            here_born, here_made = _supplied((*others, *line[:at]))
            if _idle(line[:at], letter, here_born, here_made):
                left = _names((*line[:at], *line[at + 1:]), "m")
                if _names((letter,), "m") & born <= left:
                    return True
    return False


def _idle(before: Line, letter: Letter, born: frozenset[str], made: frozenset[str]) -> bool:
    """`before`: what the same task has done by then. `born`, `made`: address spaces and pins that may be there."""
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
    """The address spaces that can live and the pins that can be held, if these run in any order."""
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
    """cpu -> the lengths of its tasks: every way to spread so many operations."""
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
    """Those shapes that a canonical form can have."""
    def plain(shape: tuple[tuple[int, ...], ...]) -> bool:
        free = [(-len(lengths), tuple(-length for length in lengths)) for lengths in (shape[1:] if setup else shape)]
        return free == sorted(free) and all(list(lengths) == sorted(lengths, reverse=True) for lengths in shape)
    return [shape for shape in _shapes(count, cpus) if plain(shape)]


def _forms(scope: Scope, operations: tuple[str, ...]) -> Iterator[Form]:
    """First which operations there are, in no order, with what they need; then every order of them that is its own canonical form."""
    most = scope.ops + scope.setup
    letters = _letters(scope, operations, most)
    if _choices(len(letters), most) > CHOICES_MAX:
        raise ScopeError(f"too many programs to list: {len(letters)} operations with their operands, {most} in a program; "
                         "name fewer operations, or fewer operands")
    count = 0
    for total in range(most + 1):
        letters = _letters(scope, operations, total)
        splits = [(setup, total - setup) for setup in range(min(scope.setup, total) + 1) if total - setup <= scope.ops]
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
    """What programs of so many operations are made of, in canonical names."""
    return [letter for letter in scope.alphabet(operations, min(MMS, total + 1), min(PINS, total)) if _cut(letter) == letter]


def _choices(letters: int, total: int) -> int:
    out = 1
    for number in range(total):
        out = out * (letters + number) // (number + 1)
    return out


def _may_be_canonical(chosen: Line) -> bool:
    """Not one with a gap in its names, nor one in which an operation has nothing to work on in any order."""
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
