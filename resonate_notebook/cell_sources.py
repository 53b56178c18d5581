"""Where code that was typed into cells stands: definitions and imports by name, and the global names that a statement uses.

Sources are found by the file names that code objects bear, as `linecache` has them; nothing is executed.
"""

from __future__ import annotations
import __future__

import ast
import inspect
import linecache
import symtable
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

COMPREHENSIONS: Final = frozenset({"listcomp", "setcomp", "dictcomp", "genexpr"})

type Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.TypeAlias


class Cells:
    """The sources that definitions are looked up in, by the file names that code objects bear.

    `numbers` has the cells and their numbers; other files (a script that calls the Python twin) are read as they are asked for.
    """

    def __init__(self, numbers: dict[str, int]) -> None:
        self.numbers = dict(numbers)
        self._trees: dict[str, tuple[str, ast.Module] | None] = {}

    def tree(self, filename: str) -> tuple[str, ast.Module] | None:
        """(source, its tree), None where there is no source or it is no Python."""
        if filename not in self._trees:
            source = "".join(linecache.getlines(filename))
            try:
                self._trees[filename] = (source, ast.parse(source)) if source else None
            except (SyntaxError, ValueError):
                self._trees[filename] = None
        return self._trees[filename]

    def newest_first(self) -> Iterator[tuple[str, str, ast.Module]]:
        """(file name, source, tree) of all cells, the latest first."""
        for filename, _ in sorted(self.numbers.items(), key=lambda each: each[1], reverse=True):
            found = self.tree(filename)
            if found is not None:
                yield filename, *found

    def imported(self, name: str) -> Iterator[tuple[str, str | None, str]]:
        """(module, attribute or None for the module itself, the import line) of each import of this name, the latest first."""
        for _, _, tree in self.newest_first():
            for node in reversed(list(_outside_functions(tree))):
                if isinstance(node, ast.Import):
                    for alias in node.names:
                        if (alias.asname or alias.name) == name:
                            yield alias.name, None, f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    for alias in node.names:
                        if (alias.asname or alias.name) == name:
                            renamed = f" as {alias.asname}" if alias.asname else ""
                            yield node.module, alias.name, f"from {node.module} import {alias.name}{renamed}"

    def function(self, function: types.FunctionType) -> tuple[str, str, Definition] | None:
        """(file name, source, definition) of a function outside of others: its `def`, or the assignment of its lambda."""
        code = function.__code__
        found = self.tree(code.co_filename)
        if found is None:
            return None
        for node in _outside_functions(found[1]):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                if node.name == code.co_name and first == code.co_firstlineno:
                    return code.co_filename, found[0], node
            elif isinstance(node, ast.Assign | ast.AnnAssign) and code.co_name == "<lambda>" and target(node) and (
                isinstance(node.value, ast.Lambda) and node.value.lineno == code.co_firstlineno
            ):
                return code.co_filename, found[0], node
        return None

    def named(self, name: str, kinds: tuple[type, ...], files: Iterable[str] = ()) -> tuple[str, str, Definition] | None:
        """(file name, source, definition) of the latest definition of a name, of one of these kinds of statement."""
        others = [(filename, *found) for filename in files if filename not in self.numbers and (found := self.tree(filename)) is not None]
        for filename, source, tree in [*self.newest_first(), *others]:
            for node in reversed(list(_outside_functions(tree))):
                if isinstance(node, kinds) and target(node) == name:
                    return filename, source, cast("Definition", node)
        return None


def _outside_functions(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements of a module that are in no function or class, in order; those in `if`, `try` and `with` too."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.stmt | ast.ExceptHandler | ast.match_case)]
            todo.extend(reversed(inside))


def target(node: ast.AST) -> str:
    """The one name that a statement defines, or ""."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.TypeAlias):
        return node.name.id
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    if isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
        return node.target.id
    return ""


def names_of(source: str, *, future: bool = False) -> tuple[list[str], list[str]]:
    r"""The global names that a statement uses: (while it is carried out, when its functions are called), each sorted.

    With `future`, annotations are not evaluated and use nothing.

    >>> names_of("def f(ctx, day=FIRST):\n    return g(day)")
    (['FIRST'], ['g'])
    """
    at_once: set[str] = set()
    later: set[str] = set()

    def read(table: symtable.SymbolTable, names: set[str], *, top: bool = False) -> None:
        for symbol in table.get_symbols():
            if (symbol.is_referenced() and not symbol.is_assigned()) if top else symbol.is_global():
                names.add(symbol.get_name())
        for child in table.get_children():
            same = child.get_type() == "class" or child.get_name() in COMPREHENSIONS
            read(child, names if same else later)

    head = "from __future__ import annotations\n" if future else ""
    read(symtable.symtable(head + source, "<cell>", "exec"), at_once, top=True)
    at_once -= {"annotations"} if future else set()
    return sorted(at_once), sorted(later - at_once)


def same_import(module: str, attribute: str | None, value: object) -> bool:
    """Whether an import gives this very object now. A module that is not loaded is not loaded for that."""
    loaded = sys.modules.get(module)
    return loaded is not None and (loaded if attribute is None else getattr(loaded, attribute, None)) is value


def has_future_annotations(value: Any) -> bool:
    """Whether a function, or a class with methods, was compiled under `from __future__ import annotations`."""
    inside = list(vars(value).values()) if isinstance(value, type) else [inspect.unwrap(value)] if callable(value) else []
    flag = __future__.annotations.compiler_flag
    return any(each.__code__.co_flags & flag for each in inside if isinstance(each, types.FunctionType))
