"""Builds the site: the pages of docs/, the documents of the repository, and what is made from the code, into build/site.

    make docs

What is made each time: the reference of the magics from `magics.VERBS`, the reference of the API from docstrings, the tutorials from
notebooks/, and the pictures from runs that take place here. Then the examples of docstrings are run, Sphinx builds with warnings as
errors, and every link of the result is looked at: links inside the site must lead somewhere, those outside must be well formed, and
nothing may be loaded from elsewhere.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import os
import pkgutil
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import resonate
import resonate_notebook
from resonate_notebook.magics import VERBS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SOURCE = ROOT / "build" / "docs"
SITE = ROOT / "build" / "site"

DOCUMENTS = {
    "ARCHITECTURE.md": "contributing/architecture.md",
    "CONTRIBUTING.md": "contributing/index.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "benchmarks/PARITY.md": "measured/parity.md",
    "benchmarks/RELIABILITY.md": "measured/reliability.md",
    "benchmarks/REMOTE.md": "measured/remote.md",
    "benchmarks/RESULTS.md": "measured/results.md",
    "benchmarks/WIDGET.md": "measured/widget.md",
    **{f"notebooks/{path.name}": f"tutorials/{path.stem}.md" for path in sorted((ROOT / "notebooks").glob("*.ipynb"))},
}
"""Documents that stand elsewhere in the repository, and the page that each is on the site."""

API = {
    "client": ("The client", ["resonate.resonate:Resonate,Function", "resonate.handle:Handle", "resonate.registry:Registry"]),
    "context": ("Inside a durable function", ["resonate.context:Context,Info,Time,Random,current_context", "resonate.coroutine:Promise"]),
    "errors": ("Errors", ["resonate.errors"]),
    "retry-policies": ("Retry policies", ["resonate.retry_policies"]),
    "encoders": ("Encoders", ["resonate.encoders"]),
    "events": ("Facts for observers", ["resonate.events", "resonate.observers:Subscription"]),
    "stores": (
        "Stores",
        ["resonate.stores.local:LocalStore", "resonate.stores.sqlite:SqliteStore", "resonate.stores.remote:RemoteStore",
         "resonate.stores.promises:PromiseStore", "resonate.stores.schedules:ScheduleStore", "resonate.stores.tasks:TaskStore"],
    ),
    "message-sources": (
        "Message sources",
        ["resonate.message_sources.local:LocalMessageSource", "resonate.message_sources.poller:Poller",
         "resonate.message_sources.push:PushListener"],
    ),
    "recordings": (
        "Recordings",
        ["resonate.recordings:Recording", "resonate.replays:replay,Replayed,Divergence", "resonate.differences:diff,Difference,Differing"],
    ),
    "clocks": ("Clocks", ["resonate.clocks"]),
    "server": ("The development server", ["resonate.server:DevelopmentServer"]),
    "notebook": ("In the notebook", [f"resonate_notebook:{','.join(n for n in resonate_notebook.__all__ if not n.endswith('extension'))}"]),
}  # fmt: skip
"""Pages of the reference: title, and for each module what of it is told (its classes where no name is given)."""

FENCE = re.compile(r"^\s*(```+|~~~+|:::+)")
TEST = re.compile(r"`(tests/[\w/]+\.py)::test_(\w+)`")
ALTERNATIVE = re.compile(r" \| (?![^\[(]*[\])])")
"""Between two ways to write a verb, and not inside of brackets."""
LINK = re.compile(r"(!?\[(?:[^\]\[]|\[[^\]]*\])*\])\(([^)\s]+)\)")


def main() -> int:
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(DOCS, SOURCE, ignore=shutil.ignore_patterns("__pycache__"))
    copy_documents()
    write_magics()
    write_api()
    draw_pictures()
    shutil.rmtree(SITE, ignore_errors=True)
    sphinx = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(ROOT / "build" / "doctrees"), "-E"]
    wrong = subprocess.run([*sphinx, str(SOURCE), str(SITE)], cwd=ROOT, check=False).returncode
    problems = [*failed_examples(), *(broken_links() if not wrong else ())]
    for problem in problems:
        print(problem, file=sys.stderr)
    if wrong or problems:
        return 1
    print(f"{len(list(SITE.rglob('*.html')))} pages in {SITE.relative_to(ROOT)}; open {SITE.relative_to(ROOT)}/index.html")
    return 0


# ---- pages that stand in the repository ------------------------------------------------------------------------------------------------


def copy_documents() -> None:
    """Every document to its page, with its links led to where the others are on the site."""
    pages = {**DOCUMENTS, **{f"docs/{path}": path for path in (p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md"))}}
    for document, page in pages.items():
        text = (ROOT / document).read_text(encoding="utf-8")
        target = SOURCE / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if document.endswith(".ipynb"):
            text = "\n".join(notebook_text(json.loads(text), target))
        target.write_text(with_links(text, document, page, pages), encoding="utf-8")


def with_links(text: str, document: str, page: str, pages: dict[str, str]) -> str:
    """The text with each link to a file of the repository led to its page; what has no page is named and not linked."""

    def led(match: re.Match[str]) -> str:
        label, link = match[1], match[2]
        path, hash_, anchor = link.partition("#")
        if not path or urlsplit(link).scheme:
            return match[0]
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(document), path))
        if meant in pages:
            return f"{label}({posixpath.relpath(pages[meant], posixpath.dirname(page) or '.')}{hash_}{anchor})"
        if meant.startswith("docs/") or document.endswith(".ipynb"):
            return match[0]  # an image beside the page, or a page that is made here
        if not (ROOT / meant).exists():
            raise FileNotFoundError(f"{document} links to {link}, which is not there")
        return label[1:-1]

    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        found = FENCE.match(line)
        if found and (not fence or found[1].startswith(fence)):
            fence = "" if fence else found[1]
        lines.append(line if fence else TEST.sub(told_test, LINK.sub(led, line)))
    return "\n".join(lines)


def told_test(match: re.Match[str]) -> str:
    """A test's name as the words that it is made of; a table has no room for the rest."""
    return f'<abbr title="{match[1]}::test_{match[2]}">{match[2].replace("_", " ")}</abbr>'


