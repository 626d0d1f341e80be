# SPDX-License-Identifier: MIT
"""Certificates of entries and variants that do not exist, and files of certificates that no verdict needs: `vmrace replay` names each."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import pytest
from click.testing import CliRunner, Result
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.judge import Judged
from vmrace.fuzz.replay import replay as replaying

RACE = pathlib.Path(__file__).parents[1] / "golden/double-free.toml"
PROOF: dict[str, Any] = {
    "certificate": 1, "entry": "e", "variant": "v", "program": "", "image": "", "vmrace": "", "bound": None, "equivalence": "",
    "verdict": "proved", "complete": True, "executions": 3, "blocked": 0, "digest": "a" * 24, "titles": {}}
OF_FUNCTIONS = {**{key: value for key, value in PROOF.items() if key not in ("entry", "variant")}, "functions": "bank:make", "args": "[]"}
LINE = {"image": "", "vmrace": "", "schedules": 1000, "digest": "a" * 24}


def samples(*variants: str) -> dict[str, Any]:
    return {"samples": 1, "entry": "e", "title": "t", "program": "p", "variants": dict.fromkeys(variants, LINE)}


@pytest.fixture
def corpus(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Write an entry that has no certificate and needs none, and judge nothing."""
    monkeypatch.setattr(replaying, "judge_entry", lambda entry, executor, **how: Judged(entry.expect[executor.variant]))
    (tmp_path / "race.toml").write_text(RACE.read_text() + 'daniel_lru_count = "n/a"\n')
    return tmp_path


def write(path: pathlib.Path, said: dict[str, Any]) -> None:
    path.write_text(json.dumps(said))


def replay(place: pathlib.Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["replay", str(place), "--workers", "1", *more])


@pytest.mark.parametrize(("name", "said", "line"), [
    ("gone.samples.json", samples("pre_patch"), "there is no gone.toml beside it; delete it, or bring back the entry"),
    ("gone.pre_patch.proof.json", PROOF, "there is no gone.toml beside it; delete it, or bring back the entry"),
    ("gone.pre_patch.preemptions-2.proof.json", PROOF, "there is no gone.toml beside it; delete it, or bring back the entry"),
    ("race.gone.proof.json", PROOF, "there is no variant 'gone' of this family; delete the file"),
    ("race.gone.preemptions-2.proof.json", PROOF, "there is no variant 'gone' of this family; delete the file"),
    ("race.samples.json", samples("pre_patch", "gone"), "variants.gone: there is no variant 'gone' of this family; delete the line"),
])
def test_a_certificate_without_its_entry_or_its_variant_is_left_over(name: str, said: dict[str, Any], line: str,
                                                                     corpus: pathlib.Path) -> None:
    path = corpus / name
    write(path, said)
    result = replay(corpus)
    assert (result.exit_code, result.stderr) == (3, f"vmrace: {path}: {line}\n")
    assert f"all as expected, 1 certificate left over: {path}: {line}   (" in result.stdout.splitlines()[-1]
    assert json.loads(replay(corpus, "--json").stdout)["not_used"] == [f"{path}: {line}"]
    assert replay(corpus, "--certify").exit_code == 3 and path.exists(), "nothing is deleted"


@pytest.mark.parametrize("name", ["race.samples.json", "race.pre_patch.proof.json", "gone.samples.json", "gone.pre_patch.proof.json"])
def test_a_file_of_certificates_that_no_verdict_needs_is_read_all_the_same(name: str, corpus: pathlib.Path) -> None:
    (corpus / name).write_text("{")
    result = replay(corpus)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"vmrace: {corpus / name}: not JSON: ") and result.stderr.count("\n") == 1


def test_several_are_counted_and_the_first_is_named_in_the_last_line(corpus: pathlib.Path) -> None:
    for name in ("a", "b", "c"):
        write(corpus / f"{name}.samples.json", samples("pre_patch"))
        (corpus / f"{name}.pre_patch.proof.json").write_text("[]")
    result = replay(corpus)
    last = result.stdout.splitlines()[-1]
    assert result.stderr.count("\n") == 6
    assert f"3 files not used, the first is {corpus / 'a.pre_patch.proof.json'}: " in last
    assert f"3 certificates left over, the first is {corpus / 'a.samples.json'}: " in last


def test_a_certificate_that_has_its_entry_and_its_variant_is_not_left_over(corpus: pathlib.Path) -> None:
    write(corpus / "race.samples.json", samples("pre_patch", "daniel_lru_count"))
    write(corpus / "race.pre_patch.preemptions-2.proof.json", PROOF)
    write(corpus / "bank-make.proof.json", OF_FUNCTIONS)
    assert (replay(corpus).exit_code, replay(corpus).stderr) == (0, "")


def test_beside_an_entry_that_cannot_be_read_every_certificate_stays(corpus: pathlib.Path) -> None:
    (corpus / "bad.toml").write_text("format = 99")
    write(corpus / "bad.samples.json", samples("gone"))
    result = replay(corpus)
    assert result.exit_code == 3 and result.stderr.startswith(f"vmrace: {corpus / 'bad.toml'}: ") and result.stderr.count("\n") == 1


def test_a_replay_of_one_entry_looks_at_its_own_certificates_only(corpus: pathlib.Path) -> None:
    write(corpus / "gone.samples.json", samples("pre_patch"))
    write(corpus / "race.more.samples.json", samples("gone"))
    assert replay(corpus / "race.toml").exit_code == 0
    write(corpus / "race.samples.json", samples("gone"))
    assert replay(corpus / "race.toml").stderr.startswith(f"vmrace: {corpus / 'race.samples.json'}: variants.gone: ")


@pytest.mark.parametrize("name", ["race.samples.json", "race.pre_patch.proof.json"])
@pytest.mark.parametrize(("make", "why"), [
    (os.mkdir, "a directory, not a file"), (os.mkfifo, "a device or a pipe, not a file"),
    (lambda path: path.symlink_to("nowhere"), "cannot be read: No such file or directory"),
    (lambda path: path.write_text('{"certificate": 1, "samples": 1, "digest": "", "digest": ""}'), 'the key "digest" is there twice'),
    (lambda path: path.write_text('{"certificate": 1, "samples": 1, "variants": {"v": {"digest": "", "digest": ""}}}'),
     'the key "digest" is there twice'),
], ids=["directory", "pipe", "link to nothing", "twice", "twice in a line"])
def test_what_is_not_a_file_of_certificates_costs_one_line(name: str, make: Any, why: str, corpus: pathlib.Path) -> None:
    make(corpus / name)
    result = replay(corpus)
    assert result.exit_code == 3
    assert result.stderr == f"vmrace: {corpus / name}: {why}; move it away, and --certify makes a new one\n"
