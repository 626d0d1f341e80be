# SPDX-License-Identifier: MIT
"""vmrace in the tests of a user's project: the pytest plugin, and properties for Hypothesis."""
