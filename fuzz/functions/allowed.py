# SPDX-License-Identifier: MIT
"""Data is not code: which MODULE:FUNCTION of a record or a certificate may be imported and called.

A file of data may come from anywhere. The function that it names is run only if

    the command line names it, too      vmrace replay x.run programs.queue:make
    the caller's Python code does       check(path, functions="programs.queue:make")
    its project allows it               in pyproject.toml:  [tool.vmrace]
                                                            functions = ["programs.*"]

A file belongs to the project of the nearest pyproject.toml above it, and only the project that the command was started in has a
say. A pattern fits MODULE or MODULE:FUNCTION as a whole, with `*` for any text.
"""

from __future__ import annotations

import contextlib
import fnmatch
import pathlib
import shlex

from vmrace.fuzz.run.project import project_of, settings_in
from vmrace.fuzz.run.target import NoSuch, TargetError, split


class NotAllowed(NoSuch):
    """The error that only a file names a function, and nothing else allows it."""


def require(file: pathlib.Path, target: str, named: str | None, command: str) -> None:
    """Check that the function `target`, which `file` names, may be called: the user has `named` it, too, or its project allows it.

    NotAllowed if not; the message ends with `command`, which names it. TargetError if the project's pyproject.toml cannot be read.
    Nothing is imported.
    """
    if named is not None:
        if split(named) != split(target):
            raise NotAllowed(f"{file}: is of {target}, not of {named}")
    elif not by_project(file, target):
        raise NotAllowed(f"{file}: names {target}, and no code is run because a file names it. If you trust it: {command}")


def by_project(file: pathlib.Path, target: str) -> bool:
    """True if `file` lies in the project in which the command was started, and that project allows `target`. TargetError as `require`."""
    wanted = split(target)
    return any(_fits(pattern, wanted) for pattern in _patterns(file))


def _fits(pattern: str, wanted: tuple[str, str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in (wanted[0], ":".join(wanted)))


def _patterns(file: pathlib.Path) -> list[str]:
    """Return the patterns that the project of a file allows; none if the command was started in another project, or in none."""
    project = project_of(file.resolve().parent)
    if project is None or project != project_of(pathlib.Path.cwd()):
        return []
    return settings_in(project).functions


def command(name: str, path: pathlib.Path, target: str) -> str:
    """Return a command that names a file and its function, to be typed as it stands."""
    return shlex.join(["vmrace", *name.split(), str(path), ":".join(split(target))])


def replay_command(path: pathlib.Path, target: str) -> str:
    """Return the command that replays a record. It leaves out a function that the project allows."""
    with contextlib.suppress(TargetError):
        if by_project(path, target):
            return shlex.join(["vmrace", "replay", str(path)])
    return command("replay", path, target)
