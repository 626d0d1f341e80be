# SPDX-License-Identifier: MIT
"""The arguments of commands, checked: a wrong one costs one line and an exit code."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from vmrace.fuzz.text.exit_codes import COULD_NOT, USAGE
from vmrace.fuzz.text.terminal import echo

if TYPE_CHECKING:
    from vmrace.fuzz.corpus.entry import Entry
    from vmrace.variants.family import Family


class Refused(click.ClickException):
    """A one-line error with its exit code."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.exit_code = code

    def show(self, file: Any = None) -> None:
        echo(f"vmrace: {self.message}", err=True)


def parse_duration(text: str) -> float:
    """`60s`, `10m`, `1h` or plain seconds. ValueError otherwise."""
    units = {"s": 1, "m": 60, "h": 3600}
    unit = units.get(text[-1:], 0)
    value = float(text[:-1]) * unit if unit else float(text)
    if not 0 < value < 1e7:
        raise ValueError(text)
    return value


class Duration(click.ParamType):
    name = "time"

    def convert(self, value: Any, param: Any, context: Any) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time (60s, 10m, 1h)", param, context)


def variant_named(name: str) -> tuple[Family, str]:
    """`family/variant`. Refused, with the nearest name, if there is none."""
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
    """Refused if that is a module of the user's (`programs.queue`, `queue.py`), which was named without a function of it."""
    from vmrace.fuzz.functions.target import is_module
    module = target.removesuffix(".py").replace("/", ".")
    if is_module(module):
        raise Refused(f"{target} is a module: name the function that makes the program, {module}:FUNCTION", USAGE)


def given(context: click.Context, name: str) -> bool:
    """Whether an option was said, and not left as it is."""
    return context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


@contextlib.contextmanager
def functions_refused() -> Iterator[None]:
    """Programs of plain functions that there are not, or that cannot be run: one line."""
    from vmrace.fuzz.functions.run_file import RecordError
    from vmrace.fuzz.functions.target import NoSuch, TargetError
    from vmrace.fuzz.verify.subject import VerifyError
    from vmrace.harness.errors import ProgramError
    try:
        yield
    except NoSuch as error:
        raise Refused(str(error), USAGE) from None
    except (VerifyError, TargetError, ProgramError, RecordError) as error:
        raise Refused(str(error), COULD_NOT) from None


def tell_bad(bad: Sequence[Exception]) -> None:
    """Name each file that cannot be used."""
    for error in bad:
        echo(f"vmrace: {error}", err=True)


def only_of_runs(functions: str | None) -> None:
    if functions is not None:
        raise Refused(f"{functions}: a function is named for a file in .run, and for no other", USAGE)


def variants_of(entry: Entry) -> list[str]:
    from vmrace.variants.family import family
    return list(family(entry.family).variants)


def entry_path(name: str) -> pathlib.Path:
    """The file that is meant by a path or by a name in corpus/."""
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


def entry_named(path: pathlib.Path) -> Entry:
    from vmrace.fuzz.corpus.entry import EntryError, load
    try:
        return load(path)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None


def known_variant(entry: Entry, variant: str) -> None:
    if variant not in variants_of(entry):
        from vmrace.variants.spelling import did_you_mean
        raise Refused(f"no variant {variant!r} in {entry.family}"
                      f"{did_you_mean(variant, variants_of(entry)) or '. See: vmrace variants'}", USAGE)


def only_for(context: click.Context, what: str, names: tuple[str, ...], fits: bool) -> None:
    """Refuse options that were said and would be passed over."""
    for parameter in context.command.params:
        if not fits and parameter.name in names and given(context, parameter.name):
            name = parameter.opts[0] if parameter.param_type_name == "option" else (parameter.name or "").upper()
            raise Refused(f"{name} is for {what}", USAGE)


CORPUS = click.option("--corpus", "directory", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("corpus"),
                      show_default=True, help="Where the entries are.")
