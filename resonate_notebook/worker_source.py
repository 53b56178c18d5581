"""A worker script for functions that were written in cells: their source, and whatever their global names need.

Each function's source is found by the cell and line that its code came from. The names that it looks up outside of itself are found
by Python's own symbol tables and followed through the notebook's namespace: modules and what was imported become import lines, functions
and classes of cells their source, plain values an assignment of the value as it is now. Nothing of the notebook is executed
for this. What has no such form (a connection, an open file, a table) is refused by name, all of them at once.

A definition that needs others while it is made (decorators, defaults, base classes) comes after them; else the order is
that of the cells. An earlier version of a function, whose name a later cell took over, comes before the later one.
"""

from __future__ import annotations

import ast
import builtins
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import inspect
import pathlib
import re
import sys
import threading
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable, Iterable
from typing import Any, Final

from resonate import Resonate
from resonate.coroutine import plain_function
from resonate_notebook.arguments import Mistake
from resonate_notebook.cell_sources import Cells, Definition, has_future_annotations, names_of, same_import, target
from resonate_notebook.text import visible

CONSTANT_LIMIT: Final = 50_000
"""Characters that one value may take in the script."""
DEPTH_MAX: Final = 30
PARTS_MAX: Final = 20_000
"""Parts that all values together may have."""
SECRET: Final = re.compile(r"(?i)(?:^|_)(?:password|passwd|secret|token|api_?key|access_?key|private_?key)(?:_\d+)?$")
UNFIT_IN_NAMES: Final = re.compile(r"\W")
LETS_IN: Final = re.compile(r"\w://[^\s/:@]*:[^\s/@]+@|^(?:Bearer|Basic)\s")
"""An address with a password, or what a header of HTTP lets in by."""
NOTEBOOK_ONLY: Final = frozenset({"get_ipython", "In", "Out", "exit", "quit"})
INSTALLED: Final = re.compile(r"[\\/](?:site|dist)-packages[\\/]")
GIVEN: Final = frozenset({"__name__", "__file__", "__doc__", "__builtins__", "__debug__", "__spec__", "__loader__", "__package__"})
PLAIN: Final = frozenset(name for name in dir(builtins) if name not in {"display", "get_ipython", "__IPYTHON__"})
TYPE_LIKE: Final = (types.GenericAlias, types.UnionType, typing.TypeVar, typing.ParamSpec, typing.TypeAliasType, typing.NewType)
"""Values whose defining statement says all and does nothing else, so it may be written as it stands."""
CONSTRUCTED: Final[dict[type, Callable[[Any], tuple[Any, ...]]]] = {
    datetime.date: lambda value: (value.year, value.month, value.day),
    datetime.datetime: lambda value: (
        value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, value.tzinfo,
    ),
    datetime.time: lambda value: (value.hour, value.minute, value.second, value.microsecond, value.tzinfo),
    datetime.timedelta: lambda value: (value.days, value.seconds, value.microseconds),
    datetime.timezone: lambda value: (value.utcoffset(None),),
    decimal.Decimal: lambda value: (str(value),),
    fractions.Fraction: lambda value: (value.numerator, value.denominator),
    uuid.UUID: lambda value: (str(value),),
    range: lambda value: (value.start, value.stop, value.step),
    zoneinfo.ZoneInfo: lambda value: (value.key,),
    collections.Counter: lambda value: (dict(value),),
    collections.OrderedDict: lambda value: (list(value.items()),),
    collections.defaultdict: lambda value: (value.default_factory, dict(value)),
    collections.deque: lambda value: (list(value), value.maxlen),
}  # fmt: skip

@dataclasses.dataclass(frozen=True, slots=True)
class Worker:
    """A script, the names of the functions in it, and what a person should know of it."""

    text: str
    functions: list[str]
    notes: list[str]


class _Unwritable(Exception):
    """Why a value cannot be written, and what to do: a sentence after the value's name."""


@dataclasses.dataclass(eq=False)
class _Piece:
    """Lines of the script that define one name, what has to stand before them, and what follows them."""

    name: str
    text: str
    position: tuple[float, ...]
    before: list[_Piece] = dataclasses.field(default_factory=list)
    after: list[str] = dataclasses.field(default_factory=list)


