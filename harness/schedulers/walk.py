# SPDX-License-Identifier: MIT
"""A random walk: at each point, with probability `chance`, a random choice among all that can run goes on (perhaps the same task).

With chance 1 it is the uniform walk. The number of points up to the next decision is drawn at once (geometric), so the points in
between cost nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from vmrace.harness.machine.machine import Machine


class Walk:
    """The random walk; 0 < `chance` <= 1."""

    def __init__(self, rng: random.Random, chance: float = 0.1):
        assert 0 < chance <= 1, chance
        self.random = rng.random
        self.scale = 0.0 if chance >= 1 else 1 / math.log(1 - chance)

    def _gap(self) -> int:
        return 1 + int(math.log(1 - self.random()) * self.scale)

    def begin(self, m: Machine) -> None:
        m.want(self._gap() if self.scale else 0)        # 0: at every point from now on

    def at(self, m: Machine) -> int:
        if self.scale:
            m.want(m.step + self._gap())
        choices = m.enabled or m.choices()
        return choices[int(self.random() * len(choices))]

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        return choices[int(self.random() * len(choices))]

    def wake(self, m: Machine) -> None:
        pass
