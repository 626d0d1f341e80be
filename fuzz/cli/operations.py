# SPDX-License-Identifier: MIT
"""`vmrace operations`: the meaning of each operation."""

from __future__ import annotations

import click
from vmrace.fuzz.cli.arguments import JSON, Refused
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import USAGE
from vmrace.fuzz.text.terminal import echo


@click.command()
@click.argument("name", default="", metavar="[FAMILY]")
@JSON
def operations(name: str, as_json: bool) -> None:
    """Print the meaning of each operation, its operands, and the kernel function that it calls, for a FAMILY or for all."""
    from vmrace.fuzz.programs import meaning
    from vmrace.variants.family import FAMILIES, family
    from vmrace.variants.spelling import did_you_mean
    if name and name not in FAMILIES:
        raise Refused(f"no family {name!r}{did_you_mean(name, FAMILIES) or '. See: vmrace variants'}", USAGE)
    told = [(one, meaning.meanings(one)) for one in map(family, [name] if name else FAMILIES)]
    if as_json:
        echo(document("operations", 0, families=[meaning.as_json(one, operations) for one, operations in told]))
        return
    for line in [line for one, operations in told for line in meaning.lines(one, operations)] + meaning.operand_lines():
        echo(line)