def notebook_text(notebook: dict[str, object], target: Path) -> Iterator[str]:
    """A notebook as a page: its text, its cells, and what they have shown."""
    cells: list[dict[str, object]] = notebook["cells"]  # type: ignore[assignment]
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])  # type: ignore[arg-type]
        yield from (source, "") if cell["cell_type"] == "markdown" else ("```ipython", source, "```", "")
        outputs: list[dict[str, object]] = cell.get("outputs", [])  # type: ignore[assignment]
        for place, output in enumerate(outputs):
            data: dict[str, list[str]] = output.get("data", {})  # type: ignore[assignment]
            if "image/svg+xml" in data:
                picture = target.with_name(f"{target.stem}-{number}-{place}.svg")
                picture.write_text("".join(data["image/svg+xml"]), encoding="utf-8")
                yield from (f"![The run as the cell shows it]({picture.name}){{.drawn}}", "")
            else:
                text = "".join(output.get("text") or data["text/plain"])  # type: ignore[arg-type]
                yield from ("```output", text.rstrip("\n"), "```", "")


# ---- pages that are made from the code -------------------------------------------------------------------------------------------------


def write_magics() -> None:
    """One section for each verb, as `%resonate VERB -h` has it."""
    head = (SOURCE / "reference" / "magics.md").read_text(encoding="utf-8").rstrip()
    parts = [head]
    for name, verb in VERBS.items():
        first, *rest = docstring_parts(inspect.getdoc(verb.twin) or "", verb.usage)
        ways = [f"%resonate {name} {way.removeprefix(name).lstrip()}".rstrip() for way in ALTERNATIVE.split(verb.usage)]
        parts += [f"## {name}", first, "```{code-block} text\n:class: usage\n\n" + "\n".join(ways) + "\n```", *rest]
        if verb.options:
            rows = [f"| `{option}` | {text.replace('|', chr(92) + '|')} |" for option, text in verb.options.items()]
            parts.append("\n".join(["| option | |", "| --- | --- |", *rows]))
        parts.append(f"In Python: `resonate_notebook.{verb.python}`")
    (SOURCE / "reference" / "magics.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def docstring_parts(text: str, usage: str) -> Iterator[str]:
    """Paragraphs of a docstring; those that hold lines for a cell become code, unless that is what the usage says."""
    for part in text.split("\n\n"):
        if part.startswith("    ") or re.match(r"(\w+ = )?%", part):
            if part.strip() != f"%resonate {usage}":
                yield f"```ipython\n{inspect.cleandoc(part)}\n```"
        else:
            yield part.strip("\n")


def write_api() -> None:
    """One page for each row of `API`, filled by autodoc."""
    folder = SOURCE / "reference" / "api"
    folder.mkdir()
    for page, (title, entries) in API.items():
        lines = [title, "=" * len(title), ""]
        for entry in entries:
            module, _, names = entry.partition(":")
            there = vars(importlib.import_module(module))
            if not names:
                lines += [f".. automodule:: {module}", "   :no-members:", ""]
                names = ",".join(n for n, each in there.items() if inspect.isclass(each) and each.__module__ == module and n[0] != "_")
            for name in names.split(","):
                value = there[name]
                kind = "autoclass" if inspect.isclass(value) else "autofunction"
                lines += [f".. {kind}:: {module}.{name}", ""]
        (folder / f"{page}.rst").write_text("\n".join(lines), encoding="utf-8")
    told: list[str] = []
    for page, (_, entries) in API.items():
        named = [f"`{each.replace(':', '`: `').replace(',', '`, `')}`" for each in entries]
        told.append(f"- {{doc}}`{page}`: {', '.join(named)}")
    text = ["# API", "", "What the docstrings say. Every example is run when this site is built.", "", *told, "",
            "```{toctree}", ":hidden:", "", *API, "```", ""]  # fmt: skip
    (folder / "index.md").write_text("\n".join(text), encoding="utf-8")


def draw_pictures() -> None:
    """Runs the programs of docs/pictures.py, which write pictures of themselves."""
    folder = SOURCE / "pictures"
    folder.mkdir(exist_ok=True)
    subprocess.run([sys.executable, str(SOURCE / "pictures.py"), str(folder)], cwd=ROOT, check=True, timeout=60)
    (SOURCE / "pictures.py").unlink()


# ---- what is looked at -------------------------------------------------------------------------------------------------------------------


def failed_examples() -> Iterator[str]:
    """Runs the examples in the docstrings of both packages."""
    tried = 0
    for package in (resonate, resonate_notebook):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith("__main__"):
                continue
            result = doctest.testmod(importlib.import_module(found.name))
            tried += result.attempted
            if result.failed:
                yield f"{found.name}: {result.failed} examples fail"
    if tried == 0:
        yield "no example was found in any docstring"


class Page(HTMLParser):
    """The ids of a page, its links, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.loads += [given[name] for name in ("src", "srcset", "data", "poster") if name in given]
        if tag == "link" and given.get("rel") not in {"search", "index", "next", "prev", "canonical"}:
            self.loads.append(given.get("href", ""))


def broken_links() -> Iterator[str]:
    """Each link that leads nowhere, and each thing that would be loaded from elsewhere."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in SITE.rglob("*.html")}
    for path, page in pages.items():
        where = path.relative_to(SITE)
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                host = parts.hostname or ""
                if link in page.loads:
                    yield f"{where} loads {link} from elsewhere"
                elif parts.scheme not in {"http", "https"} or not ("." in host or host == "localhost"):
                    yield f"{where}: {link} is no well-formed address"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                yield f"{where}: {link} leads nowhere"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                yield f"{where}: {link} names no place of that page"
    for style in SITE.rglob("*.css"):
        for address in re.findall(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^)'\"]+)", style.read_text(encoding="utf-8")):
            yield f"{style.relative_to(SITE)} loads {address} from elsewhere"


if __name__ == "__main__":
    os.environ.pop("RESONATE_NOTEBOOK_RENDER", None)
    sys.exit(main())
