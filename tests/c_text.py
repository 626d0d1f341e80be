# SPDX-License-Identifier: MIT
"""Write the C files of a kernel tree as a family's c_source.toml reads them, so that they can be compared with its Python.

    python -m tests.c_text FAMILY TREE INTO

Two tables of c_source.toml say what is read otherwise. `[text]` has a regular expression and what stands for a match: a loop macro
written out, a part of a function that Python has as a function of its own. `[exempt]` names, for each file, the functions that the model
has written anew; they are left out. Each line keeps its number. A patch is applied to the tree before. The exit code is 1 if a function to
be left out is not there.

In the text that stands for a match, <line>x</line> is x on one line, and <blank>x</blank> is the line ends of x alone.
"""

from __future__ import annotations

import functools
import pathlib
import re
import sys
import tomllib

VARIANTS = pathlib.Path(__file__).parents[1] / "variants"


def line_ends(text: str) -> str:
    return "\n" * text.count("\n")


def in_place_of(text: str, match: re.Match[str]) -> str:
    """Return the text that stands for a match, on as many lines."""
    text = re.sub("(?s)<line>(.*?)</line>", lambda part: part[1].replace("\n", " "), match.expand(text))
    text = re.sub("(?s)<blank>(.*?)</blank>", lambda part: line_ends(part[1]), text)
    return text + "\n" * (match[0].count("\n") - text.count("\n"))


def without(source: str, name: str) -> str:
    """`source` without the function or the function-like macro `name`.

    A function begins at the start of a line, its type may have a line of its own, and it ends at the first line that is a brace alone.
    """
    function = rf"^(?:[a-z_][\w *]*\n)?(?=\w)[^;{{}}#=\n]*\b{name}\s*\([^;{{}}]*\)[^;{{}}]*\{{(?:[^\n]*\}}$|[\s\S]*?^\}})"
    macro = rf"^#\s*define\s+{name}\((?:[^\n]*\\\n)*[^\n]*"
    return re.sub(f"{function}|{macro}", lambda match: line_ends(match[0]), source, flags=re.MULTILINE)


def as_read(path: str, source: str, family: dict[str, dict]) -> str:
    for pattern, text in family.get("text", {}).items():
        source = re.sub(pattern, functools.partial(in_place_of, text), source)
    for name in family.get("exempt", {}).get(path, ()):
        source = without(source, name)
    return source


def main() -> int:
    if len(sys.argv) != 4:
        print(__doc__)
        return 2
    tree, into = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    family = tomllib.loads((VARIANTS / sys.argv[1] / "c_source.toml").read_text())
    bad = []
    for path in sorted(file for file in tree.rglob("*") if file.suffix in (".c", ".h")):
        place, source = path.relative_to(tree), path.read_text(errors="replace")
        absent = [name for name in family["exempt"].get(str(place), ()) if without(source, name) == source]
        bad += [f"{place}: no function {name} to leave out" for name in absent]
        (into / place).parent.mkdir(parents=True, exist_ok=True)
        (into / place).write_text(as_read(str(place), source, family))
    print(*bad, sep="\n", end="\n" * bool(bad), file=sys.stderr)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
