"""The front-end as the page gets it: one ES module and one style sheet, from the files in `static/`.

anywidget loads one module from a string, so the files there, which are modules of their own for whoever reads or checks them, are
joined: in this order, without their imports and exports. What a file imports stands before it, and no name is declared twice
(`tests/pure/test_static_rules.py` holds both).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).parent / "static"
SCRIPTS: Final = (
    "document.js", "states.js", "formats.js", "run.js", "rows.js", "time.js", "literal.js", "tone.js", "packing.js", "requests.js",
    "keys.js", "parts.js", "windows.js", "rails.js", "tree.js", "boxes.js", "timeline.js", "table.js", "facts.js", "panel.js", "notes.js",
    "header.js", "graph.js",
)  # fmt: skip
IMPORT: Final = re.compile(r'^import \{([^}]*)\} from "\./([a-z]+\.js)";\n', re.MULTILINE)
EXPORT: Final = re.compile(r"^export (?=(?:const|(?:async )?function|class) (\w+))", re.MULTILINE)


def script() -> str:
    """Answers all scripts as one module; its default export is what anywidget asks for."""
    texts = ((STATIC / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return "\n".join(EXPORT.sub("", IMPORT.sub("", text)) for text in texts)


def styles() -> str:
    """Answers the style sheet."""
    return (STATIC / "graph.css").read_text(encoding="utf-8")
