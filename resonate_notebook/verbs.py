"""The verbs of `%resonate`, which Python code may call as well.

Each verb is a plain function with real help in its docstring. It answers text (`Told`, which prints itself at the end of a cell), or
a `Run`; `magics` parses a line, calls the verb and shows the answer. A verb that cannot do what it is asked raises a `Mistake`
before anything has happened.
"""

from __future__ import annotations

import inspect
import os
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from resonate.coroutine import plain_function
from resonate.errors import ResonateStoreError
from resonate.models.durable_promise import DurablePromise
from resonate.options import is_composed
from resonate.stores.sqlite import SqliteStore
from resonate_notebook import actions, checks, exports
from resonate_notebook.arguments import Mistake, check_call, short_repr, signature_text, suggest
from resonate_notebook.live import LOG
from resonate_notebook.model import SETTLED, hidden
from resonate_notebook.places import DEV_PORT, FOUND_LIMIT_S, Place, told
from resonate_notebook.runs import Run
from resonate_notebook.session import OUTPUTS, RENDERS, STOP_LIMIT_S, Session, current
from resonate_notebook.text import terminal_width

CONTEXT_NAMES: Final = ("ctx", "context")
WAITS: Final = ("end", "waiting")
CHOICES: Final = {"render": RENDERS, "output": OUTPUTS}
NEW_IDS_MAX: Final = 10_000
DURABILITIES: Final = ("full", "fast")
LISTED_IDS_MAX: Final = 6
PRUNED_NAMED_MAX: Final = 20
CANCEL_LIMIT_S: Final = 0.5
"""What `stop --cancel` spends on cancelling, so that it is over in two seconds."""
UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
ARGUMENT_PATH: Final = re.compile(r"\$\.(?:kwargs\.(\w+)|args\[(\d+)\])")
WHERES: Final = ("local", "remote", "dev")


