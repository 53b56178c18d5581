"""How Sphinx makes the site. `make docs` calls it on a copy of this folder that tools/docs.py has completed; see there."""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import walk_packages
from textwrap import dedent, indent
from typing import Any

from ipython_pygments_lexers import IPython3Lexer
from pygments.lexer import bygroups, inherit, using
from pygments.lexers import PythonLexer
from pygments.token import Operator, Text
from sphinx.pycode import ModuleAnalyzer

project = "resonate-notebook"
author = "the authors of resonate-notebook"
extensions = ["myst_parser", "sphinx.ext.autodoc"]

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_favicon = "_static/mark.svg"
html_theme_options = {"top_of_page_buttons": []}
pygments_style, pygments_dark_style = "friendly", "github-dark"

default_role = "code"  # docstrings write names in single backticks
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # the pages of benchmarks/ go from their title to ### of their tables
myst_enable_extensions = ["attrs_inline"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"Operation": "Operation"}  # the union of all of them fills a page
autodoc_default_options = {"members": True}
add_module_names = False
autodoc_inherit_docstrings = True
maximum_signature_line_length = 88
python_display_short_literal_types = True


class CellLexer(IPython3Lexer):  # type: ignore[misc]
    """IPython, and `%%resonate` on top of a cell that is Python."""

    tokens = {"root": [(r"(?s)(%%resonate)([^\n]*\n)(.*)", bygroups(Operator, Text, using(PythonLexer))), inherit]}  # noqa: RUF012


def docstring_as_text(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """In a docstring an indented paragraph, or lines for a cell, are code; elsewhere a star or a bar is just that."""
    parts = "\n".join(lines).split("\n\n")
    for number, part in enumerate(parts):
        if part.startswith("    ") or re.match(r"(\w+ = )?%", part):
            parts[number] = "::\n\n" + indent(dedent(part), "    ")
        elif ">>>" not in part:
            parts[number] = part.replace("*", r"\*").replace("|", r"\|")
    lines[:] = "\n\n".join(parts).split("\n")


def without_overloads() -> None:
    """One signature for each method: overloads tell type checkers the type of a value, and would tell readers the same three times."""
    for package in ("resonate", "resonate_notebook"):
        for found in walk_packages(import_module(package).__path__, f"{package}."):
            analyzer = ModuleAnalyzer.for_module(found.name)
            analyzer.analyze()
            analyzer.overloads.clear()


def setup(app: Any) -> None:
    """What Sphinx calls."""
    without_overloads()
    app.add_lexer("ipython", CellLexer)
    app.connect("autodoc-process-docstring", docstring_as_text)
