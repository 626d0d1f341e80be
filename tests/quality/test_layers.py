# SPDX-License-Identifier: MIT
"""In the source itself imports flow one way, kernel source imports only kernel source, and every file has its licence."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[2]
ROOMS = ("harness", "variants", "fuzz", "tests")            # each room may import itself and the rooms before it
FUZZ_ONLY = {"hypothesis", "atheris", "click", "rich", "dask", "msgspec", "coverage"}
MIT = {"harness", "fuzz", "tests"}


def sources(room: str) -> list[pathlib.Path]:
    return sorted(path for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts)


ALL = [path for room in ROOMS for path in sources(room)]
# Kernel source: the modules that a variant or a test links. The other modules of a family are our Python.
OURS = {"__init__", "family", "invariants"}
# kernel source of several families
SHARED = ("variants.user_space", "variants.mmu", "variants.list_h", "variants.pagevec_h", "variants.spinlock_h", "variants.wait")
KERNEL = [path for family in sorted((ROOT / "variants").iterdir()) if family.is_dir() and family.name != "__pycache__"
          for path in sources(f"variants/{family.name}") if path.stem not in OURS]
TEST_KERNELS = [path for path in sources("tests") if path.parent.name == "kernels" and path.stem != "__init__"]


def name(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: pathlib.Path) -> Iterator[str]:
    """Generate every module that a file imports, at any place; modules of vmrace are named by their room."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("vmrace.") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}:{node.lineno}: relative import"
            if node.module == "vmrace":
                yield from (alias.name for alias in node.names)
            else:
                yield (node.module or "").removeprefix("vmrace.")


def roots(path: pathlib.Path) -> set[str]:
    return {module.partition(".")[0] for module in imports(path)}


each_file = pytest.mark.parametrize("path", ALL, ids=name)


@each_file
def test_imports_flow_one_way(path: pathlib.Path) -> None:
    mine = ROOMS.index(path.relative_to(ROOT).parts[0])
    assert roots(path) & set(ROOMS[mine + 1:]) == set()


# The folders and files of a room, from below: each imports only those of the rows above its own. `__init__` of a room is its face.
ORDER: dict[str, tuple[str, ...]] = {
    "harness": ("points errors finding incomplete printable stop backends", "call_stack machine", "sanitizers schedulers", "kernel",
                "link watchers", "user_data replay", "explore", "functions"),
    "fuzz": ("text", "run", "sampling", "programs corpus", "shrink", "libfuzzer", "functions campaign", "verify", "compare replay",
             "measure", "claims", "cli", "testing target"),
}


def imports_at_run_time(tree: ast.AST) -> Iterator[str]:
    """Yield every module or name that is imported outside `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imports_at_run_time(node)


def test_every_folder_has_its_row() -> None:
    for room, rows in ORDER.items():
        found = {path.relative_to(ROOT).parts[1].removesuffix(".py") for path in sources(room)} - {"__init__"}
        assert found == {one for row in rows for one in row.split()}


@pytest.mark.parametrize("path", [path for room in ORDER for path in sources(room) if path != ROOT / room / "__init__.py"], ids=name)
def test_a_folder_imports_only_folders_below_it(path: pathlib.Path) -> None:
    room, folder = (part.removesuffix(".py") for part in path.relative_to(ROOT).parts[:2])
    row_of = {one: number for number, row in enumerate(ORDER[room]) for one in row.split()}
    parts = [module.split(".") for module in imports_at_run_time(ast.parse(path.read_text())) if module.startswith(f"vmrace.{room}.")]
    assert [".".join(part) for part in parts if part[2] != folder and row_of[part[2]] >= row_of[folder]] == []


@pytest.mark.parametrize("path", [path for room in ("harness", "variants") for path in sources(room)], ids=name)
def test_only_the_fuzzing_room_imports_fuzzing_libraries(path: pathlib.Path) -> None:
    assert roots(path) & FUZZ_ONLY == set()


@pytest.mark.parametrize("path", sources("harness"), ids=name)
def test_the_harness_depends_on_greenlet_only(path: pathlib.Path) -> None:
    import sys
    assert roots(path) - set(sys.stdlib_module_names) <= {"harness", "greenlet"}


@pytest.mark.parametrize("path", KERNEL, ids=name)
def test_kernel_source_imports_the_toolkit_what_families_share_and_its_own_family_only(path: pathlib.Path) -> None:
    family = ".".join(path.relative_to(ROOT).parts[:2])
    known = ("harness.kernel", *SHARED)
    assert [module for module in imports(path) if module not in known and not module.startswith(family)] == []


@pytest.mark.parametrize("path", sources("variants"), ids=name)
def test_variants_import_only_the_toolkit_the_linker_and_the_kinds_of_finding(path: pathlib.Path) -> None:
    known = {"harness.finding", "harness.kernel", "harness.link.image", "harness.link.linker"}
    assert {module for module in imports(path) if module.startswith("harness")} <= known


@pytest.mark.parametrize("path", TEST_KERNELS, ids=name)
def test_kernel_source_of_tests_imports_the_toolkit_only(path: pathlib.Path) -> None:
    assert {module for module in imports(path) if not module.startswith("variants.")} <= {"harness.kernel"}


@pytest.mark.parametrize("path", sorted({path for path in sources("harness/kernel") if path.stem != "__init__"}), ids=name)
def test_the_toolkit_knows_no_scheduler_and_no_backend(path: pathlib.Path) -> None:
    assert [module for module in imports(path) if module.startswith(("harness.schedul", "harness.backends"))] == []


@pytest.mark.parametrize("path", sources("harness/schedulers"), ids=name)
def test_a_scheduler_knows_no_kernel_object(path: pathlib.Path) -> None:
    assert [module for module in imports(path) if module.startswith(("harness.kernel", "harness.sanitizers"))] == []


@pytest.mark.parametrize("path", [path for room in ("harness", "variants") for path in sources(room)
                                  if room == "harness" or path in KERNEL], ids=name)
def test_the_code_of_a_run_uses_no_clock_and_no_random_numbers(path: pathlib.Path) -> None:
    """Schedulers get a random generator as an argument: they may name random.Random, and nothing else of the module."""
    used = roots(path) & {"time", "datetime", "secrets", "uuid", "random"}
    # exploration.py and verify.py limit the time of many runs, which is no part of a run; python_state.py detects that a program draws
    # random numbers, also after a fork; verify.py compares a proof with random schedules of a fixed seed
    allowed = {"exploration.py": {"time"}, "verify.py": {"random", "time"}, "python_state.py": {"random"}}
    other = allowed.get(path.name, set())
    generator = "schedulers" in path.parts or path.name == "optimal.py"      # its generators have fixed seeds
    assert used <= ({"random"} if generator else other)
    attributes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    named = {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "random"}
    makes = {"Random"} if not other or path.name in ("python_state.py", "verify.py") else set()
    assert named <= makes | ({"getstate", "setstate"} if other else set())


@each_file
def test_every_file_begins_with_its_licence(path: pathlib.Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    licence = "MIT" if room in MIT else "GPL-2.0-only"
    assert path.read_text().startswith(f"# SPDX-License-Identifier: {licence}\n")


def test_the_test_of_layers_sees_the_rooms() -> None:
    assert {room for room in ROOMS if len(sources(room)) > 3} == set(ROOMS)
    assert len(KERNEL) > 10
    assert len(TEST_KERNELS) > 10