class Told(str):
    """Text that a notebook shows without quotes, and without secrets."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("…" if cycle else hidden(self))


def cell_number(shell: Any) -> int:
    """The number of the cell that runs now, by the frames above: IPython 9 counts on before a cell begins, 8 after it."""
    numbers = getattr(shell.compile, "_filename_map", {})
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_filename in numbers:
            return int(numbers[frame.f_code.co_filename])
        frame = frame.f_back
    return int(shell.execution_count)


# ---- getting in --------------------------------------------------------------------------------------------------------------


def connect(
    where: str = "local", db: str | None = None, durability: str = "full", *, url: str = "", group: str = "default",
    protocol: str | None = None, port: int = DEV_PORT,
) -> Told:  # fmt: skip
    """Connect this kernel to a place where runs live.

    `local` keeps them in memory, with `--db FILE` in a file: there they outlive the kernel, and go on when it is connected again and their
    functions are registered. `--durability fast` is quicker and may lose the last moments at a power cut, never at a killed kernel.
    `remote URL` is a Resonate Server of either generation, whose workers may be anywhere; this kernel is one of group `--group`. `dev` is a
    small server of your own: the one that listens at `--port` already, or one that is started here and ends with this kernel.
    Connecting again to where the kernel is already changes nothing, so the cell may be run as often as you like.

        %resonate connect local --db runs.db
        %resonate connect remote http://localhost:8001
        %resonate connect dev
    """
    place = _place_of(where, db, durability, url, group, protocol, port)
    session = current(even_stopped=True)
    if place == session.connected_to and not session.stopped and _is_there(session):
        return status()
    is_new = place.kind == "file" and place.path is not None and not place.path.exists()
    before = session.connected_to
    try:
        left = session.connect(place)
    except (ResonateStoreError, OSError, ImportError, ValueError) as error:
        raise _not_connected(session, place, error) from error
    lines = [str(_status(session, is_new=True)).replace("(durable", "(new, durable" if is_new else "(durable")]
    if left:
        ended = f"What was in memory has ended: {listed(left)}"
        lines.append(f"{ended if before.kind == 'memory' else _fate(before, left, is_served_here=False)}.")
    return Told("\n".join([*lines, *(_unfinished_text(session) if place.kind == "file" else ())]))


def _is_there(session: Session) -> bool:
    """Whether what this kernel is connected to still answers: a server that somebody else has started may have ended."""
    try:
        session.client.reach(FOUND_LIMIT_S)
    except ResonateStoreError:
        return session.server is not None
    return True


def _place_of(where: str, db: str | None, durability: str, url: str, group: str, protocol: str | None, port: int) -> Place:
    if where not in WHERES:
        raise Mistake(f"There is no `{where}` to connect to.{suggest(where, WHERES)} Known: {', '.join(WHERES)}.", "where")
    if durability not in DURABILITIES:
        raise Mistake(f"`durability` is one of {', '.join(DURABILITIES)}.{suggest(durability, DURABILITIES)}", "option:--durability")
    path = None if db is None else Path(db).expanduser().absolute()
    if where == "dev":
        return Place("dev", path, durability, group=group, protocol=protocol, port=port)
    if where == "local":
        return Place() if path is None else Place("file", path, durability)
    if protocol not in (None, "legacy", "current"):
        raise Mistake(f"`protocol` is legacy or current.{suggest(protocol, ['legacy', 'current'])}", "option:--protocol")
    if not url:
        raise Mistake("`remote` needs the server's address: `%resonate connect remote http://localhost:8001`", "end")
    return Place("remote", url=url if "://" in url else f"http://{url}", group=group, protocol=protocol)


def _not_connected(session: Session, place: Place, error: Exception) -> Mistake:
    still = "Still not connected." if session.stopped else f"Still connected as before: {session.client.where[1]}."
    why = str(getattr(error, "mesg", "") or error)
    if place.kind == "remote":
        why = why.partition(" Runs go on as soon")[0]
        do = f"`%resonate connect dev` starts one here; `%resonate doctor {place.url}` looks closer."
        return Mistake(f"{why} {still}\nIs the server running? {do}", "url")
    return Mistake(f"{why.rstrip('.')}. {still}", "option:--db" if place.path is not None else "option:--port")


def stop(*, cancel: bool = False) -> Told:
    """Stop in good order, and tell what becomes of runs that are not over.

    Runs in a file wait there until it is connected again, those on a server go on with other workers; what is in memory is gone. `--cancel`
    cancels the runs that this kernel knows first. Functions stay registered. `%resonate connect` goes on afterwards.

        %resonate stop
    """
    session = current()
    line = session.connected_to.line()
    session.follower.pump()
    with session.follower.lock:
        known = [(followed.model.root, followed.model.settled) for followed in session.follower.runs.values()]
    roots = [root for root, is_settled in known if root is not None and not is_settled]
    going = [root.id for root in sorted(roots, key=lambda root: root.created_at)]  # their facts may have come in another order
    parts = ["stopped"]
    if going and cancel:
        going, cancelled = _cancelled(session, going)
        parts += [f"{listed(cancelled)} cancelled"] if cancelled else []
        parts += [f"{listed(going)} not cancelled, for want of an answer"] if going else []
    if going:
        parts.append(_fate(session.connected_to, going, is_served_here=session.server is not None))
    session.stop(STOP_LIMIT_S)
    return Told(f"{' · '.join(parts)}\n`%resonate {line}` connects again.")


def _fate(place: Place, going: list[str], *, is_served_here: bool) -> str:
    """What becomes of runs that are not over when this kernel's client, and the server that it has started, stop."""
    runs, one = listed(going), len(going) == 1
    if place.path is not None and (place.kind == "file" or is_served_here):
        return f"{runs} wait{'s' * one} in {place.path.name}"
    if place.kind == "memory" or is_served_here:
        return f"{runs} {'is' if one else 'are'} gone, with all that was in memory"
    return f"{runs} {'goes' if one else 'go'} on with other workers"


def _cancelled(session: Session, going: list[str]) -> tuple[list[str], list[str]]:
    """(runs that could not be cancelled in time, those that were). A thread asks: a server may take long, or never answer."""
    done: list[str] = []

    def ask() -> None:
        for run_id in going:
            if session.stopped:
                return
            try:
                session.client.cancel(run_id)
                done.append(run_id)
            except Exception as error:  # It has just ended, or nobody answers; what is left is told.
                LOG.info("%s was not cancelled: %s", run_id, error)

    asking = threading.Thread(target=ask, name="resonate-cancelling", daemon=True)
    asking.start()
    asking.join(CANCEL_LIMIT_S)
    cancelled = list(done)
    return [run_id for run_id in going if run_id not in cancelled], cancelled


