# SPDX-License-Identifier: MIT
"""Two tasks add one to a field without a lock: kernel source for the benchmark."""
from vmrace.harness.kernel import racy, struct


class counter(struct):
    value = racy(0)


shared = counter("shared")


def add_one():
    value = shared.value
    shared.value = value + 1
