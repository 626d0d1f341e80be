# SPDX-License-Identifier: MIT
"""What a variant costs, what the tests cover, whether the installation works."""
