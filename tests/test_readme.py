# SPDX-License-Identifier: MIT
"""The two lines of the README are complete, and facts that documents state of the program are those of the program.

Blocks, links and named commands of all documents are held by tests/docs/.
"""

from __future__ import annotations

import pathlib
import re
import shlex
import tomllib

from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.sample import SAMPLE
from vmrace.fuzz.run.hit import REPLAYS

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


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


def test_ci_runs_the_second_command_of_the_readme() -> None:
    """`.ci/run` takes the first line of the README that has `-m pytest` in it."""
    assert next(line for line in TEXT.splitlines() if "-m pytest" in line) == LINES[1].strip()
    assert "grep -m1 -- '-m pytest' README.md" in (ROOT / ".ci/run").read_text()


def test_the_numbers_of_a_verdict_are_the_real_ones() -> None:
    text = page("explanation/verdicts.md").replace("\n", " ")
    assert f"`ok in {SAMPLE}`" in text
    assert f"{SAMPLE} sampled schedules" in text
    assert REPLAYS == 20
    assert "replayed twenty times" in text


def test_the_exit_codes_are_the_real_ones() -> None:
    from vmrace.fuzz.text import exit_codes
    told = re.search(r"Exit codes: (.*?)\n", page("reference/exit_codes.md"))
    assert told is not None
    numbers = [int(part.split()[0]) for part in told[1].split("; ")]
    assert numbers == [0, exit_codes.CHANGED, exit_codes.USAGE, exit_codes.COULD_NOT, exit_codes.NOTHING, exit_codes.INTERRUPTED]


def test_the_table_that_allows_code_to_be_run_is_the_one_of_this_project() -> None:
    shown, = re.findall(r"```toml\n(.*?)```", page("how-to/replay_and_shrink_a_finding.md"), re.DOTALL)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert tomllib.loads(shown)["tool"]["vmrace"] == project["tool"]["vmrace"]


def test_what_can_be_compiled_is_there() -> None:
    """.ci/run compiles it, and runs the tests of the explorer on the result."""
    assert "`VMRACE_COMPILED=1 pip install .`" in page("how-to/prove_a_small_program.md")
    setup = (ROOT / "setup.py").read_text()
    assert 'os.environ.get("VMRACE_COMPILED", "0")' in setup
    mypy = re.search(r'MYPYC = "(.*)"', setup)
    assert mypy is not None
    assert f'"{mypy[1]}"' in (ROOT / "pyproject.toml").read_text()      # what the tests install compiles, too
    found = re.search(r'f"\.types/vmrace/(harness/explore/){name}.py" for name in \((.*?)\)', setup, re.DOTALL)
    assert found is not None
    assert all((ROOT / found[1] / f"{name}.py").exists() for name in re.findall(r'"(\w+)"', found[2]))