class _Writer:
    """Collects the pieces of one script."""

    def __init__(self, namespace: dict[str, Any], cells: Cells, folder: pathlib.Path) -> None:
        self.namespace, self.cells, self.folder = namespace, cells, folder
        self.imports: dict[str, None] = {}
        self.pieces: dict[int, _Piece] = {}  # by the identity of what they define
        self.values: dict[str, _Piece | None] = {}  # by global name; None where an import or a builtin serves it
        self.refused: dict[str, str] = {}
        self.notes: list[str] = []
        self.taken = set(namespace)
        self.futures = False
        self.client = next((name for name in ("resonate", "client") if isinstance(namespace.get(name), Resonate)), "")
        self.client = self.client or self.free_name("resonate", "client")
        self._parts = 0
        self._kept: list[Any] = []  # identities stay true while their objects live
        self._todo: list[tuple[_Piece, str, str]] = []

    # ---- names ---------------------------------------------------------------------------------------------------------------

    def free_name(self, *wanted: str) -> str:
        """The first of these names that nothing in the script bears, else the first one with a number."""
        numbered = (f"{wanted[0]}_{number}" for number in range(2, 10_000))
        name = next(each for each in (*wanted, *numbered) if each not in self.taken)
        self.taken.add(name)
        return name

    def need(self, name: str, used_by: str) -> _Piece | None:
        """Sees to it that a global name exists in the script; answers the piece that defines it, if one does."""
        if name in self.values or name in self.refused or name in GIVEN:
            return self.values.get(name)
        self.taken.add(name)
        self.values[name] = None
        try:
            self.values[name] = self._define(name)
        except _Unwritable as error:
            del self.values[name]
            self.refused[name] = f"`{name}`, used by {used_by}, {error}"
        return self.values.get(name)

    def _define(self, name: str) -> _Piece | None:
        if name in NOTEBOOK_ONLY:
            do = "Replace `!` and `%` lines by Python, for example `subprocess.run`."
            raise _Unwritable(f"exists in notebooks only. {do}")
        if name not in self.namespace:
            if name in PLAIN:
                return None
            if name == "display":
                self.imports["from IPython.display import display"] = None
                return None
            raise _Unwritable("does not exist. Run the cell that defines it.")
        value = self.namespace[name]
        if name in PLAIN and _is_shells(value):
            return None  # the shell's own `open` and the like stand in for the builtin
        if isinstance(value, types.ModuleType):
            self._import_module(name, value)
            return None
        if isinstance(value, Resonate):
            return _Piece(name, f"{name} = {self.client}", (-1.0,)) if name != self.client else None
        line = self._import_line(name, value)
        if line is not None:
            self.imports[line] = None
            return None
        raw = plain_function(value)
        if _definable(raw):
            return self.definition(raw, name)
        return self._constant(name, value)

    def _import_module(self, name: str, module: types.ModuleType) -> None:
        full = module.__name__
        line = next((line for found, attribute, line in self.cells.imported(name) if same_import(found, attribute, module)), None)
        if line is None and (full == "__main__" or sys.modules.get(full) is not module):
            raise _Unwritable("is a module that cannot be imported by its name. Save it as a file beside the script.")
        self.imports[line or (f"import {full}" if full == name else f"import {full} as {name}")] = None
        self._local_module(full)

    def _local_module(self, full: str) -> None:
        """Notes a module that lies in a folder of the person's own, from which the script must be able to import it."""
        top = sys.modules.get(full.partition(".")[0])
        file = getattr(top, "__file__", None)
        if top is None or not file or INSTALLED.search(file) or top.__name__ in sys.stdlib_module_names:
            return
        folder = pathlib.Path(file).parent if not hasattr(top, "__path__") else pathlib.Path(file).parent.parent
        if top.__name__ not in {"resonate", "resonate_notebook"} and folder != self.folder:
            note = f"It imports `{top.__name__}` from {folder}; a script elsewhere needs that folder in PYTHONPATH."
            if note not in self.notes:
                self.notes.append(note)

    def _import_line(self, name: str, value: object) -> str | None:
        """The import that gives this very object, as a cell has it or by where the object says it is from."""
        for module, attribute, line in self.cells.imported(name):
            if same_import(module, attribute, value):
                self._local_module(module)
                return line
        home, qualified = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if not isinstance(home, str) or not isinstance(qualified, str) or home == "__main__" or not same_import(home, qualified, value):
            return None
        self._local_module(home)
        return f"from {home} import {qualified}" + (f" as {name}" if qualified != name else "")

    # ---- definitions ---------------------------------------------------------------------------------------------------------

    def definition(self, value: Any, name: str | None = None) -> _Piece:
        """The piece that defines a function or a class (or another value by its statement), under its own name and also under `name`."""
        piece = self.pieces.get(id(value))
        if piece is None:
            piece = self._written(value, name)
        if name is not None and name != piece.name:
            self.taken.add(name)
            line = f"{name} = {piece.name}"
            if line not in piece.after:
                piece.after.append(line)
        return piece

    def _written(self, value: Any, name: str | None) -> _Piece:
        filename, source, node = self._statement(value, name)
        defined = target(node)
        text = self._text(source, node)
        line = node.lineno
        current = plain_function(self.namespace.get(defined)) is value
        number = self.cells.numbers.get(filename, 0)
        piece = _Piece(defined, text, (0.0 if not current else 1.0, number, line))
        self.pieces[id(value)] = piece
        self._kept.append(value)
        self.taken.add(defined)
        if current:
            self.values[defined] = piece
        future = has_future_annotations(value)
        self.futures = self.futures or future
        at_once, later = names_of(text, future=future)
        for each in at_once:
            if each != defined:
                found = self.need(each, f"`{defined}`")
                if found is not None:
                    piece.before.append(found)
        assigned = {each for inner in ast.walk(node) if isinstance(inner, ast.Global) for each in inner.names}
        for each in later:
            if each not in assigned or each in self.namespace:
                self._todo.append((piece, each, defined))
        self._submodules(node)
        self._dependencies(node, defined)
        return piece

    def follow(self) -> None:
        """Sees to what functions need when they are called, until nothing new turns up."""
        while self._todo:
            _, name, used_by = self._todo.pop(0)
            self.need(name, f"`{used_by}`")

    def _statement(self, value: Any, name: str | None) -> tuple[str, str, Definition]:
        found: tuple[str, str, Definition] | None = None
        if isinstance(value, type):
            own = [each.__code__.co_filename for each in vars(value).values() if isinstance(each, types.FunctionType)]
            found = self.cells.named(value.__name__, (ast.ClassDef,), own) or self.cells.named(value.__name__, (ast.Assign,), own)
        elif _definable(value):
            raw = inspect.unwrap(value)
            if isinstance(raw, types.FunctionType):
                found = self.cells.function(raw)
                if found is None and name is not None and "<locals>" in raw.__qualname__:
                    # Perhaps a decorator without `functools.wraps` made it: then what gave the name last is a decorated `def`.
                    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
                    named = self.cells.named(name, kinds, [raw.__code__.co_filename])
                    found = named if named is not None and getattr(named[2], "decorator_list", None) else None
        elif name is not None:
            found = self.cells.named(name, (ast.Assign, ast.AnnAssign, ast.TypeAlias))
        if found is None:
            shown = getattr(value, "__qualname__", "")
            if "<locals>" in shown:
                raise _Unwritable("is made inside another function. Define it on its own, at the left edge of a cell.")
            if getattr(value, "__name__", "") == "<lambda>":
                raise _Unwritable("is a lambda inside of something else. Write it as a `def`.")
            raise _Unwritable("has no source that can be found. Run the cell that defines it again.")
        return found

    def _text(self, source: str, node: Definition) -> str:
        """A definition as it was typed, without the decorators that register it at a client."""
        decorators = getattr(node, "decorator_list", [])
        ours = [each for each in decorators if isinstance(self.namespace.get(_root(each)), Resonate)]
        first = min([node.lineno, *(each.lineno for each in decorators)])
        if node.col_offset:
            if ours:
                node.decorator_list = [each for each in decorators if each not in ours]  # type: ignore[union-attr]
            return ast.unparse(node)
        gone = {line for each in ours for line in range(each.lineno, (each.end_lineno or each.lineno) + 1)}
        lines = source.split("\n")
        end = node.end_lineno or node.lineno
        kept = [lines[number - 1] for number in range(first, end + 1) if number not in gone]
        # Other statements may share the last line (`x = 1; y = 2`), so an assignment is taken exactly.
        return "\n".join(kept) if hasattr(node, "body") else ast.get_source_segment(source, node) or ast.unparse(node)

    def _submodules(self, node: ast.AST) -> None:
        """`a.b.f()` needs `import a.b` where `b` is a module of its own."""
        for each in ast.walk(node):
            names: list[str] = []
            inner: ast.AST = each
            while isinstance(inner, ast.Attribute):
                names.insert(0, inner.attr)
                inner = inner.value
            module = self.namespace.get(inner.id) if isinstance(inner, ast.Name) else None
            for name in names:
                below = getattr(module, name, None)
                if not isinstance(module, types.ModuleType) or not isinstance(below, types.ModuleType):
                    break
                if below.__name__ == f"{module.__name__}.{name}" and sys.modules.get(below.__name__) is below:
                    self.imports[f"import {below.__name__}"] = None
                module = below

    def _dependencies(self, node: ast.AST, defined: str) -> None:
        for each in ast.walk(node):
            if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == "get_dependency" and each.args:
                name = ast.unparse(each.args[0])
                self.notes.append(f"`{defined}` reads the dependency {name}: add `{self.client}.set_dependency({name}, ...)`.")

    # ---- values --------------------------------------------------------------------------------------------------------------

    def _constant(self, name: str, value: object) -> _Piece:
        if isinstance(value, TYPE_LIKE) or type(value).__module__ == "typing":  # `List[int]` and the like are of private types
            return self.definition(value, name)
        piece = _Piece(name, "", (-1.0,))
        text = self._expression(value, piece, 0, name)
        if len(text) > CONSTANT_LIMIT:
            raise _Unwritable(f"takes {len(text):,} characters. Save it to a file and read it in the function.")
        piece.text = f"{name} = {text}"
        return piece

    def _expression(self, value: Any, piece: _Piece, depth: int, name: str) -> str:
        """The value as Python; what it needs is put before `piece`. `_Unwritable` when it has no such form.

        `name` says where it stands: secrets are not written, but read from the environment under that name.
        """
        if depth > DEPTH_MAX:
            raise _Unwritable("is nested too deeply, or contains itself. Make it inside the function.")

        self._parts += 1
        if self._parts > PARTS_MAX:
            raise _Unwritable("holds too many values. Save it to a file and read it in the function.")

        def inner(each: Any, key: str = "") -> str:
            return self._expression(each, piece, depth + 1, f"{name}_{UNFIT_IN_NAMES.sub('_', key)}" if key else name)

        kind = type(value)
        if value and kind in {str, bytes} and (SECRET.search(name) or (kind is str and LETS_IN.search(value))):
            self.notes.append(f"{name} looks like a secret and is not written: the script reads it from the environment variable {name}.")
            return f"{self.module_name('os')}.environ[{name!r}]{'.encode()' if kind is bytes else ''}"
        if value is None or kind in {bool, int, str, bytes, complex} or value is ...:
            return ascii(value) if kind is str and not value.isprintable() else repr(value)
        if kind is float:
            return repr(value) if value - value == 0 else f'float("{value}")'
        if kind in {list, tuple, set, frozenset}:
            ordered = value if kind in {list, tuple} else sorted(value, key=repr)
            inside = ", ".join(inner(each, str(index)) for index, each in enumerate(ordered))
            if kind is tuple:
                return f"({inside}{',' * (len(value) == 1)})"
            return f"[{inside}]" if kind is list else f"{{{inside}}}" if kind is set and value else f"{kind.__name__}([{inside}])"
        if kind is dict:
            pairs = [f"{self._expression(key, piece, depth + 1, '')}: {inner(each, str(key))}" for key, each in value.items()]
            return f"{{{', '.join(pairs)}}}"
        if isinstance(value, enum.Enum):
            member = f"[{value.name!r}]" if value.name in kind.__members__ else f"({inner(value.value)})"
            return f"{self._reference(kind, piece)}{member}"
        if kind in CONSTRUCTED:
            return f"{self._reference(kind, piece)}({', '.join(inner(each) for each in CONSTRUCTED[kind](value))})"
        if isinstance(value, pathlib.PurePath):
            base = pathlib.Path if isinstance(value, pathlib.Path) else kind
            return f"{self._reference(base, piece)}({str(value)!r})"
        if isinstance(value, re.Pattern):
            flags = value.flags & ~re.UNICODE if isinstance(value.pattern, str) else value.flags
            return f"{self.module_name('re')}.compile({inner(value.pattern)}{f', {flags}' if flags else ''})"
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = [each for each in dataclasses.fields(value) if each.init]
            pairs = [f"{each.name}={inner(getattr(value, each.name), each.name)}" for each in fields]
            return f"{self._reference(kind, piece)}({', '.join(pairs)})"
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return f"{self._reference(kind, piece)}({', '.join(map(inner, value, value._fields))})"
        if isinstance(value, type) or _definable(plain_function(value)):
            return self._reference(plain_function(value), piece)
        return self._refuse(value)

    def _refuse(self, value: object) -> str:
        kind = type(value)
        shown = kind.__name__ if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}.{kind.__name__}"
        a = "an" if shown[:1].lower() in "aeiou" else "a"
        raise _Unwritable(f"is {a} {shown}, which cannot be written. Make it inside the function, or in a module that both import.")

    def _reference(self, value: Any, piece: _Piece) -> str:
        """The name under which the script has a class or function, which is put before `piece`."""
        name = next((name for name, each in self.namespace.items() if each is value and not name.startswith("_")), None)
        if name is not None:
            found = self.need(name, f"`{piece.name}`")
            if name in self.refused:
                raise _Unwritable(f"needs `{name}`, which cannot be written.")
            if found is not None:
                piece.before.append(found)
            return name
        own = str(getattr(value, "__name__", ""))
        if getattr(builtins, own, None) is value:
            return own
        if (line := self._import_line(own, value)) is not None:
            name = self.free_name(own)
            self.imports[line if name == own else self._import_line(name, value) or line] = None
            return name
        if not _definable(value):
            return self._refuse(value)
        found = self.definition(value)
        piece.before.append(found)
        return found.name

    def module_name(self, module: str) -> str:
        """The name of an imported module in the script."""
        if self.namespace.get(module) is sys.modules[module]:
            self.need(module, "the script")
            return module
        name = self.free_name(module, f"{module}_module") if module not in self.values else module
        self.imports[f"import {module}" if name == module else f"import {module} as {name}"] = None
        self.values[name] = None
        return name


