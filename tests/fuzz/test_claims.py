# SPDX-License-Identifier: MIT
"""The ledger of claims can be read, its checks have the verdicts that it states, and a check with another verdict is reported."""

from __future__ import annotations

import importlib.util
import pathlib
import re
from typing import Any

import pytest
from click.testing import CliRunner, Result
from vmrace.fuzz.claims import checks as claims
from vmrace.fuzz.claims import ledger as ledgers
from vmrace.fuzz.claims import report
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.entry import LEDGER, find, load

from tests.documents import document

ROOT = pathlib.Path(__file__).parents[2]
CORPUS = ROOT / "corpus"
CLAIMS = ledgers.read(CORPUS)
RUNNER = claims.Runner(CORPUS, main)
COSTS = importlib.util.find_spec("vmrace.fuzz.measure.cost") is not None

# The verdict of an entry is judged by the entry's own test (fuzz/testing/items.py); that the ledger expects the same is a test below.
QUICK = list(dict.fromkeys(check for claim in CLAIMS for check in claim.tests if not check.entry
                           and not (check.kind in ("cost", "chain") and not COSTS)))
ONE = """format = 1

[[claim]]
id = "one"
who = "A"
when = "1 Jan 2000"
where = "seed 000"
says = "It is so."
tests = [
  { verify = "4b95baf5", variant = "pre_patch", expect = "proved in 1" },
]
verdict = "holds"
why = "It was run."
"""


