# SPDX-License-Identifier: MIT
"""The recorders of a whole run: races, traces, call stacks."""
