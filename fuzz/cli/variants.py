# SPDX-License-Identifier: MIT
"""`vmrace variants`: the families, their variants, and what each has."""

from __future__ import annotations

import json

import click
from vmrace.fuzz.text.terminal import echo


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def variants(as_json: bool) -> None:
    """Families, their variants, and what each has."""
    from vmrace.fuzz.campaign.report import variants_table
    from vmrace.fuzz.run.executor import Executor
    from vmrace.harness.sanitizers.table import SANITIZERS
    from vmrace.variants.family import FAMILIES, family
    made = [family(name) for name in FAMILIES]
    operations = {(one.name, name): Executor(one, name).operations() for one in made for name in one.variants}
    if not as_json:
        for line in variants_table(made, {key: len(names) for key, names in operations.items()}, len(SANITIZERS)):
            echo(line)
        return
    for one in made:
        for variant in one.variants.values():
            echo(json.dumps({"family": one.name, "variant": variant.name, "summary": variant.summary, "source": variant.source,
                             "operations": operations[one.name, variant.name], "sanitizers": list(SANITIZERS)}))
