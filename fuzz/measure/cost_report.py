# SPDX-License-Identifier: MIT
"""The report of `vmrace cost`: the sums of each variant side by side, the differences, and with --details each operation."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from vmrace.fuzz.measure.cost import ERRORS, Chain, Mean, Measured, Spread
from vmrace.fuzz.measure.meter import COLUMNS
from vmrace.fuzz.text.terminal import COLUMNS as PAGE_WIDTH
from vmrace.fuzz.text.wording import count

NAME = 26                   # columns for the name of a variant
HEADS = {"barriers": "barr", "foreign": "f.store", "foreign_loads": "f.load"}       # of columns whose names are long
WIDTHS = {"points": 7, "rmw": 6, "loads": 6, "barriers": 5, "lines": 6, "locks": 6, "foreign": 8}
SHOWN = (1, 2, 4, 8)        # numbers of faults in the summary
MEANS = (("alone", "alone"), ("twin", "beside its twin on another cpu"), ("partner", "beside an operation that interferes"))


def _cells(values: dict[str, str]) -> str:
    return "".join(f"{values.get(column, ''):>{WIDTHS.get(column, 7)}}" for column in COLUMNS).rstrip()


def heads() -> str:
    """Return the heads of the columns."""
    return _cells({column: HEADS.get(column, column) for column in COLUMNS})


def _number(value: float, whole: bool) -> str:
    return f"{value:.0f}" if whole else f"{value:.2f}"


# ---- the first screen --------------------------------------------------------------------------------------------------

class Sum:
    """The sums of one kind of mean over situations, on one variant. `runs` is the number of runs of each."""

    def __init__(self, means: Sequence[Mean]):
        self.means = means
        self.runs = means[0].runs

    def of(self, name: str) -> float:
        """Return the sum of a count."""
        return float(sum(mean.of(name) for mean in self.means))

    def error(self, name: str) -> float:
        """Return the standard error of the sum."""
        return math.sqrt(sum(mean.error(name) ** 2 for mean in self.means))

    def under(self, lock: str) -> str:
        """Write the points under a lock, and its acquisitions: `8/1`."""
        return f"{sum(mean.under[lock] for mean in self.means)}/{sum(mean.taken[lock] for mean in self.means)}"

    def locks(self) -> set[str]:
        """Name the locks that were acquired."""
        return {lock for mean in self.means for lock in mean.taken}


def sums(all_measured: Sequence[Sequence[Measured]], which: str) -> tuple[dict[str, Sum], list[Measured]]:
    """Return the sums of each variant over the situations that all variants have and in which no run ended in a finding; and the
    measurements that this leaves out because of a finding."""
    means: dict[str, list[Mean]] = {}
    failed: list[Measured] = []
    for measured in all_measured:
        row = [(one, getattr(one, which)) for one in measured if getattr(one, which) is not None]
        if len(row) < len(measured):
            continue
        failed += [one for one, mean in row if mean.failed]
        if all(not mean.failed for _, mean in row):
            for one, mean in row:
                means.setdefault(one.variant, []).append(mean)
    return {variant: Sum(some) for variant, some in means.items()}, failed


def summary(all_measured: Sequence[Sequence[Measured]], seed: int) -> Iterator[str]:
    """Write the table of sums: for each kind of mean, a row for each variant, and its difference from the first."""
    yield f"  {'':<{NAME}}{heads()}"
    for which, title in MEANS:
        each, failed = sums(all_measured, which)
        whole = which == "alone"
        if each:
            base = next(iter(each.values()))
            how = "one run each" if whole else f"means of {count(base.runs, 'schedule')} each, seed {seed}"
            yield f"{title}: sum over {count(len(base.means), 'situation')}, {how}"
            for variant, total in each.items():
                yield f"  {variant:<{NAME}}{_cells({name: _sum(total.of(name), whole) for name in COLUMNS})}"
                if total is not base:
                    yield f"  {'  difference':<{NAME}}{_cells({name: _difference(base, total, name, whole) for name in COLUMNS})}"
        elif whole:
            yield "no situation that all these variants have, with a run without a finding: see --details"
        for one in failed:
            mean = getattr(one, which)
            yield from _wrapped(f"  without {one.situation.operation} ({one.situation.what}): {mean.failed} of "
                                f"{count(mean.runs, 'run')} of {one.variant} ended in a finding")
    yield from _lock_sums(sums(all_measured, "alone")[0])


def _lock_sums(each: dict[str, Sum]) -> Iterator[str]:
    """Write the points under each lock, and its acquisitions, alone, where the variants differ."""
    locks = sorted({lock for total in each.values() for lock in total.locks()})
    differing = [lock for lock in locks if len({total.under(lock) for total in each.values()}) > 1]
    if differing:
        yield "points under each lock / acquisitions, alone, the same sums, where they differ"
        yield from (f"  {lock:<{NAME + 6}}" + " -> ".join(total.under(lock) for total in each.values()) for lock in differing)


def _sum(value: float, whole: bool) -> str:
    return f"{value:.0f}" if whole or value >= 1000 else f"{value:.1f}"


def _difference(base: Sum | Mean, other: Sum | Mean, name: str, whole: bool) -> str:
    """Write a difference: "=" if there is none, "~" if it is less than ERRORS of its standard errors."""
    difference = other.of(name) - base.of(name)
    if not round(difference, 9):
        return "="
    if whole:
        return f"{difference:+.0f}"
    if abs(difference) <= ERRORS * (base.error(name) ** 2 + other.error(name) ** 2) ** 0.5:
        return "~"
    return f"{difference:+.1f}" if isinstance(base, Sum) else f"{difference:+.2f}"


def chain_summary(all_chains: Sequence[Sequence[Chain]]) -> Iterator[str]:
    """Write the longest chains of some numbers of faults, with their quartiles and the number of runs."""
    yield ""
    yield "n faults at once on one cached file page: longest chain of points by locks and wake-ups"
    shown = [[chain for chain in some if chain.faults in SHOWN] for some in all_chains]
    yield f"  {'median (quartiles)':<{NAME}}" + "".join(f"{f'n = {chain.faults}':>16}" for chain in shown[0]) + f"{'runs':>8}"
    for some in shown:
        runs = sorted({chain.counted for chain in some})
        yield (f"  {some[0].variant:<{NAME}}" + "".join(f"{_median(chain):>16}" for chain in some)
               + f"{'..'.join(map(str, runs[:1] + runs[1:][-1:])):>8}")


def _median(chain: Chain) -> str:
    one = chain.chain_spread
    return f"{_short(one.median)} ({_short(one.lower)}..{_short(one.upper)})" if chain.counted else "-"


def _short(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def legend() -> Iterator[str]:
    """Explain the columns."""
    text = ("Counts, not times. waited: locks that it had to wait for, or had tried in vain. sleeps: times that it slept. lines: kernel "
            "objects written, each counted as one cache line. f.store: stores, RMWs, acquisitions and releases on a line last written by "
            "another cpu; f.load: loads of a line that another cpu has written since this cpu last had it. rmw, loads and stores do not "
            "count those of locks. Not counted: the MMU, the disk, fields that are private or constant. Difference: =, none; ~, less than "
            f"{ERRORS:g} standard errors.")
    yield ""
    yield from textwrap.wrap(text, PAGE_WIDTH)


# ---- details -----------------------------------------------------------------------------------------------------------

def _row(name: str, mean: Mean | None, whole: bool) -> list[str]:
    if mean is None:
        return [f"  {name:<{NAME}} n/a"]
    if not mean.operations:
        return [f"  {name:<{NAME}} every run ended in a finding"]
    out = [f"  {name:<{NAME}}{_cells({column: _number(mean.of(column), whole) for column in COLUMNS})}"]
    if mean.failed:
        out.append(f"    left out: {mean.failed} of {count(mean.runs, 'run')}, which ended in a finding")
    return out


def _locks(name: str, mean: Mean, whole: bool) -> list[str]:
    """Write `pagemap_lru_lock 8/1` for a lock with 8 points under it and 1 acquisition."""
    each = max(1, mean.operations)
    names = sorted(mean.taken, key=lambda lock: (-mean.under[lock], lock))
    cells = [f"{lock} {_number(mean.under[lock] / each, whole)}/{_number(mean.taken[lock] / each, whole)}"
             + (f" ({_number(mean.waited_for[lock] / each, whole)} waited)" if mean.waited_for[lock] else "") for lock in names]
    text = ", ".join(one.replace(" ", "~") for one in cells) or "no lock"
    wrapped = textwrap.wrap(text, PAGE_WIDTH, initial_indent=f"  {name:<{NAME}} ", subsequent_indent=" " * (3 + NAME),
                            break_on_hyphens=False, break_long_words=False)
    return [line.replace("~", " ") for line in wrapped]


def table(measured: Sequence[Measured]) -> Iterator[str]:
    """Write the table of one situation on several variants."""
    assert len({one.situation for one in measured}) == 1, "a table compares variants in one situation"
    situation = measured[0].situation
    yield from _wrapped(f"{situation.operation}   {situation.what}   (after {'; '.join(situation.setup) or 'boot'})")
    kinds = (("alone", "alone", True), ("twin", f"beside {situation.twin}: both", False),
             ("partner", f"beside {situation.partner}", False))
    for which, head, whole in kinds:
        means: list[tuple[str, Mean | None]] = [(one.variant, getattr(one, which)) for one in measured]
        if all(mean is None for _, mean in means):
            continue
        yield f"  {head:<{NAME}}{heads()}" if len(head) <= NAME else f"  {head}"
        if len(head) > NAME:
            yield f"  {'':<{NAME}}{heads()}"
        for name, mean in means:
            yield from _row(name, mean, whole)
        yield "  under each lock: points/acquisitions"
        for name, mean in means:
            if mean is not None and mean.operations:
                yield from _locks(name, mean, whole)
    yield ""


def chains(all_chains: Sequence[Sequence[Chain]], seed: int) -> Iterator[str]:
    """Write the table of n faults on one page: for each variant and kind of chain, the medians, and the quartiles below them."""
    first = all_chains[0]
    yield f"n faults at once on one cached file page, each on its own cpu: {count(first[0].runs, 'schedule')}, seed {seed}"
    yield f"  {'n':<{NAME + 2}}" + "".join(f"{chain.faults:>8}" for chain in first)
    yield "  points of one fault, mean"
    for some in all_chains:
        yield _of_each(some[0].variant, some, [f"{chain.points:.1f}" for chain in some])
    for title, kind in (("by locks and wake-ups", "chain_spread"), ("cache lines too", "line_chain_spread")):
        yield f"  longest chain, {title}: median, and lower-upper quartile below it"
        for some in all_chains:
            spreads: list[Spread] = [getattr(chain, kind) for chain in some]
            yield _of_each(some[0].variant, some, [_short(one.median) for one in spreads])
            yield _of_each("", some, [f"{one.lower:.0f}-{one.upper:.0f}" for one in spreads])
    yield "  runs counted, which are those without a finding"
    for some in all_chains:
        yield f"    {some[0].variant:<{NAME}}" + "".join(f"{chain.counted:>8}" for chain in some)
    yield ""


def _of_each(name: str, some: Sequence[Chain], cells: Sequence[str]) -> str:
    return f"    {name:<{NAME}}" + "".join(f"{cell if chain.counted else '-':>8}" for cell, chain in zip(cells, some, strict=True)).rstrip()


# ---- differences -------------------------------------------------------------------------------------------------------

def differences(all_measured: Sequence[Sequence[Measured]]) -> Iterator[str]:
    """Write, for each variant but the first, the situations in which its counts differ. Those beside another cpu differ if the difference
    of the means is more than ERRORS times its standard error. They are not compared if runs were left out, because the remaining runs
    are not the same."""
    for number in range(1, len(all_measured[0]) if all_measured else 0):
        base, other = all_measured[0][0].variant, all_measured[0][number].variant
        yield ""
        yield f"{other} minus {base}, by situation"
        yield f"  {'':<{NAME}}{heads()}"
        same, not_compared = [], []
        for measured in all_measured:
            mine, theirs, situation = measured[0], measured[number], measured[0].situation
            label = f"{situation.operation} ({situation.what})"
            rows, failed = _differing(mine, theirs)
            not_compared += [f"{situation.operation} {text}" for text in failed]
            if mine.alone is None or theirs.alone is None:
                continue
            if rows and not rows[0][0]:
                yield f"  {_cut(label)}{rows.pop(0)[1]}"
            elif rows:
                yield f"  {label}"
            elif not failed:
                same.append(label)
            yield from (f"  {_cut('  ' + title)}{cells}" for title, cells in rows)
        if same:
            yield from _wrapped(f"  the same in: {'; '.join(same)}")
        if not_compared:
            yield from _wrapped(f"  not compared: {'; '.join(not_compared)}")


def _differing(base: Measured, other: Measured) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the rows of one situation in which two variants differ, with the title "" for the operation alone; and the kinds of mean that
    are not compared because of findings."""
    rows, failed = [], []
    for which, title in (("alone", ""), ("twin", f"beside {base.situation.twin}"), ("partner", f"beside {base.situation.partner}")):
        mine, theirs = getattr(base, which), getattr(other, which)
        if mine is None or theirs is None:
            continue
        if mine.failed or theirs.failed:
            failed.append(f"{title or 'alone'} ({mine.failed} and {theirs.failed} of {count(mine.runs, 'run')} ended in a finding)")
            continue
        names = COLUMNS if which == "alone" else ("waited", "sleeps", "foreign", "foreign_loads")
        cells = {name: _difference(mine, theirs, name, which == "alone") for name in names}
        cells = {name: cell for name, cell in cells.items() if cell not in "=~"}
        if cells:
            rows.append((title, _cells(cells)))
    return rows, failed


