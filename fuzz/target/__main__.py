# SPDX-License-Identifier: MIT
"""`python -m vmrace.fuzz.target VARIANT [OPTION ...] [-FLAG=VALUE ...] [DIRECTORY ... | FILE ...]`: a fuzz target of libFuzzer."""

from __future__ import annotations

import pathlib
import shlex
import sys

import click
from vmrace.fuzz.cli.arguments import PLACE, Refused, variant_named
from vmrace.fuzz.corpus.entry import EntryError
from vmrace.fuzz.libfuzzer import start
from vmrace.fuzz.libfuzzer.runner import SCHEDULES
from vmrace.fuzz.target.target import Target, mode_of
from vmrace.fuzz.text.exit_codes import COULD_NOT


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("variant")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED, metavar="[-FLAG=VALUE]... [DIRECTORY|FILE]...")
@click.option("--schedules", type=click.IntRange(min=1), default=SCHEDULES, show_default=True, help="Schedules of an input.")
@click.option("--corpus", type=PLACE, default=pathlib.Path("corpus"), show_default=True,
              help="Keep entries in this directory. (Directories of inputs, which libFuzzer calls corpora, come last.)")
@click.option("--keep-going", is_flag=True, help="Go on after a new title, instead of a crash.")
@click.option("--blocks-only", is_flag=True, help="Only a block of kernel source makes an input worth keeping: a merge keeps few.")
@click.option("--no-shrink", is_flag=True, help="Keep findings as they were found.")
def main(variant: str, flags: tuple[str, ...], schedules: int, corpus: pathlib.Path, keep_going: bool, blocks_only: bool,
         no_shrink: bool) -> None:
    """Fuzz VARIANT (family/variant) with libFuzzer, through Atheris. -help=1 lists libFuzzer's flags."""
    made, name = variant_named(variant)
    own = [variant, f"--schedules={schedules}", f"--corpus={corpus}", *["--keep-going"] * keep_going, *["--blocks-only"] * blocks_only,
           *["--no-shrink"] * no_shrink]
    command = shlex.join([sys.executable, "-m", "vmrace.fuzz.target", *own])
    try:
        target = Target(made.name, name, mode_of(flags), schedules, corpus, keep_going, not no_shrink, blocks_only)
        start.fuzz([command, *flags], target.call, target.mutator.mutate, target.mutator.cross)
        target.end()
    except (start.CannotStart, EntryError) as error:
        raise Refused(str(error), COULD_NOT) from None


if __name__ == "__main__":
    main()
