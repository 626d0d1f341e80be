# SPDX-License-Identifier: MIT
"""From kernel source to an image that the machine runs."""
