# SPDX-License-Identifier: MIT
"""`vmrace cost`: count what each operation costs."""

from __future__ import annotations

import click
from vmrace.fuzz.cli.arguments import JSON, Refused, operation_names, variant_named
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import USAGE
from vmrace.fuzz.text.terminal import echo, working


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="VARIANT ...")
@click.option("--operations", default=None, help="Only these operations: load,unpin.")
@click.option("--runs-each", type=click.IntRange(1, 100_000), default=100, show_default=True,
              help="Schedules of each two operations at once.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random schedules.")
@click.option("--details", is_flag=True, help="Also print the counts of each operation in each situation, and the points under each lock.")
@JSON
def cost(names: tuple[str, ...], operations: str | None, runs_each: int, seed: int, details: bool, as_json: bool) -> None:
    """Count what the operations of each VARIANT cost: alone, and beside another cpu.

    The first table has the sums over all situations that all variants have, and the differences from the first variant. Then come the
    longest chains of 1 to 8 faults on one page, with their spread over the schedules, and the operations whose counts differ.

    Counted are: locks taken and waited for, sleeps, atomic read-modify-writes, loads, stores; stores to a cache line that another cpu
    wrote last, and loads of one. A cache line is one kernel object.
    """
    from vmrace.fuzz.measure.cost import Costs, situations
    from vmrace.fuzz.measure.cost_report import (
        chain_summary,
        chains,
        differences,
        legend,
        measured_as_json,
        summary,
        summary_as_json,
        table,
    )
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
    measured = []
    with working() as say:
        for number, situation in enumerate(some, 1):
            say(f"  {number} of {len(some)}: {situation.operation}")
            measured.append([one.measure(situation) for one in measures])
        say("  faults at once on one page")
        longest = [one.serialise() for one in measures] if not wanted or "load" in wanted else []
    if as_json:
        echo(document("cost", 0, costs=[measured_as_json(one) for each in measured for one in each],
                      chains=[chain.told() for each in longest for chain in each], summary=summary_as_json(measured)))
        return
    lines = [*summary(measured, seed), *(chain_summary(longest) if longest else []), *legend(), *differences(measured)]
    if details:
        lines += ["", *(line for each in measured for line in table(each)), *(chains(longest, seed) if longest else [])]
    for line in lines:
        echo(line)