def _unfinished_text(session: Session) -> list[str]:
    """What waits for which function, once a file is opened."""
    unfinished = session.client.unfinished()
    known = {name for name, _, _ in session.client.registry.functions()}
    by_name: dict[str, list[str]] = {}
    for run_id, name in unfinished.items():
        if name not in known:
            by_name.setdefault(name, []).append(run_id)
    if not by_name:
        return []
    waits = ", ".join(f"{listed(ids)} wait{'s' * (len(ids) == 1)} for `{name}`" for name, ids in by_name.items())
    return [f"{len(unfinished)} run{'s' * (len(unfinished) != 1)} unfinished: {waits}", "Register those functions and the runs go on."]


def listed(ids: list[str], most: int = LISTED_IDS_MAX) -> str:
    """`a, b and 7 more`: the first ids of many, and how many there are beside."""
    shown = ids if len(ids) <= most else [*ids[: most - 1], f"{len(ids) - most + 1:,} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def status() -> Told:
    """Tell where this kernel is connected and what goes on.

    %resonate status
    """
    return _status(current())


def _status(session: Session, *, is_new: bool = False) -> Told:
    """What `status` tells; of a place that has just been connected, what waits for functions is told apart."""
    session.follower.pump()
    functions = len({name for name, _, _ in session.client.registry.functions()})
    runs = list(session.follower.runs.values())
    open_runs = [followed for followed in runs if not followed.model.settled]
    ended = _ended_in_file(session) or len(runs) - len(open_runs)
    waiting = [node.id for followed in open_runs for node in list(followed.model.nodes) if node.state == "waiting"]
    where = told(session.connected_to, session.client, session.server, stable=session.settings.stable)
    parts = [f"resonate · {where} · {functions} function{'s' * (functions != 1)}"]
    if runs or ended:
        calls = f", {len(waiting)} wait{'s' * (len(waiting) == 1)} for you ({', '.join(waiting[:3])})" if waiting else ""
        going = f"{len(open_runs)} run{'s' * (len(open_runs) != 1)} going on{calls}"
        missing = {} if is_new else missing_functions(session)
        lost = f", {len(missing)} wait{'s' * (len(missing) == 1)} for `{'`, `'.join(dict.fromkeys(missing.values()))}`" if missing else ""
        parts.append(f"{going}{lost}, {ended:,} finished{' here' * (session.connected_to.kind in {'remote', 'dev'})}")
    size = session.client.size()
    if size is not None and not session.settings.stable:
        parts.append(actions.size_text(size))
    if session.client.trouble:
        parts.append("it does not answer just now: `%resonate doctor` looks closer")
    if session.follower.trouble:
        parts.append(f"the picture met an error ({session.follower.trouble}); the log of `resonate_notebook` has it")
    return Told(" · ".join(parts))


def _ended_in_file(session: Session) -> int:
    store = session.client._shared.store
    try:
        return store.ended(0)[1] if isinstance(store, SqliteStore) else 0
    except ResonateStoreError:  # which is told by whoever needs the file
        return 0


def config(**settings: Any) -> Told:
    """Show or change how runs are shown.

    `render` is how: `auto` decides by who runs the cell (a live graph in a page, text in a terminal, still pictures where nobody
    watches, as under nbclient and nbval). `html` is a picture that is drawn anew as the run goes on, for pages that show no widgets; `auto`
    falls back to it where the live graph does not load. The environment variable RESONATE_NOTEBOOK_RENDER sets it from outside.
    `stable` leaves out times and whatever else differs from one execution to the next, so that nbval passes byte for byte.
    `output` is where prints, log records and warnings of durable functions go: `node` keeps them with their call, where the panel and
    `%resonate logs` show them; with `cell` they go where Python puts them, which is some cell.

        %resonate config render=text stable=1
    """
    now = current().settings
    checked: dict[str, Any] = {}
    for key, value in settings.items():
        if key in CHOICES:
            if str(value) not in CHOICES[key]:
                told = f"`{key}` is one of {', '.join(CHOICES[key])}.{suggest(str(value), CHOICES[key])}"
                raise Mistake(told, f"value:{key}")
            checked[key] = str(value)
        elif key == "stable":
            words = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}
            if str(value).lower() not in words:
                raise Mistake("`stable` is 1 or 0.", "value:stable")
            checked[key] = words[str(value).lower()]
        else:
            known = [*CHOICES, "stable"]
            raise Mistake(f"There is no setting `{key}`.{suggest(key, known)} Known: {', '.join(known)}.", f"key:{key}")
    for key, value in checked.items():
        setattr(now, key, value)
    return Told(f"render={now.render} · stable={int(now.stable)} · output={now.output}")


