# SPDX-License-Identifier: MIT
"""A random walk: at each point, with probability `chance`, somebody chosen at random goes on (perhaps the same).

With chance 1 it is the uniform walk. The gaps between its decisions are drawn at once (geometric), so points in between
cost nothing.
"""

import math
import random
from collections.abc import Sequence

from vmrace.harness.machine.machine import Machine


class Walk:
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
