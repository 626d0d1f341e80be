# SPDX-License-Identifier: MIT
"""vmrace replay: the same verdicts on any number of processes, its table, its progress, and the certificates that it believes."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
from typing import Any

import pytest
from click.testing import CliRunner, Result
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.entry import Entry, load, load_all
from vmrace.fuzz.corpus.judge import Judged, judge_entry
from vmrace.fuzz.corpus.verdict import Verdict, Word, bug
from vmrace.fuzz.replay import replay as replaying
from vmrace.fuzz.replay.replay import Options, Replay, Replayed
from vmrace.fuzz.replay.table import Table
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.verify.certificate import certificate_path, write_certificate
from vmrace.fuzz.verify.kept import RECHECKED_MAX, kept
from vmrace.fuzz.verify.subject import of_entry
from vmrace.harness.incomplete import Reason
from vmrace.variants.family import FAMILIES, family

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
PROVED = ROOT / "corpus/lru_free_2_4/bug-at-mm-page_alloc-c-95-in-__free_pages_ok-f1738244.toml"
IRQ = GOLDEN / "last-reference.toml"
DANIEL = "daniel_lru_count"


def cli(*args: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, args)])


@pytest.fixture
def proved(tmp_path: pathlib.Path) -> pathlib.Path:
    """Write an entry that is proved on daniel_lru_count, and its certificate; return the path of the entry."""
    path = pathlib.Path(shutil.copy(PROVED, tmp_path / "proved.toml"))
    subject = of_entry(load(path), DANIEL)
    write_certificate(certificate_path(load(path), DANIEL), subject, subject.explore())
    return path


def forge(path: pathlib.Path, **fields: Any) -> pathlib.Path:
    """Change fields of the certificate."""
    place = certificate_path(load(path), DANIEL)
    place.write_text(json.dumps({**json.loads(place.read_text()), **fields}))
    return place


def verdicts(*paths: pathlib.Path, **options: Any) -> dict[tuple[int, str], Replayed]:
    return Replay([load(path) for path in paths], Options(**options)).run()


# ---- processes ---------------------------------------------------------------------------------------------------------------

@pytest.mark.long
@pytest.mark.parametrize("workers", [2, 3])
def test_verdicts_are_the_same_on_any_number_of_processes_and_in_the_same_order(workers: int) -> None:
    entries = [GOLDEN / "double-free.toml", IRQ, PROVED]
    alone, several = verdicts(*entries), verdicts(*entries, workers=workers)
    assert list(alone) == list(several)
    assert [done.judged for done in alone.values()] == [done.judged for done in several.values()]
    assert {done.judged.verdict.word for done in alone.values()} >= {Word.BUG, Word.OK}


def test_a_verdict_whose_worker_dies_twice_is_inconclusive_and_the_others_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    def judging(entry: Entry, executor: Any, **how: Any) -> Judged:
        if executor.variant == DANIEL:
            os.kill(os.getpid(), signal.SIGKILL)
        return judge_entry(entry, executor, sample=10, replays=2)
    monkeypatch.setattr(replaying, "judge_entry", judging)
    done = verdicts(IRQ, workers=2)
    assert done[0, "pre_patch"].judged.verdict.word is Word.BUG
    why = done[0, DANIEL].judged.verdict.why
    assert why is not None and why.reason is Reason.DIED


def test_a_verdict_whose_worker_dies_once_is_judged_again(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def judging(entry: Entry, executor: Any, **how: Any) -> Judged:
        if executor.variant == DANIEL and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return judge_entry(entry, executor, sample=10, replays=2)
    monkeypatch.setattr(replaying, "judge_entry", judging)
    assert all(done.judged.verdict.decided for done in verdicts(IRQ, workers=2).values())
    assert (tmp_path / "died").exists()


def test_replay_judges_exact_verdicts_first_and_then_the_longest_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[Verdict | None] = []

    def judging(entry: Entry, executor: Any, **how: Any) -> Judged:
        order.append(entry.expect.get(executor.variant))
        return Judged(order[-1] or Verdict(Word.OK))
    monkeypatch.setattr(replaying, "judge_entry", judging)
    entries, bad = load_all(ROOT / "corpus")
    assert not bad
    Table(entries, Options()).replay()
    exact = [one is not None and one.word in (Word.BUG, Word.ABSENT) for one in order]
    assert exact == sorted(exact, reverse=True) and True in exact
    proofs = [one.number for one in order if one is not None and one.word is Word.PROVED]
    assert proofs == sorted(proofs, reverse=True)


# ---- progress ----------------------------------------------------------------------------------------------------------------

def test_progress_says_how_much_is_done_and_how_long_the_rest_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "judge_entry", lambda entry, executor, **how: Judged(entry.expect.get(executor.variant) or bug("x")))
    now = [100.0]
    monkeypatch.setattr(replaying.time, "monotonic", lambda: now[0])
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        now[0] += 30
    replay = Replay([load(IRQ), load(PROVED)], Options(), say)
    replay.cost = dict.fromkeys(replay.cells, 10)
    replay.run()
    assert lines == ["  replay: 1 of 4 verdicts   0:00, about 0:00 left", "  replay: 2 of 4 verdicts   0:30, about 0:30 left",
                     "  replay: 3 of 4 verdicts   1:00, about 0:20 left", "  replay: 4 of 4 verdicts   1:30"]


def test_without_a_terminal_progress_is_a_plain_line_every_ten_seconds(capsys: pytest.CaptureFixture[str],
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    from vmrace.fuzz.text import terminal
    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    with terminal.working(lines=True) as say:
        for second in range(25):
            now[0] = float(second)
            say(f"  at {second}")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "  at 10\n  at 20\n")


# ---- the table ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("digests", [False, True])
def test_the_table_of_the_whole_corpus_takes_100_columns_and_has_every_verdict(digests: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "judge_entry", lambda entry, executor, **how: Judged(entry.expect[executor.variant], digest="d" * 16))
    entries, _ = load_all(ROOT / "corpus")
    table = Table(entries)
    table.replay()
    lines = table.lines(digests)
    assert max(map(len, lines)) <= 100
    heads = [line for line in lines if line in FAMILIES]
    assert heads == list(dict.fromkeys(entry.family for entry in entries))
    words = {"BUG", "ok", "proved", "n/a"}
    told = sum(word in words for line in lines for word in line.split()[1:])
    assert told == sum(len(family(entry.family).variants) for entry in entries)


# ---- certificates ------------------------------------------------------------------------------------------------------------

def test_a_certificate_that_holds_stands_for_the_exploration(proved: pathlib.Path) -> None:
    whole, short = (cli(proved, "--recheck", number, "--variant", DANIEL) for number in (1, 0))
    for result in (whole, short):
        assert result.exit_code == 0, result.output
        assert "proved" in result.stdout
    number = load(proved).expect[DANIEL].number
    assert f"1 verdict from {number} runs (1 certificate run again)" in whole.stdout
    assert "1 verdict from 0 runs and 1 certificate," in short.stdout


@pytest.mark.parametrize("field", ["program", "image", "vmrace"])
def test_a_certificate_of_another_program_image_or_vmrace_is_not_believed(field: str, proved: pathlib.Path) -> None:
    forge(proved, **{field: "0" * 16})
    done, = verdicts(proved, only=DANIEL, certified=True, recheck=0).values()
    assert (str(done.judged.verdict), done.judged.certified, done.wrong) == (str(load(proved).expect[DANIEL]), False, [])
    assert done.judged.runs == load(proved).expect[DANIEL].number


@pytest.mark.parametrize("fields", [{"digest": "0" * 24}, {"executions": 7}])
def test_a_forged_certificate_is_caught_when_it_is_run_again(fields: dict[str, Any], proved: pathlib.Path) -> None:
    place = forge(proved, **fields)
    result = cli(proved, "--recheck", "1", "--variant", DANIEL)
    assert result.exit_code == 1
    assert f"certificate does not hold: {place}: {next(iter(fields))}: " in result.stdout
    assert "  if nothing was changed by hand, find out why; then delete the file, " in result.stdout
    assert "all as expected, 1 certificate does not hold   (" in result.stdout.splitlines()[-1]


def test_a_forged_certificate_with_another_number_than_its_entry_is_never_believed(proved: pathlib.Path) -> None:
    """This holds even if it is not among those that are run again, because the entry is then explored."""
    place = forge(proved, executions=7)
    result = cli(proved, "--recheck", "0", "--variant", DANIEL)
    assert result.exit_code == 1
    assert f"certificate does not hold: {place}: executions: 7 in the certificate, " in result.stdout


def test_a_certificate_of_a_race_is_never_believed_against_the_schedule_that_shows_it(proved: pathlib.Path) -> None:
    """The entry and its certificate agree on a false proof, but the recorded schedule is run first, and fails."""
    text = proved.read_text()
    title = next(line for line in text.splitlines() if line.startswith("pre_patch = "))
    proved.write_text(text.replace(title, 'pre_patch = "proved in 39"'))
    subject = of_entry(load(proved), DANIEL)
    place = certificate_path(load(proved), "pre_patch")
    write_certificate(place, subject, subject.explore())
    image = of_entry(load(proved), "pre_patch").identity["image"]
    place.write_text(json.dumps({**json.loads(place.read_text()), "variant": "lru_free_2_4/pre_patch", "image": image}))
    result = cli(proved, "--recheck", "0", "--variant", "pre_patch")
    assert result.exit_code == 1
    assert "found     BUG" in result.stdout


def test_a_certificate_that_cannot_be_read_is_named_and_the_proof_is_made(proved: pathlib.Path) -> None:
    place = certificate_path(load(proved), DANIEL)
    place.write_text("{")
    for options in ((), ("--certify",)):
        result = cli(proved, "--variant", DANIEL, *options)
        assert (result.exit_code, place.read_text()) == (3, "{")
        assert result.stderr.startswith(f"vmrace: {place}: not JSON: ") and result.stderr.count("\n") == 1
        assert "proved" in result.stdout
        assert f"all as expected, 1 file not used: {place}: not JSON: " in result.stdout.splitlines()[-1]


def test_only_a_verdict_of_many_runs_has_a_certificate(proved: pathlib.Path) -> None:
    entry, executor = load(proved), Executor(family("lru_free_2_4"), DANIEL, checked=True)
    believed = kept(entry, executor)
    assert believed is not None and believed.verdict == entry.expect[DANIEL]
    assert kept(entry, Executor(family("lru_free_2_4"), "pre_patch", checked=True)) is None       # there it is BUG
    forge(proved, image="0" * 16)
    assert kept(entry, executor) is None


def test_accept_believes_no_certificate(proved: pathlib.Path) -> None:
    result = cli(proved, "--variant", DANIEL, "--accept")
    assert result.exit_code == 0
    assert f"1 verdict from {load(proved).expect[DANIEL].number} runs," in result.stdout


def test_which_certificates_are_run_again_changes_from_time_to_time(proved: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [load(proved) for _ in range(20)]
    chosen = {frozenset(Replay(entries, Options(certified=True, recheck=2)).rechecked) for _ in range(20)}
    assert {len(one) for one in chosen} == {2}
    assert len(chosen) > 1                  # 20 times the same of 190: once in 190 ** 19


def test_a_certificate_that_takes_minutes_is_run_again_only_with_all_others(proved: pathlib.Path) -> None:
    entries = [load(proved) for _ in range(3)]
    entries[0].expect[DANIEL] = Verdict(Word.PROVED, number=RECHECKED_MAX + 1)
    assert Replay(entries, Options(certified=True, recheck=2)).rechecked == {(1, DANIEL), (2, DANIEL)}
    assert Replay(entries, Options(certified=True, recheck=3)).rechecked == {(0, DANIEL), (1, DANIEL), (2, DANIEL)}


def test_the_hash_of_vmrace_covers_what_judges_the_runs_of_a_family(monkeypatch: pytest.MonkeyPatch) -> None:
    """No image contains the user model and the invariants, so a certificate must not outlive a change of them."""
    from vmrace.fuzz.run import code_hash
    vmrace_hash = code_hash.vmrace_hash.__wrapped__
    before, read = vmrace_hash("lru_free_2_4"), pathlib.Path.read_text
    for name in ("variants/user_model.py", "variants/lru_free_2_4/invariants.py", "fuzz/run/executor.py", "fuzz/run/rest.py",
                 "harness/finding.py", "fuzz/corpus/sample.py"):
        def changed(path: pathlib.Path, *args: Any, name: str = name, **how: Any) -> str:
            return read(path, *args, **how) + "#" * str(path).endswith(name)
        with monkeypatch.context() as patch:
            patch.setattr(pathlib.Path, "read_text", changed)
            assert vmrace_hash("lru_free_2_4") != before, name
    assert vmrace_hash("lru_free_2_4") == before != vmrace_hash("invalidate_2_6")
