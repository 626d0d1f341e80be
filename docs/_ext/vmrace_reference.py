# SPDX-License-Identifier: MIT
"""Reference pages from the declarations that the program itself uses.

A page says `<!-- generated: NAME -->`; the line is replaced by the Markdown that the function NAME of GENERATED returns.
"""

from __future__ import annotations

import ast
import inspect
import pathlib
import re
import types
from collections.abc import Callable, Iterator
from typing import Any

import click

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


# ---- commands -------------------------------------------------------------------------------------------------------------------

def commands() -> str:
    """Every command: how it is called, what it does, its options with their defaults."""
    from vmrace.fuzz.cli.main import main
    return "\n".join(line for name in sorted(main.commands) for line in _command(main, (name,)))


def _command(parent: click.Group, path: tuple[str, ...]) -> Iterator[str]:
    command = parent.commands[path[-1]]
    context = click.Context(command, info_name=" ".join(("vmrace", *path)))
    pieces = " ".join(command.collect_usage_pieces(context))
    yield from ("", f"{'#' * (1 + len(path))} vmrace {' '.join(path)}", "")
    yield from ("```text", f"vmrace {' '.join(path)} {pieces}", "```", "", _escaped(inspect.cleandoc(command.help or "")), "")
    yield from ("| option | default | meaning |", "|---|---|---|")
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield _option(context, parameter)
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _command(command, (*path, name))


def _option(context: click.Context, option: click.Option) -> str:
    written, said = option.get_help_record(context) or ("", "")
    shown = [note for note in re.findall(r"\[(.*?)\]", said) if note.startswith("default: ") or "<=" in note or ">=" in note]
    default = "; ".join(part.removeprefix("default: ") for note in shown for part in note.split("; "))
    meaning = re.sub(r" *\[default: .*?\]", "", option.help or "")
    return f"| `{written.replace('|', chr(92) + '|')}` | {_cell(default)} | {_cell(meaning)} |"


def exit_codes() -> str:
    """The exit codes, each with the comment of its declaration."""
    from vmrace.fuzz.text import exit_codes as declared
    rows = re.findall(r"^ *([A-Z_]+) = (\d+) *#+ *(.*)$", inspect.getsource(declared), re.MULTILINE)
    assert rows, "exit codes are declared as NAME = NUMBER  # meaning"
    known = {number: (name, meaning) for name, number, meaning in rows}
    known.setdefault("0", ("as expected", "nothing is other than expected"))
    return "\n".join(["| code | name | meaning |", "|---|---|---|",
                      *(f"| {number} | {known[number][0].lower().replace('_', ' ')} | {_cell(known[number][1])} |"
                        for number in sorted(known, key=int))])


# ---- the Python API -------------------------------------------------------------------------------------------------------------

FACE = ("vmrace.harness.functions.program.Program", "vmrace.harness.functions.verify.verify", "vmrace.fuzz.functions.sample.fuzz",
        "vmrace.harness.kernel.cell.cell", "vmrace.harness.explore.exploration.Exploration", "vmrace.fuzz.functions.result.Sampled",
        "vmrace.fuzz.functions.result.Failure")


def face() -> str:
    """Return the names that `vmrace` itself gives, by autodoc."""
    return _rst(f".. autoclass:: {name}\n   :members:\n" if name.rpartition(".")[2][0].isupper() or name.endswith(".cell") else
                f".. autofunction:: {name}" for name in FACE)


def toolkit() -> str:
    """The kernel toolkit, a section a file, by autodoc."""
    from vmrace.harness import kernel
    files: dict[str, list[str]] = {}
    constants = []
    for name in sorted(kernel.__all__):
        value = getattr(kernel, name)
        if isinstance(value, int):
            constants.append(name)
        else:
            files.setdefault(value.__module__, []).append(name)
    out = [f"Constants: {', '.join(f'`{name}`' for name in constants)}.", ""]
    for module, names in sorted(files.items()):
        out += [f"### harness/kernel/{module.rpartition('.')[2]}.py", "", _first_paragraph(_module(module)), ""]
        out += [_rst(f".. auto{'class' if isinstance(getattr(kernel, name), type) else 'function'}:: {module}.{name}"
                     for name in names), ""]
    return "\n".join(out)


def _module(name: str) -> types.ModuleType:
    import importlib
    return importlib.import_module(name)


def _rst(lines: Any) -> str:
    return "\n".join(["```{eval-rst}", *(line + "\n" for line in lines), "```"])


# ---- operations, sanitizers, titles, verdicts ------------------------------------------------------------------------------------

def operations() -> str:
    """Each operation: its operands, its meaning, and the families whose kernel source defines it."""
    from vmrace.variants.family import FAMILIES, family
    from vmrace.variants.operations import OPERATIONS
    has = {name: set(_operations_of(family(name))) for name in FAMILIES}
    rows = [f"| `{' '.join((name, *one.operands))}` | {_cell(getattr(one, 'meaning', '') or 'not described yet')} | "
            f"{', '.join(sorted(known for known in has if name in has[known])) or 'none'} |" for name, one in OPERATIONS.items()]
    return "\n".join(["| operation and the kinds of its operands | meaning | families |", "|---|---|---|", *rows])


def _operations_of(one: Any) -> tuple[str, ...]:
    variant = next(iter(one.variants))
    return tuple(one.operations(one.link(variant), variant))


def operands() -> str:
    """Each kind of operand and the operands that there are of it."""
    from vmrace.variants.operations import OPERANDS
    return "\n".join(["| kind | operands |", "|---|---|",
                      *(f"| {kind} | {' '.join(f'`{name}`' for name in names)} |" for kind, names in OPERANDS.items())])


