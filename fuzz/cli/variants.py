# SPDX-License-Identifier: MIT
"""`vmrace variants`: list the families, their variants, and what each has."""

from __future__ import annotations

import click
from vmrace.fuzz.cli.arguments import JSON
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.terminal import echo


@click.command()
@JSON
def variants(as_json: bool) -> None:
    """List the families, their variants, and what each has."""
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
    echo(document("variants", 0, variants=[
        {"family": one.name, "variant": variant.name, "summary": variant.summary, "source": variant.source,
         "operations": operations[one.name, variant.name], "sanitizers": list(SANITIZERS)}
        for one in made for variant in one.variants.values()]))
