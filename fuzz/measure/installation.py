# SPDX-License-Identifier: MIT
"""Whether this installation works: one check after another, each a line that says what was looked at and what is wrong."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from vmrace.fuzz.corpus.entry import Entry, EntryError, emit, find, parse
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.text.reading import bytes_of, parsing
from vmrace.fuzz.text.wording import count
from vmrace.harness.backends import BACKENDS
from vmrace.harness.explore import is_compiled
from vmrace.harness.schedulers import Walk
from vmrace.variants.family import FAMILIES, Family, family
from vmrace.variants.program import Program, TaskProgram, parse_op

PYTHON_MIN = (3, 11)
TINY = ("store m0.0", "load m0.0", "unmap m0.0", "swap_out")        # of these, what a family has


@dataclass
class Check:
    """One line. `state` is ok, note (works, but) or FAIL."""

    state: str
    text: str


def checks(corpus: pathlib.Path) -> Iterator[Check]:
    yield python()
    yield from dependencies()
    yield cores()
    yield explorer()
    for name in FAMILIES:
        yield guarded(f"{name}: links", lambda name=name: links(family(name)))     # type: ignore[misc]
        yield guarded(f"{name}: backends", lambda name=name: backends(family(name)))   # type: ignore[misc]
    yield from entries(corpus)
    yield writable(corpus)


def guarded(what: str, check: object) -> Check:
    """A check that breaks is one that fails."""
    try:
        return check()  # type: ignore[operator,no-any-return]
    except Exception as error:
        return Check("FAIL", f"{what}: {type(error).__name__}: {error}".splitlines()[0])


def python() -> Check:
    version, least = ".".join(map(str, sys.version_info[:3])), ".".join(map(str, PYTHON_MIN))
    return Check("ok" if sys.version_info >= PYTHON_MIN else "FAIL", f"Python {version} ({least} or newer)")


def dependencies() -> Iterator[Check]:
    """What the package says that it needs, against what is there."""
    try:
        wanted = importlib.metadata.requires("vmrace") or []
    except importlib.metadata.PackageNotFoundError:
        yield Check("note", "vmrace is not installed as a package: versions of what it needs are not checked")
        return
    for line in wanted:
        found = re.fullmatch(r"([\w.-]+)>=([\d.]+)", line)
        if found is not None:           # what has a condition is for tests
            yield _dependency(found[1], found[2])


def explorer() -> Check:
    return Check("ok", "the explorer of verify and diff is " + (
        "compiled" if is_compiled() else "plain Python (VMRACE_COMPILED=1 pip install . has it compiled, which is faster)"))


def _dependency(name: str, least: str) -> Check:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check("FAIL", f"{name} is missing ({least} or newer); pip install '{name}>={least}'")
    if numbers(version) < numbers(least):
        return Check("FAIL", f"{name} {version} is too old ({least} or newer); pip install -U {name}")
    return Check("ok", f"{name} {version} ({least} or newer)")


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 8.2.0rc1 is (8, 2)."""
    found = re.match(r"\d+(?:\.\d+)*(?![a-z\d])", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def cores() -> Check:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count == 1:
        return Check("note", "1 core: campaigns of one worker (--workers 1) lose nothing here")
    return Check("ok", f"{count} cores: as many --workers are worth their while")


def links(made: Family) -> Check:
    """Every variant links, and has operations."""
    for name in made.variants:
        if not Executor(made, name).operations():
            return Check("FAIL", f"{made.name}/{name} has no operation")
    return Check("ok", f"{made.name}: {count(len(made.variants), 'variant')} {'links' if len(made.variants) == 1 else 'link'}")


def backends(made: Family) -> Check:
    """A tiny program under one schedule gives one digest, whatever runs the tasks."""
    variant = next(iter(made.variants))
    digests = {name: _digest(Executor(made, variant, name, checked=True)) for name in BACKENDS}
    told = ", ".join(f"{name} {digest}" for name, digest in digests.items())
    if len(set(digests.values())) > 1:
        return Check("FAIL", f"{made.name}: the backends differ: {told}")
    return Check("ok", f"{made.name}: {' and '.join(digests)} give the same digest")


def _digest(executor: Executor) -> str:
    has = executor.operations()
    ops = tuple(parse_op(text, "doctor") for text in TINY if text.split()[0] in has)
    program = Program(ops[:1], (TaskProgram(0, ops), TaskProgram(1, ops[::-1])), 2)
    return executor.trace(executor.prepare(program), Walk(random.Random(1), 0.3)).digest


def entries(corpus: pathlib.Path) -> Iterator[Check]:
    """Every entry can be read, and stands there as it would be written, under its own name."""
    if not corpus.is_dir():
        yield Check("note", f"{corpus}/ is not here: vmrace fuzz makes it, vmrace replay needs one")
        return
    good = 0
    for path in find(corpus):
        wrong = _wrong_with(path)
        good += not wrong
        if wrong:
            yield Check("FAIL", wrong)
    yield Check("ok" if good else "note", f"{corpus}/: {count(good, 'entry')} readable and in canonical form")


def _wrong_with(path: pathlib.Path) -> str:
    try:
        with parsing(path, EntryError):
            text = bytes_of(path, EntryError).decode()
        entry = parse(text, str(path))
    except EntryError as error:
        return str(error)
    if emit(entry) != text:
        return f"{path}: not in canonical form from line {_first_difference(entry, text)} on; vmrace corpus accept {path} writes it anew"
    if path.stem != entry.name.rpartition("/")[2]:
        return f"{path}: should be named {entry.name.rpartition('/')[2]}.toml, after its title and identity"
    return ""


def _first_difference(entry: Entry, text: str) -> int:
    lines, wanted = text.split("\n"), emit(entry).split("\n")
    return next((at for at, (one, other) in enumerate(zip(lines, wanted), 1) if one != other), min(len(lines), len(wanted)) + 1)


def writable(corpus: pathlib.Path) -> Check:
    """Entries can be written: there, or where the directory would be made. Nothing is left behind."""
    place = corpus
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".vmrace-doctor"):
            pass
    except OSError as error:
        return Check("FAIL", f"{corpus}/ cannot be written: {error.strerror or error}; fuzz --corpus DIR keeps entries elsewhere")
    return Check("ok", f"{corpus}/ can be written")
