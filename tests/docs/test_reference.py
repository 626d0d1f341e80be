# SPDX-License-Identifier: MIT
"""The generated reference lacks nothing that is declared, and the site is built without a warning and without a network."""

from __future__ import annotations

import importlib.util
import pathlib
import re
import subprocess
import sys
from types import ModuleType

import click
import pytest
from vmrace.fuzz.cli.main import main

from tests.docs.pages import ROOT, pages


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vmrace_reference", ROOT / "docs/_ext/vmrace_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands_of(group: click.Group, path: str = "vmrace") -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        found[f"{path} {name}"] = command
        if isinstance(command, click.Group):
            found |= commands_of(command, f"{path} {name}")
    return found


def test_every_command_has_a_section_with_all_its_options(reference: ModuleType) -> None:
    sections = dict(re.findall(r"^#+ (vmrace .*)\n((?:(?!#+ ).*\n?)*)", reference.commands(), re.MULTILINE))
    assert set(sections) == set(commands_of(main))
    for name, command in commands_of(main).items():
        for option in (one for parameter in command.params if isinstance(parameter, click.Option) for one in parameter.opts):
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", sections[name]), f"{name}: {option}"


def test_every_exit_code_is_listed(reference: ModuleType) -> None:
    from vmrace.fuzz.text import exit_codes
    declared = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert {0} | declared == {int(number) for number in re.findall(r"^\| (\d+) \|", reference.exit_codes(), re.MULTILINE)}


def test_every_name_that_vmrace_gives_is_in_the_reference(reference: ModuleType) -> None:
    from vmrace.harness import kernel
    text = reference.toolkit() + reference.face()
    for name in (*kernel.__all__, "Program", "verify", "fuzz", "cell"):
        assert re.search(rf"[.`]{name}\b", text), name


@pytest.mark.long
def test_every_operation_is_listed_with_its_meaning_and_its_families(reference: ModuleType) -> None:
    from vmrace.variants.operations import OPERATIONS
    rows = dict(re.findall(r"^\| `(\w+)[^`]*` \| (.*) \|$", reference.operations(), re.MULTILINE))
    assert set(rows) == set(OPERATIONS)
    assert not any("| none" in row for row in rows.values())


def test_every_sanitizer_kind_verdict_and_reason_is_listed(reference: ModuleType) -> None:
    from vmrace.fuzz.corpus.verdict import Word
    from vmrace.harness.finding import Kind
    from vmrace.harness.incomplete import Reason
    from vmrace.harness.sanitizers.table import SANITIZERS
    assert set(re.findall(r"^\| `(\w+)`", reference.sanitizers(), re.MULTILINE)) == set(SANITIZERS)
    assert set(re.findall(r"^\| `(\w+)`", reference.titles(), re.MULTILINE)) == {kind.name for kind in Kind}
    assert set(re.findall(r"^\| `([\w ]+)`", reference.reasons(), re.MULTILINE)) == {reason.value for reason in Reason}
    assert all(re.search(rf"^{word.value}\b", reference.verdicts(), re.MULTILINE) for word in Word)


def test_every_kind_of_title_has_an_example(reference: ModuleType) -> None:
    assert re.findall(r"\|  \|$", reference.titles(), re.MULTILINE) == []


def test_every_entry_of_the_corpus_is_listed(reference: ModuleType) -> None:
    text = reference.corpus()
    for path in (ROOT / "corpus").glob("*/*.toml"):
        assert f"`{path.stem}`" in text


def test_every_mark_names_a_generator_and_every_generator_is_used(reference: ModuleType) -> None:
    used = [name for page in pages() for name in reference.MARK.findall(page.read_text(encoding="utf-8"))]
    assert sorted(used) == sorted(reference.GENERATED)


def test_the_glossary_has_at_least_forty_terms_each_once_and_in_order() -> None:
    terms = re.findall(r"^([^\n:#].*)\n: ", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(terms) >= 40
    assert terms == sorted(set(terms), key=str.lower)


def test_the_decisions_name_commits_that_there_are() -> None:
    records = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], path.name
        assert text.startswith(f"# {int(path.name[:4])}. ")


@pytest.mark.long
def test_the_site_is_built_without_a_warning_and_asks_no_network(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("sphinx", reason="pip install -e '.[docs]'")
    done = subprocess.run([sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", str(tmp_path)], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for built in tmp_path.rglob("*.html"):
        assert re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(?:https?:)?//[^"]*"', built.read_text(encoding="utf-8")) == [], built