def _cut(label: str) -> str:
    return f"{label if len(label) < NAME else label[:NAME - 3] + '..':<{NAME}}"


def _wrapped(text: str) -> list[str]:
    indent = "  " * text.startswith("  ")
    return textwrap.wrap(text.strip(), PAGE_WIDTH, initial_indent=indent, subsequent_indent=indent + "    ", break_on_hyphens=False)


# ---- JSON --------------------------------------------------------------------------------------------------------------

def measured_as_json(measured: Measured) -> dict[str, Any]:
    """Return the means of a situation as a JSON object."""
    situation = measured.situation
    out: dict[str, Any] = {"variant": measured.variant, **asdict(situation)}
    out["beside_twin"], out["beside_partner"] = (mean.told() if mean is not None else None for mean in (measured.twin, measured.partner))
    out["alone"] = measured.alone.told() if measured.alone is not None else None
    return out


def summary_as_json(all_measured: Sequence[Sequence[Measured]]) -> list[dict[str, Any]]:
    """Return the sums of each variant as JSON objects."""
    out = []
    for which, key in (("alone", "alone"), ("twin", "beside_twin"), ("partner", "beside_partner")):
        each, failed = sums(all_measured, which)
        out += [{"variant": variant, "of": key, "situations": len(total.means), "runs": total.runs,
                 "left_out": [one.situation.operation for one in failed if one.variant == variant],
                 **{name: round(total.of(name), 3) for name in COLUMNS}} for variant, total in each.items()]
    return out