def vmrace(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def ledger(tmp_path: pathlib.Path) -> pathlib.Path:
    """Write a corpus with one entry and one claim that rests on it."""
    entry = next(path for path in find(CORPUS) if "4b95baf5" in path.name)
    (tmp_path / entry.name).write_text(entry.read_text())
    (tmp_path / LEDGER).write_text(ONE)
    return tmp_path


def changed(corpus: pathlib.Path, old: str, new: str) -> None:
    assert old in ONE
    (corpus / LEDGER).write_text(ONE.replace(old, new))


def judged(check: claims.Check) -> Any:
    """Return the check as a parameter; a proof runs all schedules, so it is in the long tier."""
    marks = [pytest.mark.long] if check.expect.startswith("proved") else []
    return pytest.param(check, marks=marks, id=f"{check.description} = {check.expect}"[:100])


@pytest.mark.long
@pytest.mark.parametrize("check", [judged(check) for check in QUICK])
def test_each_check_has_the_verdict_that_the_ledger_states(check: claims.Check) -> None:
    result = RUNNER.repeat(check)
    assert result.holds, f"{result.check.description}: expected {check.expect!r}, found {result.found!r} {result.detail}"


@pytest.mark.parametrize("check", [check for claim in CLAIMS for check in claim.tests if check.entry])
def test_a_check_of_an_entry_expects_what_the_entry_expects(check: claims.Check) -> None:
    entry = load(next(path for path in find(CORPUS) if check.entry in path.name))
    assert check.fits(str(entry.expect[check.variant])), entry.path


def test_the_ledger_is_written_as_its_printer_writes_it() -> None:
    text = (CORPUS / LEDGER).read_text()
    comment = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    assert ledgers.emit(CLAIMS, comment) == text


def test_the_counts_in_the_reason_of_a_claim_are_those_of_a_check() -> None:
    for claim in CLAIMS:
        expected = " ".join(check.expect for check in claim.tests)
        for share in re.findall(r"\b\d+ of \d+\b", claim.why):
            if share == "20 of 20":                 # a verdict BUG means 20 of 20 replays
                assert any(check.entry and check.expect.startswith("BUG") for check in claim.tests), claim.id
            else:
                few, _, many = share.partition(" of ")
                assert share in expected or (few == many and f"proved in {many}" in expected), f"{claim.id}: {share}"


def test_every_seed_has_claims_and_each_undecided_claim_says_what_would_decide_it() -> None:
    assert {"seed 000", "seed 001", "seed 002", "seed 003"} <= {claim.where for claim in CLAIMS}
    assert all(claim.would_decide for claim in CLAIMS if claim.verdict == "undecided")
    assert {claim.verdict for claim in CLAIMS} == set(ledgers.VERDICTS)


def test_the_ledger_of_claims_is_no_entry_of_the_corpus() -> None:
    assert CORPUS / LEDGER not in find(CORPUS)


def test_no_line_of_the_table_or_of_a_story_is_longer_than_100_columns() -> None:
    judged = [claims.Judged(claim, [claims.Result(check, "something else", "found " * 30) for check in claim.tests]) for claim in CLAIMS]
    lines = [*report.table(judged), *(line for one in judged for line in report.story(one)), report.summary(judged, 100.0)]
    assert max(map(len, lines)) <= 100, max(lines, key=len)


# ---- the command -----------------------------------------------------------------------------------------------------------

def test_a_ledger_whose_checks_hold_exits_0(ledger: pathlib.Path) -> None:
    result = vmrace("claims", "--corpus", ledger)
    assert result.exit_code == 0, result.output
    assert "1 claim: 1 holds; 1 check, all as the ledger says" in result.stdout


def test_a_changed_verdict_is_reported_and_exits_1(ledger: pathlib.Path) -> None:
    changed(ledger, "proved in 1", "proved in 2")
    result = vmrace("claims", "--corpus", ledger)
    assert result.exit_code == 1
    assert "CHANGED: 1 of 1 check" in result.stdout
    assert "expected  proved in 2" in result.stdout
    assert "found     proved in 1" in result.stdout
    assert "vmrace verify 4b95baf5 --variant pre_patch" in result.stdout


def test_a_title_that_begins_with_bug_prints_the_word_once() -> None:
    check = claims.Check(expect="BUG BUG at a.c:1 in f in 1 of 2", verify="x", variant="v")
    told = claims.Judged(CLAIMS[0], [claims.Result(check, "BUG double free in f in 1 of 2")])
    assert "      expected  BUG at a.c:1 in f in 1 of 2" in list(report.table([told]))
    assert claims.Result(check, "BUG at a.c:1 in f in 1 of 2, least preemptions 0").holds
    assert check.expect.startswith("BUG BUG")


@pytest.mark.long
def test_counts_that_a_claim_leaves_out_may_change(ledger: pathlib.Path) -> None:
    changed(ledger, "proved in 1", "proved")
    assert vmrace("claims", "--corpus", ledger).exit_code == 0
    changed(ledger, "proved in 1", "prove")
    assert vmrace("claims", "--corpus", ledger).exit_code == 1


def test_a_command_in_the_ledger_is_checked_by_its_exit_code(ledger: pathlib.Path) -> None:
    check = '{ verify = "4b95baf5", variant = "pre_patch", expect = "proved in 1" }'
    for expect, code in (("exit 0", 0), ("exit 1", 1)):
        changed(ledger, check, f'{{ command = "vmrace corpus --corpus {ledger}", expect = "{expect}" }}')
        assert vmrace("claims", "--corpus", ledger).exit_code == code


def test_a_claim_named_by_its_id_is_printed_in_full(ledger: pathlib.Path) -> None:
    result = vmrace("claims", "one", "--corpus", ledger)
    assert result.exit_code == 0
    for text in ("one: holds", "seed 000   A, 1 Jan 2000", "It is so.", "It was run.", "proved in 1"):
        assert text in result.stdout


def test_json_has_the_claims_and_a_summary(ledger: pathlib.Path) -> None:
    changed(ledger, "proved in 1", "proved in 2")
    result = vmrace("claims", "--json", "--corpus", ledger)
    told = document(result.stdout, "claims")
    one, = told["claims"]
    assert (one["id"], one["changed"], one["tests"][0]["found"]) == ("one", True, "proved in 1")
    assert told["summary"] == {"claims": 1, "holds": 1, "checks": 1, "changed": 1, "not_done": 0}
    assert result.exit_code == told["exit"] == 1


def test_an_unknown_claim_is_refused_with_the_nearest_name(ledger: pathlib.Path) -> None:
    result = vmrace("claims", "onne", "--corpus", ledger)
    assert (result.exit_code, result.stderr) == (2, "vmrace: no claim 'onne'. Did you mean one?\n")


@pytest.mark.parametrize("old, new, words", [
    ("format = 1", "format = 2", ("format: 2, this vmrace reads 1",)),
    ("format = 1", "format = ", ("not TOML",)),
    ('id = "one"', 'id = "One!"', ("id: 'One!'",)),
    ('who = "A"', 'whom = "A"', ("claim one", "unknown field 'whom'. Did you mean who?")),
    ('who = "A"', "", ("claim one", "who")),
    ('who = "A"', 'who = ""', ("claim one: who: empty",)),
    ('verdict = "holds"', 'verdict = "hold"', ("verdict: 'hold'", "Did you mean holds?")),
    ('verdict = "holds"', 'verdict = "undecided"', ("would_decide",)),
    ("verify =", "verfy =", ("tests[0]", "verfy")),
    ("verify =", 'entry = "x", verify =', ("tests[0]: only one of entry, verify",)),
    ('variant = "pre_patch"', 'variant = "pre_pach"', ("tests[0]: no variant 'pre_pach'", "Did you mean pre_patch?")),
    ('variant = "pre_patch", ', "", ("tests[0]: verify needs variant",)),
    ('"4b95baf5"', '"4b95baf6"', ("tests[0]: no entry '4b95baf6'",)),
    ('"proved in 1"', '""', ("tests[0]: expect: empty",)),
    ('verify = "4b95baf5"', 'command = "rm -r"', ("tests[0]: command has no variant",)),
    ('verify = "4b95baf5"', 'program = ["irq_pot k0"]', ("tests[0]",)),
    ('verify = "4b95baf5"', 'chain = "x"', ("chain",)),
])
def test_a_ledger_that_cannot_be_used_gives_one_line_with_the_file_and_the_place(
        old: str, new: str, words: tuple[str, ...], ledger: pathlib.Path) -> None:
    changed(ledger, old, new)
    result = vmrace("claims", "--corpus", ledger)
    assert result.exit_code == 3, result.output
    line, = result.stderr.splitlines()
    assert line.startswith(f"vmrace: {ledger / LEDGER}: ")
    for word in words:
        assert word in line


def test_a_corpus_without_a_ledger_gives_one_line(tmp_path: pathlib.Path) -> None:
    result = vmrace("claims", "--corpus", tmp_path)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == f"vmrace: {tmp_path / LEDGER}: cannot be read: No such file or directory\n"
