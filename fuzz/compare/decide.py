# SPDX-License-Identifier: MIT
"""The work of a worker process in a differential search: it runs units, and looks into the differences that the driver chooses.

A difference is looked into in three steps: a smaller program is found (smallest.py); that program is explored on each variant, with more
runs than a unit may take; and a witness is replayed by the names of its points on every variant. The variants differ for certain only if
one reaches the outcome, and every schedule of another ran without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vmrace.fuzz.compare.found import Decided, Found, Reaches, UnitResult
from vmrace.fuzz.compare.hunt import hunt
from vmrace.fuzz.compare.kinds import FINDING, Kind, kind_of
from vmrace.fuzz.compare.matched import compare_matched, matched
from vmrace.fuzz.compare.outcomes import Budget, Comparison, Contender, Difference, Side, contenders, look
from vmrace.fuzz.compare.reached_text import text_of
from vmrace.fuzz.compare.report import program_text
from vmrace.fuzz.compare.smallest import Tally, smaller_finding, smaller_in_full
from vmrace.fuzz.compare.stream import Stream, Unit
from vmrace.fuzz.compare.witness import entry_of, witness
from vmrace.fuzz.corpus.entry import emit
from vmrace.fuzz.run.exhaustive import Reached
from vmrace.harness.finding import is_of_one_run
from vmrace.variants.family import Family, identity
from vmrace.variants.program import Program

RUNS_EACH = 1_500           # limit of runs for the exploration of a unit's program on each variant
SAMPLE_EACH = 200           # samples if that is not enough
DECIDE_FIRST = 3_000        # limit of runs for the exploration of a shrunk program on each variant ...
DECIDE_RUNS = 60_000        # ... and, where these are not enough, for all variants that were not seen to reach the outcome together
FOUND_MAX = 6               # differences of a unit that are reported


@dataclass(frozen=True)
class Setting:
    """The variants that a search compares, its units, and whether reference counts of pages are compared."""

    chosen: Sequence[tuple[Family, str]]
    stream: Stream
    counts: bool = False
    runs_each: int = RUNS_EACH


_setting: Setting
_contenders: list[Contender] | None = None


def begin(setting: Setting) -> None:
    """Set up a new worker process."""
    global _setting, _contenders
    _setting, _contenders = setting, None


def variants() -> list[Contender]:
    """Return the variants with their images, which are made at the first call."""
    global _contenders
    if _contenders is None:
        _contenders = contenders(_setting.chosen, _setting.counts)
    return _contenders


def error_of(error: Exception) -> str:
    """Write an exception in one line."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}".rstrip(": ")


# ---- units -----------------------------------------------------------------------------------------------------------------------

def run_unit(number: int) -> UnitResult:
    """Run a unit. An error of vmrace is in its result."""
    global _contenders
    unit = _setting.stream.unit(number)
    try:
        return _compared(unit, unit.program) if unit.program is not None else _hunted(unit)
    except Exception as error:
        _contenders = None                  # their state may be broken
        return UnitResult(number, unit.hunted, unit.program, error=error_of(error))


def _compared(unit: Unit, program: Program) -> UnitResult:
    comparison = compare_matched(program_text(program), program, variants(), _setting.runs_each, SAMPLE_EACH)
    numbers = {id(side): number for number, side in enumerate(comparison.sides)}
    result = UnitResult(unit.number, -1, program, sum(side.schedules for side in comparison.sides),
                        [numbers[id(side)] for side in comparison.applying],
                        [numbers[id(side)] for side in comparison.sides if side.complete])
    for one in comparison.relations():
        pair = numbers[id(one.left)], numbers[id(one.right)]
        if one.only and one.sure:
            result.lacks.append((*pair, len(one.only)))
        elif one.only or not one.sure:
            result.unsure.append(pair)
    result.found = found_in(comparison, program)
    return result


def found_in(comparison: Comparison, program: Program) -> list[Found]:
    """Return the differences of a comparison, at most FOUND_MAX and one of each kind between the same variants: certain ones first, and
    findings before other outcomes."""
    out: dict[tuple[Kind, tuple[int, ...], tuple[int, ...]], Found] = {}
    for difference in comparison.differences:
        found = _found(comparison, difference, program)
        if not any(map(is_of_one_run, found.thing.printed)):
            out.setdefault((found.kind, tuple(found.can), tuple(found.cannot)), found)
    return sorted(out.values(), key=lambda one: (not one.cannot, one.kind.part != FINDING))[:FOUND_MAX]


