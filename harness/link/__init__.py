# SPDX-License-Identifier: MIT
"""The linker: it turns kernel source into an image that the machine runs."""
