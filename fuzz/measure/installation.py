# SPDX-License-Identifier: MIT
"""The checks of `vmrace doctor`: each is one line on a part of the installation, and on its fault if it has one."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
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
TINY = ("store m0.0", "load m0.0", "unmap m0.0", "swap_out")        # the program of `backends`; a family may lack some of these


@dataclass
class Check:
    """One line of the report. `state` is "ok", "note" (it works, with a limit) or "FAIL"."""

    state: str
    text: str


def checks(corpus: pathlib.Path) -> Iterator[Check]:
    """Make all checks of the installation, and of the corpus in that directory."""
    yield python()
    yield from dependencies()
    yield cores()
    yield explorer()
    for name in FAMILIES:
        yield guarded(f"{name}: links", links, name)
        yield guarded(f"{name}: backends", backends, name)
    yield from entries(corpus)
    yield writable(corpus)


def guarded(what: str, check: Callable[[Family], Check], name: str) -> Check:
    """Make a check of a family. If it raises an exception, it fails."""
    try:
        return check(family(name))
    except Exception as error:
        return Check("FAIL", f"{what}: {type(error).__name__}: {error}".splitlines()[0])


def python() -> Check:
    """Check the version of Python."""
    version, least = ".".join(map(str, sys.version_info[:3])), ".".join(map(str, PYTHON_MIN))
    return Check("ok" if sys.version_info >= PYTHON_MIN else "FAIL", f"Python {version} ({least} or newer)")


def dependencies() -> Iterator[Check]:
    """Check the versions of installed packages against those that vmrace requires."""
    try:
        wanted = importlib.metadata.requires("vmrace") or []
    except importlib.metadata.PackageNotFoundError:
        yield Check("note", "vmrace is not installed as a package: the versions of required packages are not checked")
        return
    for line in wanted:
        found = re.fullmatch(r"([\w.-]+)>=([\d.]+)", line)
        if found is not None:           # a requirement with a condition is for the tests
            yield _dependency(found[1], found[2])


def explorer() -> Check:
    """Tell whether the explorer is compiled."""
    return Check("ok", "the explorer of verify and diff is " + (
        "compiled" if is_compiled() else "plain Python (VMRACE_COMPILED=1 pip install . compiles it, which makes it faster)"))


def _dependency(name: str, least: str) -> Check:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check("FAIL", f"{name} is missing ({least} or newer); pip install '{name}>={least}'")
    if numbers(version) < numbers(least):
        return Check("FAIL", f"{name} {version} is too old ({least} or newer); pip install -U {name}")
    return Check("ok", f"{name} {version} ({least} or newer)")


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: 8.2.0rc1 is (8, 2)."""
    found = re.match(r"\d+(?:\.\d+)*(?![a-z\d])", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def cores() -> Check:
    """Count the cores that this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count == 1:
        return Check("note", "1 core: with more than --workers 1, workers share it")
    return Check("ok", f"{count} cores: with --workers {count}, each worker has one")


def links(made: Family) -> Check:
    """Check that every variant of a family links and has operations."""
    for name in made.variants:
        if not Executor(made, name).operations():
            return Check("FAIL", f"{made.name}/{name} has no operation")
    return Check("ok", f"{made.name}: {count(len(made.variants), 'variant')} {'links' if len(made.variants) == 1 else 'link'}")


def backends(made: Family) -> Check:
    """Check that each backend gives the same digest of a tiny program's run."""
    variant = next(iter(made.variants))
    digests = {name: _digest(Executor(made, variant, name, checked=True)) for name in BACKENDS}
    if len(set(digests.values())) > 1:
        each = ", ".join(f"{name} {digest}" for name, digest in digests.items())
        return Check("FAIL", f"{made.name}: the backends differ: {each}")
    return Check("ok", f"{made.name}: {' and '.join(digests)} give the same digest")


def _digest(executor: Executor) -> str:
    has = executor.operations()
    ops = tuple(parse_op(text, "doctor") for text in TINY if text.split()[0] in has)
    program = Program(ops[:1], (TaskProgram(0, ops), TaskProgram(1, ops[::-1])), 2)
    return executor.trace(executor.prepare(program), Walk(random.Random(1), 0.3)).digest


def entries(corpus: pathlib.Path) -> Iterator[Check]:
    """Check that every entry can be read, is in canonical form, and has the file name of its title and identity."""
    if not corpus.is_dir():
        yield Check("note", f"{corpus}/ does not exist: vmrace fuzz creates it, vmrace replay needs one")
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
        return f"{path}: not in canonical form from line {_first_difference(entry, text)} on; vmrace corpus accept {path} rewrites it"
    if path.stem != entry.name.rpartition("/")[2]:
        return f"{path}: should be named {entry.name.rpartition('/')[2]}.toml, after its title and identity"
    return ""


def _first_difference(entry: Entry, text: str) -> int:
    lines, wanted = text.split("\n"), emit(entry).split("\n")
    return next((at for at, (one, other) in enumerate(zip(lines, wanted), 1) if one != other), min(len(lines), len(wanted)) + 1)


def writable(corpus: pathlib.Path) -> Check:
    """Check that a file can be written in the corpus, or where that directory would be created. The file is removed."""
    place = corpus
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".vmrace-doctor"):
            pass
    except OSError as error:
        return Check("FAIL", f"{corpus}/ cannot be written: {error.strerror or error}; fuzz --corpus DIR keeps entries elsewhere")
    return Check("ok", f"{corpus}/ can be written")