# ---- functions ---------------------------------------------------------------------------------------------------------------


def takes_context(parameters: Iterable[tuple[str, str]]) -> bool:
    """Whether the first (name, annotation) is the context."""
    name, annotation = next(iter(parameters), ("", ""))
    return name in CONTEXT_NAMES or annotation.strip("'\"").split(".")[-1] == "Context"


def register(*functions: Callable[..., Any], name: str | None = None, version: int = 1) -> Told:
    """Make functions durable, so that runs can be started from them.

    Registering again replaces. A durable function takes the context first. In a cell, `%%resonate register` registers each function
    that the cell defines with `ctx` first; a run that is going on keeps the code of the calls it has begun. `%resonate?` has an example.

        %resonate register pipeline
        %resonate register pipeline --name nightly --version 2
    """
    return register_named([(getattr(each, "__name__", "?"), each) for each in functions], name, version)


def register_named(functions: list[tuple[str, Callable[..., Any]]], name: str | None = None, version: int = 1) -> Told:
    """As `register`, with the name that each function was defined under; `name` takes the place of a single one."""
    if not functions:
        raise Mistake("Name the functions to register, for example `%resonate register pipeline`.", "end")
    if name and len(functions) > 1:
        raise Mistake("`name` goes with one function at a time.", "option:--name")
    if version < 1:
        raise Mistake("Versions count from 1.", "option:--version")
    raw: list[tuple[str, Callable[..., Any]]] = []
    for own_name, given in functions:
        function = plain_function(given)
        if not inspect.isfunction(function):
            what = getattr(given, "__name__", type(given).__name__)
            how = f" Wrap it in a `def`: `def {name or 'call'}(ctx, ...): return {what}(...)`." * hasattr(given, "__call__")  # noqa: B004
            raise Mistake(f"`{what}` is no plain function, and only those can be registered.{how}", "function")
        if own_name == "<lambda>" and not name:
            raise Mistake("A lambda needs a name: add `--name`.", "function")
        first = [(each.name, each.annotation) for each in inspect.signature(function).parameters.values()][:1]
        if not takes_context([(key, kind if isinstance(kind, str) else getattr(kind, "__name__", "")) for key, kind in first]):
            raise Mistake(not_registered(own_name, list(inspect.signature(function).parameters)), "function")
        raw.append((name or own_name, function))
    return Told(_replace(current(), raw, version))


def not_registered(name: str, parameters: list[str], keyword: str = "def") -> str:
    """What is said of a function that does not take the context first."""
    written = f"{keyword} {name}({', '.join(['ctx', *parameters])}): ..."
    return f"{name} is not registered: its first parameter must be the context. Write `{written}`"


def _replace(session: Session, functions: list[tuple[str, Callable[..., Any]]], version: int) -> str:
    registry = session.client.registry
    new: list[str] = []
    changed: list[str] = []
    unchanged: list[str] = []
    replaced: dict[str, Callable[..., Any]] = {}
    for name, function in functions:
        shown = name if version == 1 else f"{name} v{version}"
        before = registry.replace(function, name=name, version=version)
        if before is None:
            new.append(shown)
        elif (difference := what_changed(before, function)) is not None:
            changed.append(f"{shown} ({difference})")
            replaced[name] = before
        else:
            unchanged.append(shown)
    told = [f"{verb} {', '.join(names)}" for verb, names in (("registered", new), ("replaced", changed)) if names]
    if unchanged:
        told.append(f"{', '.join(unchanged)} unchanged")
    return "\n".join([" · ".join(told), *_keep_their_code(session, replaced)])


