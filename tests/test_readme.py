# SPDX-License-Identifier: MIT
"""What the README says of the command line is so."""

from __future__ import annotations

import pathlib
import re
import shlex
import shutil
import tomllib
from typing import Any

import click
import pytest
from click.testing import CliRunner
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.judge import SAMPLE
from vmrace.fuzz.run.hit import REPLAYS

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
MENTIONS = [re.sub(r"\\\|", "|", found) for found in re.findall(r"`(vmrace [^`]*)`", TEXT)]


def options_of(name: str) -> dict[str, click.Parameter]:
    """Its own, and those of its subcommands."""
    command = main.commands[name]
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    return {option: parameter for one in commands for parameter in one.params for option in parameter.opts}


def test_there_are_two_commands_each_one_line_and_complete() -> None:
    """Each makes its environment, installs from this directory and runs; neither rests on the other or on what is there."""
    assert len(LINES) == 2
    for line in LINES:
        assert line.count("\n") == 1
        venv, install, run = line.strip().split(" && ")
        assert shlex.split(venv)[:3] == ["python3", "-m", "venv"]
        place = shlex.split(venv)[3]
        assert shlex.split(install)[:2] == [f"{place}/bin/pip", "install"]
        assert shlex.split(install)[-2] == "-e"
        assert shlex.split(install)[-1] in (".", ".[test]")
        assert run.startswith(f"{place}/bin/")


def test_the_first_command_is_a_campaign_with_options_that_exist() -> None:
    _, name, variant, *options = shlex.split(LINES[0].strip().split(" && ")[2])
    assert name == "fuzz"
    with main.commands["fuzz"].make_context("fuzz", [variant, *options]) as context:
        assert context.params["keep_going"]
        assert context.params["seconds"] <= 120


def test_the_second_command_runs_all_the_tests_on_all_cores() -> None:
    line = LINES[1].strip()
    assert "'.[test]'" in line
    assert line.endswith("/bin/python -m pytest -n auto")
    packages = (ROOT / "pyproject.toml").read_text()
    assert "pytest-xdist" in packages
    assert 'testpaths = ["tests", "corpus"]' in packages


@pytest.mark.parametrize("mention", MENTIONS)
def test_every_command_that_is_named_exists(mention: str) -> None:
    name, *rest = mention.split()[1:]
    command = main.commands[name]
    assert not isinstance(command, click.Group) or not rest or rest[0] in command.commands


@pytest.mark.parametrize("row", re.findall(r"^\| `vmrace (.*?) \|$", TEXT, re.MULTILINE))
def test_every_option_in_the_table_exists_and_takes_what_it_is_shown_with(row: str) -> None:
    name = row.split()[0].strip("`")
    known = options_of(name)
    for shown in re.findall(r"`(--[^`]*)`", row):
        option, *value = shown.split()
        assert option in known
        assert bool(value) != getattr(known[option], "is_flag", False)


def test_every_command_is_in_the_table() -> None:
    rows = set(re.findall(r"^\| `vmrace (\w+)", TEXT, re.MULTILINE))
    assert rows == set(main.commands)


@pytest.mark.long
def test_the_table_of_variants_is_the_real_one() -> None:
    shown = re.search(r"\$ vmrace variants\n(.*?)```", TEXT, re.DOTALL)
    assert shown is not None
    assert shown[1] == CliRunner().invoke(main, ["variants"]).stdout


def test_the_numbers_of_a_verdict_are_the_real_ones() -> None:
    assert f"`ok in {SAMPLE}`" in TEXT
    assert f"{SAMPLE} sampled schedules" in TEXT.replace("\n", " ")
    assert REPLAYS == 20
    assert "replayed twenty times" in TEXT


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:harness|variants|fuzz|corpus|tests|LICENSES)/[\w./]*)`", TEXT))))
def test_every_path_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_exit_codes_are_the_real_ones() -> None:
    from vmrace.fuzz.text import exit_codes
    told = re.search(r"Exit codes: (.*?)\n", TEXT)
    assert told is not None
    numbers = [int(part.split()[0]) for part in told[1].split("; ")]
    assert numbers == [0, exit_codes.CHANGED, exit_codes.USAGE, exit_codes.COULD_NOT, exit_codes.NOTHING, exit_codes.INTERRUPTED]


def test_the_table_that_allows_code_to_be_run_is_the_one_of_this_project() -> None:
    shown, = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert tomllib.loads(shown)["tool"]["vmrace"] == project["tool"]["vmrace"]


PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_program_of_plain_functions_is_the_real_one() -> None:
    assert PYTHON[0] in (ROOT / "tests/programs/lost_update.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(("line", "shown"), re.findall(r"\$ (vmrace \w+ tests[^\n]*)\n(.*?)```", TEXT, re.DOTALL))
def test_what_comes_of_it_is_what_is_shown(line: str, shown: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)          # it is run in a clone, which allows tests.programs
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, shlex.split(line)[1:])
    assert re.sub(r"\b\d+(\.\d+) s", lambda found: f"{0:.{len(found[1]) - 1}f} s", result.stdout) == shown
    for following in re.findall(r"^next: (.*)$", shown, re.MULTILINE):
        assert CliRunner().invoke(main, [*shlex.split(following)[1:]]).exit_code == ("fuzz" in following)


def test_the_tests_of_plain_functions_do_what_is_said_of_them() -> None:
    scope: dict[str, Any] = {}
    exec(PYTHON[1], scope)
    scope["test_readers_are_proved"]()
    with pytest.raises(AssertionError, match=r"write x\.value"):
        scope["test_no_update_is_lost"]()


def test_what_can_be_compiled_is_there() -> None:
    """That it can be, and does the same, is run by .ci/run."""
    assert "`VMRACE_COMPILED=1 pip install .`" in TEXT
    setup = (ROOT / "setup.py").read_text()
    assert 'os.environ.get("VMRACE_COMPILED", "0")' in setup
    mypy = re.search(r'MYPYC = "(.*)"', setup)
    assert mypy is not None
    assert f'"{mypy[1]}"' in (ROOT / "pyproject.toml").read_text()      # what the tests install compiles, too
    found = re.search(r'f"\.types/vmrace/(harness/explore/){name}.py" for name in \((.*?)\)', setup, re.DOTALL)
    assert found is not None
    assert all((ROOT / found[1] / f"{name}.py").exists() for name in re.findall(r'"(\w+)"', found[2]))
