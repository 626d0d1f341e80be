# SPDX-License-Identifier: MIT
"""The verdict of an exploration, its comparison with the expected one, and the report of `vmrace verify`."""

from __future__ import annotations

import json
import shlex
import textwrap
from typing import Any

from vmrace.fuzz.corpus.verdict import Verdict, Word, bug
from vmrace.fuzz.text.document import reason_of
from vmrace.fuzz.text.terminal import COLUMNS
from vmrace.fuzz.text.wording import count
from vmrace.fuzz.verify import reasons
from vmrace.fuzz.verify.subject import Subject
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.finding import is_of_one_run
from vmrace.harness.incomplete import broke
from vmrace.harness.sanitizers import table

SECONDS_MAX = 60.0          # default time limit for each exploration


# ---- verdicts ----------------------------------------------------------------------------------------------------------

EXPECTED, CHANGED, UNDECIDED = "as expected", "changed", "undecided"


def verdict(found: Exploration) -> Verdict:
    """Return BUG with the title that needs the fewest preemptions, else proved if the exploration is complete, else inconclusive."""
    worst = _worst(found)
    return bug(worst) if worst else Verdict(Word.PROVED) if found.complete else Verdict(Word.INCONCLUSIVE, why=found.why)


def _worst(found: Exploration) -> str:
    """Return the title that needs the fewest preemptions, or an empty text."""
    return min(found.titles, key=lambda title: (found.fewest(title).preemptions, title), default="")


def judge(found: Exploration, expect: Verdict | None) -> tuple[str, str]:
    """Compare an exploration with the verdict that an entry expects; without one, no title may be found.

    Returns EXPECTED, CHANGED or UNDECIDED, and a line of explanation or an empty text. A bounded exploration without the expected title
    is as expected, because the title may need more preemptions.
    """
    if expect is None or expect.word is not Word.BUG:
        state = CHANGED if found.titles else EXPECTED if found.complete else UNDECIDED
    elif expect.title in found.titles:
        state = EXPECTED
    elif not found.complete:
        return UNDECIDED, f"Expected, and not seen so far: {expect}"
    elif found.bound is not None:
        state = EXPECTED
    elif is_of_one_run(expect.title):
        return UNDECIDED, f"Expected, and not looked for by verify (vmrace replay looks for it): {expect}"
    else:
        state = CHANGED
    if state is CHANGED and expect is not None:
        return state, f"Another verdict is expected: {expect}"
    if state is EXPECTED and broke(found.why):      # the lost runs may have had any finding
        return UNDECIDED, "As expected so far, but some runs were lost: they may have had other findings."
    return state, ""


def told(subject: Subject, found: Exploration) -> list[str]:
    """Write the report of an exploration: the verdict, its counts, and its limits."""
    bound = "no preemption bound" if found.bound is None else f"at most {count(found.bound, 'preemption')}"
    lines = []
    assert not (found.proved and found.titles), f"proved, although {found.titles} were found"
    assert not found.complete or found.why is None, f"complete, although {found.why}"
    runs = f"{count(found.classes, 'inequivalent schedule')} run ({found.way}), {found.blocked:,} blocked, {found.seconds:.2f} s"
    if found.proved:
        lines.append(f"proved: {runs}" if found.bound is not None else f"proved: {found.classes:,} of {runs}")
    elif not found.titles:
        lines += [f"inconclusive: {found.why}", *([f"  {runs}"] if found.classes else [])]
    for title in sorted(found.titles, key=lambda title: (found.fewest(title).preemptions, title)):
        share = f"{found.classes_with(title):,} of {count(found.classes, 'class of schedules')}"
        lines.append(str(bug(title)))
        fewest = found.fewest(title)
        lines.append(f"  in {share}; least preemptions: {fewest.preemptions}{'' if fewest.least else ' or fewer'}")
    if found.titles:
        lines.append(f"  {runs}" + ("" if found.complete else f"; not all: {found.why}"))
    lines += textwrap.wrap(reasons.hint(found.why), COLUMNS, initial_indent="  ", subsequent_indent="  ")
    lines += [f"  {subject.facts}, {bound}", f"  {table.summary(subject.kind)}"]
    lines += textwrap.wrap(f"not judged: {'; '.join(sorted(found.left_open))}", COLUMNS, initial_indent="  ",
                           subsequent_indent="  ") if found.left_open else []
    if found.titles and subject.kind == "functions":
        args = "".join(f" --arg {shlex.quote(arg)}" for arg in json.loads(subject.identity["args"]))
        lines.append(f"next: vmrace fuzz {subject.identity['functions']}{args}")
    lines.append("This says nothing about other programs, weaker memory orderings or more cpus.")
    return lines


def as_json(subject: Subject, found: Exploration) -> dict[str, Any]:
    """Return the report as a JSON object."""
    return {"subject": subject.name, "verdict": str(verdict(found)), "classes": found.classes, "executions": found.classes,
            "blocked": found.blocked, "complete": found.complete, "why": str(found.why or ""),
            "reason": reason_of(found.why), "hint": reasons.hint(found.why),
            "bound": found.bound, "way": found.way, "digest": found.digest, "seconds": round(found.seconds, 3),
            "sanitizers": table.on(subject.kind), "not_judged": sorted(found.left_open),
            "titles": {title: {"classes": found.classes_with(title), "preemptions": found.fewest(title).preemptions,
                               "least": found.fewest(title).least}
                       for title in found.titles}}
