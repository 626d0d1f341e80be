# SPDX-License-Identifier: MIT
"""A backend for Hypothesis: `settings(backend="vmrace")` draws examples near those whose runs reached something new.

The default backend draws each example anew. This one keeps the choices of an example after which new features (fuzz/sampling/coverage.py)
were reported by `reached`, and draws most of the next examples as changes of a kept one. It is experimental, as Hypothesis's interface for
backends is. Hypothesis's own database and its shrinker work on top of it.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator
from typing import Any

from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

NAME = "vmrace"
NEW_SHARE = 0.2             # share of the examples that are drawn anew
KEEP_SHARE = 0.8            # share of the choices of a kept example that stay as they are; of bytes, one is changed in the others
KEPT_MAX = 400
FAR = 1 << 20               # the distance of a number that has no limit on one side

_fresh = 0                  # new features since the present example began


def reached(fresh: int) -> None:
    """Report that the runs of the present example reached that number of new features."""
    global _fresh
    _fresh += fresh


class Provider(HypothesisProvider):     # type: ignore[misc, unused-ignore]
    """A provider of choices: those of a kept example, changed here and there; where they do not fit, random ones.

    It makes all choices itself: those of Hypothesis's own provider need the data of an example, and this one lives for all examples.
    """

    lifetime = "test_function"      # type: ignore[assignment]     # one for all examples, as each begins with what was kept of others

    def __init__(self, conjecturedata: Any, /) -> None:
        super().__init__(conjecturedata)
        self.rng = self._random = random.Random(0)
        self.kept: list[list[Any]] = []
        self.base: list[Any] = []
        self.made: list[Any] = []

    @contextlib.contextmanager
    def per_test_case_context_manager(self) -> Iterator[None]:
        global _fresh
        _fresh = 0
        self.base = self.rng.choice(self.kept) if self.kept and self.rng.random() >= NEW_SHARE else []
        self.made = []
        try:
            yield
        finally:
            if _fresh and self.made:
                self.kept.append(self.made)
                if len(self.kept) > KEPT_MAX:
                    del self.kept[self.rng.randrange(KEPT_MAX)]

    def _choice(self, kind: type) -> Any:
        """Return the choice of the kept example at this place, if it has that type, and is to stay or to be changed; else None."""
        place = len(self.made)
        value = self.base[place] if place < len(self.base) else None
        return value if type(value) is kind else None

    def _take(self, value: Any) -> Any:
        self.made.append(value)
        return value

    def draw_boolean(self, p: float = 0.5) -> bool:
        value = self._choice(bool)
        keep = value is not None and 0 < p < 1 and self.rng.random() < KEEP_SHARE
        return bool(self._take(value if keep else self.rng.random() < p))

    def draw_integer(self, min_value: int | None = None, max_value: int | None = None, *, weights: dict[int, float] | None = None,
                     shrink_towards: int = 0) -> int:
        value = self._choice(int)
        fits = value is not None and (min_value is None or min_value <= value) and (max_value is None or value <= max_value)
        if fits and self.rng.random() < KEEP_SHARE:
            return int(self._take(value))
        if weights and self.rng.random() < sum(weights.values()):
            return int(self._take(self.rng.choices([*weights], [*weights.values()])[0]))
        low = min_value if min_value is not None else min(shrink_towards, max_value or shrink_towards) - FAR
        high = max_value if max_value is not None else max(shrink_towards, low) + FAR
        return int(self._take(self.rng.randint(low, high)))

    def draw_bytes(self, min_size: int = 0, max_size: int = 64) -> bytes:
        value = self._choice(bytes)
        size = min(max_size, min_size + 64)
        if value is None or not min_size <= len(value) <= max_size:
            return bytes(self._take(self.rng.randbytes(self.rng.randint(min_size, size))))
        return bytes(self._take(_changed(self.rng, value, min_size, max_size)))

    def draw_float(self, *, min_value: float = -math.inf, max_value: float = math.inf, allow_nan: bool = True,
                   smallest_nonzero_magnitude: float) -> float:
        low, high = max(min_value, min(-FAR, max_value)), min(max_value, max(FAR, min_value))
        value = self.rng.choice((low, high, self.rng.uniform(low, high), self.rng.uniform(low, high)))
        if 0 < abs(value) < smallest_nonzero_magnitude:
            value = 0.0 if low <= 0.0 <= high else math.copysign(smallest_nonzero_magnitude, value)
        return float(self._take(value))

    def draw_string(self, intervals: Any, *, min_size: int = 0, max_size: int = 64) -> str:
        size = self.rng.randint(min_size, min(max_size, min_size + 64)) if len(intervals) else 0
        return str(self._take("".join(chr(intervals[self.rng.randrange(len(intervals))]) for _ in range(size))))


def _changed(rng: random.Random, value: bytes, least: int, most: int) -> bytes:
    """Change some bytes: another value, one more, one less, or a part that comes twice."""
    out = bytearray(value)
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        at, what = rng.randrange(len(out) + 1), rng.random()
        if what < 0.6 and at < len(out):
            out[at] = rng.randrange(256)
        elif what < 0.75:
            out.insert(at, rng.randrange(256))
        elif what < 0.9:
            del out[at:at + 1]
        else:
            out[at:at] = out[at:at + rng.randint(1, 6)]
    return bytes(out[:most]).ljust(least, b"\0")


AVAILABLE_PROVIDERS[NAME] = f"{__name__}.Provider"