def _keep_their_code(session: Session, replaced: dict[str, Callable[..., Any]]) -> list[str]:
    """A call that has begun keeps its code, in further attempts too; a call that a run makes later finds the new function.

    `replaced` has the functions that were there before. What is told, run by run, is the longest lasting of it.
    """
    if not replaced:
        return []
    session.follower.pump()
    keep: list[str] = []
    later: list[str] = []
    failing: list[tuple[str, str]] = []
    with session.follower.lock:
        for run_id, followed in session.follower.runs.items():
            nodes = [node for node in followed.model.nodes if node.name in replaced and not node.halted]
            if followed.model.settled or not nodes:
                continue
            begun = [node for node in nodes if node.state not in SETTLED]
            if any(node.parent is None or is_composed(replaced[node.name]) for node in begun):
                keep.append(run_id)
            if any(node.parent is not None for node in nodes):
                later.append(run_id)
            failing += [(node.id, run_id) for node in begun if node.state == "retrying"][-1:]
    lines: list[str] = []
    if keep:
        one = len(keep) == 1
        subject = "1 run going on keeps the code it" if one else f"{len(keep)} runs going on keep the code they"
        lines.append(f"{subject} started with: {listed(keep)}")
    if later:
        lines.append(f"Later calls in {listed(later)} take the new code.")
    lines += [actions.old_code(call, run_id) for call, run_id in failing[:LISTED_IDS_MAX]]
    return lines


def what_changed(before: Callable[..., Any], after: Callable[..., Any]) -> str | None:
    """`parameters changed`, `body changed`, `defaults changed`, or None when both functions are the same program."""
    old, new = (inspect.signature(function).replace(return_annotation=None) for function in (before, after))
    if str(old) != str(new):
        return "defaults changed" if list(old.parameters) == list(new.parameters) else "parameters changed"
    return None if _program(before.__code__) == _program(after.__code__) else "body changed"


def _program(code: Any) -> tuple[Any, ...]:
    constants = tuple(_program(each) if hasattr(each, "co_code") else (type(each), repr(each)) for each in code.co_consts)
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_flags


def functions() -> Told:
    """List the registered functions: parameters, version, where each was written.

    %resonate functions
    """
    session = current()
    rows = [
        [name, signature_text(function), f"v{version}", session.cell_of(function), "generator" * inspect.isgeneratorfunction(function)]
        for name, version, function in session.client.registry.functions()
    ]
    if not rows:
        return Told("No function is registered. `%%resonate register` on top of a cell registers the functions in it.")
    return Told(columns(rows))


