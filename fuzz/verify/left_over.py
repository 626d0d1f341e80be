# SPDX-License-Identifier: MIT
"""The files of certificates below a directory: those that cannot be read, and those whose entry or variant does not exist."""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass, field

from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.verify.certificate import PROOF, is_of_functions
from vmrace.fuzz.verify.kept import mending
from vmrace.fuzz.verify.sample_file import SAMPLES_OF, variants_in
from vmrace.fuzz.verify.subject import VerifyError
from vmrace.variants.family import family


@dataclass
class Survey:
    """`unread`: a line for each file that cannot be read. `left_over`: a line for each certificate without its entry or its variant."""

    unread: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)


def survey(place: pathlib.Path, entries: list[Entry]) -> Survey:
    """Look at every file of certificates below a directory, or beside the one file of an entry. Certificates of plain functions have no
    entry. `entries`: those of the place that could be read; beside another one every certificate may stay."""
    out, variants = Survey(), {entry.path: tuple(family(entry.family).variants) for entry in entries}
    for path in _files(place):
        owner = _owner(path)
        try:
            with mending():
                if path.name.endswith(PROOF):
                    if is_of_functions(path):
                        continue
                    named = {"": _variant(path)}
                else:
                    named = {f"variants.{name}: ": name for name in variants_in(path)}
        except VerifyError as error:
            out.unread.append(str(error))
            continue
        if not owner.exists():
            out.left_over.append(f"{path}: there is no {owner.name} beside it; delete it, or bring back the entry")
        elif owner in variants:
            out.left_over += [f"{path}: {at}there is no variant {name!r} of this family; delete {'the line' if at else 'the file'}"
                              for at, name in named.items() if name not in variants[owner]]
    return out


def _files(place: pathlib.Path) -> list[pathlib.Path]:
    """List the files of certificates below a directory; of a file, those whose entry it is."""
    inside = place.rglob if place.is_dir() else place.parent.glob
    found = sorted(path for end in (PROOF, SAMPLES_OF) for path in inside(f"*{end}"))
    return found if place.is_dir() else [path for path in found if _owner(path) == place]


def _owner(path: pathlib.Path) -> pathlib.Path:
    """Return the file of the entry, by the name of a file of its certificates."""
    name = path.name.removesuffix(SAMPLES_OF)
    if name == path.name:
        name = _unbounded(path).rpartition(".")[0]
    return path.with_name(f"{name}.toml")


def _variant(path: pathlib.Path) -> str:
    return _unbounded(path).rpartition(".")[2]


def _unbounded(path: pathlib.Path) -> str:
    """Return ENTRY.VARIANT of the name of a certificate."""
    return re.sub(r"\.preemptions-\d+$", "", path.name.removesuffix(PROOF))
