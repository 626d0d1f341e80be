# SPDX-License-Identifier: MIT
"""get_user_pages() of 2.6.26 that says there is no memory."""


def get_user_pages(tsk, mm, start, len, write, force, pages):
    return -ENOMEM