def columns(rows: list[list[str]]) -> str:
    """Rows as text in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)


# ---- launching and following -------------------------------------------------------------------------------------------------


def run(id: str, function: str | Callable[..., Any], /, *args: Any, **kwargs: Any) -> Run:
    """Start a run and go on at once.

    You get a `Run`, which can be shown, awaited and asked for its result. The id is the run's identity: the same id, function and
    arguments always mean the same run, so running the cell again starts nothing twice. Arguments are Python expressions. `--new`
    takes the next free id, `--version N` an earlier function.

        run = %resonate run demo.1 pipeline days=len(df) rows=[1, 2]
    """
    return launch(id, function, list(args), kwargs)[0]


def launch(
    id: str, function: str | Callable[..., Any], args: list[Any], kwargs: dict[str, Any], *, new: bool = False, version: int = 0
) -> tuple[Run, str]:
    """What `run` does, with its options; answers the run and what there is to say about it ("" for a plain start)."""
    session = current()
    client = session.client
    if not id.strip():
        raise Mistake("A run needs an id, for example `demo.1`.", "id")
    try:
        name, raw, found = client.registry.get(function, version)
    except ValueError:
        raise unknown_function(session, function, version) from None
    bound = check_call(name, raw, args, kwargs)
    bound.apply_defaults()
    run_id = id
    existing = actions.get_promise(session.follower, id)
    if existing is not None and new:
        run_id, existing = _free_id(session, id), None
    if existing is not None:
        _same_call(session, existing, name, raw, bound)
    try:
        handle = client.options(version=found).begin_run(run_id, name, *args, **kwargs)
    except TypeError as error:
        raise not_storable(error) from error
    if existing is None:
        session.note_launch(run_id, raw.__code__)
        return Run(session, run_id, handle), ""
    begun_with = session.launched.get(run_id, raw.__code__)
    since = f" `{name}` has changed since." if _program(begun_with) != _program(raw.__code__) else ""
    return Run(session, run_id, handle), _existing_text(session, existing, since)


def rpc(id: str, function: str, /, *args: Any, **kwargs: Any) -> Run:
    """Ask any worker of a group to do a run, and follow it from here.

    The function need not be registered in this kernel; a worker of the group must know it. `--target GROUP` is the group (this kernel's
    own without it), `--version N` an earlier function. Everything else is as with `run`.

        run = %resonate rpc report.7 build_report month=7 --target reports
    """
    return ask(id, function, list(args), kwargs)


def ask(id: str, function: str, args: list[Any], kwargs: dict[str, Any], *, target: str | None = None, version: int = 0) -> Run:
    """What `rpc` does, with its options."""
    session = current()
    if not id.strip():
        raise Mistake("A run needs an id, for example `demo.1`.", "id")
    try:
        handle = session.client.options(target=target, version=version).begin_rpc(id, function, *args, **kwargs)
    except TypeError as error:
        raise not_storable(error) from error
    session.follower.follow(id)
    return Run(session, id, handle)


def sent_to(function: str, target: str | None) -> str:
    """What to say of a run (`{}`) that some worker is asked to do."""
    session = current()
    group = f"group {target or session.connected_to.group}"
    known = any(name == function for name, _, _ in session.client.registry.functions())
    return f"{{}} was sent to {group}{'' if known else f'; `{function}` is not registered here, so a worker of that group must know it'}."


def not_storable(error: TypeError) -> Mistake:
    """The mistake for an argument that cannot be stored. The SDK names the path to it: `$.kwargs.days`, `$.args[0].rows`."""
    found = ARGUMENT_PATH.match(str(error))
    if found is None:
        return Mistake(f"{error}", "arguments")
    name, rest = found[1] or found[2], str(error)[found.end() :]
    shown = f"`{name}{rest.partition(' ')[0]}`" if found[1] else f"Argument {int(name) + 1}{rest.partition(' ')[0]}"
    return Mistake(f"{shown} {rest.partition(' ')[2].replace('Return JSON-like', 'Give JSON-like')}", f"argument:{name}")


def unknown_function(session: Session, function: str | Callable[..., Any], version: int) -> Mistake:
    """The mistake for a function that is not registered, with the one that was probably meant."""
    known = [name for name, _, _ in session.client.registry.functions()]
    name = function if isinstance(function, str) else getattr(function, "__name__", "?")
    if name in known:
        versions = [f"{number}" for each, number, _ in session.client.registry.functions() if each == name]
        return Mistake(f"`{name}` has no version {version}. Registered: {', '.join(versions)}.", "option:--version")
    user = getattr(session.shell, "user_ns", {})
    if inspect.isfunction(user.get(name)):
        do = f"`%resonate register {name}`, or `%%resonate register` on top of its cell"
        return Mistake(f"`{name}` is not registered yet: {do}.", "function")
    close = suggest(name, known)
    listed = f" Registered: {', '.join(dict.fromkeys(known))}." if known and not close else ""
    none = " No function is registered: `%%resonate register` on top of a cell does it." if not known else ""
    return Mistake(f"No function `{name}`.{close}{listed}{none}", "function")


def _same_call(session: Session, promise: DurablePromise, name: str, raw: Callable[..., Any], bound: inspect.BoundArguments) -> None:
    """Raises when the id belongs to another call. A call that cannot be read back is taken for the same one."""
    try:
        record = session.client.encoder.decode(promise.param.to_tuple())
    except (Exception, SystemExit):
        return
    if not isinstance(record, dict) or "func" not in record:
        raise Mistake(f"{promise.id} is no run, but a promise of its own. Nothing was run. Use another id, or `--new`.", "id")
    if record["func"] != name:
        raise Mistake(f"{promise.id} exists: it is a run of `{record['func']}`. Nothing was run. Use another id, or `--new`.", "id")
    args, kwargs = list(record.get("args") or ()), dict(record.get("kwargs") or {})
    try:
        before = inspect.Signature(list(inspect.signature(raw).parameters.values())[1:]).bind(*args, **kwargs)
        before.apply_defaults()
        old, new = before.arguments, bound.arguments
        alike = old.keys() == new.keys() and all(_alike(session, old[key], new[key]) for key in new)
    except TypeError:  # The function takes other parameters by now.
        alike = False
    if not alike:
        shown = ", ".join([short_repr(each, 60) for each in args] + [f"{key}={short_repr(each, 60)}" for key, each in kwargs.items()])
        raise Mistake(f"{promise.id} exists with other arguments ({shown}). Nothing was run. Use another id, or `--new`.", "id")


def _alike(session: Session, stored: Any, given: Any) -> bool:
    if actions.same(stored, given):
        return True
    try:  # What was stored may come back as another type (a tuple as a list), or compare oddly; its stored form decides.
        return bool(session.client.encoder.encode(stored) == session.client.encoder.encode(given))
    except (TypeError, ValueError):
        return False


def _existing_text(session: Session, promise: DurablePromise, since: str) -> str:
    new = f" `--new` starts {_free_id(session, promise.id)}." if since or promise.completed else ""
    if promise.pending:
        return f"{promise.id} is going on already, with the code that it began with.{since}{new}" if since else (
            f"{promise.id} is going on already. Nothing was started twice."
        )
    when = actions.ago(session.follower, promise.completed_on)
    told, _ = actions.value_text(session.follower, promise, actions.VALUE_LIMIT)
    outcome = f"{actions.ANSWERS[promise.state]}{f', {told}' if told else ''}"
    if not promise.resolved:
        retry = f" `%resonate retry {promise.id}` takes over what was done and runs the rest;"
        new = f"{retry} `--new` starts {_free_id(session, promise.id)} from the beginning."
    return f"{promise.id} finished{when}: {outcome}. Nothing was run again.{since}{new}"


def _free_id(session: Session, taken: str) -> str:
    """`demo.1-2`, or the next number that is free."""
    for number in range(2, NEW_IDS_MAX):
        if actions.get_promise(session.follower, f"{taken}-{number}") is None:
            return f"{taken}-{number}"
    raise Mistake(f"{taken} has {NEW_IDS_MAX - 2:,} successors. Use another id.", "id")


def attach(id: str) -> Run:
    """Take up a run that exists: you get its `Run`, and it is shown again.

    run = %resonate attach demo.1
    """
    session = current()
    actions.followed_run(session.follower, id, "`%resonate attach {}` shows the run.")
    return Run(session, id, session.client.get(id))


def missing_functions(session: Session) -> dict[str, str]:
    """Runs in a file that wait for their function, which nobody has registered here: the function's name, by run."""
    known = {name for name, _, _ in session.client.registry.functions()}
    with session.follower.lock:
        roots = [followed.model.root for followed in session.follower.runs.values() if session.connected_to.kind == "file"]
    return {root.id: root.name for root in roots if root is not None and root.state == "pending" and root.name not in known}


