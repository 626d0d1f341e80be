# SPDX-License-Identifier: MIT
"""Functions that can read a clock or random numbers of the system, and functions that only look like it (see test_clocks.py)."""

import datetime
import os
import random
import secrets
import time
import uuid
from collections.abc import Callable
from datetime import datetime as date_and_time
from time import monotonic
from typing import Any


class Timer:
    def __init__(self) -> None:
        self.now = time.perf_counter

    def read(self) -> float:
        return self.now()


def imports_it() -> int:
    import time as clock
    return clock.time_ns()


def imports_from_it() -> float:
    from time import time
    return time()


def beside_another_variable() -> float:
    import time as clock
    least = 1.0
    return max(least, clock.time())     # Python 3.13 loads both in one instruction


def in_a_closure() -> Callable[[], Any]:
    import time as clock

    def outer() -> float:
        def inner() -> float:
            return clock.monotonic()
        return inner()
    return outer


SYSTEM = random.SystemRandom()
NEVER = False
READ = {
    "time.time": lambda: time.time(),
    "time.monotonic": lambda: monotonic(),
    "datetime.now": lambda: date_and_time.now(),
    "datetime.utcnow": lambda: datetime.datetime.utcnow() if NEVER else 0,
    "date.today": lambda: datetime.date.today(),
    "uuid.uuid4": lambda: uuid.uuid4(),
    "secrets.token_hex": lambda: secrets.token_hex(),
    f"{os.name}.urandom": lambda: os.urandom(3),
    "random.SystemRandom": lambda: SYSTEM.choice([1, 2]),
    "time.perf_counter": Timer().read,
    "time.time_ns": imports_it,
    "time.time, beside another variable": beside_another_variable,
    "time.monotonic, in a closure": in_a_closure(),
    "time.time, imported from": imports_from_it,
}
DO_NOT_READ = {
    "sleeps": lambda: time.sleep(0),
    "adds times": lambda: datetime.datetime(2002, 9, 5) + datetime.timedelta(1),
    "joins paths": lambda: os.path.join("a", "b"),
    "asks for the name of the system": lambda: os.name,
}
