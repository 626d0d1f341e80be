# SPDX-License-Identifier: MIT
"""Measurements: the cost of a variant, the coverage of the tests, the state of the installation."""
