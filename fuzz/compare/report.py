# SPDX-License-Identifier: MIT
"""The report of `vmrace diff`: one program in full, or many with one line each, in at most 100 columns; JSON; the exit code.

The marks of the table: `-` before an outcome that the first variant has and another lacks, `+` before one that the first lacks. Below a
table, a legend explains the marks and cells that it has.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from vmrace.fuzz.compare.outcomes import DIFFERENT, INCONCLUSIVE, NOT_COMPARED, SAME, Comparison, Difference, Relation, Side
from vmrace.fuzz.compare.reached_text import text_of
from vmrace.fuzz.compare.witness import Witness
from vmrace.fuzz.run.exhaustive import Reached
from vmrace.fuzz.text.document import reason_of
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, NOTHING
from vmrace.fuzz.text.terminal import COLUMNS
from vmrace.fuzz.text.wording import are, count
from vmrace.variants.program import Program

OUTCOME_MIN = 34                # the least width of the column of outcomes
CLASS = "one class: schedules that differ only in the order of independent steps"


class Labels:
    """The heads of a table's columns: the names of the variants, or letters if the names do not fit."""

    def __init__(self, names: Sequence[str]):
        widths = [max(len(name), 9) + 2 for name in names]
        self.short = sum(widths) + OUTCOME_MIN > COLUMNS - 2
        self.of = {name: chr(ord("A") + number) if self.short else name for number, name in enumerate(names)}
        self.widths = {name: 11 if self.short else width for name, width in zip(names, widths, strict=True)}
        self.left = COLUMNS - 2 - sum(self.widths.values())

    def row(self, mark: str, text: str, cells: dict[str, str]) -> list[str]:
        """Write a line of the table; a long text continues on the next lines."""
        first, *more = textwrap.wrap(text, self.left - 1, break_long_words=True, break_on_hyphens=False) or [""]
        line = f"{mark:<2}{first:<{self.left}}" + "".join(f"{cells[name]:>{width}}" for name, width in self.widths.items())
        return [line.rstrip(), *(f"      {text}" for text in more)]

    def legend(self) -> list[str]:
        """Write the lines that explain the letters, if there are any."""
        return [f"{letter}  {name}" for name, letter in self.of.items()] if self.short else []


