# SPDX-License-Identifier: MIT
"""`vmrace diff`: print what one variant can do that the other cannot."""

from __future__ import annotations

import math
import pathlib
import sys
import time
from typing import TYPE_CHECKING

import click
from vmrace.fuzz.cli.arguments import (
    CPUS,
    JSON,
    OPERANDS_HELP,
    OPERATIONS,
    PLACE,
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

if TYPE_CHECKING:
    from vmrace.variants.family import Family

SIZE_DEFAULT = 2        # of the programs of --operations


@click.command()
@click.argument("variants", nargs=-1, required=True, metavar="VARIANT VARIANT ...")
@click.option("--entry", default=None, help="Compare the program of one ENTRY: a file, or its name in corpus/.")
@click.option("--corpus", "directory", type=PLACE, default=None, help="Compare the programs of these entries.")
@SIZE
@CPUS
@SETUP
@OPERATIONS
@click.option("--operands", default="page=1,fpage=1", show_default=True, help=OPERANDS_HELP)
@click.option("--counts", is_flag=True, help="Outcomes differ also if reference counts of pages do.")
@click.option("--for-each", "seconds_each", type=Duration(), default="10s", show_default=True,
              help="Time limit for each program on each variant.")
@click.option("--runs-each", type=click.IntRange(min=1), default=None,
              help="Limit of runs for each program on each variant.  [default: none; of a search: 1500]")
@click.option("--for", "seconds", type=Duration(), default=None, help="Time limit of a search.  [default: 60s, or none with --runs]")
@click.option("--runs", type=click.IntRange(min=1), default=None, help="Limit of runs of a search; its result then depends on no time.")
@click.option("--seed", type=int, default=None, help="Seed of a search; printed, so that it can be given again.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes of a search.")
@click.option("--state", type=PLACE, default=None, help="Keep the results of a search in this file.")
@click.option("--witnesses", type=click.IntRange(min=0), default=8, show_default=True, help="Show at most N runs of each program.")
@click.option("--into", type=PLACE, default=None,
              help="Write these runs into this directory, as entries.  [default of a search: differences]")
@JSON
@click.pass_context
def diff(context: click.Context, variants: tuple[str, ...], entry: str | None, directory: pathlib.Path | None, size: int | None,
         cpus: int, setup: int, operations: str | None, operands: str, counts: bool, seconds_each: float, runs_each: int | None,
         seconds: float | None, runs: int | None, seed: int | None, workers: int, state: pathlib.Path | None, witnesses: int,
         into: pathlib.Path | None, as_json: bool) -> None:
    """Print what one VARIANT can do that another cannot: run the same programs on all of them, and compare the outcomes.

    Without --entry, --operations or --corpus, search for programs that tell the variants apart. Each difference is shrunk, confirmed and
    kept as an entry; the same command continues a search that was stopped.

    An outcome is a finding, or what user space saw and the state that each page ended in (across families: what user space loaded from
    anonymous memory). Leaks and races are not looked for. If not every schedule of a program fits into --for-each, schedules are sampled;
    no outcome is then called impossible. Exit codes: 0 no difference; 1 a difference; 3 inconclusive; 4 nothing was compared.
    """
    if len(variants) < 2:
        raise Refused("diff takes two variants or more: vmrace diff lru_free_2_4/pre_patch lru_free_2_4/daniel_lru_count", USAGE)
    if entry is not None and operations is not None:
        raise Refused("either --entry or --operations", USAGE)
    only_for(context, "--operations", ("size", "cpus", "setup", "operands"), operations is not None)
    only_for(context, "the programs of entries, without --entry or --operations", ("directory",), entry is None and operations is None)
    searching = entry is None and operations is None and directory is None
    only_for(context, "a search, without --entry, --operations or --corpus", ("seconds", "runs", "seed", "workers", "state"), searching)
    only_for(context, "programs that are given", ("seconds_each", "witnesses"), not searching)
    chosen = [variant_named(name) for name in variants]
    if searching:
        limits = (math.inf if runs is None else runs, seconds if seconds is not None else 60.0 if runs is None else math.inf)
        seed = time.time_ns() % 100_000 if seed is None else seed
        sys.exit(_search(chosen, limits, seed, workers, state, counts, runs_each, into, as_json))
    sys.exit(_of_programs(chosen, entry, directory, operations, (size or SIZE_DEFAULT, cpus, setup), operands, counts,
                          (seconds_each, runs_each or 1 << 60), witnesses, into, as_json))


def _search(chosen: list[tuple[Family, str]], limits: tuple[float, float], seed: int, workers: int, state: pathlib.Path | None,
            counts: bool, runs_each: int | None, into: pathlib.Path | None, as_json: bool) -> int:
    """Search for programs that tell the variants apart, up to a number of runs and of seconds. Returns the exit code."""
    from vmrace.fuzz.compare.conduct import NothingInCommon, search
    from vmrace.fuzz.compare.search import SearchOptions
    from vmrace.fuzz.run.state_file import StateError, Unwritable
    options = SearchOptions(*limits, seed, workers, into or pathlib.Path("differences"))
    check_writable(options.into)
    try:
        return search(chosen, options, state, counts, runs_each, as_json, echo, lambda line: echo(line, err=True))
    except Unwritable as error:
        raise Refused(str(error), COULD_NOT) from None
    except StateError as error:
        raise Refused(str(error), USAGE) from None
    except NothingInCommon as error:
        raise Refused(str(error), NOTHING) from None


def _of_programs(chosen: list[tuple[Family, str]], entry: str | None, directory: pathlib.Path | None, operations: str | None,
                 scope: tuple[int, int, int], operands: str, counts: bool, limits: tuple[float, int], witnesses: int,
                 into: pathlib.Path | None, as_json: bool) -> int:
    """Compare the programs that the command line names. Returns the exit code."""
    from vmrace.fuzz.compare.outcomes import Budget, contenders
    from vmrace.fuzz.compare.programs import Programs, compare_programs
    from vmrace.fuzz.corpus.entry import EntryError, load_all
    from vmrace.variants.program import ProgramError
    bad: list[EntryError] = []
    try:
        if entry is not None:
            programs = Programs.of_entries([entry_named(entry_path(entry))], single=True)
        elif operations is not None:
            programs = Programs.of_operations(operation_names(operations), *scope, operand_numbers(operands))
        else:
            assert directory is not None, "one of --entry, --operations and --corpus was given"
            families = {made.name for made, _ in chosen}
            loaded, bad = load_all(directory)
            tell_bad(bad)
            programs = Programs.of_entries([one for one in loaded if one.family in families])
            if bad and not programs.count:
                return COULD_NOT
            if not programs.count:
                raise Refused(f"{directory}: no entries of {' or '.join(sorted(families))}", NOTHING)
        if into is not None:
            check_writable(into)
        code = compare_programs(contenders(chosen, counts), programs, Budget(*limits), witnesses, into, as_json, echo)
    except ProgramError as error:
        raise Refused(str(error), USAGE) from None
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    return COULD_NOT if bad and not code else code
