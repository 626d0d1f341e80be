# SPDX-License-Identifier: MIT
"""coverage.py's own reports on a variant: pages of HTML, LCOV and Cobertura's XML, for people, editors and CI services.

The pages say of each line whether the replay of the corpus or the campaign has reached it. Left out are functions that a later module of
the variant defines again, unless the variant has a function of that name in another file as well, and lines that are only a BUG().
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vmrace.fuzz.measure.functions_of import functions_in

if TYPE_CHECKING:
    import coverage

REPLAY, CAMPAIGN = "replay of the corpus", "campaign"       # the contexts in which lines are reached
BUGS = r"^[ \t]*BUG\("      # no \s: coverage.py searches the whole file, and the match would begin on the `if` above


def write_reports(tracer: coverage.Coverage, variant: str, functions: Mapping[pathlib.Path, Mapping[str, Any]],
                  into: pathlib.Path) -> list[str]:
    """Write `into`/FAMILY/VARIANT/html/, coverage.lcov and coverage.xml. Returns the paths. `functions`: those that are counted, by file.

    Raises OSError, with the name of the file, if a report cannot be written.
    """
    place = into / variant
    place.mkdir(parents=True, exist_ok=True)
    for pattern in _excluded(functions):
        tracer.exclude(pattern)
    pages, lcov, xml = place / "html", place / "coverage.lcov", place / "coverage.xml"
    tracer.html_report(directory=str(pages), title=f"vmrace coverage: {variant}", show_contexts=True)
    tracer.lcov_report(outfile=str(lcov))
    tracer.xml_report(outfile=str(xml))
    return [str(pages / "index.html"), str(lcov), str(xml)]


def _excluded(functions: Mapping[pathlib.Path, Mapping[str, Any]]) -> list[str]:
    """Return the patterns of the lines that are left out; coverage.py leaves out the whole function if its first line fits."""
    counted = {name for inside in functions.values() for name in inside}
    others = {name for path in functions for name in functions_in(path)} - counted
    return [BUGS, *([rf"^def ({'|'.join(map(re.escape, sorted(others)))})\("] if others else [])]