def wrapped(text: str, indent: str = "  ", first: str = "") -> list[str]:
    """Wrap a text at 100 columns; the first line begins with `first`, the others with `indent`."""
    return textwrap.wrap(text, COLUMNS, initial_indent=first, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


# ---- sentences -------------------------------------------------------------------------------------------------------------

def sentence(one: Relation) -> str:
    """Write a relation in words. Only a side whose schedules all ran is said to be unable to do something."""
    left, right, number = one.left, one.right, len(one.only)
    if number and one.sure:
        return f"{left.name} can do {count(number, 'thing')} {right.name} cannot"
    if number:
        return f"{left.name} did {count(number, 'thing')} not seen in {count(right.schedules, 'schedule')} of {right.name}"
    if one.sure:
        return f"{left.name} can do nothing {right.name} cannot"
    return f"in {count(left.schedules, 'schedule')} {left.name} did nothing that {right.name} did not do"


def conclusion(comparison: Comparison) -> str:
    """Write the conclusion on one program."""
    sides, verdict = comparison.applying, comparison.verdict
    if verdict == NOT_COMPARED:
        return f"not compared: {'none' if not sides else f'only {sides[0].name}'} of the variants has all the operations"
    if verdict == SAME:
        return f"no difference: {_all(sides)} can do the same {count(len(comparison.things), 'thing')}"
    if len(sides) > 2:
        number = len(comparison.differences)
        text = (f"{number} of {count(len(comparison.things), 'outcome')} {are(number)} not seen on every variant"
                if number else "every outcome that was seen was seen on all of them")
    else:
        text = "; ".join(sentence(one) for one in comparison.relations())
    return f"inconclusive: {text}" if verdict == INCONCLUSIVE else text


def _all(sides: Sequence[Side]) -> str:
    return "both" if len(sides) == 2 else f"all {len(sides)}"


# ---- one program ---------------------------------------------------------------------------------------------------------------

def exit_code(comparisons: Sequence[Comparison]) -> int:
    """Return the exit code: 0 for the same outcomes, CHANGED, COULD_NOT if inconclusive, NOTHING if no program was compared."""
    verdicts = {comparison.verdict for comparison in comparisons} - {NOT_COMPARED}
    if not verdicts:
        return NOTHING
    return CHANGED if DIFFERENT in verdicts else COULD_NOT if INCONCLUSIVE in verdicts else 0


def head(comparison: Comparison) -> list[str]:
    """Write the number of schedules that ran on each side, and the reason if they are not all."""
    whole = [side for side in comparison.sides if side.complete]
    text = "   ".join(f"{side.name} {count(side.distinct, 'class of schedules')}" for side in whole)
    out = wrapped(text, " " * 17, "every schedule:  ") if whole else []
    for side in comparison.sides:
        if not side.applies:
            out += wrapped(f"{side.name} lacks {', '.join(side.missing)}", " " * 17, f"{'n/a:':<17}")
        elif not side.complete:
            text = f"{side.name} {count(side.schedules, 'schedule')}, {side.distinct:,} explored and {side.sampled:,} random: {side.why}"
            out += wrapped(text, " " * 17, f"{'sampled:':<17}")
    return out


def table(comparison: Comparison) -> list[str]:
    """Write the table of outcomes, with the number of schedules that reached each on each variant."""
    labels = Labels([side.name for side in comparison.sides])
    out = labels.legend() + labels.row("", "outcome", labels.of)
    differing = {difference.thing for difference in comparison.differences}
    for thing in comparison.things:
        cells = {}
        for side in comparison.sides:
            reach = side.reached.get(thing)
            if not side.applies:
                cells[side.name] = "n/a"
            elif reach is None:
                cells[side.name] = "0" if side.complete else "not seen"
            else:
                number = "setup" if side.setup_fails else f"{reach.count:,}"
                cells[side.name] = f"BUG  {number}" if thing.titles else number
        mark = "" if thing not in differing else "-" if thing in comparison.applying[0].reached else "+"
        out += labels.row(mark, text_of(thing), cells)
    return [*out, *legend(comparison)]


def legend(comparison: Comparison) -> list[str]:
    """Explain the marks and the cells of the table, a line for each that it has."""
    sides, first = comparison.applying, comparison.applying[0].name
    lacks = [side for side in sides if len(side.reached) < len(comparison.things)]
    lines = [
        (bool(comparison.differences), "-", f"{first} can end so, and another variant does not"),
        (bool(comparison.differences), "+", f"another variant can end so, and {first} does not"),
        (any(side.complete and not side.setup_fails for side in sides), "N", f"the classes of schedules that end so; {CLASS}"),
        (any(not side.complete for side in sides), "N", "where schedules were sampled: the classes and the random schedules that end so"),
        (any(side.complete for side in lacks), "0", "no schedule ends so"),
        (any(not side.complete for side in lacks), "not seen", "no schedule that ran ends so, but not all of them ran"),
        (any(thing.titles for thing in comparison.things), "BUG", "to end so is a finding"),
        (any(side.setup_fails for side in sides), "setup", "the setup alone ends so"),
        (any(thing.returned for thing in comparison.things), "= R", "the result of an operation; one that is not named returned 0"),
        (len(sides) < len(comparison.sides), "n/a", "the variant lacks an operation"),
    ]
    return ["", *(line for holds, cell, text in lines if holds for line in wrapped(text, " " * 12, f"  {cell:<10}"))]


def inclusions(comparisons: Sequence[Comparison], names: Sequence[str]) -> list[str]:
    """Write a table with a row and a column for each variant: whether the column's variant reaches all outcomes of the row's."""
    labels = Labels(names)
    out = ["", *labels.row("", "what it can do, can these too?", labels.of)]
    for left in names:
        cells = {right: "." if right == left else _included(comparisons, left, right) for right in names}
        out += labels.row("", labels.of[left], cells)
    return out


def _included(comparisons: Sequence[Comparison], left: str, right: str) -> str:
    """Write `yes` if `right` surely reaches all outcomes of `left`, `no 3` if it surely lacks three, `?` if neither is sure, and `-`
    if no program applies to both."""
    found = [one for comparison in comparisons for one in comparison.relations() if (one.left.name, one.right.name) == (left, right)]
    lacking = sum(len(one.only) for one in found if one.only and one.sure)
    if lacking:
        return f"no {lacking:,}"
    return "-" if not found else "yes" if all(one.sure for one in found) else "?"


def witness_lines(found: Witness, number: int) -> list[str]:
    """Write a witness: its outcome, its schedule, and the outcomes of the same schedule on the other variants."""
    side = found.of
    if side.setup_fails:
        out = wrapped(f"{number}. {text_of(found.thing)}: {side.name}, in the setup alone", "   ")
        return out + _elsewhere_lines(found)
    least = "" if found.least else "at most "
    out = wrapped(f"{number}. {text_of(found.thing)}: {side.name}, {least}{count(found.preemptions, 'preemption')}", "   ")
    out += [f"     {line}" for line in found.schedule]
    out += _elsewhere_lines(found)
    if found.path is not None:
        out += [f"   vmrace show {found.path}", f"   vmrace replay {found.path}"]
    return out


def _elsewhere_lines(found: Witness) -> list[str]:
    what = "schedule" if found.schedule else "program"
    return [line for name, end in found.elsewhere.items() for line in wrapped(f"this {what} on {name}: {end}", "     ", "   ")]


def one_program(comparison: Comparison, witnesses: Sequence[Witness], omitted: int) -> list[str]:
    """Write the full report on one program. `omitted` counts differences without a witness."""
    out = head(comparison)
    if comparison.things:
        out += table(comparison)
    names = [side.name for side in comparison.applying]
    if len(names) > 2:
        out += inclusions([comparison], names)
    if witnesses:
        out.append("")
    for number, found in enumerate(witnesses, 1):
        out += witness_lines(found, number)
    if omitted:
        out.append(f"   and {count(omitted, 'more outcome')} that some variants lack: see --witnesses N, or --json for all")
    if any(found.schedule and found.path is None for found in witnesses):
        out.append("   --into DIR writes them as entries, for vmrace show and vmrace replay")
    if witnesses:
        out.append("")
    return out + wrapped(f"{conclusion(comparison)}.  (exit {exit_code([comparison])})")


# ---- many programs ---------------------------------------------------------------------------------------------------------------

class Many:
    """A report on many programs: a line for each, its new differences below it, and the totals at the end. With `quiet`, a program
    without a new difference has no line."""

    def __init__(self, names: Sequence[str], quiet: bool):
        self.names = list(names)
        self.labels = Labels(names)
        self.quiet = quiet
        self.comparisons: list[Comparison] = []
        self.reported: set[tuple[Reached, tuple[str, ...], tuple[str, ...]]] = set()

    def head(self) -> list[str]:
        """Write the head of the table."""
        out = ["! the outcomes differ   = they are the same   ? undecided",
               *wrapped(f"a cell: the classes of schedules of the program; {CLASS}"), ""]
        return [*out, *self.labels.legend(), *self.labels.row("", "program", self.labels.of)]

    def fresh(self, comparison: Comparison) -> list[Difference]:
        """Record a comparison, and return its differences; with `quiet`, only those that are certain and that no earlier program had."""
        self.comparisons.append(comparison)
        if not self.quiet:
            return list(comparison.differences)
        out = []
        for difference in comparison.differences:
            key = (difference.thing, tuple(side.name for side in difference.having), tuple(side.name for side in difference.lacking))
            if key not in self.reported and difference.sure:
                self.reported.add(key)
                out.append(difference)
        return out

    def lines(self, comparison: Comparison, witnesses: Sequence[Witness], omitted: int = 0) -> list[str]:
        """Write the lines on one program."""
        if self.quiet and not witnesses and comparison.verdict != INCONCLUSIVE:
            return []
        cells = {}
        for side in comparison.sides:
            cells[side.name] = "n/a" if not side.applies else f"{side.distinct:,}" if side.complete else f">{side.distinct:,}"
        out = self.labels.row(MARKS[comparison.verdict], comparison.name, cells)
        for side in comparison.sides:
            if not side.applies:
                out += wrapped(f"{side.name} lacks {', '.join(side.missing)}", "      ", "    ")
        if comparison.verdict != NOT_COMPARED:
            out += wrapped(conclusion(comparison), "      ", "    ")
        for found in witnesses:
            least = "" if found.least else "at most "
            how = "in the setup alone" if found.of.setup_fails else f"{least}{count(found.preemptions, 'preemption')}"
            out += wrapped(f"{found.of.name}: {text_of(found.thing)} ({how})", "        ", "      ")
            if found.path is not None:
                out.append(f"        vmrace show {found.path}")
        if omitted:
            out.append(f"      and {count(omitted, 'more outcome')}: vmrace diff ... --entry {comparison.path or 'ENTRY'}")
        return out

    def end(self, seconds: float) -> list[str]:
        """Write the totals, after `seconds` of work."""
        kinds = Counter(comparison.verdict for comparison in self.comparisons)
        out = inclusions(self.comparisons, self.names) if kinds[NOT_COMPARED] < len(self.comparisons) else []
        text = (f"{count(len(self.comparisons), 'program')}: {kinds[DIFFERENT]} different, {kinds[SAME]} the same, "
                f"{kinds[INCONCLUSIVE]} inconclusive, {kinds[NOT_COMPARED]} not compared")
        if any(side.applies and not side.complete for comparison in self.comparisons for side in comparison.sides):
            out += ["", ">N: not every schedule ran; N classes were explored, and random schedules sampled"]
        return [*out, "", f"{text}   ({seconds:.1f} s, exit {exit_code(self.comparisons)})"]


MARKS = {DIFFERENT: "!", SAME: "=", INCONCLUSIVE: "?", NOT_COMPARED: ""}


def program_text(program: Program) -> str:
    """Write a program in one line."""
    parts = [f"setup: {', '.join(map(str, program.setup))}"] if program.setup else []
    parts += [f"{key}: {', '.join(map(str, task.ops))}" for key, task in zip(program.keys(), program.tasks, strict=True)]
    return " | ".join(parts)


# ---- JSON ------------------------------------------------------------------------------------------------------------------------

def as_json(comparison: Comparison, witnesses: Sequence[Witness]) -> dict[str, Any]:
    """Return the report on one program as a JSON object. A difference has a `witness` if one was looked for."""
    by_thing = {found.thing: found for found in witnesses}
    return {
        "program": comparison.name, "setup": [str(op) for op in comparison.program.setup],
        "tasks": {key: [str(op) for op in task.ops] for key, task in zip(comparison.program.keys(), comparison.program.tasks, strict=True)},
        "verdict": comparison.verdict, "conclusion": conclusion(comparison),
        "variants": [_side_json(side) for side in comparison.sides],
        "differences": [
            {"outcome": text_of(one.thing), "finding": bool(one.thing.titles), "can": [side.name for side in one.having],
             "cannot": [side.name for side in one.lacking if side.complete],
             "not_seen": [side.name for side in one.lacking if not side.complete], **_witness_json(by_thing.get(one.thing))}
            for one in comparison.differences],
    }


def _side_json(side: Side) -> dict[str, Any]:
    return {"variant": side.contender.full_name, "name": side.name, "state": side.state, "why": str(side.why or ""),
            "reason": reason_of(side.why), "lacks": side.missing,
            "distinct": side.distinct, "sampled": side.sampled, "digest": side.digest, "setup_fails": side.setup_fails,
            "outcomes": [{"outcome": text_of(thing), "finding": bool(thing.titles), "schedules": reach.count,
                          "preemptions": reach.preemptions, "least": reach.least, "returned": list(thing.returned),
                          "loads": list(thing.values), "pages": list(thing.pages)} for thing, reach in side.reached.items()]}


def _witness_json(found: Witness | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {"witness": {"on": found.of.contender.full_name, "preemptions": found.preemptions, "least": found.least,
                        "schedule": [str(line) for line in found.schedule], "elsewhere": found.elsewhere,
                        "path": str(found.path) if found.path else None}}

