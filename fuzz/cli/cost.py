# SPDX-License-Identifier: MIT
"""`vmrace cost`: count what each operation costs."""

from __future__ import annotations

import click
from vmrace.fuzz.cli.arguments import JSON, Refused, operation_names, variant_named
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import USAGE
from vmrace.fuzz.text.terminal import echo


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="VARIANT ...")
@click.option("--operations", default=None, help="Only these operations: load,unpin.")
@click.option("--runs-each", type=click.IntRange(1, 100_000), default=100, show_default=True,
              help="Schedules of each two operations at once.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random schedules.")
@JSON
def cost(names: tuple[str, ...], operations: str | None, runs_each: int, seed: int, as_json: bool) -> None:
    """Count what each operation costs in each VARIANT: alone, and beside another cpu.

    Counted are: locks taken and waited for, and points under each; atomic read-modify-writes, loads, stores; stores to a cache line that
    another cpu wrote last, where a cache line is one kernel object. For 1 to 8 faults on one page, the longest chain is counted, too.
    """
    from vmrace.fuzz.measure.cost import Costs, chains, conclusions, measured_as_json, preamble, situations, table
    from vmrace.variants.operations import OPERATIONS
    from vmrace.variants.spelling import did_you_mean
    chosen = [variant_named(name) for name in names]
    wanted = operation_names(operations)
    for one in wanted:
        if one not in OPERATIONS:
            raise Refused(f"no operation {one!r}{did_you_mean(one, OPERATIONS)}", USAGE)
    measures = [Costs(made, name, runs_each, seed) for made, name in chosen]
    some = situations(measures, wanted)
    for one in wanted:
        if one not in {situation.name for situation in some}:
            raise Refused(f"none of these variants has the operation {one}", USAGE)
    if not as_json:
        for line in preamble(runs_each, seed):
            echo(line)
    measured = []
    for situation in some:
        measured.append([one.measure(situation) for one in measures])
        for line in [] if as_json else table(measured[-1]):
            echo(line)
    longest = [one.serialise() for one in measures] if not wanted or "load" in wanted else []
    if as_json:
        echo(document("cost", 0, costs=[measured_as_json(one) for each in measured for one in each],
                      chains=[chain.told() for each in longest for chain in each]))
        return
    for line in [*(chains(longest, seed) if longest else []), *conclusions(measured)]:
        echo(line)
