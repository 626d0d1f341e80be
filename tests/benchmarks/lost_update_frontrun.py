# SPDX-License-Identifier: MIT
"""The lost update under frontrun's random explorer; run by engine.py through `frontrun python`. Prints schedules a second."""

import time

import frontrun


class Counter:
    def __init__(self) -> None:
        self.value = 0


def add_one(counter: Counter) -> None:
    value = counter.value
    counter.value = value + 1


ATTEMPTS = 300

start = time.perf_counter()
result = frontrun.explore_random(Counter, [add_one, add_one], lambda counter: True, max_attempts=ATTEMPTS, seed=1)
print(ATTEMPTS / (time.perf_counter() - start))
