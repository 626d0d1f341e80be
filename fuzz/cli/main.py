# SPDX-License-Identifier: MIT
"""The command line. Each command imports what it needs when it runs: `--help` and `replay` stay quick.

Exit codes: 0 as expected; 1 a new title or a changed verdict; 2 usage; 3 could not run, was inconclusive, or lost a worker for good; 4
nothing was run; 130 interrupted: Ctrl-C, SIGTERM or SIGHUP.
"""

from __future__ import annotations

import errno
from typing import Any

import click
from vmrace.fuzz.cli.arguments import Refused, defaults
from vmrace.fuzz.cli.claims import claims
from vmrace.fuzz.cli.corpus import corpus
from vmrace.fuzz.cli.cost import cost
from vmrace.fuzz.cli.coverage import coverage
from vmrace.fuzz.cli.diff import diff
from vmrace.fuzz.cli.doctor import doctor
from vmrace.fuzz.cli.fuzz import fuzz
from vmrace.fuzz.cli.operations import operations
from vmrace.fuzz.cli.replay import replay
from vmrace.fuzz.cli.show import show
from vmrace.fuzz.cli.shrink import shrink
from vmrace.fuzz.cli.variants import variants
from vmrace.fuzz.cli.verify import verify
from vmrace.fuzz.functions import apart
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.text.exit_codes import COULD_NOT, INTERRUPTED
from vmrace.fuzz.text.terminal import echo, silence
from vmrace.fuzz.text.writing import why
from vmrace.harness import stop

# command -> how it is called and what it does, in the order of a user's work: the overview has the commands that there are
OVERVIEW = {
    "fuzz": ("fuzz VARIANT", "look for races in one variant: start with lru_free_2_4/pre_patch"),
    "replay": ("replay [CORPUS]", "run kept races against every variant"),
    "show": ("show ENTRY", "print the story of one race"),
    "shrink": ("shrink ENTRY", "minimise again; --refind where a point was renamed"),
    "diff": ("diff A B", "print what one variant can do that the other cannot"),
    "verify": ("verify ENTRY", "run every schedule of a small program, up to a bound or without one"),
    "variants": ("variants", "list the families, their variants, and what each has"),
    "operations": ("operations [FAMILY]", "print what each operation means, and the kernel function it calls"),
    "corpus": ("corpus", "list the kept entries; corpus accept ENTRY writes the verdicts of now"),
    "claims": ("claims [ID]", "check again what the posts claim"),
    "cost": ("cost A B ...", "count what each operation costs: locks, shared writes, chains"),
    "coverage": ("coverage [NAME]", "list the lines of each variant that nothing reaches, and why"),
    "doctor": ("doctor", "check whether this installation works"),
}


# command -> the option of today for one of earlier versions, which notes and scripts may still name
RENAMED = {
    "verify": {"--seconds": "--for-each", "--runs": "--runs-each", "--ops": "--size", "--kinds": "--operations"},
    "diff": {"--seconds": "--for-each", "--ops": "--size", "--programs": "--operations", "--program": "--entry",
             "--keep": "--into"},
    "cost": {"--runs": "--runs-each", "--ops": "--operations"},
}


def overview() -> str:
    """Return the introduction that `vmrace` prints: a line for each command."""
    lines = ["vmrace: find, keep and explain races in historical Linux VM patches", ""]
    lines += [f"  vmrace {call:<20} {text}" for name, (call, text) in OVERVIEW.items() if name in main.commands]
    return "\n".join([*lines, "", "ENTRY is a file, or a part of its name in corpus/. Each command has --help."])


class Commands(click.Group):
    """The group of all commands. Ctrl-C, an error of ours, or of the system ends any command with its own exit code: none of them is a
    finding."""

    def list_commands(self, context: click.Context) -> list[str]:
        """List the commands in the order of the overview; click would sort them by name."""
        return [name for name in OVERVIEW if name in self.commands]

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and rename its options of earlier versions."""
        name, command, rest = super().resolve_command(ctx, args)
        renamed = RENAMED.get(name or "", {})
        parts = [word.partition("=") for word in rest]
        return name, command, [f"{renamed.get(option, option)}{equals}{value}" for option, equals, value in parts]

    def main(self, *args: Any, **how: Any) -> Any:
        try:
            return super().main(*args, **how)
        except SystemExit as end:
            apart.say(code=end.code if isinstance(end.code, int) else int(end.code is not None))
            raise

    def invoke(self, context: click.Context) -> Any:
        with stop_request.heard():
            try:
                out = self._invoke(context)
            except (Refused, SystemExit) as end:
                if stop.asked() and INTERRUPTED not in (getattr(end, "code", None), getattr(end, "exit_code", None)):
                    raise Refused("interrupted", INTERRUPTED) from None
                raise
            if stop.asked():
                raise Refused("interrupted", INTERRUPTED)
            return out

    def _invoke(self, context: click.Context) -> Any:
        try:
            stop.look()
            return super().invoke(context)
        except KeyboardInterrupt:
            raise Refused("interrupted", INTERRUPTED) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except OSError as error:
            if error.filename is None and error.errno in (errno.EPIPE, errno.ENOSPC, errno.EBADF, errno.EIO):
                silence()
                raise Refused(f"stdout: cannot be written: {why(error)}", COULD_NOT) from None
            raise Refused(f"{error.filename or type(error).__name__}: {why(error)}", COULD_NOT) from None
        except Exception as error:
            if stop.asked():
                raise Refused("interrupted", INTERRUPTED) from None
            import traceback
            for line in "".join(traceback.format_exc()).splitlines():
                echo(line, err=True)
            raise Refused(f"this is our bug, please report it: {type(error).__name__}: {error}", COULD_NOT) from None


@click.group("vmrace", cls=Commands, invoke_without_command=True, context_settings={"max_content_width": 100})
@click.version_option(package_name="vmrace")
@click.pass_context
def main(context: click.Context) -> None:
    """Find, keep and explain races in historical Linux VM patches."""
    context.default_map = defaults(context.invoked_subcommand)
    if context.invoked_subcommand is None:
        for line in overview().splitlines():
            echo(line)


for _command in (fuzz, replay, show, shrink, diff, verify, variants, operations, corpus, claims, cost, coverage, doctor):
    _command.short_help = OVERVIEW[_command.name or ""][1]      # as in the overview: click would cut a docstring
    main.add_command(_command)
