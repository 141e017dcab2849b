"""Settings of the documentation site; ``make docs`` builds it, and warnings are errors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import majorant

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pages_made  # noqa: E402

pages_made.write(HERE, HERE / "made")

project = "Majorant"
author = "The Majorant developers"
copyright = author
version = release = majorant.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "docstrings",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "made/*.inc.md", "sg_execution_times.rst"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 4
suppress_warnings = [
    # The gallery's index is a file that sphinx-gallery writes.
    "config.cache",
]

# The site must build without a network: links to other projects are given in full.
intersphinx_mapping = {}

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
numpydoc_show_class_members = False
numpydoc_validation_checks = set()

sphinx_gallery_conf = {
    "examples_dirs": str(HERE.parent / "examples"),
    "gallery_dirs": "examples",
    # What trains is shown and not run.
    "filename_pattern": r"(first_estimate|guarded_descent|own_solver)\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "min_reported_time": 1000,
    "plot_gallery": True,
    "copyfile_regex": "",
}

html_theme = "furo"
html_title = f"Majorant {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {
    "sidebar_hide_name": False,
    "light_css_variables": {
        "color-brand-primary": "#7a2e52",
        "color-brand-content": "#7a2e52",
    },
    "dark_css_variables": {
        "color-brand-primary": "#e4a0c0",
        "color-brand-content": "#e4a0c0",
    },
}
