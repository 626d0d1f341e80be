# SPDX-License-Identifier: MIT
"""The settings of a user's project: the table [tool.vmrace] of its pyproject.toml, for commands and for the pytest plugin alike.

    [tool.vmrace]
    functions = ["programs.*"]      # what a record or a certificate may have run: see fuzz/functions/allowed.py
    corpus = "races"                # where failures are kept, and replayed from, relative to pyproject.toml
    runs = 2000                     # limit of schedules of one search
    seconds = 10                    # time limit of one search or exploration
    preemptions = 3                 # explorations run only schedules with at most that number of preemptions
    workers = 2                     # worker processes of commands

A place belongs to the project of the nearest pyproject.toml above it. A command line, and an argument in Python, count more than the table.
"""

from __future__ import annotations

import pathlib
from typing import Any

import msgspec
from vmrace.fuzz.run.target import TargetError
from vmrace.fuzz.text.reading import text_of, toml_of
from vmrace.variants.spelling import did_you_mean

PROJECT = "pyproject.toml"


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of [tool.vmrace]; None for a key that is left out."""

    functions: list[str] = []
    corpus: str | None = None
    runs: int | None = None
    seconds: float | None = None
    preemptions: int | None = None
    workers: int | None = None


LIMITS = {"runs": (1, 10**9), "seconds": (0.001, 1e7), "preemptions": (0, 100), "workers": (1, 64)}     # the least and the most


def project_of(place: pathlib.Path) -> pathlib.Path | None:
    """Return the pyproject.toml of the project that a folder belongs to; None if there is none."""
    return next((folder / PROJECT for folder in (place, *place.parents) if (folder / PROJECT).is_file()), None)


def settings_in(project: pathlib.Path) -> Settings:
    """Read the table. TargetError, with one line that names the file and the key, if it cannot be used."""
    tool = toml_of(text_of(project, TargetError), project, TargetError).get("tool", {})
    table: Any = tool.get("vmrace", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise TargetError(f"{project}: tool.vmrace: must be a table")
    for key in table:
        if key not in Settings.__struct_fields__:
            raise TargetError(f"{project}: tool.vmrace: unknown key {key!r}{did_you_mean(key, Settings.__struct_fields__)}")
    try:
        made = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        why, _, where = str(error).partition(" - at `$.")
        raise TargetError(f"{project}: tool.vmrace.{where.rstrip('`') or 'functions'}: {why.replace(' | null', '')}") from None
    if made.corpus is not None and (not made.corpus or "\0" in made.corpus):
        raise TargetError(f"{project}: tool.vmrace.corpus: {made.corpus!r} names no directory")
    for name in LIMITS:
        if wrong := out_of_limits(name, getattr(made, name)):
            raise TargetError(f"{project}: tool.vmrace.{wrong}")
    return made


def out_of_limits(name: str, value: Any) -> str:
    """Return a line of error if the value of a limit cannot be used, or an empty text. None is no value, and can."""
    least, most = LIMITS[name]
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
                         and (name == "seconds" or isinstance(value, int))):
        return ""
    return f"{name}: {value!r} is not a number from {least:g} to {most:g}" + ("" if name == "seconds" else ", without a fraction")


def settings_here() -> tuple[Settings, pathlib.Path | None]:
    """Return the settings of the project that the process was started in, and its folder; none if there is no project. TargetError as
    `settings_in`."""
    project = project_of(pathlib.Path.cwd())
    return (settings_in(project), project.parent) if project is not None else (Settings(), None)


def corpus_of(settings: Settings, folder: pathlib.Path | None) -> pathlib.Path | None:
    """Return the directory that the project keeps failures in, as seen from the current folder; None if it names none."""
    if settings.corpus is None or folder is None:
        return None
    place, here = folder / settings.corpus, pathlib.Path.cwd()
    return place.relative_to(here) if place.is_relative_to(here) else place
