# SPDX-License-Identifier: MIT
"""Small kernels around one primitive of a variant."""
