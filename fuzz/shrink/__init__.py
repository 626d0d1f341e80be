# SPDX-License-Identifier: MIT
"""From a failure to a minimal entry."""
