# SPDX-License-Identifier: MIT
"""The arguments of commands, checked. A wrong argument costs one line on stderr and an exit code."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.exit_codes import COULD_NOT, USAGE
from vmrace.fuzz.text.terminal import echo

if TYPE_CHECKING:
    from vmrace.fuzz.corpus.entry import Entry
    from vmrace.variants.family import Family


class Refused(click.ClickException):
    """A one-line error with its exit code."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]     # click has it as a class variable, and reads it of the instance

    def show(self, file: Any = None) -> None:
        echo(f"vmrace: {self.message}", err=True)


def parse_duration(text: str) -> float:
    """Convert `60s`, `10m`, `1h` or plain seconds to seconds. ValueError if the text is none of these, or not more than 0."""
    units = {"s": 1, "m": 60, "h": 3600}
    unit = units.get(text[-1:], 0)
    value = float(text[:-1]) * unit if unit else float(text)
    if not 0 < value < 1e7:
        raise ValueError(text)
    return value


class Duration(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    name = "time"

    def convert(self, value: Any, param: Any, context: Any) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time (60s, 10m, 1h)", param, context)


class Place(click.Path):
    """A file or a directory. An empty text, which a shell makes of a variable that is not set, would be the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=pathlib.Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value == "":
            self.fail("an empty text names no file and no directory", param, ctx)
        return super().convert(value, param, ctx)


PLACE = Place()


def variant_named(name: str) -> tuple[Family, str]:
    """Find a variant by `family/variant`. Refused, with the nearest name, if there is none."""
    from vmrace.variants.family import FAMILIES, family
    from vmrace.variants.spelling import did_you_mean
    family_name, _, variant = name.partition("/")
    names = [f"{one}/{other}" for one in FAMILIES for other in family(one).variants]
    if name not in names:
        guess = did_you_mean(name, names) or did_you_mean(variant or name, [full.partition("/")[2] for full in names])
        for full in names:
            if guess.endswith(f" {full.partition('/')[2]}?"):
                guess = f". Did you mean {full}?"
        raise Refused(f"no variant {name!r}{guess or '. See: vmrace variants'}", USAGE)
    return family(family_name), variant


def which_function(target: str) -> None:
    """Refuse a module of the user's (`programs.queue`, `queue.py`) that was named without one of its functions."""
    from vmrace.fuzz.run.target import is_module
    module = target.removesuffix(".py").replace("/", ".")
    if is_module(module):
        raise Refused(f"{target} is a module: name the function that makes the program, {module}:FUNCTION", USAGE)


def given(context: click.Context, name: str) -> bool:
    """True if the command line has the option. The settings of a project are no options."""
    return context.get_parameter_source(name) not in (click.core.ParameterSource.DEFAULT, click.core.ParameterSource.DEFAULT_MAP)


# command -> its parameters that a project may set, each with the key in [tool.vmrace]
SETTABLE = {
    "fuzz": {"corpus": "corpus", "runs": "runs", "seconds": "seconds", "workers": "workers"},
    "verify": {"preemptions": "preemptions", "runs_each": "runs", "seconds_each": "seconds", "workers": "workers"},
    "replay": {"corpus": "corpus", "workers": "workers"}, "corpus": {"directory": "corpus"}, "accept": {"directory": "corpus"},
    "claims": {"directory": "corpus"}, "coverage": {"directory": "corpus"}, "doctor": {"directory": "corpus"},
}


def defaults(command: str | None) -> dict[str, Any]:
    """Return the defaults of a command's parameters that the project of the current folder sets. Refused if the table cannot be used."""
    if command not in SETTABLE:
        return {}
    from vmrace.fuzz.run.project import corpus_of, settings_here
    from vmrace.fuzz.run.target import TargetError
    try:
        settings, folder = settings_here()
    except TargetError as error:
        raise Refused(str(error), COULD_NOT) from None
    values = {**{key: getattr(settings, key) for key in settings.__struct_fields__}, "corpus": corpus_of(settings, folder)}

    def of(name: str) -> dict[str, Any]:
        return {parameter: values[key] for parameter, key in SETTABLE[name].items() if values[key] is not None}
    return {command: {**of(command), "accept": of("accept")} if command == "corpus" else of(command)}


@contextlib.contextmanager
def functions_refused() -> Iterator[None]:
    """Turn the errors of programs of plain functions into one line with an exit code."""
    from vmrace.fuzz.functions.run_file import RecordError
    from vmrace.fuzz.run.target import NoSuch, TargetError
    from vmrace.fuzz.verify.subject import VerifyError
    from vmrace.harness.errors import ProgramError
    try:
        yield
    except NoSuch as error:
        raise Refused(str(error), USAGE) from None
    except (VerifyError, TargetError, ProgramError, RecordError) as error:
        raise Refused(str(error), COULD_NOT) from None


def tell_bad(bad: Sequence[object]) -> None:
    """Name each file that cannot be used, on stderr: a line for each."""
    for error in bad:
        echo(f"vmrace: {error}", err=True)


def only_of_runs(functions: str | None) -> None:
    if functions is not None:
        raise Refused(f"{functions}: a function is named for a file in .run, and for no other", USAGE)


def variants_of(entry: Entry) -> list[str]:
    from vmrace.variants.family import family
    return list(family(entry.family).variants)


def entry_path(name: str) -> pathlib.Path:
    """Find the file of an entry by its path, or by a part of its name in corpus/. Refused if no entry or more than one fits."""
    from vmrace.fuzz.corpus.index import NoSuchEntry, named
    try:
        return named(name)
    except NoSuchEntry as error:
        raise Refused(str(error), USAGE) from None


def is_entry(name: str) -> bool:
    try:
        return bool(entry_path(name))
    except Refused:
        return False


def check_writable(directory: pathlib.Path) -> None:
    """Refuse a command whose result could not be written in `directory`."""
    try:
        writing.check_writable(directory)
    except OSError as error:
        raise Refused(f"{directory}: cannot be written: {writing.why(error)}", COULD_NOT) from None


def no_certificate(path: pathlib.Path) -> None:
    """Refuse a file of certificates where an entry is asked for."""
    from vmrace.fuzz.verify.certificate import PROOF
    from vmrace.fuzz.verify.sample_file import SAMPLES_OF
    if path.name.endswith(PROOF):
        raise Refused(f"{path}: a certificate, not an entry: vmrace verify --check FILE checks it", USAGE)
    if path.name.endswith(SAMPLES_OF):
        raise Refused(f"{path}: certificates of samples, not an entry: vmrace replay ENTRY checks them", USAGE)


def entry_named(path: pathlib.Path) -> Entry:
    from vmrace.fuzz.corpus.entry import EntryError, load
    no_certificate(path)
    try:
        return load(path)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None


def known_variant(entry: Entry, variant: str) -> None:
    check_variant(variant, variants_of(entry), f" in {entry.family}")


def check_variant(variant: str, known: Collection[str], where: str = "") -> None:
    """Refuse the name of a variant, without its family, that is not among those known."""
    if variant not in known:
        from vmrace.variants.spelling import did_you_mean
        guess = did_you_mean(variant.rpartition("/")[2], known)
        raise Refused(f"no variant {variant!r}{where}{guess or '. See: vmrace variants'}", USAGE)


def only_for(context: click.Context, what: str, names: tuple[str, ...], fits: bool) -> None:
    """Refuse those of the options `names` that were given, unless `fits`: `what` says what they are for."""
    for parameter in context.command.params:
        if not fits and parameter.name in names and given(context, parameter.name):
            name = parameter.opts[0] if parameter.param_type_name == "option" else (parameter.name or "").upper()
            raise Refused(f"{name} is for {what}", USAGE)


CORPUS = click.option("--corpus", "directory", type=PLACE, default=pathlib.Path("corpus"),
                      show_default=True, help="Directory of the entries.")

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead (see docs/reference/json.md).")

# All programs of a VARIANT up to a size, in vmrace verify and vmrace diff.
SIZE = click.option("--size", type=click.IntRange(1, 6), default=None, help="All programs of at most N operations ...")
CPUS = click.option("--cpus", type=click.IntRange(1, 3), default=2, show_default=True, help="... on N cpus ...")
SETUP = click.option("--setup", type=click.IntRange(0, 3), default=0, show_default=True,
                     help="... after setups of at most N operations ...")
OPERATIONS = click.option("--operations", default=None, help="... of these operations only: reclaim,unpin,exit ...")
OPERANDS_HELP = "... with at most that number of each kind of operand: page=1,file=1,fpage=1,number=1."


def operation_names(text: str | None) -> tuple[str, ...]:
    """Convert `reclaim,exit` to names; no names if the option was left out. Refused if it names nothing."""
    names = tuple(one.strip() for one in (text or "").split(",") if one.strip())
    if text is not None and not names:
        raise Refused("--operations: names no operation", USAGE)
    return names


def operand_numbers(text: str | None) -> dict[str, int]:
    """Convert `page=1,file=2` to numbers by kind. Refused if a kind is unknown, or a number is no number or too large."""
    from vmrace.fuzz.programs.enumerate import OPERAND_KINDS
    from vmrace.variants.spelling import did_you_mean
    out = {}
    for part in text.split(",") if text else ():
        kind, _, number = part.strip().partition("=")
        if kind not in OPERAND_KINDS:
            hint = did_you_mean(kind, OPERAND_KINDS) or f"; there are {', '.join(OPERAND_KINDS)}"
            raise Refused(f"--operands: no kind {kind!r}{hint}", USAGE)
        if not number.isdecimal() or not int(number):
            raise Refused(f"--operands: {part!r} is not like {kind}=1", USAGE)
        if int(number) > OPERAND_KINDS[kind]:
            raise Refused(f"--operands: {part.strip()}: the most is {kind}={OPERAND_KINDS[kind]}", USAGE)
        out[kind] = int(number)
    return out
