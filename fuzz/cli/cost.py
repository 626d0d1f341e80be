# SPDX-License-Identifier: MIT
"""`vmrace cost`: what each operation costs, by counting."""

from __future__ import annotations

import json

import click
from vmrace.fuzz.cli.arguments import Refused, variant_named
from vmrace.fuzz.text.exit_codes import USAGE
from vmrace.fuzz.text.terminal import echo


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="VARIANT ...")
@click.option("--ops", default="", help="Only these operations: load,unpin.")
@click.option("--runs", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Schedules of two operations at once.")
@click.option("--seed", type=int, default=0, show_default=True, help="Where the random schedules start.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def cost(names: tuple[str, ...], ops: str, runs: int, seed: int, as_json: bool) -> None:
    """What each operation costs in each VARIANT, counted: alone, and beside another cpu.

    Locks taken, waited for, and points under each; atomic read-modify-writes, loads, stores; stores to a cache line that another
    cpu wrote last, where a cache line is one kernel object. And how 1 to 8 faults on one page get in each other's way.
    """
    from vmrace.fuzz.measure import cost as costs
    from vmrace.variants.operations import OPERATIONS
    from vmrace.variants.spelling import did_you_mean
    chosen = [variant_named(name) for name in names]
    wanted = [one for one in ops.split(",") if one]
    for one in wanted:
        if one not in OPERATIONS:
            raise Refused(f"no operation {one!r}{did_you_mean(one, OPERATIONS)}", USAGE)
    measures = [costs.Costs(made, name, runs, seed) for made, name in chosen]
    some = costs.situations(measures, wanted)
    for one in wanted:
        if one not in {situation.name for situation in some}:
            raise Refused(f"none of these variants has the operation {one}", USAGE)
    if not as_json:
        for line in costs.preamble(runs, seed):
            echo(line)
    measured = []
    for situation in some:
        measured.append([one.measure(situation) for one in measures])
        for line in (json.dumps(costs.as_json(one)) for one in measured[-1]) if as_json else costs.table(measured[-1]):
            echo(line)
    chains = [one.serialise() for one in measures] if not wanted or "load" in wanted else []
    if as_json:
        for chain in (chain for each in chains for chain in each):
            echo(json.dumps(chain.told()))
        return
    for line in [*(costs.chains(chains, seed) if chains else []), *costs.conclusions(measured)]:
        echo(line)
