# SPDX-License-Identifier: MIT
"""Recorders of a whole run: races, traces, call stacks."""
