# SPDX-License-Identifier: MIT
"""Another module that programs use: what its variables hold is plain data, too."""

LEVELS = [1, 2]
count = 0
level = 0


def add() -> None:
    global count
    count += 1
