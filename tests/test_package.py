# SPDX-License-Identifier: MIT
"""vmrace is one package: users import from it, it runs from a clone or a wheel, and packages of a user do not shadow it."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

import vmrace
from tests import compiled
from tests.programs import lost_update

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = '''
from vmrace import Program, atomic_inc, atomic_read, atomic_t, fuzz, verify


def make():
    x = atomic_t("x")
    return Program([lambda: atomic_inc(x)] * 2, check=lambda: atomic_read(x) == 2)


def test_it():
    assert verify(make).proved
    assert fuzz(make, runs=50).ok
'''


def run(*words: str | pathlib.Path, cwd: pathlib.Path, seconds: int = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([*map(str, words)], cwd=cwd, env={**kept, **environment}, capture_output=True, text=True, timeout=seconds)


def test_the_names_that_a_user_needs_are_in_the_package_itself() -> None:
    for name in ("Program", "cell", "fuzz", "verify", "atomic_t", "spinlock_t", "spin_lock", "semaphore", "point", "raise_irq"):
        assert callable(getattr(vmrace, name)), name
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = vmrace.no_such_thing        # type: ignore[attr-defined]


def test_a_star_import_brings_the_whole_toolkit() -> None:
    names: dict[str, object] = {}
    exec("from vmrace import *", names)
    assert {"Program", "cell", "fuzz", "verify", "spinlock_t", "__set_current_state"} <= set(names)
    assert not hasattr(vmrace, "__nothing")


def test_the_module_fuzz_can_be_called_and_samples_schedules() -> None:
    found = vmrace.fuzz(lost_update.make, 2, runs=200)
    assert found.titles
    from vmrace.fuzz.functions import sample
    assert type(found) is type(sample.fuzz(lost_update.make, 2, runs=200))


@pytest.fixture
def crowded(tmp_path: pathlib.Path) -> pathlib.Path:
    """Make a folder with a user's packages that have the names of our rooms."""
    for name in ("fuzz", "harness", "variants", "tests", "corpus"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise SystemExit('the {name} of this folder was imported')\n")
    (tmp_path / "mine.py").write_text(PROGRAM)
    (tmp_path / "test_mine.py").write_text(PROGRAM)
    return tmp_path


@pytest.mark.parametrize("words", [["-m", "vmrace", "verify", "mine:make"], ["-m", "vmrace", "variants"], ["-m", "pytest", "test_mine.py"]],
                         ids=["verify", "variants", "pytest"])
def test_packages_of_the_current_folder_do_not_shadow_vmrace(words: list[str], crowded: pathlib.Path) -> None:
    done = run(sys.executable, *words, cwd=crowded)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_clone_needs_no_installation(tmp_path: pathlib.Path) -> None:
    """It needs only the libraries: here PYTHONPATH leads to them, and -S keeps out the editable install of this tree."""
    clone = tmp_path / "clone"
    for room in ("vmrace", "harness", "variants", "fuzz"):
        shutil.copytree(ROOT / room, clone / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", clone)
    (clone / "mine.py").write_text(PROGRAM)
    needed = ("greenlet", "click", "msgspec", "rich", "hypothesis", "coverage")
    places = {str(pathlib.Path(__import__(name).__file__ or "").parents[1]) for name in needed}
    for words in (["-m", "vmrace", "verify", "mine:make"], ["-c", "import vmrace.harness, mine; mine.test_it()"]):
        done = run(sys.executable, "-S", *words, cwd=clone, PYTHONPATH=os.pathsep.join(sorted(places)))
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_a_wheel_brings_one_package(installed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine.py").write_text(PROGRAM)
    done = run(installed / "vmrace", "verify", "mine:make", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    listed = run(installed / "python", "-c", "import importlib.metadata as m; print(*(f for f in m.files('vmrace')))", cwd=tmp_path)
    there = listed.stdout.split()
    assert {path.partition("/")[0] for path in there if path.endswith(".py")} == {"vmrace"}
    every = {str(path.relative_to(ROOT)) for room in ("harness", "variants", "fuzz") for path in (ROOT / room).rglob("*.py")}
    assert {f"vmrace/{name}" for name in every} <= set(there)


@pytest.mark.long
def test_a_compiled_wheel_is_for_one_platform_and_a_plain_one_for_all(installed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    plain, = (installed.parents[1]).glob("vmrace-*.whl")
    assert plain.name.endswith("-py3-none-any.whl")
    shutil.copytree(ROOT, tmp_path / "tree", ignore=compiled.NOT_NEEDED, symlinks=True)
    build = ("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, tmp_path / "tree")
    built = run(sys.executable, *build, cwd=tmp_path, seconds=1200, VMRACE_COMPILED="1")
    if "needs a C compiler" in built.stderr:
        pytest.skip("there is no C compiler")
    assert built.returncode == 0, built.stderr
    wheel, = tmp_path.glob("vmrace-*.whl")
    _, _, python, abi, platform = wheel.stem.split("-")
    assert python == abi == f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert platform == sysconfig.get_platform().replace("-", "_").replace(".", "_")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "there")
    asks = "from vmrace.harness.explore import is_compiled; print(is_compiled())"
    done = run(sys.executable, "-c", asks, cwd=tmp_path, PYTHONPATH=str(tmp_path / "there"))
    assert done.stdout.strip() == "True", done.stdout + done.stderr


@pytest.mark.long
def test_a_wrong_type_is_reported(tmp_path: pathlib.Path) -> None:
    """The type checker sees the rooms by the names that they are installed under."""
    lines = {"verify(3)": "Argument 1", "fuzz(make, runs='many')": 'Argument "runs"', "Program(3)": "Argument 1",
             "verify(make).prooved": "has no attribute", "verify(make).proved": None}
    text = "from vmrace import Program, fuzz, verify\n\n\ndef make() -> Program:\n    return Program([])\n\n\n"
    (tmp_path / "mine.py").write_text(text + "\n".join(lines) + "\n")
    options = ("--no-incremental", "--ignore-missing-imports", "--follow-imports=silent")
    done = run(sys.executable, "-m", "mypy", *options, "mine.py", cwd=tmp_path, MYPYPATH=str(ROOT / ".types"))
    reported = {number: [told for told in done.stdout.splitlines() if told.startswith(f"mine.py:{number}: error")]
                for number in range(text.count("\n") + 1, text.count("\n") + 1 + len(lines))}
    assert done.returncode == 1, done.stdout + done.stderr
    for (line, wrong), told in zip(lines.items(), reported.values(), strict=True):
        assert (wrong in told[0] if wrong and told else not told and wrong is None), f"{line}\n{done.stdout}"
