# SPDX-License-Identifier: GPL-2.0-only
"""The reuse of a swap page: when may do_wp_page() let one process write an anonymous page that other processes may have in swap?

Linux 2.6.26, Hugh Dickins' can_reuse_swap_page() of June 2008 and its rivals from 2008 to 2020. README.md has the story and the sources.

The barriers of the seed, with what each publishes and which barrier it pairs with, stand in the docstring of hugh_can_reuse.
"""
