"""How Sphinx makes the site. `make docs` calls it on a copy of this folder that tools/docs.py has completed; see there."""

from __future__ import annotations

from typing import Any

from resonate import __distribution__

project = __distribution__
author = "the authors of resonate-notebook"
extensions = ["myst_parser", "sphinx.ext.autodoc"]

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_theme_options = {"top_of_page_buttons": []}
pygments_style, pygments_dark_style = "friendly", "github-dark"

default_role = "code"  # docstrings write names in single backticks
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # the pages of benchmarks/ go from their title to ### of their tables
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_inherit_docstrings = True
maximum_signature_line_length = 88
python_display_short_literal_types = True


def indented_is_code(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """In a docstring an indented paragraph is code, and a star or a bar is just that."""
    told = [line.rstrip().replace("*", r"\*").replace("|", r"\|") if not line.lstrip().startswith((">>>", "...")) else line for line in lines]
    found: list[str] = []
    is_code = False
    for number, line in enumerate(told):
        begins = line.startswith("    ") and not is_code and (not found or not found[-1].strip())
        if begins:
            found += ["::", ""]
        is_code = line.startswith("    ") or (is_code and not line.strip())
        found.append(lines[number] if is_code else line)
    lines[:] = found


def setup(app: Any) -> None:
    """What Sphinx calls."""
    app.connect("autodoc-process-docstring", indented_is_code)