def tree(id: str) -> Told:
    """Print a run as a tree of its calls.

    %resonate tree demo.1
    """
    session = current()
    followed = actions.followed_run(session.follower, id, "`%resonate tree {}` shows the run.")
    return Told(session.follower.text(followed, terminal_width()))


def wait(id: str, timeout: float | None = None, until: str = "end", *, logs: bool = False) -> Any:
    """Wait until a run has ended, for its result or its error.

    Stop (Ctrl-C, or the stop button) detaches and the run goes on; a second stop within 2 s cancels it. `--timeout` is in seconds.
    `--until waiting` is over as soon as the run waits for a person, and says for what. `--logs` shows what its calls print, log and warn
    of as it comes; a terminal does so anyway where it draws the tree in place.

        rows = %resonate wait demo.1 --timeout 60
    """
    if until not in WAITS:
        raise Mistake(f"`until` is one of {', '.join(WAITS)}.{suggest(until, WAITS)}", "option:--until")
    taken = attach(id)
    result = taken.wait(timeout, until=until, logs=logs)
    if until == "waiting" and not taken.done():
        names = [node.id for node in taken.nodes() if node.state == "waiting"]
        return Told(f"{id} waits for you: {', '.join(names)}. `%resonate resolve {names[0]} VALUE` answers.")
    return result


