# SPDX-License-Identifier: MIT
"""The machine: cpus, tasks, interrupts, one decision at a time."""
