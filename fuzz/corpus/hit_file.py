# SPDX-License-Identifier: MIT
"""Hits, kept as they were found: the program and the decisions of a run. A hit is written before it is confirmed and shrunk, beside the
entries of the corpus, and removed once there is an entry. A hit that could not be confirmed stays; `vmrace shrink FILE.hit` tries
again.

The file has the text of an entry without a schedule, and after it the decisions:

    [hit]
    switches = [3, 1]
    forced = [0]

A hit of plain functions names the program instead, as a record does (fuzz/functions/run_file.py), and like a record it is data: `vmrace
shrink FILE.hit MODULE:FUNCTION`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import msgspec
from vmrace.fuzz.corpus.entry import Entry, EntryError, emit, parse
from vmrace.fuzz.run.hit import Hit
from vmrace.fuzz.run.target import NoSuch, split
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.reading import text_of, toml_of
from vmrace.fuzz.text.toml import slug
from vmrace.variants.family import family

SUFFIX = ".hit"
MARK = "\n[hit]\n"
WIDE = 20                       # numbers in a line


class _Decisions(msgspec.Struct, forbid_unknown_fields=True):
    switches: list[int]
    forced: list[int]


class HitOfFunctions(msgspec.Struct, forbid_unknown_fields=True):
    """A run of a program of plain functions that failed. `run`: its number in a campaign with that seed."""

    title: str
    functions: str
    args: list[str]
    seed: int
    run: int
    switches: list[int]
    forced: list[int]


def emit_hit(hit: Hit, found_on: str) -> str:
    """Return the text of a hit."""
    family_name, _, variant = found_on.partition("/")
    entry = Entry(title=hit.title, asks=f"Can the operations below end in `{hit.title}`?", found_on=found_on, program=hit.program,
                  source=family(family_name).variants[variant].source, schedule=(), expect={})
    return emit(entry) + MARK + "\n".join([*_numbers("switches", hit.switches), *_numbers("forced", hit.forced), ""])


def _numbers(name: str, numbers: Sequence[int]) -> list[str]:
    lines = [numbers[at:at + WIDE] for at in range(0, len(numbers), WIDE)]
    return [f"{name} = [", *(f"  {', '.join(map(str, line))}," for line in lines), "]"]


def path_of(hit: Hit, found_on: str, directory: pathlib.Path) -> pathlib.Path:
    """Return the path of a hit: like lru_free_2_4/double-free-in-f-5a3c9e01.hit."""
    identity = hashlib.blake2b(emit_hit(hit, found_on).encode(), digest_size=4).hexdigest()
    return directory / found_on.partition("/")[0] / f"{slug(hit.title)}-{identity}{SUFFIX}"


def save(hit: Hit, found_on: str, directory: pathlib.Path) -> pathlib.Path:
    """Write a hit. EntryError if that fails."""
    path = path_of(hit, found_on, directory)
    try:
        writing.write(path, emit_hit(hit, found_on))
    except OSError as error:
        raise EntryError(f"{path}: cannot be written: {writing.why(error)}") from None
    return path


def remove(hit: Hit, found_on: str, directory: pathlib.Path) -> None:
    """Remove a hit that has become an entry."""
    with contextlib.suppress(OSError):
        path_of(hit, found_on, directory).unlink()


def load(path: pathlib.Path) -> tuple[Hit, str]:
    """Read a hit, and the variant that it was found on. EntryError, naming the file and the place, if the file is no hit."""
    told, _, decisions = text_of(path, EntryError).partition(MARK)
    entry = parse(told, str(path))
    made = _converted(toml_of(decisions, path, EntryError), _Decisions, path)
    return Hit(entry.title, entry.program, made.switches, made.forced, 0, "hit", 0.0), entry.found_on


def _converted(table: dict[str, Any], kind: Any, path: pathlib.Path) -> Any:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise EntryError(f"{path}: hit: {error}") from None


def is_of_functions(path: pathlib.Path) -> bool:
    """True if a file is a hit of plain functions. EntryError if it cannot be read."""
    return MARK not in text_of(path, EntryError)


def load_of_functions(path: pathlib.Path) -> HitOfFunctions:
    """Read a hit of plain functions, and import nothing that it names. EntryError, naming the file and the place, if it is none."""
    hit: HitOfFunctions = _converted(toml_of(text_of(path, EntryError), path, EntryError), HitOfFunctions, path)
    try:
        split(hit.functions)
    except NoSuch as error:
        raise EntryError(f"{path}: functions: {error}") from None
    return hit


def save_of_functions(hit: HitOfFunctions, directory: pathlib.Path) -> pathlib.Path:
    """Write a hit of plain functions. OSError if that fails."""
    lines = [f"title = {json.dumps(hit.title)}", f"functions = {json.dumps(hit.functions)}", f"args = {json.dumps(hit.args)}",
             f"seed = {hit.seed}", f"run = {hit.run}", *_numbers("switches", hit.switches), *_numbers("forced", hit.forced), ""]
    text = "\n".join(lines)
    path = directory / f"{slug(hit.title)}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}{SUFFIX}"
    writing.write(path, text)
    return path
