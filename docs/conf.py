"""How the documentation is built: Sphinx with Markdown pages and the package's docstrings.

Depends on the built package and on `_ext`. Invariant: a warning is an error (`python3 x.py docs`), and nothing is
fetched from elsewhere.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import adret

project = "adret"
author = "The adret developers"
copyright = "The adret developers"
version = release = adret.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "plain_docstrings", "sphinx.ext.napoleon"]
extensions += ["reference", "root_pages"]
exclude_patterns = ["_build", "_ext", "requirements.txt"]
# A word in backticks is a link where it names something public, else code.
default_role = "py:obj"
needs_sphinx = "8.2"

autodoc_member_order = "bysource"
# The signatures say what has a default; the docstrings say what it is.
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autosummary_generate = False
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shape", "Source"]

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = f"adret {version}"
html_theme_options = {"navigation_with_keys": True}
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
toc_object_entries_show_parents = "hide"
