# SPDX-License-Identifier: MIT
"""`vmrace diff`: print what one variant can do that the other cannot."""

from __future__ import annotations

import pathlib
import sys

import click
from vmrace.fuzz.cli.arguments import (
    CPUS,
    JSON,
    OPERANDS_HELP,
    OPERATIONS,
    SETUP,
    SIZE,
    Duration,
    Refused,
    check_writable,
    entry_named,
    entry_path,
    only_for,
    operand_numbers,
    operation_names,
    tell_bad,
    variant_named,
)
from vmrace.fuzz.text.exit_codes import COULD_NOT, NOTHING, USAGE
from vmrace.fuzz.text.terminal import echo

SIZE_DEFAULT = 2        # of the programs of --operations


@click.command()
@click.argument("variants", nargs=-1, required=True, metavar="VARIANT VARIANT ...")
@click.option("--entry", default=None, help="Compare the program of one ENTRY: a file, or its name in corpus/.")
@click.option("--corpus", "directory", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("corpus"), show_default=True,
              help="Compare the programs of these entries.")
@SIZE
@CPUS
@SETUP
@OPERATIONS
@click.option("--operands", default="page=1,fpage=1", show_default=True, help=OPERANDS_HELP)
@click.option("--counts", is_flag=True, help="Outcomes differ also if reference counts of pages do.")
@click.option("--for-each", "seconds_each", type=Duration(), default="10s", show_default=True,
              help="Time limit for each program on each variant.")
@click.option("--runs-each", type=click.IntRange(min=1), default=None,
              help="Limit of runs for each program on each variant.  [default: none]")
@click.option("--witnesses", type=click.IntRange(min=0), default=8, show_default=True, help="Show at most N runs of each program.")
@click.option("--into", type=click.Path(path_type=pathlib.Path), default=None, help="Write these runs into this directory, as entries.")
@JSON
@click.pass_context
def diff(context: click.Context, variants: tuple[str, ...], entry: str | None, directory: pathlib.Path, size: int | None,
         cpus: int, setup: int, operations: str | None, operands: str, counts: bool, seconds_each: float, runs_each: int | None,
         witnesses: int, into: pathlib.Path | None, as_json: bool) -> None:
    """Print what one VARIANT can do that another cannot: run the same programs on all of them, and compare the outcomes.

    An outcome is a finding, or what user space saw and the state that each page ended in (across families: what user space loaded from
    anonymous memory). Leaks and races are not looked for. If not every schedule of a program fits into --for-each, schedules are sampled;
    no outcome is then called impossible. Exit codes: 0 no difference; 1 a difference; 3 inconclusive; 4 nothing was compared.
    """
    from vmrace.fuzz.compare.outcomes import Budget, contenders
    from vmrace.fuzz.compare.programs import Programs, compare_programs
    from vmrace.fuzz.corpus.entry import EntryError, load_all
    from vmrace.variants.program import ProgramError
    if len(variants) < 2:
        raise Refused("diff takes two variants or more: vmrace diff lru_free_2_4/pre_patch lru_free_2_4/daniel_lru_count", USAGE)
    if entry is not None and operations is not None:
        raise Refused("either --entry or --operations", USAGE)
    only_for(context, "--operations", ("size", "cpus", "setup", "operands"), operations is not None)
    only_for(context, "the programs of entries, without --entry or --operations", ("directory",), entry is None and operations is None)
    chosen = [variant_named(name) for name in variants]
    bad: list[EntryError] = []
    try:
        if entry is not None:
            programs = Programs.of_entries([entry_named(entry_path(entry))], single=True)
        elif operations is not None:
            programs = Programs.of_operations(operation_names(operations), size or SIZE_DEFAULT, cpus, setup, operand_numbers(operands))
        else:
            families = {made.name for made, _ in chosen}
            loaded, bad = load_all(directory)
            tell_bad(bad)
            programs = Programs.of_entries([one for one in loaded if one.family in families])
            if bad and not programs.count:
                sys.exit(COULD_NOT)
            if not programs.count:
                raise Refused(f"{directory}: no entries of {' or '.join(sorted(families))}", NOTHING)
        if into is not None:
            check_writable(into)
        budget = Budget(seconds_each, runs_each or 1 << 60)
        code = compare_programs(contenders(chosen, counts), programs, budget, witnesses, into, as_json, echo)
    except ProgramError as error:
        raise Refused(str(error), USAGE) from None
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    sys.exit(COULD_NOT if bad and not code else code)
