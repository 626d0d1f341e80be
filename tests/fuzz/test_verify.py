# SPDX-License-Identifier: MIT
"""vmrace verify claims a proof only after every class has run, and checks a certificate by a new exploration."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from click.testing import CliRunner
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.entry import load
from vmrace.fuzz.corpus.verdict import Verdict, Word, bug
from vmrace.fuzz.run.exhaustive import Reached
from vmrace.fuzz.verify import certificate
from vmrace.fuzz.verify import report as verify
from vmrace.fuzz.verify import subject as subjects
from vmrace.harness.explore import optimal
from vmrace.harness.explore.exploration import Exploration, Seen
from vmrace.harness.functions.program import Program
from vmrace.harness.functions.verify import verify as verify_program
from vmrace.harness.incomplete import Incomplete, Reason
from vmrace.harness.kernel.cell import cell

from tests.documents import document
from tests.programs import lastzero, leaving, readers

ROOT = pathlib.Path(__file__).parent.parent.parent
CERTIFICATES = sorted((ROOT / "corpus").rglob("*.proof.json"))
SMALL = "f1738244"
READERS, LOST_UPDATE, REORDER = (f"tests.programs.{name}:make" for name in ("readers", "lost_update", "reorder"))
TITLE = "BUG at mm/page_alloc.c:95 in __free_pages_ok"


def command(*args: str) -> Any:
    return CliRunner().invoke(main, ["verify", *args])


@pytest.mark.long
@pytest.mark.parametrize("path", CERTIFICATES, ids=lambda path: path.name.removesuffix(".proof.json")[-40:])
def test_every_kept_certificate_still_holds(path: pathlib.Path) -> None:
    checked = certificate.check(path)
    assert not checked.wrong
    assert checked.plain is not False


def test_certificates_are_kept_and_a_plain_enumeration_confirms_some_of_them() -> None:
    assert len(CERTIFICATES) >= 4
    assert any(certificate.check(path).plain for path in CERTIFICATES if SMALL in path.name)


@pytest.mark.parametrize("limits", [{"runs": 10}, {"seconds": 0.0}])
def test_an_exhausted_budget_is_never_a_proof(limits: dict[str, Any]) -> None:
    found = verify_program(lastzero.make, 5, **limits)
    assert not found.proved
    assert verify.verdict(found).word is Word.INCONCLUSIVE
    assert verify_program(lastzero.make, 5).proved


def test_a_run_that_is_too_long_is_never_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimal, "EVENTS_MAX", 5)
    found = verify_program(lastzero.make, 5)
    assert not found.proved
    assert "points" in str(found.why)


def test_a_task_that_yields_too_often_is_never_a_proof() -> None:
    from vmrace.harness.kernel import yield_cpu

    def make() -> Program:
        flag, rounds = cell("flag", value=0), cell("rounds", value=0)

        def waits() -> None:
            while not flag.value:
                rounds.value = rounds.value + 1         # so the loop does more than wait
                yield_cpu()

        def sets() -> None:
            flag.value = 1

        return Program([waits, sets])

    found = verify_program(make)
    assert found.cut and not found.proved
    assert "yields more than" in str(found.why)


def test_an_incomplete_exploration_gets_no_certificate(tmp_path: pathlib.Path) -> None:
    subject = subjects.of_functions("tests.programs.readers:make", ("3",))
    with pytest.raises(subjects.VerifyError, match="no certificate"):
        certificate.write_certificate(tmp_path / "x.json", subject, subject.explore(runs_max=2))


def test_a_certificate_of_another_result_does_not_hold(tmp_path: pathlib.Path) -> None:
    subject = subjects.of_functions("tests.programs.readers:make", ("3",))
    path = tmp_path / "readers.proof.json"
    certificate.write_certificate(path, subject, subject.explore())
    assert not certificate.check(path, READERS).wrong
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "vmrace": "0"}))
    assert certificate.check(path, READERS).other == ["vmrace"]
    assert command(READERS, "--check", str(path)).exit_code == 0


OTHERWISE = {"program": "0", "equivalence": "none", "verdict": "BUG x", "complete": False, "executions": 9999, "digest": "0" * 24,
             "titles": {"LEAK: x": 1}}


@pytest.mark.parametrize("field", OTHERWISE)
def test_a_certificate_with_one_changed_field_does_not_hold(field: str, tmp_path: pathlib.Path) -> None:
    subject = subjects.of_functions(READERS, ("3",))
    path = tmp_path / "readers.proof.json"
    path.write_text(json.dumps({**certificate.certificate(subject, subject.explore()), field: OTHERWISE[field]}))
    result = command(READERS, "--check", str(path))
    assert result.exit_code == 1
    assert [line.split(": ")[1] for line in result.output.splitlines() if line.startswith(str(path))] == [field]


def test_a_certificate_names_the_entry_beside_it(tmp_path: pathlib.Path) -> None:
    copy = tmp_path / "mine.toml"
    copy.write_text(next((ROOT / "corpus").rglob(f"*{SMALL}.toml")).read_text())
    assert "wrote" in command(str(copy), "--variant", "pre_patch", "--certify").output
    result = command("--check", str(tmp_path / "mine.pre_patch.proof.json"))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(("text", "error"), [("{", "not JSON"), ("[]", "not a certificate"), ('{"certificate": 99}', "not a certificate")])
def test_a_file_that_is_no_certificate_is_named(tmp_path: pathlib.Path, text: str, error: str) -> None:
    path = tmp_path / "x.proof.json"
    path.write_text(text)
    result = command("--check", str(path))
    assert result.exit_code == 3
    assert str(path) in result.stderr and error in result.stderr


@pytest.mark.parametrize(("change", "error"), [
    ({"bound": [1]}, "bound: [1] is not a whole number"), ({"bound": "2"}, 'bound: "2" is not a whole number'),
    ({"bound": True}, "bound: true is not a whole number"), ({"bound": -1}, "bound: -1, less than 0"),
    ({"executions": -1}, "executions: -1, less than 0"), ({"blocked": None}, "blocked: null is not a whole number"),
    ({"complete": 1}, "complete: 1 is not true or false"), ({"vmrace": None}, "vmrace: null is not a text"),
    ({"titles": []}, "titles: [] is not an object"), ({"more": 1}, "more: unknown field"),
    ({"args": "x"}, 'args: "x" is not a list of texts'), ({"args": "[3]"}, 'args: "[3]" is not a list of texts'),
    ({"args": ["3"]}, 'args: ["3"] is not a text'), ({"functions": None}, "functions: null is not a text"),
    ({"functions": "nosuch:make"}, "no module 'nosuch'"), ({"digest": ""}, 'digest: "" is not 24 hexadecimal digits'),
    ({"digest": "g" * 24}, f'digest: "{"g" * 24}" is not'), ({"digest": "a" * 23}, f'digest: "{"a" * 23}" is not'),
    ({"digest": "A" * 24}, f'digest: "{"A" * 24}" is not'), ({"certificate": True}, "not a certificate of format 1"),
])
def test_an_impossible_field_of_a_certificate_is_named(change: dict[str, Any], error: str, tmp_path: pathlib.Path) -> None:
    subject = subjects.of_functions("tests.programs.readers:make", ("3",))
    path = tmp_path / "readers.proof.json"
    said = {**certificate.certificate(subject, subject.explore()), **change}
    path.write_text(json.dumps(said))
    result = command(said["functions"] or READERS, "--check", str(path))
    assert result.exit_code in (2, 3)
    assert error in result.stderr and result.stderr.count("\n") == 1


def test_a_missing_field_of_a_certificate_is_named(tmp_path: pathlib.Path) -> None:
    subject = subjects.of_functions("tests.programs.readers:make", ("3",))
    said = certificate.certificate(subject, subject.explore())
    path = tmp_path / "readers.proof.json"
    for key in said.keys() - {"certificate", "functions"}:
        path.write_text(json.dumps({name: value for name, value in said.items() if name != key}))
        with pytest.raises(subjects.VerifyError, match=f"{key}: is missing"):
            certificate.check(path)


def test_a_check_of_a_certificate_that_exceeds_its_budget_says_only_that(tmp_path: pathlib.Path) -> None:
    subject = subjects.of_functions("tests.programs.lost_update:make", ("3",))
    path = tmp_path / "x.proof.json"
    said = certificate.certificate(subject, subject.explore())
    path.write_text(json.dumps(said))
    result = command(LOST_UPDATE, "--check", str(path), "--runs-each", "3")
    assert result.exit_code == 3
    assert result.output == f"{path}: inconclusive: 3 runs were not enough\n"
    path.write_text(json.dumps({**said, "verdict": "proved", "titles": {}}))
    result = command(LOST_UPDATE, "--check", str(path), "--runs-each", "10")
    assert result.exit_code == 1
    assert "titles: CHECK: the program's own check fails is found, and is not in the certificate" in result.output


def test_a_cut_check_reports_a_title_that_the_certificate_lacks(tmp_path: pathlib.Path) -> None:
    subject = subjects.of_functions(LOST_UPDATE, ("3",))
    path = tmp_path / "x.proof.json"
    path.write_text(json.dumps({**certificate.certificate(subject, subject.explore()), "titles": {"LEAK: x": 1}}))
    result = command(LOST_UPDATE, "--check", str(path), "--runs-each", "10")
    assert result.exit_code == 1
    assert "titles: CHECK: the program's own check fails is found, and is not in the certificate" in result.output


@pytest.mark.parametrize(("target", "plain"), [(LOST_UPDATE, {()}), (READERS, {("BUG x",)}), (READERS, {(), ("BUG x",)})])
def test_a_plain_enumeration_with_another_result_confirms_nothing(
        target: str, plain: set[tuple[str, ...]], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = subjects.of_functions(target, ("2",))
    path = tmp_path / "x.proof.json"
    certificate.write_certificate(path, subject, subject.explore())
    monkeypatch.setattr(subjects, "_plainly", lambda run, bound: plain)
    assert certificate.check(path, target).plain is False


def test_a_plain_enumeration_confirms_a_bounded_certificate_too(tmp_path: pathlib.Path) -> None:
    subject = subjects.of_functions("tests.programs.reorder:make", ("2",))
    for bound, verdict in ((0, "proved"), (1, "BUG CHECK: the program's own check fails")):
        path = tmp_path / "x.proof.json"
        certificate.write_certificate(path, subject, subject.explore(bound=bound))
        checked = certificate.check(path, REORDER)
        assert (str(verify.verdict(checked.found)), checked.wrong, checked.plain) == (verdict, [], True)


def test_each_program_and_bound_has_a_certificate_of_its_own(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for args in (("--arg", "2"), ("--arg", "3"), ("--arg", "2", "--preemptions", "0"), ("--arg", "1+1/2")):
        command("tests.programs.readers:make", *args, "--certify")
    assert {path.name for path in tmp_path.iterdir()} == {
        "tests.programs.readers-make-2.proof.json", "tests.programs.readers-make-3.proof.json",
        "tests.programs.readers-make-2.preemptions-0.proof.json"}
    place = pathlib.Path("e.toml")
    entry = load(next((ROOT / "corpus").rglob(f"*{SMALL}.toml")))
    entry.path = place
    assert str(certificate.certificate_path(entry, "pre_patch", 2)) == "e.pre_patch.preemptions-2.proof.json"


@pytest.mark.parametrize("text", ["{", '{"certificate": 2}'])
def test_certify_keeps_a_file_that_it_cannot_read_and_explores_nothing(text: str, tmp_path: pathlib.Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "_write", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    path = tmp_path / "tests.programs.readers-make.proof.json"
    path.write_text(text)
    result = command("tests.programs.readers:make", "--certify")
    assert (result.exit_code, result.stdout, path.read_text()) == (3, "", text)
    assert result.stderr.startswith(f"vmrace: {path.name}: ") and result.stderr.endswith("; move it away, and --certify makes a new one\n")


def test_the_digest_of_an_exploration_depends_only_on_its_set_of_classes() -> None:
    one, other = verify_program(readers.make, 3), verify_program(readers.make, 3)
    assert one.digest == other.digest != verify_program(readers.make, 2).digest


def test_a_bounded_exploration_has_a_subset_of_the_outcomes() -> None:
    free = verify_program(readers.make, 3)
    bounded = verify_program(readers.make, 3, preemptions=0)
    assert set(bounded.outcomes) <= set(free.outcomes)
    assert all(seen.preemptions == 0 for seen in bounded.outcomes.values())


def test_an_entry_is_verified_on_each_variant_against_what_it_expects() -> None:
    result = command(SMALL)
    assert result.exit_code == 0
    assert "\nBUG at mm/page_alloc.c:95" in result.output and "proved: " in result.output
    path = next((ROOT / "corpus").rglob(f"*{SMALL}.toml"))
    subject = subjects.of_entry(load(path), "pre_patch")
    assert verify.verdict(subject.explore()).word is Word.BUG


LATE, LOST, ERRED = Incomplete(Reason.SECONDS, 60), Incomplete(Reason.DIED), Incomplete(Reason.ERROR, detail="x")


X, PROVED, OK = bug("x"), Verdict(Word.PROVED, number=3), Verdict(Word.OK, number=1000)


@pytest.mark.parametrize(("titles", "expect", "bound", "why", "state"), [
    ((), X, 0, None, verify.EXPECTED), ((), X, None, None, verify.CHANGED), ((), PROVED, None, None, verify.EXPECTED),
    (("x",), OK, 0, None, verify.CHANGED), (("x",), None, None, None, verify.CHANGED), (("x",), X, 0, None, verify.EXPECTED),
    (("BUG at a.c:1 in f",), bug("BUG at a.c:1 in f"), None, None, verify.EXPECTED), (("y", "x"), X, None, None, verify.EXPECTED),
    (("y",), X, None, None, verify.CHANGED), (("y",), X, 1, None, verify.EXPECTED), ((), X, 0, LATE, verify.UNDECIDED),
    ((), None, None, LATE, verify.UNDECIDED), (("x",), X, None, LATE, verify.EXPECTED), (("y",), X, None, LATE, verify.UNDECIDED),
    (("x",), X, None, LOST, verify.UNDECIDED), (("x",), X, None, ERRED, verify.UNDECIDED),
    (("x",), None, None, LOST, verify.CHANGED), ((), OK, None, LOST, verify.UNDECIDED),
    ((), bug("LEAK: a"), None, None, verify.UNDECIDED), (("LEAK: a",), bug("LEAK: a"), None, None, verify.EXPECTED)])
def test_a_result_is_judged_against_the_verdict_that_an_entry_expects(
        titles: tuple[str, ...], expect: Verdict | None, bound: int | None, why: Incomplete | None, state: str) -> None:
    """A bound may hide the expected title; if a worker was lost the state is never EXPECTED."""
    found = Exploration({Reached((title,)): Seen(1, 0) for title in titles} or {Reached(): Seen(1, 0)}, 1, why=why, bound=bound)
    assert verify.judge(found, expect)[0] == state


def test_a_lost_worker_is_no_success_even_if_the_expected_title_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Exploration({Reached((TITLE,)): Seen(1, 0)}, 1, why=LOST)
    monkeypatch.setattr("vmrace.fuzz.run.exhaustive.Explorer.explore", lambda *_, **limits: found)
    result = command(SMALL, "--variant", "pre_patch")
    assert result.exit_code == 3
    assert f"BUG {TITLE}" not in result.output and TITLE in result.output
    assert "not all: its worker process died twice\n  The process was killed, or" in result.output
    assert result.output.endswith("As expected so far, but some runs were lost: they may have had other findings.\n")


def test_json_has_verdict_classes_executions_and_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    result = command("tests.programs.lastzero:make", "--arg", "5", "--json")
    told, = document(result.output, "verify")["explorations"]
    assert (told["verdict"], told["classes"], told["executions"], told["blocked"]) == ("proved", 64, 64, 0)
    found = Exploration({Reached((TITLE,)): Seen(2, 0)}, 2, blocked=3, why=LATE)
    monkeypatch.setattr("vmrace.fuzz.run.exhaustive.Explorer.explore", lambda *_, **limits: found)
    told, = document(command(SMALL, "--variant", "pre_patch", "--json").output, "verify")["explorations"]
    assert (told["verdict"], told["classes"], told["executions"], told["blocked"]) == (TITLE, 2, 2, 3)
    assert told["hint"] == "Allow more with --for-each, --for or --runs-each."


@pytest.mark.parametrize(("args", "code", "error"), [
    ((), 2, "verify needs a TARGET"),
    (("nosuch:make",), 2, "no module 'nosuch'"),
    (("tests.programs.nosuch:make",), 2, "no module 'tests.programs.nosuch'"),
    ((":make",), 2, "no module ''"),
    (("tests.programs.lastzero:nosuch",), 2, "no function 'nosuch'"),
    (("tests.programs.lastzero:SIZE",), 2, "no function 'SIZE'"),
    (("tests.programs.wrong:raises",), 3, "tests.programs.wrong:raises: ZeroDivisionError: division by zero ("),
    (("tests.programs.wrong:imports",), 3, "tests.programs.wrong:imports: ModuleNotFoundError: No module named 'nosuch' ("),
    (("tests.programs.wrong:setup_raises",), 3, "tests.programs.wrong:setup_raises: KeyError: 'k' ("),
    (("tests.programs.wrong:no_function",), 3, "wrong:no_function: 1 is int, not a function"),
    (("tests.programs.wrong:generator",), 3, "task is a generator or a coroutine: a call would not run it"),
    (("tests.programs.wrong:nothing",), 3, "returned NoneType, not a vmrace.harness.functions.program.Program"),
    (("tests.programs.wrong:shares_a_global",), 3, "cell OUTSIDE is made outside of it"),
    (("tests.programs.wrong:ends_in_exit",), 3, "SystemExit: 5"),
    (("tests.programs.lastzero:make", "--arg", "1", "--arg", "2", "--arg", "3"), 3, "tests.programs.lastzero:make"),
    (("nosuchentry",), 2, "no entry 'nosuchentry'"),
    (("tests.programs.wrong",), 2, "wrong is a module: name the function that makes the program, tests.programs.wrong:FUNCTION"),
    (("tests/programs/wrong.py",), 2, "wrong.py is a module: name the function that makes the program, tests.programs.wrong:F"),
    ((SMALL, "--variant", "nosuch"), 2, "no variant 'nosuch' in lru_free_2_4. See: vmrace variants"),
    (("lru_free_2_4/pre_patch",), 2, "all programs of a variant: up to which size? --size 2, or vmrace verify ENTRY --variant pre_patch"),
    (("lru_free_2_4/pre_patch", "--size", "1", "--operations", ","), 2, "--operations: names no operation"),
    ((SMALL, "--check", "x.json"), 2, "TARGET is for an exploration; with --check, only a MODULE:FUNCTION"),
    (("--check", "x.json", "--preemptions", "1"), 2, "--preemptions is for an exploration, and not for --check"),
])
def test_bad_input_to_verify_gives_one_line(args: tuple[str, ...], code: int, error: str) -> None:
    result = command(*args)
    assert result.exit_code == code
    assert error in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["loops", "make_loops"])
def test_a_loop_without_a_point_is_ended_and_reported(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmrace.harness.functions.watchdog.SECONDS", 0.2)
    result = command(f"tests.programs.wrong:{name}")
    assert result.exit_code == 3
    assert result.stderr.startswith("vmrace: no point is reached for 0.2 s in ") and "wrong.py:" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_loop_with_points_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimal, "EVENTS_MAX", 100)
    result = command("tests.programs.wrong:waits_for_ever")
    assert result.exit_code == 3
    assert result.output.startswith("inconclusive: a run has more than 100 points")
    assert "\n  A loop does not end; perhaps it waits by reading. Wait with a lock, a semaphore" in result.output
    assert max(map(len, result.output.splitlines())) <= 100


@pytest.mark.parametrize(("name", "title"), [
    ("task_raises", "OOPS: ValueError in task"), ("task_asserts", "CHECK: an assertion fails in task"),
    ("handler_raises", "OOPS: ValueError in handler"), ("lambda_raises", "OOPS: ZeroDivisionError in lambda"),
    ("check_raises", "CHECK: the program's own check raises KeyError"), ("task_exits", "OOPS: SystemExit in task"),
    ("calls_wrongly", "OOPS: AttributeError in task")])
def test_an_exception_of_a_task_is_a_finding(name: str, title: str) -> None:
    result = command(f"tests.programs.wrong:{name}")
    assert result.exit_code == 1
    assert result.output.startswith(f"BUG {title}\n")


@pytest.mark.parametrize(("name", "why"), [
    ("counts", "its results: ("), ("draws", "it draws random numbers"),
    ("counts_points", "the number of its points: "), ("keeps_a_file", "its findings")])
def test_a_program_whose_runs_differ_by_the_same_schedule_is_never_proved(name: str, why: str, tmp_path: pathlib.Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = command(f"tests.programs.wrong:{name}")
    assert result.exit_code == 3
    assert result.output.startswith(f"inconclusive: the program is not a function of its schedule: {why}")


@pytest.mark.parametrize(("name", "why"), [
    ("plain_list", "out, a list that lambda closes over: changed by lambda on cpu0, reached by lambda on cpu1"),
    ("list_in_a_cell", "what x.value holds, a list, is changed by lambda on cpu1 without a point of x"),
    ("plain_count", "count, a list that task closes over: changed by task on cpu1, reached by task on cpu0")])
def test_plain_data_that_tasks_share_is_named_and_nothing_is_proved(name: str, why: str) -> None:
    result = command(f"tests.programs.wrong:{name}")
    assert result.exit_code == 3, result.output
    assert result.output.startswith(f"inconclusive: its tasks share plain data: {why}\n")
    assert "objects of vmrace.harness.kernel: a cell" in result.output and "point(cell, RMW)" in result.output


def test_a_program_that_shares_data_unseen_is_never_proved() -> None:
    result = command("tests.programs.wrong:in_the_environment")
    assert result.exit_code == 3, result.output
    said = ("inconclusive: it depends on the order of actions that are no points, such as a use of data that is no object of "
            "vmrace.harness.kernel: ")
    assert result.output.startswith(said)


@pytest.mark.parametrize("name", ["an_iterator", "an_array"])
def test_data_that_cannot_be_restored_is_refused_in_one_line(name: str) -> None:
    result = command(f"tests.programs.wrong:{name}")
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert "it has changed, and cannot be put back before the next run" in result.stderr


@pytest.mark.parametrize("name", ["no_points", "one_without_points"])
def test_a_program_without_points_is_never_proved(name: str) -> None:
    result = command(f"tests.programs.wrong:{name}")
    assert result.exit_code == 3, result.output
    assert result.output.startswith("inconclusive: nothing was explored: no task reaches a point, so there is only one schedule\n")


@pytest.mark.parametrize("name", ["a_global", "a_global_list", "an_object", "a_class", "a_default", "in_a_cell", "a_slot", "made_first"])
def test_changed_data_is_restored_before_the_next_run(name: str) -> None:
    found = verify_program(getattr(leaving, name))
    assert found.proved, (found.why, found.outcomes)
    assert all(results == ("1", "None") for _, results in found.outcomes)
    assert found.classes == 2
