"""`%%resonate register` and `%%resonate run`: a cell whose functions become durable, and whose last expression may be the call.

What is wrong with a cell is found before any of it is carried out, as far as that can be: its tree is read first. A mistake names the
line and the column as the cell shows them (the magic is on line 1) and has carets under the place.
"""

from __future__ import annotations

import ast
import inspect
from types import CodeType
from typing import Any, Final

from IPython.core.interactiveshell import InteractiveShell

from resonate.coroutine import plain_function
from resonate_notebook import runs, verbs
from resonate_notebook.arguments import Mistake, check_call, suggest
from resonate_notebook.session import current

CALLS: Final = frozenset({"run", "begin_run", "rpc", "begin_rpc", "detached", "lfc", "lfi", "rfc", "rfi"})
EXAMPLE: Final = "`pipeline(days=3)`"


class Cell:
    """A cell that has been read: its tree, and the durable functions that it defines."""

    def __init__(self, shell: InteractiveShell, text: str) -> None:
        self.shell = shell
        # One line more on top stands for the magic's own, so that tracebacks count the lines as the cell shows them.
        self.source = "\n" + shell.transform_cell(text)  # type: ignore[no-untyped-call]
        self.name = shell.compile.cache(self.source, verbs.cell_number(shell), raw_code="\n" + text)
        try:
            self.tree = ast.parse(self.source, self.name)
        except SyntaxError as error:
            raise self._not_python(error) from None

    def compiled(self, tree: ast.Module | ast.Expression) -> CodeType:
        """A part of the cell as code, as IPython compiles cells."""
        kind = "exec" if isinstance(tree, ast.Module) else "eval"
        code: CodeType = compile(tree, self.name, kind, self.shell.compile.flags, dont_inherit=True)
        return code

    def _not_python(self, error: SyntaxError) -> Mistake:
        """What is wrong with the cell's text, without the frames of whoever has read it."""
        lines, at = self.source.split("\n"), error.lineno or 1
        line = lines[at - 1] if at <= len(lines) else ""
        start = min(max(0, (error.offset or 1) - 1), len(line))
        end = error.end_offset - 1 if error.end_lineno == at and error.end_offset else start + 1
        before = f"line {at}, column {start + 1}: "
        return Mistake(f"SyntaxError: {error.msg}. Nothing of the cell has run.").pointing(
            before + line, len(before) + start, len(before) + max(end, start + 1)
        )

    def register(self, durable: list[str], name: str | None, version: int) -> str:
        """Carries the cell out, registers these functions of it, and tells so."""
        exec(self.compiled(self.tree), self.shell.user_ns)  # noqa: S102 - the cell is theirs
        found = [(each, self.shell.user_ns[each]) for each in durable]
        for each, value in found:
            if not inspect.isfunction(plain_function(value)):
                raise Mistake(f"{each} is not registered: its decorator made it a {type(value).__name__}. The rest of the cell has run.")
        return str(verbs.register_named(found, name, version)) if found else ""

    def mistake(self, message: str, node: ast.expr | ast.stmt) -> Mistake:
        """A mistake that points at a part of the cell."""
        lines = self.source.split("\n")
        line = lines[node.lineno - 1]
        start = len(line.encode()[: node.col_offset].decode())  # the tree counts bytes
        is_one_line = node.end_lineno == node.lineno and node.end_col_offset is not None
        end = len(line.encode()[: node.end_col_offset].decode()) if is_one_line else len(line.rstrip())
        before = f"line {node.lineno}, column {start + 1}: "
        return Mistake(message).pointing(before + line, len(before) + start, len(before) + end)


def register(shell: InteractiveShell, text: str, name: str | None = None, version: int = 1) -> str:
    """What `%%resonate register` does with its cell; answers what there is to say."""
    cell = Cell(shell, text)
    return cell.register(functions_to_register(cell.tree), name, version)


def run(shell: InteractiveShell, text: str, run_id: str, *, new: bool = False, version: int = 0) -> tuple[runs.Run, str]:
    """What `%%resonate run` does with its cell: registers its functions and launches the call that it ends in.

    Answers the run, and what there is to say about it ("" for a plain start).
    """
    cell = Cell(shell, text)
    known = {name for name, _, _ in current().client.registry.functions()}
    call, name = _call_of(cell, known)
    durable = functions_to_register(cell.tree) if _defines(cell.tree, set(known)) else []
    if name not in durable and name not in known:
        close = suggest(name, [*durable, *known])
        hint = f" Its first parameter must be the context: `def {name}(ctx, ...)`." if _is_defined(cell.tree, name) else close
        raise cell.mistake(f"`{name}` is no registered function.{hint or ' Define it in this cell, with `ctx` first.'}", call.func)
    told = cell.register(durable, None, 1)
    if told:
        runs.say(told)
    args, kwargs, places = _arguments(cell, call)
    try:
        _, raw, _ = current().client.registry.get(name, version)
        check_call(name, raw, args, kwargs)
        return verbs.launch(run_id, name, args, kwargs, new=new, version=version)
    except ValueError:
        raise verbs.unknown_function(current(), name, version) from None
    except Mistake as mistake:
        if mistake.about in {"id", "option:--version"}:
            raise
        raise cell.mistake(mistake.message, places.get(mistake.about, call)) from mistake.__cause__


