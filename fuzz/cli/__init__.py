# SPDX-License-Identifier: MIT
"""The commands of `vmrace`."""
