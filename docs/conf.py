# SPDX-License-Identifier: MIT
"""Settings of the site. Build it with `python -m sphinx -W --keep-going -b html docs OUT`; no network is needed."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "_ext"))

project = "vmrace"
author = "the vmrace authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "vmrace_reference"]
exclude_patterns = ["_ext"]
source_suffix = {".md": "markdown"}
nitpicky = False                    # plain `x` in a docstring is code and no reference
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "vmrace"
html_copy_source = False
autodoc_typehints = "description"
autodoc_member_order = "bysource"
