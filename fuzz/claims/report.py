# SPDX-License-Identifier: MIT
"""The report of `vmrace claims`: a table, the story of one claim, a summary, and JSON."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
from vmrace.fuzz.claims.checks import Judged
from vmrace.fuzz.claims.ledger import VERDICTS
from vmrace.fuzz.text.terminal import COLUMNS
from vmrace.fuzz.text.wording import count


def table(judged: list[Judged]) -> Iterator[str]:
    """Write each claim with its verdict and the state of its checks, under the heading of its post."""
    wide = max(len(one.claim.id) for one in judged) + 2
    post = ""
    for one in judged:
        claim = one.claim
        head = f"{claim.where}   {claim.who}, {claim.when}"
        if head != post:
            yield from ([""] if post else [])
            yield head
            post = head
        yield f"  {claim.id:<{wide}}{claim.verdict:<11}{_state(one)}"
        yield from _wrapped(claim.says, 4)
        yield from _wrong(one)


def _state(one: Judged) -> str:
    if not one.results:
        return "no check"
    right = sum(result.holds for result in one.results)
    checks = count(len(one.results), "check")
    if right == len(one.results):
        return checks
    return f"{'CHANGED' if any(result.changed for result in one.results) else 'NOT DONE'}: {len(one.results) - right} of {checks}"


def _wrong(one: Judged) -> Iterator[str]:
    for result in one.results:
        if not result.holds:
            yield from _wrapped(result.check.description, 4)
            yield from _wrapped(f"expected  {result.check.wanted}", 6, 10)
            yield from _wrapped(f"found     {result.found}{': ' + result.detail if result.detail else ''}", 6, 10)


def story(one: Judged) -> Iterator[str]:
    """Write the full report on one claim."""
    claim = one.claim
    yield f"{claim.id}: {claim.verdict}"
    yield f"{claim.where}   {claim.who}, {claim.when}"
    yield ""
    for label, text in (("claims", claim.says), ("why", claim.why), ("would decide", claim.would_decide)):
        if text:
            yield from _wrapped(f"{label:<14}{text}", 0, 14)
    for result in one.results:
        yield ""
        yield from _wrapped(result.check.description, 2)
        yield from _wrapped(f"{result.found}{f' ({result.detail})' if result.detail else ''}", 4)
        if not result.holds:
            yield from _wrapped(f"{'CHANGED' if result.changed else 'NOT DONE'}: expected {result.check.wanted}", 4)


def _wrapped(text: str, indent: int, more: int = 0) -> list[str]:
    return textwrap.wrap(text, COLUMNS, initial_indent=" " * indent, subsequent_indent=" " * (indent + more), break_on_hyphens=False,
                         break_long_words=False)


def counts(judged: list[Judged]) -> dict[str, int]:
    """Count the claims by verdict, the checks without duplicates, the changed ones, and those that could not be done."""
    kinds = Counter(one.claim.verdict for one in judged)
    results = {result.check: result for one in judged for result in one.results}
    return {"claims": len(judged), **{name: kinds[name] for name in VERDICTS if kinds[name]}, "checks": len(results),
            "changed": sum(result.changed for result in results.values()),
            "not_done": sum(not result.holds and not result.changed for result in results.values())}


def code(judged: list[Judged]) -> int:
    """Return the exit code: 1 if the result of a check has changed, 3 if a check could not be done, else 0."""
    results = [result for one in judged for result in one.results]
    return 1 if any(result.changed for result in results) else 3 if not all(result.holds for result in results) else 0


def summary(judged: list[Judged], seconds: float) -> str:
    """Write the last line, with the exit code."""
    number = counts(judged)
    parts = [f"{number[name]} {text}" for name, text in (("changed", "changed"), ("not_done", "not done")) if number[name]]
    state = ", ".join(parts) or "all as the ledger says"
    verdicts = ", ".join(f"{number[name]} {name}" for name in VERDICTS if name in number)
    checks = count(number["checks"], "check")
    return f"{count(len(judged), 'claim')}: {verdicts}; {checks}, {state}   ({seconds:.1f} s, exit {code(judged)})"


def as_json(one: Judged) -> dict[str, Any]:
    """Return the report on one claim as a JSON object."""
    claim = msgspec.to_builtins(one.claim)
    claim["tests"] = [{"command": result.check.description, "expect": result.check.wanted, "found": result.found, "detail": result.detail,
                       "holds": result.holds} for result in one.results]
    return {**claim, "changed": not one.holds}
