# SPDX-License-Identifier: MIT
"""Certificates of samples: ENTRY.samples.json, beside the entry, with a line for each variant that is `ok in N`.

    {
      "samples": 1,
      "entry": "lru_free_2_4/double-free-in-f-5a3c9e01",
      "title": "double free in f",
      "program": "62bd0ba7cf2c6aa4",
      "variants": {
        "daniel_lru_count": {"image": "0c8a...", "vmrace": "5b11...", "schedules": 1000, "digest": "9e02..."}
      }
    }

A line stands for the runs while its hashes are those of now. To check it is to sample again, and to compare the digest. The title is of
the file because it decides what a run is checked for (Executor.only).
"""

from __future__ import annotations

import json
import os
import pathlib
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.corpus.sample import SAMPLE, Sample
from vmrace.fuzz.corpus.verdict import Verdict, Word
from vmrace.fuzz.run.code_hash import vmrace_hash
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.reading import json_of, parsing, text_of
from vmrace.fuzz.verify.certificate import MOVE_AWAY, check_digest
from vmrace.fuzz.verify.subject import VerifyError, identity_of

SAMPLES = 1             # format
SAMPLES_OF = ".samples.json"    # the end of the file's name

_Kind = TypeVar("_Kind")


class Line(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The sample of one variant: hashes of the image and of vmrace, the schedules that ran, and the digest of their runs."""

    image: str
    vmrace: str
    schedules: int
    digest: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    samples: int
    entry: str
    title: str
    program: str
    variants: dict[str, Line]

    def is_of(self, other: _File) -> bool:
        """True if both are of the same program and title."""
        return (self.entry, self.title, self.program) == (other.entry, other.title, other.program)


@dataclass(frozen=True)
class KeptSample:
    """A line that says `ok in N` of this very program, image and vmrace."""

    path: pathlib.Path
    variant: str
    line: Line

    @property
    def verdict(self) -> Verdict:
        """The verdict that it stands for."""
        return Verdict(Word.OK, number=self.line.schedules)

    def wrong(self, made: object) -> list[str]:
        """List what a repeated sample contradicts, a line each. Nothing if `made` is none."""
        if not isinstance(made, Sample):
            return []
        now = {"schedules": made.runs, "digest": made.digest}
        return _differences(self.variant, msgspec.to_builtins(self.line), now, "in the certificate")


def samples_path(entry: Entry) -> pathlib.Path:
    """Name the file of an entry's samples: a file beside the entry."""
    place = entry.path or pathlib.Path(f"{entry.name}.toml")
    return place.with_name(f"{place.stem}{SAMPLES_OF}")


def variants_in(path: pathlib.Path) -> list[str]:
    """Return the variants that have a line in a file of samples. VerifyError if it cannot be used."""
    known = _read(path)
    return list(known.variants) if known is not None else []


def sampled_variants(entry: Entry, vmrace: str) -> frozenset[str]:
    """Return the variants that have a line with that hash of vmrace; none if the file cannot be read."""
    try:
        known = _read(samples_path(entry))
    except VerifyError:
        return frozenset()
    return frozenset(name for name, line in known.variants.items() if line.vmrace == vmrace) if known is not None else frozenset()


def kept_sample(entry: Entry, executor: Executor) -> KeptSample | None:
    """Read the line of an entry on the executor's variant. None if there is none, or if its hashes are not those of now. Raises
    VerifyError if the file cannot be used."""
    path = samples_path(entry)
    known = _read(path)
    line = known.variants.get(executor.variant) if known is not None else None
    if known is None or line is None:
        return None
    now, fresh = _fresh(entry, executor, line.digest)
    return KeptSample(path, executor.variant, line) if known.is_of(now) and line == fresh else None


@dataclass(frozen=True)
class SampleRecord:
    """The certificate of a sample that was made, to be written into the file of its entry. `names` is the file's head."""

    path: pathlib.Path
    variant: str
    names: _File
    line: Line
    wanted: frozenset[str]

    def write(self) -> list[str]:
        """Write the line, and keep those of the other variants that the entry still expects to be ok. Returns a line for each result that
        is another than before. Raises VerifyError if the file cannot be written, or if there is one that cannot be read: it stays,
        because another vmrace may have made it."""
        try:
            with writing.alone(self.path.parent):
                before = self._before()
                kept = {name: line for name, line in before.items() if name in self.wanted}
                self.names.variants = {**kept, self.variant: self.line}
                writing.write(self.path, _text(self.names))
        except OSError as error:
            raise VerifyError(f"{self.path}: cannot be written: {writing.why(error)}") from None
        if self.variant not in before:
            return []
        old, new = (msgspec.to_builtins(line) for line in (before[self.variant], self.line))
        return _differences(self.variant, old, {key: new[key] for key in ("schedules", "digest")}, "before")

    def _before(self) -> dict[str, Line]:
        try:
            known = _read(self.path)
        except VerifyError as error:
            raise VerifyError(f"{error}; {MOVE_AWAY}") from None
        return known.variants if known is not None and known.is_of(self.names) else {}


def sample_record(entry: Entry, executor: Executor, made: Sample) -> SampleRecord:
    """Make the certificate of a sample without a finding."""
    assert made.found is None, made.found
    names, line = _fresh(entry, executor, made.digest)
    wanted = frozenset(name for name, verdict in entry.expect.items() if verdict.word is Word.OK)
    return SampleRecord(samples_path(entry), executor.variant, names, line, wanted)


def _fresh(entry: Entry, executor: Executor, digest: str) -> tuple[_File, Line]:
    """Return the head of the file, and a line with the hashes of now and that digest."""
    identity = identity_of(entry, executor)
    return (_File(SAMPLES, identity["entry"], entry.title, identity["program"], {}),
            Line(identity["image"], vmrace_hash(entry.family), SAMPLE, digest))


def _read(path: pathlib.Path) -> _File | None:
    """Read a file of samples. None if there is none; VerifyError if it is not one."""
    if not os.path.lexists(path):
        return None
    said: Any = json_of(text_of(path, VerifyError), path, VerifyError)
    with parsing(path, VerifyError):
        if not isinstance(said, dict) or type(said.get("samples")) is not int or said["samples"] != SAMPLES:
            raise VerifyError(f"{path}: samples: not a file of samples of format {SAMPLES}, the one that this vmrace reads")
        variants = said.get("variants")
        for name, line in variants.items() if isinstance(variants, dict) else ():
            check_digest(f"{path}: variants.{name}.digest", _converted(line, Line, path, f"variants.{name}").digest)
        return _converted(said, _File, path, "")


def _converted(said: Any, kind: type[_Kind], path: pathlib.Path, place: str) -> _Kind:
    """Convert an object of the file, which is at that place in it. Raises VerifyError, with the place."""
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError as error:
        why, _, inside = str(error).partition(" - at `$")
        at = (place + inside.rstrip("`")).lstrip(".")
        raise VerifyError(f"{path}: {at + ': ' if at else ''}{why}") from None


def _text(known: _File) -> str:
    """Write one line for each variant, so that a diff shows the variants that changed."""
    head = {"samples": known.samples, "entry": known.entry, "title": known.title, "program": known.program}
    lines = [f"    {json.dumps(name)}: {json.dumps(msgspec.to_builtins(line))}" for name, line in sorted(known.variants.items())]
    first = "".join(f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
    return f"{{\n{first}" + '  "variants": {\n' + ",\n".join(lines) + "\n  }\n}\n"


def _differences(variant: str, old: dict[str, Any], now: dict[str, Any], where: str) -> list[str]:
    return [f"{variant}: {key}: {json.dumps(old[key])} {where}, {json.dumps(value)} now" for key, value in now.items() if old[key] != value]