def _is_shells(value: object) -> bool:
    """Whether IPython made a function, also one that passes for another (its `open` says that it is of `_io`)."""
    homes = (getattr(value, "__module__", None), getattr(value, "__globals__", {}).get("__name__"))
    return any(str(home).partition(".")[0] in {"IPython", "ipykernel"} for home in homes)


def _definable(value: object) -> bool:
    """Whether a value is of a kind that a statement of a cell defines: a function, however decorated, or a class."""
    if isinstance(value, type | types.FunctionType):
        return True
    return callable(value) and isinstance(getattr(value, "__wrapped__", None), types.FunctionType)


def _root(node: ast.AST) -> str:
    """The name that `a.b(c).d` begins with, or ""."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def write_worker(
    functions: list[tuple[str, int, Callable[..., Any]]], connection: str, where: str, numbers: dict[str, int], path: pathlib.Path
) -> Worker:
    """A script that connects and works on runs of these functions, given as (name, version, function).

    `connection` is the call that makes the client (`.remote(host=...)`), `where` the place in words, `numbers` the number of each
    cell by the file name of its code, `path` where the script will be. A `Mistake` names everything that cannot be written.
    """
    typed = [raw for _, _, function in functions if (raw := inspect.unwrap(function)).__module__ == "__main__"]
    files = {each.__code__.co_filename: 0 for each in typed} | numbers
    writer = _Writer(typed[0].__globals__ if typed else {}, Cells(files), path.parent)
    last: list[str] = []
    for name, version, function in functions:
        try:
            own, piece = _registered(writer, name, function)
        except _Unwritable as error:
            writer.refused.setdefault(name, f"`{name}` {error}")
            continue
        more = ("" if own == name else f", name={name!r}") + ("" if version == 1 else f", version={version}")
        superseded = piece is not None and piece.position[0] == 0
        (piece.after if piece is not None and superseded else last).append(f"{writer.client}.register({own}{more})")
    writer.follow()
    if writer.refused:
        raise Mistake("\n".join([f"{path.name} is not written.", *writer.refused.values()]))
    shown = sorted({visible(name) for name, _, _ in functions})
    text = _script(writer, connection, visible(where), shown, last, visible(path.name))
    text = text.encode("utf-8", "backslashreplace").decode()
    compile(text, path.name, "exec", dont_inherit=True)
    return Worker(text, shown, list(dict.fromkeys(writer.notes)))


def _script(writer: _Writer, connection: str, where: str, shown: list[str], last: list[str], name: str) -> str:
    event, client_class = _our_name(writer, "Event", threading.Event), _our_name(writer, "Resonate", Resonate)
    imports = [f"from threading import Event{'' if event == 'Event' else f' as {event}'}", *writer.imports]
    imports.append(f"from resonate import Resonate{'' if client_class == 'Resonate' else f' as {client_class}'}")
    constants, definitions = _in_order(writer)
    head = (
        f"# A worker for {', '.join(shown)}, written from a notebook by `%resonate export`.\n"
        f"# It works on {where}. `python {name}` starts it, as often as you like; Ctrl-C ends it."
    )
    told = f"Working on {where}: {', '.join(shown)}. Ctrl-C ends it."
    foot = (
        "", 'if __name__ == "__main__":', f"    with {writer.client}:", f"        print({told!r}, flush=True)", "        try:",
        f"            {event}().wait()", "        except KeyboardInterrupt:", "            pass",
    )  # fmt: skip
    parts = [
        head,
        "from __future__ import annotations" if writer.futures else "",
        _sorted_imports(imports),
        f"{writer.client} = {client_class}{connection}",
        "\n".join(constants),
        *(f"\n{text}" for text in definitions),
        "\n".join(["", *last]),
        "\n".join(foot),
    ]
    return "\n\n".join(part for part in parts if part.strip()) + "\n"


def _our_name(writer: _Writer, name: str, value: object) -> str:
    return name if writer.namespace.get(name) is value else writer.free_name(name, f"{name}Class")


def _registered(writer: _Writer, name: str, function: Callable[..., Any]) -> tuple[str, _Piece | None]:
    """(the function's name in the script, the piece that defines it; None where it is imported)."""
    line = None
    own = function.__name__
    if inspect.unwrap(function).__module__ != "__main__":
        line = writer._import_line(own, function)
        if line is None:
            raise _Unwritable("has no source that can be found. Define it in a cell, or in a module at the left edge.")
    if line is not None:
        if writer.namespace.get(own, function) is not function:
            own = writer.free_name(own)
            line = writer._import_line(own, function) or line
        writer.imports[line] = None
        return own, None
    piece = writer.definition(function, name if plain_function(writer.namespace.get(name)) is function else None)
    return piece.name, piece


def _in_order(writer: _Writer) -> tuple[list[str], list[str]]:
    """(assignments that need no definition, the other pieces), each after what it needs and else by its place in the notebook."""
    pieces = {id(piece): piece for piece in [*writer.pieces.values(), *writer.values.values()] if piece is not None}
    constants: list[str] = []
    definitions: list[str] = []
    done: set[int] = set()

    def put(piece: _Piece) -> bool:
        """Whether the piece stands among the constants."""
        if id(piece) in done:
            return id(piece) in among
        done.add(id(piece))
        standing = [put(each) for each in piece.before]  # all of them, also behind one that does not
        early = all(standing)
        text = "\n".join([piece.text, *piece.after])
        if early and piece.position[0] < 0:
            among.add(id(piece))
            constants.append(text)
            return True
        definitions.append(text)
        return False

    among: set[int] = set()
    for piece in sorted(pieces.values(), key=lambda each: each.position):
        put(piece)
    return constants, definitions


def _sorted_imports(lines: Iterable[str]) -> str:
    """Import lines without repeats, the standard library first, our own last."""

    def rank(line: str) -> tuple[int, str]:
        module = line.split()[1].partition(".")[0]
        return (0 if module in sys.stdlib_module_names else 2 if module in {"resonate", "resonate_notebook"} else 1), module

    groups: dict[int, list[str]] = {}
    for line in sorted(dict.fromkeys(lines), key=lambda line: (rank(line), line.startswith("from"), line)):
        groups.setdefault(rank(line)[0], []).append(line)
    return "\n\n".join("\n".join(group) for group in groups.values())
