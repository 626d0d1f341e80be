# SPDX-License-Identifier: MIT
"""Measurements: the cost of the operations of a variant, the coverage of its source, the state of the installation."""