def sanitizers() -> str:
    """The table of sanitizers: what each reports, which runs it watches, and the explorations in which it is off."""
    from vmrace.harness.sanitizers.table import SANITIZERS, on
    watching = {where: on(where) for where in ("entry", "scope", "functions")}
    rows = []
    for name, one in SANITIZERS.items():
        reports, level = getattr(one, "reports", one), getattr(one, "level", None)
        runs = f"; watches {level.value}" if level is not None else ""
        rows.append(f"| `{name}` | {_cell(f'{reports}{runs}')} | {', '.join(where for where in watching if name not in watching[where])} |")
    return "\n".join(["| sanitizer | reports | off in |", "|---|---|---|", *rows])


def invariants() -> str:
    """Every invariant of a family, with the operations of its canary."""
    from tests.variants.invariant_canaries import CANARIES
    rows = [f"| {family} | {_cell(one.title)} | `{one.operations}` |" for family, canaries in CANARIES.items() for one in canaries]
    return "\n".join(["| family | invariant, by the title of what breaks it | operations of its canary |", "|---|---|---|", *rows])


def titles() -> str:
    """Every kind of title, with an example of it from the corpus or from a canary."""
    from vmrace.harness import finding
    examples = _examples(finding)
    rows = []
    for kind in finding.Kind:
        of = [title for title in examples if finding.kind_of(title) is kind]
        rows.append(f"| `{kind.name}` | `{kind.value}` | {_cell(f'`{of[0]}`' if of else '')} |")
    return "\n".join(["| kind | a title begins with | example |", "|---|---|---|", *rows])


def _examples(finding: Any) -> list[str]:
    """Titles of findings that the corpus has, and of canaries, which trip each sanitizer on purpose."""
    from vmrace.fuzz.corpus.entry import load
    kept = [load(path).title for path in sorted((ROOT / "corpus").glob("*/*.toml"))]
    table = ast.parse((ROOT / "tests/canaries/table.py").read_text(encoding="utf-8"))
    written = (node.value for node in ast.walk(table) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    canaries = [text for text in written if len(text.split()) > 3 and finding.kind_of(text)]
    return [*kept, *canaries, "CHECK: the program's own check fails"]


def verdicts() -> str:
    """The module docstring of verdicts, as a block."""
    from vmrace.fuzz.corpus import verdict
    return "\n".join(["```text", inspect.cleandoc(verdict.__doc__ or "").partition("\n\n")[2], "```"])


def reasons() -> str:
    """Each reason of an inconclusive verdict: its name, its sentence with an example, and the hint that a command prints."""
    from vmrace.fuzz.verify.reasons import hint
    from vmrace.harness.incomplete import Incomplete, Reason
    rows = []
    for reason in Reason:
        example = Incomplete(reason, 1000, "...")
        rows.append(f"| `{reason.value}` | {_cell(str(example))} | {_cell(hint(example))} |")
    return "\n".join(["| reason | what the command says | what to do |", "|---|---|---|", *rows])


def corpus() -> str:
    """The questions of the corpus and the verdict of each variant, by family."""
    from vmrace.fuzz.corpus.entry import load
    from vmrace.variants.family import FAMILIES, family
    out = []
    for name in FAMILIES:
        out += [f"## {name}", ""]
        for path in sorted((ROOT / "corpus" / name).glob("*.toml")):
            entry = load(path)
            verdicts_of = {}
            for variant in family(name).variants:
                if (found := entry.expect.get(variant)) is not None:
                    verdicts_of.setdefault(str(found), []).append(variant)
            out += [f"### {_escaped(entry.asks)}", "", f"Entry `{path.stem}`. {_escaped(entry.source)}", ""]
            out += [f"- {_escaped(text)}: {', '.join(f'`{variant}`' for variant in variants)}" for text, variants in verdicts_of.items()]
            out.append("")
    return "\n".join(out)


# ---- pages ----------------------------------------------------------------------------------------------------------------------

GENERATED: dict[str, Callable[[], str]] = {one.__name__: one for one in (
    commands, exit_codes, face, toolkit, operations, operands, sanitizers, invariants, titles, verdicts, reasons, corpus)}


def filled(text: str) -> str:
    """The text of a page, with what is generated in the place of its marks. KeyError if a mark names nothing."""
    return MARK.sub(lambda found: GENERATED[found[1]](), text)


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Text that Markdown would take for markup, outside of backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if number % 2 else re.sub(r"([*_<>\[\]])", r"\\\1", part) for number, part in enumerate(parts))


def _first_paragraph(module: types.ModuleType) -> str:
    return _escaped(" ".join(inspect.cleandoc(module.__doc__ or "").partition("\n\n")[0].split()))


def _plain(lines: list[str]) -> None:
    """Make a docstring reStructuredText: `x` is code, an indented block is shown as it is."""
    out: list[str] = []
    block = False
    for line in lines:
        indented = line.startswith("    ")
        if indented and not block:
            out += ["", "::", ""]
        elif block and line and not indented:
            out.append("")
            block = False
        block = block or indented
        out.append(line if indented else _as_rst(line))
    lines[:] = out


def _as_rst(line: str) -> str:
    """A line of a docstring, whose `x` is code, as reStructuredText has it."""
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(f"`{part}`" if number % 2 else re.sub(r"([*|])", r"\\\1", part) for number, part in enumerate(parts))


def setup(app: Any) -> dict[str, Any]:
    def read(app: Any, name: str, source: list[str]) -> None:
        source[0] = filled(source[0])

    def docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
        _plain(lines)

    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", docstring)
    return {"parallel_read_safe": True}