def _found(comparison: Comparison, difference: Difference, program: Program) -> Found:
    sides = comparison.sides
    having = [number for number, side in enumerate(sides) if side in difference.having]
    on = min(having, key=lambda number: sides[number].reached[difference.thing].preemptions)
    reach = sides[on].reached[difference.thing]
    thing = next(one for one in sides[on].reached if one == difference.thing)           # as this variant prints it
    lacking = [(number, side) for number, side in enumerate(sides) if side in difference.lacking]
    return Found(kind_of(difference), thing, program, having, [number for number, side in lacking if side.complete],
                 [number for number, side in lacking if not side.complete], on, list(reach.switches), list(reach.forced))


def _hunted(unit: Unit) -> UnitResult:
    """Run a short campaign. Each title that it finds is a difference to look into, until another variant shows it, too."""
    chosen = variants()
    here = chosen[unit.hunted]
    hits, runs, error = hunt(here.family.name, here.variant, unit.seed, unit.runs)
    result = UnitResult(unit.number, unit.hunted, runs=runs, error=error)
    for hit in hits:
        if not is_of_one_run(hit.title):
            title = identity(here.full_name, hit.title)
            others = [number for number, other in enumerate(chosen) if number != unit.hunted and not other.executor.lacks(hit.program)]
            result.found.append(Found(Kind(FINDING, title), Reached((title,), printed=(hit.title,)), hit.program, [unit.hunted], [], others,
                                      unit.hunted, hit.switches, hit.forced))
    return result


# ---- a difference ------------------------------------------------------------------------------------------------------------------

def decide(number: int, index: int, found: Found) -> Decided:
    """Look into a difference of a unit. An error of vmrace is in its result."""
    global _contenders
    tally, out = Tally(), Decided(number, index, found.kind)
    try:
        _decide(found, tally, out)
    except LookupError as error:
        out.error = str(error)
    except Exception as error:
        _contenders = None
        out.error = error_of(error)
    out.runs = tally.runs
    return out


def _decide(found: Found, tally: Tally, out: Decided) -> None:
    chosen = variants()
    small = smaller_in_full(found, chosen, tally) if found.cannot else found.program
    if not found.cannot and found.kind.part == FINDING:
        shrunk = smaller_finding(found, chosen, tally)
        if shrunk is None:
            return
        small = shrunk
    comparison = deeply(small, chosen, found, tally)
    difference = next((one for one in comparison.differences if kind_of(one) == found.kind
                       and comparison.sides[found.on] in one.having), None)
    if difference is None:
        return
    _report(comparison, difference, out, tally)


def deeply(program: Program, chosen: Sequence[Contender], found: Found, tally: Tally) -> Comparison:
    """Compare a program: DECIDE_FIRST runs on each variant, then more where these are not enough and the outcome was not seen."""
    sides = [look(contender, program, Budget(math.inf, DECIDE_FIRST)) for contender in chosen]
    tally.runs += sum(side.schedules for side in sides)
    left = DECIDE_RUNS
    for number, side in enumerate(sides):
        again = side.applies and side.why is not None and side.why.reason.budget and found.thing not in side.reached
        if again and left > DECIDE_FIRST:
            sides[number] = look(side.contender, program, Budget(math.inf, left))
            left -= sides[number].distinct
            tally.runs += sides[number].schedules
    return matched(program_text(program), program, sides)


def _report(comparison: Comparison, difference: Difference, out: Decided, tally: Tally) -> None:
    numbers = {side.name: number for number, side in enumerate(comparison.sides)}
    shown = witness(comparison, difference, math.inf)
    tally.runs += 1 + len(shown.elsewhere)
    out.program, out.outcome = comparison.program, text_of(shown.thing)
    out.can = [numbers[side.name] for side in difference.having]
    out.cannot = [numbers[side.name] for side in difference.lacking if side.complete]
    out.not_seen = [numbers[side.name] for side in difference.lacking if not side.complete]
    out.sides = [_reaches(number, side, shown.thing) for number, side in enumerate(comparison.sides) if side.applies]
    out.on, out.preemptions, out.least = numbers[shown.of.name], shown.preemptions, shown.least
    out.schedule = [str(line) for line in shown.schedule]
    out.elsewhere = [(numbers[name], end) for name, end in shown.elsewhere.items()]
    out.entry = emit(entry_of(comparison, shown)) if shown.schedule else ""


def _reaches(number: int, side: Side, thing: Reached) -> Reaches:
    reach = side.reached.get(thing)
    return Reaches(number, reach.count if reach else 0, side.schedules, side.complete)
