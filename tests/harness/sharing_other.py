# SPDX-License-Identifier: MIT
"""A second module that programs use: its variables are plain data, too."""

LEVELS = [1, 2]
count = 0
level = 0


def add() -> None:
    global count
    count += 1