# ---- leaving, and looking after it ---------------------------------------------------------------------------------------------


def export(path: str | os.PathLike[str], id: str | None = None, *, force: bool = False) -> Told:
    """Write a run's picture, or a worker script of the registered functions, to a file.

    The name's ending says what: `.svg`, `.html`, `.png` and `.pdf` are pictures, `.dot` and `.mmd` the graph for Graphviz and Mermaid,
    `.json` all calls with times and values. Without an id it is the run of the file's name, else the newest. PNG and PDF need Graphviz.
    `.py` is a script that works on the same file or server as this kernel, with the functions, imports and values that they need.
    A file that an export has written is written over; any other only with `--force`.

        %resonate export demo.1.svg
        %resonate export pictures/failed.html demo.1
        %resonate export worker.py
    """
    return Told(exports.export(current(), path, id, force=force))


def doctor(url: str = "") -> checks.Findings:
    """Look closer when something is wrong, and say how to mend it.

    It looks at Python, packages, the live graph, Graphviz, and where this kernel is connected. Each line is ok, a note, or a problem with
    how to mend it. With an address, it also tells whether a server answers there.

        %resonate doctor
        %resonate doctor http://localhost:8001
    """
    return checks.look(current(), checks.address(url))


# ---- acting ------------------------------------------------------------------------------------------------------------------


def resolve(id: str, value: Any = None) -> Told:
    """Give a waiting promise its value, and the run goes on.

    The value is a Python expression or JSON, None when left out. Plain text goes in quotes.

        %resonate resolve demo.1.31 {"ok": True}
    """
    return Told(actions.settle(current().follower, id, value, "resolved"))


def reject(id: str, value: Any = None) -> Told:
    """Refuse a waiting promise: its run gets the value raised as an error.

    %resonate reject demo.1.31 "too few rows"
    """
    return Told(actions.settle(current().follower, id, value, "rejected"))


def retry(id: str, new_id: str | None = None, from_step: str | None = None) -> Run:
    """Start a run that is over anew, from where it failed, with the functions as they are now.

    The finished run is never changed: a new one, `demo.0-2` unless `--id` names it, takes over every step that has a value and runs only
    the rest. `--from STEP` runs that step and all that came after it again.

        run = %resonate retry demo.0
        run = %resonate retry demo.0 --from demo.0.7
    """
    session = current()
    try:
        handle = actions.retry(session.follower, id, new_id, from_step)
    except ResonateStoreError as error:
        about = "option:--from" if from_step is not None and from_step in error.mesg else "option:--id" if new_id else "id"
        raise Mistake(actions.sentence(error.mesg, id), about) from error
    except ValueError as error:
        raise Mistake(actions.sentence(str(error), id), "id") from error
    return Run(session, handle.id, handle)


def prune(older_than: str | float, *, dry_run: bool = False) -> Told:
    """Delete runs that have been over for a while, with all of their promises.

    The age is a number with a unit: `90s`, `12h`, `30d`; a plain number counts days. `--dry-run` deletes nothing, and says what it would.

        %resonate prune 30d --dry-run
        %resonate prune 30d
    """
    text = str(older_than).strip()
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", text)
    if match is None:
        raise Mistake(f"`{text}` is no age. Write `90s`, `12h` or `30d`.", "age")
    session = current()
    pruned = session.client.prune(float(match[1]) * UNITS_S[match[2] or "d"], dry_run=dry_run)
    if not pruned:
        return Told("Nothing to delete: no run has been over for that long.")
    told = listed(pruned, PRUNED_NAMED_MAX)
    if dry_run:
        return Told(f"would delete {len(pruned):,} run{'s' * (len(pruned) != 1)}: {told} · `%resonate prune {text}` does it")
    session.follower.forget(pruned)
    size = session.client.size()
    shown = "" if size is None or session.settings.stable else f" · {actions.size_text(size)}"
    return Told(f"deleted {told}{shown}")


def cancel(id: str) -> Told:
    """Cancel a run and every promise of it that is still open.

    Steps in flight end on their own; their results are dropped.

    %resonate cancel demo.1
    """
    return Told(actions.cancel(current().follower, id))
