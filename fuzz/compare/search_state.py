# SPDX-License-Identifier: MIT
"""The state file of a differential search: its results, one line each (see fuzz/run/state_file.py)."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

import msgspec
from vmrace.fuzz.compare.found import Decided, Line, UnitResult
from vmrace.fuzz.run.code_hash import code_hash
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.state_file import StateFile, decoded, with_key
from vmrace.variants.family import Family

FORMAT = 1
# Code that the results depend on, besides that of an exploration.
CODE = ("fuzz/compare", "fuzz/programs", "fuzz/campaign", "fuzz/sampling", "fuzz/shrink")


def header(chosen: Sequence[tuple[Family, str]], seed: int, counts: bool, runs_each: int) -> dict[str, Any]:
    """Identify a search: hashes of the linked kernels and of the code, the seed and the options, and a key over all these."""
    images = [Executor(family, variant, checked=True).image(2).digest for family, variant in chosen]
    root = pathlib.Path(__file__).resolve().parents[2]
    sources = [path.read_text() for room in CODE for path in sorted((root / room).glob("*.py"))]
    vmrace = hashlib.blake2b("\n".join([code_hash(*(family for family, _ in chosen)), *sources]).encode(), digest_size=8).hexdigest()
    return with_key({"search": FORMAT, "variants": {"of": [f"{family.name}/{variant}" for family, variant in chosen]},
                     "seed": str(seed), "options": {"counts": counts, "runs_each": runs_each}, "images": {"of": images}, "vmrace": vmrace})


class SearchState:
    """The results so far, in memory and in a state file. `units` maps a number to its result; `decided` maps the numbers of a unit and of
    a difference of it."""

    def __init__(self, path: pathlib.Path, head: dict[str, Any]):
        self.units: dict[int, UnitResult] = {}
        self.decided: dict[tuple[int, int], Decided] = {}
        self.file: StateFile[Line] = StateFile(path, head, _read, self._take, "search", "its unit is run again")

    def _take(self, result: Line) -> None:
        if isinstance(result, UnitResult):
            self.units[result.number] = result
        else:
            self.decided[result.number, result.index] = result

    def add(self, result: Line) -> None:
        """Add a result, in memory and in the file. Raises Unwritable."""
        self._take(result)
        self.file.append(result)

    def close(self) -> None:
        """Close and unlock the file."""
        self.file.close()


def _read(line: bytes, key: str) -> Line:
    return decoded(line, key, READER)


READER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