def _call_of(cell: Cell, known: set[str]) -> tuple[ast.Call, str]:
    """The call that the cell ends in, taken off its tree, and the name that is called."""
    last = cell.tree.body[-1] if cell.tree.body else None
    if last is None:
        raise cell.mistake(f"The cell does nothing. Its last line is the call, for example {EXAMPLE}.", _place(ast.Pass(), 2, 0, 1))
    if not isinstance(last, ast.Expr):
        example = f"`{last.name}(...)`" if isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef) else EXAMPLE
        raise cell.mistake(f"The cell must end in a call, for example {example}; this is a statement.", last)
    call = last.value
    if isinstance(call, ast.Await | ast.Yield):
        raise cell.mistake(f"Write the call alone, as {EXAMPLE}: `%resonate wait` and `await` come afterwards.", call)
    if not isinstance(call, ast.Call):
        raise cell.mistake(f"The cell must end in a call, for example {EXAMPLE}; this is an expression without one.", call)
    if not isinstance(call.func, ast.Name):
        called = f"`{ast.unparse(call.func)}`"
        raise cell.mistake(f"{called} is no name of a registered function. The call has the function's own name: {EXAMPLE}.", call.func)
    name = call.func.id
    first = call.args[0] if call.args else None
    if isinstance(first, ast.Name) and first.id in verbs.CONTEXT_NAMES and first.id not in cell.shell.user_ns:
        raise cell.mistake(f"The run gives the context itself: `{name}({', '.join(map(ast.unparse, [*call.args[1:]]))})`.", first)
    for keyword in call.keywords:
        if keyword.arg in verbs.CONTEXT_NAMES and not _takes(cell.tree, name, keyword.arg):
            raise cell.mistake(f"The run gives the context itself: leave `{keyword.arg}` out.", _word(keyword))
    del cell.tree.body[-1]
    return call, name


def _word(keyword: ast.keyword) -> ast.expr:
    """The name of a keyword argument, as a place in the cell."""
    name = keyword.arg or "**"
    return _place(ast.Name(name, ast.Load()), keyword.lineno, keyword.col_offset, len(name.encode()))


def _place[T: (ast.expr, ast.stmt)](node: T, line: int, start: int, length: int) -> T:
    node.lineno = node.end_lineno = line
    node.col_offset, node.end_col_offset = start, start + length
    return node


def _functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _is_defined(tree: ast.Module, name: str) -> bool:
    return any(node.name == name for node in _functions(tree))


def _takes(tree: ast.Module, name: str, parameter: str) -> bool:
    """Whether the cell's function has a parameter of this name that is not its context."""
    for node in _functions(tree):
        if node.name == name:
            return parameter in [each.arg for each in [*node.args.posonlyargs, *node.args.args][1:] + node.args.kwonlyargs]
    return False


def _defines(tree: ast.Module, known: set[str]) -> bool:
    """Whether the cell has a function that is to be registered, or seems to be meant so."""
    return any(verbs.takes_context(_first(node)) for node in _functions(tree)) or (bool(_functions(tree)) and not known)


def _first(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[tuple[str, str]]:
    """(name, annotation) of a function's first parameter."""
    written = [*node.args.posonlyargs, *node.args.args][:1]
    return [(each.arg, ast.unparse(each.annotation) if each.annotation else "") for each in written]


def _arguments(cell: Cell, call: ast.Call) -> tuple[list[Any], dict[str, Any], dict[str, ast.expr]]:
    """The values of the call's arguments, in the user's namespace, and where each stands: `argument:0`, `argument:days`."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    places: dict[str, ast.expr] = {}

    def value(node: ast.expr) -> Any:
        try:
            return eval(cell.compiled(ast.Expression(node)), cell.shell.user_ns)  # noqa: S307 - the cell is theirs
        except Exception as error:
            raise cell.mistake(f"`{ast.unparse(node)}` cannot be evaluated: {type(error).__name__}: {error}.", node) from error

    for each in call.args:
        found = value(each.value) if isinstance(each, ast.Starred) else (value(each),)
        try:
            more = list(found)
        except TypeError as error:
            raise cell.mistake(f"`{ast.unparse(each)}` is no list of arguments: {error}.", each) from error
        places |= {f"argument:{len(args) + at}": each for at in range(len(more))}
        args += more
    for keyword in call.keywords:
        given = value(keyword.value)
        if keyword.arg is not None:
            given = {keyword.arg: given}
        elif not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
            raise cell.mistake(f"`{ast.unparse(keyword.value)}` is no dict of named arguments.", keyword.value)
        for key, each in given.items():
            if key in kwargs:
                raise cell.mistake(f"`{key}` is given twice.", _word(keyword))
            kwargs[key], places[f"argument:{key}"] = each, _word(keyword)
    return args, kwargs, places


def functions_to_register(tree: ast.Module) -> list[str]:
    """The names of the durable functions that a cell defines, in order; a `Mistake` when there is none, or one is meant and is not."""
    durable: dict[str, None] = {}
    helpers: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if verbs.takes_context(_first(node)):
                durable[node.name] = None
            elif not node.decorator_list:
                helpers[node.name] = node
    called = {
        node.args[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS
        and isinstance(node.func.value, ast.Name) and node.func.value.id in verbs.CONTEXT_NAMES
        and node.args and isinstance(node.args[0], ast.Name)
    }  # fmt: skip
    meant = [node for name, node in helpers.items() if not durable or name in called]
    if meant:
        parameters = [each.arg for each in [*meant[0].args.posonlyargs, *meant[0].args.args]]
        raise Mistake(verbs.not_registered(meant[0].name, parameters))
    if not durable:
        example = "`def clean(ctx, day): ...`"
        raise Mistake(f"Nothing to register: this cell defines no function. Functions take `ctx` first, for example {example}")
    return list(durable)
