# SPDX-License-Identifier: MIT
"""Certificates of samples: `vmrace replay` believes one while its hashes hold, catches a forged one, and writes them with --certify."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner, Result
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.entry import Entry, load
from vmrace.fuzz.corpus.judge import Judged, judge_entry
from vmrace.fuzz.corpus.sample import SAMPLE, Sample, run_sample
from vmrace.fuzz.corpus.verdict import Verdict, Word, bug
from vmrace.fuzz.replay import replay as replaying
from vmrace.fuzz.replay.replay import Options, Replay
from vmrace.fuzz.run.code_hash import vmrace_hash
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.text import writing
from vmrace.fuzz.verify import sample_file
from vmrace.fuzz.verify.certificate import ProofRecord, certificate_path
from vmrace.fuzz.verify.kept import kept, record_of
from vmrace.fuzz.verify.sample_file import KeptSample, samples_path
from vmrace.fuzz.verify.subject import VerifyError
from vmrace.harness import stop
from vmrace.variants.family import family

ROOT = pathlib.Path(__file__).parents[2]
FAMILY, DANIEL = "lru_free_2_4", "daniel_lru_count"
RUNS = 40               # of a sample in these tests, for speed
OK = Verdict(Word.OK, number=RUNS)
OTHER = Verdict(Word.OK, number=7)


@pytest.fixture(autouse=True, scope="module")
def short_samples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replaying, "judge_entry", partial(judge_entry, sample=RUNS))
        patch.setattr(sample_file, "SAMPLE", RUNS)
        yield


@pytest.fixture(scope="module")
def executor() -> Executor:
    return Executor(family(FAMILY), DANIEL, checked=True)


def ok_entry(path: pathlib.Path, expected: Verdict = OK) -> pathlib.Path:
    """Write an entry that expects `ok` on daniel_lru_count."""
    path.write_text((ROOT / "tests/golden/double-free.toml").read_text() + f'{DANIEL} = "{expected}"\n')
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, executor: Executor, short_samples: None) -> pathlib.Path:
    """Sample an entry that is ok on daniel_lru_count, write the certificate, and return the folder of both."""
    place = tmp_path_factory.mktemp("made")
    entry = load(ok_entry(place / "e.toml"))
    runs: list[Any] = []
    record = record_of(entry, executor, replaying.judge_entry(entry, executor, made=runs.append), runs)
    assert record is not None and record.write() == []
    return place


@pytest.fixture
def sampled(made: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """Return the path of an entry of its own that has a certificate of its sample."""
    return pathlib.Path(shutil.copytree(made, tmp_path / "corpus")) / "e.toml"


def replay(*args: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, args), "--variant", DANIEL, "--workers", "1"])


def forge(path: pathlib.Path, **fields: Any) -> pathlib.Path:
    """Change fields of the file, or of its line."""
    place = samples_path(load(path))
    said = json.loads(place.read_text())
    for key, value in fields.items():
        (said if key in said else said["variants"][DANIEL])[key] = value
    place.write_text(json.dumps(said))
    return place


def test_a_certificate_of_a_sample_stands_for_its_runs_and_the_table_counts_it(sampled: pathlib.Path) -> None:
    result = replay(sampled, "--recheck", "0")
    assert result.exit_code == 0, result.output
    assert "1 verdict from 0 runs and 1 certificate, 0 not applicable, all as expected" in result.stdout
    assert "ok" in result.stdout.split()


@pytest.mark.parametrize("fields", [{"program": "0" * 16}, {"title": "LEAK: a page that nobody owns is not free"}, {"entry": "x/y"},
                                    {"image": "0" * 16}, {"vmrace": "0" * 16}, {"schedules": 10}, {"variants": {}}],
                         ids=lambda fields: next(iter(fields)))
def test_a_certificate_of_another_sample_is_not_believed(fields: dict[str, Any], sampled: pathlib.Path, executor: Executor) -> None:
    assert isinstance(kept(load(sampled), executor), KeptSample)
    forge(sampled, **fields)
    assert kept(load(sampled), executor) is None


def test_a_forged_certificate_of_a_sample_is_caught_when_its_runs_are_made_again(sampled: pathlib.Path) -> None:
    place = forge(sampled, digest="0" * 24)
    result = replay(sampled, "--recheck", "1")
    assert result.exit_code == 1
    assert f'certificate does not hold: {place}: {DANIEL}: digest: "{"0" * 24}" in the certificate, "' in result.stdout
    assert "1 verdict from 40 runs (1 certificate run again)" in result.stdout


def test_a_certificate_is_never_believed_if_the_entry_expects_another_verdict(sampled: pathlib.Path, executor: Executor) -> None:
    entry = load(sampled)
    for expected in (OTHER, Verdict(Word.PROVED, number=RUNS), bug(entry.title)):
        entry.expect[DANIEL] = expected
        believed = kept(entry, executor)
        assert believed is None or believed.verdict != expected


def test_certify_makes_a_stale_certificate_again_and_says_if_its_result_has_changed(sampled: pathlib.Path) -> None:
    place = samples_path(load(sampled))
    before = place.read_text()
    forge(sampled, vmrace="0" * 16, digest="0" * 24)
    result = replay(sampled, "--certify", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["summary"]["written"], place.read_text()) == (0, 1, before)
    assert told["changed"] == [f'{place}: {DANIEL}: digest: "{"0" * 24}" before, "{json.loads(before)["variants"][DANIEL]["digest"]}" now']
    assert "written" not in replay(sampled, "--certify", "--recheck", "0").stdout       # nothing is stale any more


def test_certify_says_how_many_certificates_it_wrote_and_a_change_of_hashes_is_no_change(
        sampled: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_judge(monkeypatch, "1" * 24)
    forge(sampled, vmrace="0" * 16, digest="1" * 24)
    result = replay(sampled, "--certify")
    assert result.exit_code == 0
    assert "1 verdict from 40 runs, 1 certificate written," in result.stdout
    assert "certificate changed" not in result.stdout
    forge(sampled, vmrace="0" * 16, digest="2" * 24)
    assert f"certificate changed: {samples_path(load(sampled))}: {DANIEL}: digest: " in replay(sampled, "--certify").stdout


def test_a_verdict_that_is_not_as_expected_gets_no_certificate(sampled: pathlib.Path, executor: Executor) -> None:
    entry, runs = load(sampled), [Sample(None, RUNS, "0" * 24)]
    for judged in (bug(entry.title), OTHER, Verdict(Word.PROVED, number=7)):
        assert record_of(entry, executor, judge(judged), list(runs)) is None
    assert record_of(entry, executor, judge(OK), []) is None
    assert record_of(entry, executor, judge(OK), list(runs)) is not None


def judge(verdict: Verdict) -> Judged:
    return Judged(verdict)


def stub_judge(monkeypatch: pytest.MonkeyPatch, digest: str) -> None:
    """Have a sample with that digest stand for the runs that replay would make."""
    def judging(entry: Entry, executor: Executor, made: Any, certified: Verdict | None, **how: Any) -> Judged:
        if certified is None:
            made(Sample(None, RUNS, digest))
        return Judged(OK, runs=0 if certified else RUNS, certified=certified is not None)
    monkeypatch.setattr(replaying, "judge_entry", judging)


def test_a_new_line_leaves_those_of_the_variants_that_are_still_expected_to_be_ok(sampled: pathlib.Path, executor: Executor) -> None:
    entry = load(sampled)
    said = json.loads(samples_path(entry).read_text())
    line = said["variants"][DANIEL]
    forge(sampled, variants={DANIEL: line, "pre_patch": line, "gone": line})
    record = record_of(entry, executor, judge(OK), [Sample(None, RUNS, "1" * 24)])
    assert record is not None
    assert record.write() == [f'{DANIEL}: digest: "{line["digest"]}" before, "{"1" * 24}" now']
    assert json.loads(samples_path(entry).read_text())["variants"] == {DANIEL: {**line, "digest": "1" * 24}}
    entry.expect["pre_patch"] = OK
    forge(sampled, variants={DANIEL: line, "pre_patch": line, "gone": line})
    record = record_of(entry, executor, judge(OK), [Sample(None, RUNS, "1" * 24)])
    assert record is not None and record.write()
    assert set(json.loads(samples_path(entry).read_text())["variants"]) == {DANIEL, "pre_patch"}


@pytest.mark.parametrize("wrong", ["", "{", "[]", '{"samples": 2}', '{"samples": 1}', '{"samples": true}', "[" * 100_000,
                                   '{"samples": 1, "entry": "", "title": "", "program": "", "variants": {"x": 3}}'])
def test_a_file_of_samples_that_cannot_be_read_is_named_and_the_sample_is_made(wrong: str, sampled: pathlib.Path,
                                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    stub_judge(monkeypatch, "1" * 24)
    place = samples_path(load(sampled))
    place.write_text(wrong)
    result = replay(sampled)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"vmrace: {place}: ") and result.stderr.count("\n") == 1
    assert "certificate" not in result.stdout


UNREADABLE: dict[str, tuple[str, str]] = {
    "format": ('{"samples": 2, "lines": {"daniel_lru_count": 7}}', "samples: not a file of samples of format 1"),
    "text": ("{", "not JSON: "),
    "fields": ('{"samples": 1}', "Object missing required field `entry`"),
    "twice": ('{"samples": 1, "samples": 1}', 'the key "samples" is there twice'),
    "type": ('{"samples": 1, "variants": {"daniel_lru_count": {"image": "", "vmrace": "", "schedules": "40", "digest": ""}}}',
             "variants.daniel_lru_count.schedules: Expected `int`, got `str`"),
    "line": ('{"samples": 1, "variants": {"daniel_lru_count": 7}}', "variants.daniel_lru_count: Expected `object`, got `int`"),
    "more": ('{"samples": 1, "variants": {"daniel_lru_count": {"x": 1}}}', "variants.daniel_lru_count: Object contains unknown field `x`"),
    "digest": ('{"samples": 1, "variants": {"pre_patch": {"image": "", "vmrace": "", "schedules": 4, "digest": "zz"}}}',
               'variants.pre_patch.digest: "zz" is not 24 hexadecimal digits'),
    "program": ('{"samples": 1, "entry": "", "title": "", "program": 3, "variants": {}}', "program: Expected `str`, got `int`"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_certify_keeps_a_file_that_it_cannot_read_and_its_last_line_names_it(name: str, sampled: pathlib.Path,
                                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    stub_judge(monkeypatch, "1" * 24)
    place, (text, why) = samples_path(load(sampled)), UNREADABLE[name]
    place.write_text(text)
    result = replay(sampled, "--certify")
    assert (result.exit_code, place.read_text()) == (3, text)
    assert result.stderr.startswith(f"vmrace: {place}: {why}") and result.stderr.count("\n") == 1
    assert result.stderr.endswith("; move it away, and --certify makes a new one\n")
    assert f", all as expected, 1 file not used: {place}: {why}" in result.stdout.splitlines()[-1]
    told = json.loads(replay(sampled, "--certify", "--json").stdout)
    assert told["not_used"] == [result.stderr.removeprefix("vmrace: ").rstrip()] and told["summary"]["written"] == 0


def test_a_file_that_becomes_unreadable_during_a_replay_is_kept(sampled: pathlib.Path, executor: Executor) -> None:
    entry = load(sampled)
    record = record_of(entry, executor, judge(OK), [Sample(None, RUNS, "1" * 24)])
    samples_path(entry).write_text('{"samples": 2}')
    assert record is not None
    with pytest.raises(VerifyError, match="not a file of samples of format 1"):
        record.write()
    assert samples_path(entry).read_text() == '{"samples": 2}'


def test_a_directory_in_the_place_of_the_samples_is_named(sampled: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_judge(monkeypatch, "1" * 24)
    place = samples_path(load(sampled))
    place.unlink()
    place.mkdir()
    for options in ((), ("--certify",)):
        result = replay(sampled, *options)
        assert result.exit_code == 3
        assert result.stderr.startswith(f"vmrace: {place}: a directory, not a file; ") and result.stderr.count("\n") == 1


def test_on_threads_every_certificate_is_run_again(sampled: pathlib.Path) -> None:
    result = replay(sampled, "--backend", "threads", "--recheck", "0")
    assert result.exit_code == 0
    assert "1 verdict from 40 runs (1 certificate run again)" in result.stdout
    forge(sampled, digest="0" * 24)
    assert replay(sampled, "--backend", "threads", "--recheck", "0").exit_code == 1


def test_digests_are_of_certified_verdicts_too(sampled: pathlib.Path) -> None:
    believed, made = (replay(sampled, "--digests", "--recheck", number) for number in (0, 1))
    digest = re.search(r" ok ([0-9a-f]{16})$", believed.stdout, re.MULTILINE)
    assert "from 0 runs and 1 certificate," in believed.stdout
    assert digest is not None and f"ok {digest[1]}\n" in made.stdout


def test_a_schedule_is_followed_as_often_as_asked_for_beside_a_certificate(sampled: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = replay(sampled, "--times", "3", "--recheck", "0")
    assert "from 0 runs and 1 certificate, each schedule followed 3 times, " in result.stdout
    monkeypatch.setattr(replaying, "follow", lambda entry, executor: "another end")
    result = replay(sampled, "--times", "3", "--recheck", "0")
    assert result.exit_code == 1 and "; 3 of 3: another end" in result.stdout


def test_certify_on_a_full_disk_leaves_the_old_file_and_names_it(sampled: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_judge(monkeypatch, "1" * 24)
    place = forge(sampled, vmrace="0" * 16)
    before, write = place.read_text(), writing.write

    def full(path: pathlib.Path, text: str) -> None:
        if path == place:
            raise OSError(28, "No space left on device", str(path))
        write(path, text)
    monkeypatch.setattr(writing, "write", full)
    result = replay(sampled, "--certify")
    assert (result.exit_code, place.read_text()) == (3, before)
    assert result.stderr == f"vmrace: {place}: cannot be written: No space left on device\n"
    assert "ok" in result.stdout and result.stdout.endswith("exit 3)\n"), "the verdicts are not lost"


def test_certificates_that_were_written_before_an_interrupt_stay(sampled: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = samples_path(load(sampled))
    whole = place.read_text()
    place.unlink()
    stub_judge(monkeypatch, json.loads(whole)["variants"][DANIEL]["digest"])
    other = shutil.copy(sampled, sampled.with_name("f.toml"))
    both = Replay([load(sampled), load(pathlib.Path(other))], Options(only=DANIEL, certified=True, certify=True))
    both.say = lambda line: stop.ask()
    try:
        with pytest.raises(KeyboardInterrupt):
            both.run()
    finally:
        stop.clear()
    assert place.read_text() == whole
    assert [path.name for path in sorted(sampled.parent.iterdir())] == ["e.samples.json", "e.toml", "f.toml"]


def test_accept_and_certify_are_two_steps(sampled: pathlib.Path) -> None:
    result = replay(sampled, "--accept", "--certify")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1 and "--accept expects others" in result.stderr


def test_some_proofs_and_as_many_samples_are_run_again(sampled: pathlib.Path) -> None:
    ok, proved = load(sampled), load(sampled)
    proved.path = sampled.with_name("p.toml")
    proved.expect = {DANIEL: Verdict(Word.PROVED, number=3)}
    proof = {"entry": "e", "variant": "v", "program": "", "image": "", "vmrace": vmrace_hash(FAMILY), "bound": None, "equivalence": "",
             "certificate": 1, "verdict": "proved", "complete": True, "executions": 3, "blocked": 0, "digest": "a" * 24, "titles": {}}
    certificate_path(proved, DANIEL).write_text(json.dumps(proof))
    chosen = Replay([ok] * 9 + [proved] * 9, Options(certified=True, recheck=3)).rechecked
    assert sum(number < 9 for number, _ in chosen) == sum(number >= 9 for number, _ in chosen) == 3
    assert {variant for _, variant in chosen} == {DANIEL}
    forge(sampled, vmrace="0" * 16)
    certificate_path(proved, DANIEL).write_text(json.dumps(proof | {"vmrace": "0" * 16}))
    assert Replay([ok, proved], Options(certified=True, recheck=3)).rechecked == set()      # their runs are made in any case


def test_the_digest_of_a_sample_depends_on_every_run(sampled: pathlib.Path, executor: Executor) -> None:
    entry = load(sampled)
    first, again, fewer = (run_sample(executor, executor.ready(entry.program, entry.title), runs) for runs in (40, 40, 39))
    assert (first.digest, first.runs, first.found) == (again.digest, 40, None)
    assert fewer.digest != first.digest


@pytest.mark.long
def test_the_digest_of_a_sample_is_the_same_in_another_process_and_on_threads(sampled: pathlib.Path) -> None:
    for args in (("--recheck", "1"), ("--recheck", "1", "--backend", "threads")):
        result = replay(sampled, *args)
        assert result.exit_code == 0, result.output
        assert "(1 certificate run again)" in result.stdout


@pytest.mark.long
def test_pytest_makes_every_sample_again_and_holds_it_against_its_certificate(tmp_path: pathlib.Path) -> None:
    entry = load(ok_entry(tmp_path / "e.toml", Verdict(Word.OK, number=SAMPLE)))
    path = (tmp_path / "e.toml").rename(tmp_path / f"{entry.name.rpartition('/')[2]}.toml")
    run = partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    done = run([sys.executable, "-m", "vmrace", "replay", path, "--certify", "--variant", DANIEL])
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--vmrace-corpus={tmp_path}", f"{path}::{DANIEL}"]
    for forged, code in ({}, 0), ({"digest": "0" * 24}, 1):
        forge(path, **forged)
        done = run(command)
        assert done.returncode == code, done.stdout
        assert ("certificate does not hold: " in done.stdout) == bool(code)


@pytest.mark.long
def test_certify_writes_the_certificates_of_proofs_and_of_samples_on_several_processes(tmp_path: pathlib.Path) -> None:
    proof = ROOT / "corpus/lru_free_2_4/bug-at-mm-page_alloc-c-95-in-__free_pages_ok-f1738244.toml"
    shutil.copy(proof, tmp_path / "p.toml")
    ok_entry(tmp_path / "e.toml")
    certified = CliRunner().invoke(main, ["replay", str(tmp_path), "--certify"])
    assert certified.exit_code == 0 and "2 certificates written" in certified.stdout, certified.output
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["e.samples.json", f"p.{DANIEL}.proof.json"]
    assert "from 40 runs and 2 certificates," in CliRunner().invoke(main, ["replay", str(tmp_path), "--recheck", "0"]).stdout


def test_a_proof_that_is_made_again_says_what_has_changed(tmp_path: pathlib.Path) -> None:
    made = {"certificate": 1, "entry": "e", "variant": "v", "program": "", "image": "", "vmrace": "", "bound": None, "equivalence": "",
            "verdict": "proved", "complete": True, "executions": 3, "blocked": 0, "digest": "a" * 24, "titles": {}}
    path = tmp_path / "e.v.proof.json"
    assert ProofRecord(path, made).write() == []
    assert ProofRecord(path, {**made, "image": "x", "blocked": 2}).write() == []
    assert ProofRecord(path, {**made, "executions": 4, "digest": "b" * 24}).write() == [
        "executions: 3 before, 4 now", f'digest: "{"a" * 24}" before, "{"b" * 24}" now']
    path.write_text("{")
    with pytest.raises(VerifyError, match=re.escape(f"{path}: not JSON: ")):
        ProofRecord(path, made).write()
    assert path.read_text() == "{"
