# SPDX-License-Identifier: MIT
"""The table of `vmrace replay`: each verdict beside the one that is expected, and the commands for those that differ."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from typing import Any

from vmrace.fuzz.corpus.entry import Entry, expect
from vmrace.fuzz.corpus.index import handle, short_name
from vmrace.fuzz.corpus.judge import Judged
from vmrace.fuzz.corpus.verdict import Verdict, Word
from vmrace.fuzz.replay.replay import Cell, Options, Replay, Replayed, variants_of
from vmrace.fuzz.text.terminal import COLUMNS
from vmrace.fuzz.text.wording import count
from vmrace.harness import stop

WRONG = "  if nothing was changed by hand, find out why; then delete the file, and vmrace replay --certify makes a new one"


class Table:
    """Every entry on every variant of its family. `cells` has the results once `replay` has returned."""

    def __init__(self, entries: list[Entry], options: Options | None = None):
        self.entries = entries
        self.options = options or Options()
        self.cells: dict[Cell, Replayed] = {}
        self.changes: list[str] = []

    def replay(self, say: Callable[[str], None] = lambda text: None) -> None:
        """Judge everything. `say` is called with lines of progress. Errors as of Replay.run."""
        replay = Replay(self.entries, self.options, say)
        self.cells, self.changes = replay.run(), replay.changes

    @property
    def runs(self) -> int:
        """The runs that were made."""
        return sum(cell.judged.runs for cell in self.cells.values() if cell.error is None)

    @property
    def errors(self) -> list[tuple[str, str]]:
        """Errors of ours: where, and what."""
        return [cell.error for cell in self.cells.values() if cell.error is not None]

    @property
    def unstable(self) -> list[str]:
        """A line for each schedule that ended in more than one way, or in another way than the verdict says."""
        return [self._unstable(cell, done) for cell, done in self.cells.items() if _is_unstable(done)]

    def _unstable(self, cell: Cell, done: Replayed) -> str:
        ends = "".join(f"; {often} of {self.options.times}: {end}" for end, often in done.ends.most_common())
        return f"{self._place(cell)}: {done.judged.verdict} {done.judged.digest}".rstrip() + ends

    def _place(self, cell: Cell) -> str:
        return f"{self.entries[cell[0]].name} on {cell[1]}"

    @property
    def surprises(self) -> list[tuple[Entry, str, Verdict, Judged]]:
        """The verdicts that are not as expected. A variant that the entry does not mention expects nothing."""
        out = []
        for (number, variant), done in self.cells.items():
            entry, judged = self.entries[number], done.judged
            expected = entry.expect.get(variant)
            if expected is not None and not _is_as_expected(judged, expected):
                out.append((entry, variant, expected, judged))
        return out

    @property
    def undecided(self) -> list[str]:
        """A line for each verdict that says nothing: we erred, or the budget of a proof ran out."""
        return [f"{self._place(cell)}: {done.judged.verdict}" for cell, done in self.cells.items() if not done.judged.verdict.decided]

    @property
    def wrong(self) -> list[str]:
        """The lines of certificates that do not hold."""
        return [line for done in self.cells.values() for line in done.wrong]

    @property
    def unusable(self) -> list[str]:
        """A line for each file of certificates that cannot be read or written."""
        return list(dict.fromkeys(done.unusable for done in self.cells.values() if done.unusable))

    @property
    def code(self) -> int:
        """The exit code: 0 all as expected, 1 something is not, 3 something is undecided or a certificate cannot be read or written."""
        return 1 if self.surprises or self.unstable or self.wrong else 3 if self.undecided or self.unusable else 0

    # ---- as text -----------------------------------------------------------------------------------------------------

    def lines(self, digests: bool = False) -> list[str]:
        """Return the verdicts, in a table for each family, and below them whatever is not as expected. `digests`: with those of traces."""
        out: list[str] = []
        for name in dict.fromkeys(entry.family for entry in self.entries):
            out += [*self._of_family(name, digests), ""]
        for entry, variant, expected, judged in self.surprises:
            why, *more = judged.detail.split("; ")
            out += [f"{entry.name}  {variant}", f"  expected  {expected}", f"  found     {judged.verdict}: {why}",
                    *(f"            {line}" for line in more), *_what_to_do(entry, variant, judged)]
        out += [f"unstable: {line}" for line in self.unstable]
        out += [f"certificate does not hold: {line}" for line in self.wrong]
        out += [WRONG] if self.wrong else []
        out += self.undecided
        out += [f"certificate changed: {line}" for line in self.changes]
        return out

    def _of_family(self, name: str, digests: bool) -> list[str]:
        """Return the entries of a family against its variants, in several parts if the columns do not fit side by side."""
        rows = [(number, entry) for number, entry in enumerate(self.entries) if entry.family == name]
        columns = variants_of(rows[0][1], self.options.only)
        if not columns:
            return []
        names = [short_name(entry) for _, entry in rows]
        first = max(map(len, [*names, "ENTRY"])) + 2
        texts = [(variant, [self._text((number, variant), digests) for number, _ in rows]) for variant in columns]
        made = [_Column(*each, broken=False) for each in texts]
        if len(_parts(made, COLUMNS - first)) > 1:
            made = [_Column(*each, broken=True) for each in texts]
        out = [name]
        for part in _parts(made, COLUMNS - first):
            high = max(len(column.head) for column in part)
            heads = [[""] * (high - len(column.head)) + column.head for column in part]
            for line in range(high):
                out.append(_row("ENTRY" if line == high - 1 else "", first, part, [head[line] for head in heads]))
            out += [_row(entry, first, part, [column.texts[row] for column in part]) for row, entry in enumerate(names)]
            out.append("")
        return out[:-1]

    def _text(self, cell: Cell, digests: bool) -> str:
        judged = self.cells[cell].judged
        return f"{judged.verdict.word.value} {judged.digest if digests else ''}".rstrip()

    def summary(self) -> str:
        """Return the text of a last line: the counts, and how the verdicts compare with those expected."""
        told = self.counts()
        good = not (self.surprises or self.unstable or self.undecided)
        state = "all as expected" if good else f"{told['surprises']} not as expected, {told['unstable']} unstable"
        if self.undecided:
            state += f", {told['undecided']} undecided"
        if told["wrong"]:
            state += f", {count(told['wrong'], 'certificate')} {'does' if told['wrong'] == 1 else 'do'} not hold"
        believed = f" and {count(told['certified'], 'certificate')}" if told["certified"] else ""
        again = f" ({count(told['rechecked'], 'certificate')} run again)" if told["rechecked"] else ""
        wrote = f", {count(told['written'], 'certificate')} written" if told["written"] else ""
        often = f", each schedule followed {self.options.times} times" if self.options.times > 1 else ""
        return (f"{count(told['entries'], 'entry')}, {count(told['variants'], 'variant')}: {count(told['verdicts'], 'verdict')} "
                f"from {count(told['runs'], 'run')}{believed}{again}{wrote}{often}, {told['absent']} not applicable, {state}")

    def counts(self) -> dict[str, int]:
        """Return the numbers of the summary."""
        words = [done.judged.verdict.word for done in self.cells.values()]
        return {"entries": len(self.entries), "variants": len({variant for _, variant in self.cells}),
                "verdicts": sum(word is not Word.ABSENT for word in words), "absent": words.count(Word.ABSENT), "runs": self.runs,
                "certified": sum(done.judged.certified for done in self.cells.values()),
                "rechecked": sum(done.rechecked for done in self.cells.values()),
                "written": sum(done.record is not None for done in self.cells.values()),
                "wrong": sum(bool(done.wrong) for done in self.cells.values()),
                "surprises": len(self.surprises), "unstable": len(self.unstable), "undecided": len(self.undecided)}

    # ---- as data -----------------------------------------------------------------------------------------------------

    def as_json(self) -> list[dict[str, Any]]:
        """Return an object for each entry, with its verdicts."""
        return [{"name": entry.name, "path": str(entry.path or ""), "title": entry.title,
                 "verdicts": {variant: self._verdict((number, variant)) for variant in variants_of(entry, self.options.only)}}
                for number, entry in enumerate(self.entries)]

    def _verdict(self, cell: Cell) -> dict[str, Any]:
        entry, done = self.entries[cell[0]], self.cells[cell]
        judged, expected = done.judged, entry.expect.get(cell[1])
        return {"verdict": str(judged.verdict), "expected": str(expected) if expected is not None else None,
                "as_expected": expected is None or _is_as_expected(judged, expected),
                "detail": judged.detail, "runs": judged.runs, "digest": judged.digest, "certified": judged.certified,
                "rechecked": done.rechecked, "unstable": _is_unstable(done), "wrong": done.wrong,
                "error": done.error[1] if done.error is not None else ""}

    # ---- accepting ---------------------------------------------------------------------------------------------------

    def accept(self) -> list[pathlib.Path]:
        """Write what was found as what is expected, each entry in its file. An entry with an unstable verdict stays as it is. A request
        to stop is not heard once writing has begun."""
        assert self.cells, "nothing was judged"
        stop.look()
        out = []
        for number, entry in enumerate(self.entries):
            mine = {variant: self.cells[number, variant] for variant in variants_of(entry, self.options.only)}
            if any(_is_unstable(done) for done in mine.values()):
                continue
            fresh = {variant: done.judged.accepted for variant, done in mine.items() if done.judged.accepted is not None}
            if not fresh.items() <= entry.expect.items() and entry.path is not None:
                out.append(expect(entry.path, fresh))
        return out


def _is_as_expected(judged: Judged, expected: Verdict) -> bool:
    """True if the verdict is the expected one, or undecided, which says nothing."""
    return not judged.verdict.decided or expected in (judged.verdict, judged.accepted)


def _is_unstable(done: Replayed) -> bool:
    digest = done.judged.digest
    return len(done.ends) > 1 or (bool(digest) and not all(end.startswith(digest) for end in done.ends))


class _Column:
    """The verdicts on one variant, under its name. `broken`: break the name after a `_` where the verdicts are narrower than it."""

    def __init__(self, name: str, texts: list[str], broken: bool):
        self.texts = texts
        pieces = re.findall("[^_]*_|[^_]+", name) if broken else [name]
        self.wide = max(map(len, [*pieces, *texts]))
        self.head = [""]
        for piece in pieces:
            if len(self.head[-1]) + len(piece) > self.wide:
                self.head.append("")
            self.head[-1] += piece


def _row(first: str, wide: int, columns: list[_Column], texts: list[str]) -> str:
    return (f"{first:<{wide}}" + "  ".join(f"{text:<{column.wide}}" for column, text in zip(columns, texts, strict=True))).rstrip()


def _parts(columns: list[_Column], room: int) -> list[list[_Column]]:
    """Group the columns so that each group fits into `room` characters. A column that is wider stands alone."""
    out: list[list[_Column]] = []
    left = 0
    for column in columns:
        if not out or column.wide > left:
            out.append([])
            left = room
        out[-1].append(column)
        left -= column.wide + 2
    return out


def _what_to_do(entry: Entry, variant: str, judged: Judged) -> list[str]:
    """Return the commands for a verdict that is not the one expected."""
    name = handle(entry)
    accept = f"vmrace corpus accept {name} --variant {variant}={judged.accepted.word.value if judged.accepted else ''}"
    if judged.elsewhere and not judged.accepted:
        return [f"  if you renamed a point: vmrace shrink {name} --refind"]
    if not judged.accepted:
        return ["  this is our bug: please report it"]
    if judged.verdict.word in (Word.DIVERGED, Word.LOST):
        why = "if you renamed a point: " if judged.verdict.word is Word.DIVERGED else "if it should still fail:"
        return [f"  if you fixed the race:   {accept}", f"  {why} vmrace shrink {name} --refind"]
    return [f"  if that is right: {accept}"]
