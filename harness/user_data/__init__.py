# SPDX-License-Identifier: MIT
"""The Python data of a user's program: whose it is, put back between runs, compared, and watched for tasks that share it."""
