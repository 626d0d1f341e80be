# SPDX-License-Identifier: MIT
"""`vmrace diff`: what one variant can do that the other cannot."""

from __future__ import annotations

import pathlib
import sys

import click
from vmrace.fuzz.cli.arguments import Duration, Refused, entry_named, entry_path, only_for, tell_bad, variant_named
from vmrace.fuzz.text.exit_codes import COULD_NOT, NOTHING, USAGE
from vmrace.fuzz.text.terminal import echo


@click.command()
@click.argument("variants", nargs=-1, required=True, metavar="VARIANT VARIANT ...")
@click.option("--program", "entry", default=None, help="With the program of one ENTRY: a file, or its name in corpus/.")
@click.option("--corpus", "directory", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("corpus"), show_default=True,
              help="With the programs of these entries.")
@click.option("--programs", "kinds", default=None, help="With all programs of these operations: reclaim,unpin,exit. See --ops.")
@click.option("--ops", type=click.IntRange(1, 6), default=2, show_default=True, help="--programs: up to so many operations ...")
@click.option("--cpus", type=click.IntRange(1, 3), default=2, show_default=True, help="... on so many cpus ...")
@click.option("--setup", type=click.IntRange(0, 3), default=0, show_default=True, help="... after up to so many that run alone ...")
@click.option("--pages", type=click.IntRange(1, 3), default=1, show_default=True, help="... on so many pages of a process or file.")
@click.option("--counts", is_flag=True, help="Tell pages with different reference counts apart, too.")
@click.option("--seconds", type=Duration(), default="10s", show_default=True, help="That each program may take on each variant.")
@click.option("--runs", type=click.IntRange(min=1), default=None, help="Runs that each program may take on each variant.")
@click.option("--witnesses", type=click.IntRange(min=0), default=8, show_default=True, help="How many runs to show of a program.")
@click.option("--keep", type=click.Path(path_type=pathlib.Path), default=None, help="Write these runs there, as entries.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: programs, then a summary.")
@click.pass_context
def diff(context: click.Context, variants: tuple[str, ...], entry: str | None, directory: pathlib.Path, kinds: str | None, ops: int,
         cpus: int, setup: int, pages: int, counts: bool, seconds: float, runs: int | None, witnesses: int, keep: pathlib.Path | None,
         as_json: bool) -> None:
    """What one VARIANT can do that another cannot: each program's outcomes on all of them.

    An outcome is a finding, or what user space saw and what the pages ended as (across families: what it loaded from anonymous
    memory). Leaks and races are not looked for. Where not every schedule fits into --seconds, schedules are sampled, and nothing is
    said not to be possible. Exit codes: 0 no difference; 1 a difference; 3 inconclusive; 4 nothing was compared.
    """
    from vmrace.fuzz.compare.outcomes import Budget, contenders
    from vmrace.fuzz.compare.programs import Programs, run
    from vmrace.fuzz.corpus.entry import EntryError, load_all
    from vmrace.variants.program import ProgramError
    if len(variants) < 2:
        raise Refused("diff takes two variants or more: vmrace diff lru_free_2_4/pre_patch lru_free_2_4/daniel_lru_count", USAGE)
    if entry is not None and kinds is not None:
        raise Refused("either --program or --programs", USAGE)
    only_for(context, "--programs", ("ops", "cpus", "setup", "pages"), kinds is not None)
    only_for(context, "the programs of entries, without --program or --programs", ("directory",), entry is None and kinds is None)
    chosen = [variant_named(name) for name in variants]
    bad: list[EntryError] = []
    try:
        if entry is not None:
            programs = Programs.of_entries([entry_named(entry_path(entry))], single=True)
        elif kinds is not None:
            programs = Programs.of_operations(kinds, ops, cpus, setup, pages)
        else:
            families = {made.name for made, _ in chosen}
            loaded, bad = load_all(directory)
            tell_bad(bad)
            programs = Programs.of_entries([one for one in loaded if one.family in families])
            if bad and not programs.count:
                sys.exit(COULD_NOT)
            if not programs.count:
                raise Refused(f"{directory}: no entries of {' or '.join(sorted(families))}", NOTHING)
        budget = Budget(seconds, runs or 1 << 60)
        code = run(contenders(chosen, counts), programs, budget, witnesses, keep, as_json, echo)
    except ProgramError as error:
        raise Refused(str(error), USAGE) from None
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    sys.exit(COULD_NOT if bad and not code else code)
