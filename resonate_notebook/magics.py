"""`%resonate` and `%%resonate`: they read a line, call the verb's Python twin in `verbs`, and show its answer. Nothing else.

A line is a verb, its words and its options; `VERBS` says which. Each handler reads the words of one verb and notes which word is
about what (`places`), so a `Mistake` that a twin raises comes back with carets under the word it is about.
"""

from __future__ import annotations

import ast
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.getipython import get_ipython
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from resonate.coroutine import plain_function
from resonate.errors import CodeChanged, ResonateError
from resonate.recordings import ENDING
from resonate_notebook import exports, recordings, runs, session, verbs
from resonate_notebook.arguments import Line, Mistake, Word, read_arguments, suggest

NUMBERS: Final = frozenset({"--version", "--port", "--timeout"})
WHOLE: Final = frozenset({"--version", "--port"})
CALLS: Final = frozenset({"run", "begin_run", "rpc", "begin_rpc", "detached", "lfc", "lfi", "rfc", "rfi"})


@dataclass(frozen=True, slots=True)
class Verb:
    """One word after `%resonate`: how it is written, its options, and the same thing in Python."""

    usage: str
    python: str
    twin: Callable[..., Any]
    options: dict[str, str] = field(default_factory=dict)


VERBS: Final = {
    "connect": Verb(
        "connect local [--db FILE] [--durability full|fast] | remote URL [--group G] [--protocol P] | dev [--port N] [--db FILE]",
        'connect("local", db="runs.db")',
        verbs.connect,
        {
            "--db FILE": "keep runs in this file",
            "--durability D": "`full` survives a power cut, `fast` a killed kernel",
            "--group G": "the group of workers that this kernel belongs to",
            "--protocol P": "`legacy` or `current`; else it is found out",
            "--port N": "of the development server",
        },
    ),
    "status": Verb("status", "status()", verbs.status),
    "register": Verb(
        "register FUNCTION ... [--name NAME] [--version N]",
        'register(pipeline, name="nightly", version=2)',
        verbs.register,
        {"--name NAME": "the name to register one function under", "--version N": "its version, counted from 1"},
    ),
    "functions": Verb("functions", "functions()", verbs.functions),
    "run": Verb(
        "run ID FUNCTION [VALUE | NAME=VALUE] ... [--new] [--version N]",
        'run("demo.1", "pipeline", days=31)',
        verbs.run,
        {"--new": "when the id is taken, start ID-2, ID-3, ... afresh", "--version N": "an earlier version of the function"},
    ),
    "rpc": Verb(
        "rpc ID FUNCTION [VALUE | NAME=VALUE] ... [--target GROUP] [--version N]",
        'rpc("report.7", "build_report", month=7)',
        verbs.rpc,
        {"--target GROUP": "the group whose workers are asked", "--version N": "an earlier version of the function"},
    ),
    "attach": Verb("attach ID", 'attach("demo.1")', verbs.attach),
    "ps": Verb("ps", "ps()", verbs.ps),
    "tree": Verb("tree ID", 'tree("demo.1")', verbs.tree),
    "wait": Verb(
        "wait ID [--timeout S] [--until waiting]",
        'wait("demo.1", timeout=60)',
        verbs.wait,
        {"--timeout S": "stop waiting after S seconds", "--until waiting": "until the run waits for a person, or has ended"},
    ),
    "resolve": Verb("resolve ID [VALUE]", 'resolve("demo.1.31", {"ok": True})', verbs.resolve),
    "reject": Verb("reject ID [VALUE]", 'reject("demo.1.31", "too few rows")', verbs.reject),
    "cancel": Verb("cancel ID", 'cancel("demo.1")', verbs.cancel),
    "retry": Verb(
        "retry ID [--id NEW] [--from STEP]",
        'retry("demo.0", from_step="demo.0.7")',
        verbs.retry,
        {"--id NEW": "the new run's id", "--from STEP": "run this step and all that came after it again"},
    ),
    "prune": Verb("prune AGE", 'prune("30d")', verbs.prune),
    "export": Verb(
        "export FILE.(svg|html|png|pdf|dot|mmd|json) [RUN] | FILE.py [--force]",
        'export("demo.1.svg", "demo.1")',
        verbs.export,
        {"--force": "write over a file that no export has written"},
    ),
    "record": Verb(
        "record ID [FILE.recording] [--force]",
        'record("demo.1", "demo.1.recording")',
        recordings.record,
        {"--force": "write over a file that is no recording"},
    ),
    "replay": Verb(
        "replay ID|FILE.recording [--undurable]",
        'replay("demo.1.recording")',
        recordings.replay,
        {"--undurable": "call what is `durable=False` too"},
    ),
    "diff": Verb("diff ID|FILE.recording [ID|FILE.recording]", 'diff("demo.1", "demo.2")', recordings.diff),
    "doctor": Verb("doctor [URL]", "doctor()", verbs.doctor),
    "config": Verb("config [render=auto|widget|svg|text|off] [stable=1]", 'config(render="text", stable=True)', verbs.config),
}


def first_line(verb: str) -> str:
    """The verb in one sentence: the first line of its twin's docstring."""
    return (inspect.getdoc(VERBS[verb].twin) or "").split("\n", 1)[0]


def overview() -> str:
    """What `%resonate` alone and `%resonate?` show."""
    verbs = [f"  {name:<10} {first_line(name)}" for name in VERBS]
    more = "`%resonate run -h` tells all about one verb. Each verb is a function of `resonate_notebook` too."
    head = "%resonate VERB ...: durable functions, watched live. `%%resonate register` on top of a cell makes its functions durable."
    return "\n".join([head, "", *verbs, "", more])


def help_text(verb: str) -> str:
    """All about one verb."""
    known = VERBS[verb]
    options = [f"  {name:<14} {text}" for name, text in known.options.items()]
    python = f"In Python: resonate_notebook.{known.python}"
    parts = [f"%resonate {known.usage}", inspect.getdoc(known.twin) or "", "\n".join(options), python]
    return "\n\n".join(part for part in parts if part)


class Request:
    """A line that has been read as far as its verb's options: the words that are left, and the options given."""

    def __init__(self, line: Line, verb: str, namespace: dict[str, Any], *, plain: bool = False) -> None:
        self.line, self.verb, self.namespace = line, verb, namespace
        self.places: dict[str, Word] = {}
        self.options: dict[str, Any] = {}
        self.words: list[Word] = line.words[1:]
        if not plain:
            self._take_options()

    def _take_options(self) -> None:
        takes = {option.split(" ")[0]: " " in option for option in VERBS[self.verb].options}
        words, self.words = iter(self.words), []
        for word in words:
            name, equals, given = word.text.partition("=")
            if not name.startswith("--"):
                self.words.append(word)
                continue
            if name not in takes:
                known = f" Known: {', '.join(takes)}." if takes else f" `{self.verb}` has no options."
                raise self.line.mistake(f"There is no option `{name}`.{suggest(name, takes) or known}", word)
            self.places[f"option:{name}"] = word
            if not takes[name]:
                self.options[name] = True
                continue
            value = Word(given, word.start + len(name) + 1) if equals else next(words, None)
            if value is None or not value.text:
                raise self.line.mistake(f"`{name}` needs a value.", word)
            self.places[f"option:{name}"] = value
            self.options[name] = self._number(name, value) if name in NUMBERS else self.line.unquoted(value)

    def _number(self, name: str, word: Word) -> Any:
        value = self.line.evaluate(word, self.namespace)
        if not isinstance(value, (int, float)) or (name in WHOLE and not isinstance(value, int)):
            raise self.line.mistake(f"`{name}` is a{' whole' * (name in WHOLE)} number.", word)
        return value

    def take(self, about: str, what: str) -> str:
        """The next word; quotes around it are taken off."""
        if not self.words:
            raise self.line.mistake(f"`{self.verb}` needs {what}: `%resonate {VERBS[self.verb].usage}`", None)
        word = self.words.pop(0)
        self.places[about] = word
        return self.line.unquoted(word)

    def nothing_more(self) -> None:
        """Refuses words that nobody has taken."""
        if self.words:
            raise self.line.mistake(f"`{self.verb}` takes no more than that: `%resonate {VERBS[self.verb].usage}`", self.words[0])

    def pointed(self, mistake: Mistake) -> Mistake:
        """The mistake with carets under what it is about, if that is on the line."""
        if mistake.line or not (mistake.about in self.places or mistake.about == "end"):
            return mistake
        told = self.line.mistake(mistake.message, self.places.get(mistake.about))
        return mistake.pointing(told.line, told.start, told.end)


@magics_class
class ResonateMagics(Magics):
    """The line and cell magic."""

    def resonate(self, line: str, cell: str | None = None) -> Any:  # noqa: D102 - its docstring is the overview, set below
        read = Line(line, "%resonate " if cell is None else "%%resonate ")
        if cell is not None:
            return self._cell(read, cell)
        if not read.words:
            return runs.say(overview())
        verb = read.words[0].text
        if verb in {"help", "-h", "--help"}:
            return self._help(read)
        if verb not in VERBS:
            raise read.mistake(f"No verb `{verb}`.{suggest(verb, [*VERBS, 'help'])} `%resonate` alone lists them.", read.words[0])
        if any(word.text in {"-h", "--help"} for word in read.words[1:]):
            return runs.say(help_text(verb))
        request = Request(read, verb, self._namespace(), plain=verb in {"resolve", "reject"})
        handler = getattr(self, f"_{verb}", None)
        try:
            if handler is not None:
                return handler(request)
            words = [request.take("id", "an id")] if "ID" in VERBS[verb].usage else []
            request.nothing_more()
            return self._answer(VERBS[verb].twin(*words))
        except Mistake as mistake:
            raise request.pointed(mistake) from mistake.__cause__
        except ResonateError as error:
            raise Mistake(f"{error}") from error

    resonate.__doc__ = overview()
    resonate = no_var_expand(line_cell_magic(resonate))  # type: ignore[assignment]

    def _namespace(self) -> dict[str, Any]:
        assert isinstance(self.shell, InteractiveShell)
        names: dict[str, Any] = self.shell.user_ns
        return names

    def _answer(self, answer: object) -> Any:
        if isinstance(answer, str):
            return runs.say(answer)
        return answer

    def _help(self, line: Line) -> None:
        if len(line.words) == 1:
            return runs.say(overview())
        verb = line.words[1].text
        if verb not in VERBS:
            raise line.mistake(f"No verb `{verb}`.{suggest(verb, VERBS)} `%resonate` alone lists them.", line.words[1])
        return runs.say(help_text(verb))

    # ---- verbs that are more than an id --------------------------------------------------------------------------------------

    def _connect(self, request: Request) -> None:
        where = request.take("where", "a place")
        url = request.take("url", "the server's address") if where == "remote" else ""
        request.nothing_more()
        given = {name.removeprefix("--"): value for name, value in request.options.items()}
        runs.say(verbs.connect(where, url=url, **given))

    def _retry(self, request: Request) -> runs.Run:
        run_id = request.take("id", "a run's id")
        request.nothing_more()
        run = verbs.retry(run_id, request.options.get("--id"), request.options.get("--from"))
        return run.launched(f"{run.id} begins with what {run_id} had achieved")

    def _prune(self, request: Request) -> None:
        age = request.take("age", "an age")
        request.nothing_more()
        runs.say(verbs.prune(age))

    def _export(self, request: Request) -> None:
        path = request.take("path", "a file's name")
        run_id = request.take("id", "a run's id") if request.words else None
        request.nothing_more()
        runs.say(verbs.export(path, run_id, force="--force" in request.options))

    def _record(self, request: Request) -> None:
        run_id = request.take("id", "a run's id")
        path = request.take("path", "a file's name") if request.words else None
        request.nothing_more()
        runs.say(recordings.record(run_id, path, force="--force" in request.options))

    def _replay(self, request: Request) -> None:
        source = request.take("id", "a run's id or a recording's file")
        request.nothing_more()
        runs.say(recordings.replay(source, undurable="--undurable" in request.options))

    def _diff(self, request: Request) -> None:
        left = request.take("id", "a run's id or a recording's file")
        right = request.take("other", "another one") if request.words else None
        request.nothing_more()
        runs.say(recordings.diff(left, right))

    def _doctor(self, request: Request) -> None:
        url = request.take("url", "an address") if request.words else ""
        request.nothing_more()
        runs.say(str(verbs.doctor(url)))

    def _register(self, request: Request) -> None:
        found: list[Any] = []
        for word in request.words:
            request.places["function"] = word
            found.append(request.line.evaluate(word, request.namespace))
        runs.say(verbs.register(*found, name=request.options.get("--name"), version=request.options.get("--version", 1)))

    def _run(self, request: Request) -> runs.Run:
        run_id = request.take("id", "an id and a function")
        known = {name for name, _, _ in session.current().client.registry.functions()}
        if run_id in known and (not request.words or request.words[0].keyword()):
            example = " ".join(["%resonate run", f"{run_id}-1", run_id, *(word.text for word in request.words)])
            raise request.line.mistake(f"A run needs an id first: `{example}`.", request.places["id"])
        function = request.take("function", "a function")
        args, kwargs, places = read_arguments(request.line, request.words, request.namespace)
        request.places |= places
        version = request.options.get("--version", 0)
        run, told = verbs.launch(run_id, function, args, kwargs, new="--new" in request.options, version=version)
        return run.launched(told)

    def _rpc(self, request: Request) -> runs.Run:
        run_id = request.take("id", "an id and a function")
        function = request.take("function", "a function")
        args, kwargs, places = read_arguments(request.line, request.words, request.namespace)
        request.places |= places
        given = {name.removeprefix("--"): value for name, value in request.options.items()}
        return verbs.ask(run_id, function, args, kwargs, **given).launched("")

    def _attach(self, request: Request) -> runs.Run:
        run_id = request.take("id", "an id")
        request.nothing_more()
        run = verbs.attach(run_id)
        return run.launched(repr(run))

    def _wait(self, request: Request) -> Any:
        run_id = request.take("id", "an id")
        request.nothing_more()
        try:
            answer = verbs.wait(run_id, request.options.get("--timeout"), request.options.get("--until", "end"))
            return self._answer(answer) if isinstance(answer, verbs.Told) else answer
        except runs.StillRunning:
            raise
        except (Mistake, runs.Detached):
            raise
        except CodeChanged as error:
            raise runs.Failed(recordings.code_changed(run_id, error)) from error
        except Exception as error:
            failed = runs.failure(session.current(), run_id)
            raise failed or error from error

    def _resolve(self, request: Request) -> None:
        self._settle(request, verbs.resolve)

    def _reject(self, request: Request) -> None:
        self._settle(request, verbs.reject)

    def _settle(self, request: Request, twin: Callable[..., verbs.Told]) -> None:
        run_id = request.take("id", "a promise's id")
        rest = request.line.rest(2)
        if rest is not None:
            request.places["value"] = rest
        runs.say(twin(run_id, None if rest is None else request.line.value(rest, request.namespace)))

    def _config(self, request: Request) -> None:
        settings: dict[str, str] = {}
        for word in request.words:
            pair = word.keyword()
            if pair is None:
                raise request.line.mistake(f"Write `{word.text}=...`, or `%resonate {VERBS['config'].usage}`.", word)
            key, value = pair
            settings[key] = value.text.strip("'\"")
            request.places |= {f"key:{key}": Word(key, word.start), f"value:{key}": value}
        runs.say(verbs.config(**settings))

    # ---- the cell magic ------------------------------------------------------------------------------------------------------

    def _cell(self, line: Line, cell: str) -> None:
        verb = line.words[0].text if line.words else ""
        if verb != "register":
            word = line.words[0] if line.words else None
            raise line.mistake(f"`%%resonate` takes `register`.{suggest(verb, ['register'])}", word)
        request = Request(line, "register", self._namespace())
        request.nothing_more()
        shell = self.shell
        assert isinstance(shell, InteractiveShell)
        # One line more on top stands for the magic's own, so that tracebacks count the lines as the cell shows them.
        source = "\n" + shell.transform_cell(cell)  # type: ignore[no-untyped-call]
        name = shell.compile.cache(source, verbs.cell_number(shell), raw_code="\n" + cell)
        tree = ast.parse(source, name)
        durable = functions_to_register(tree)
        exec(compile(tree, name, "exec", shell.compile.flags, dont_inherit=True), shell.user_ns)  # noqa: S102 - the cell is theirs
        found = [(each, shell.user_ns[each]) for each in durable]
        for each, value in found:
            if not inspect.isfunction(plain_function(value)):
                raise Mistake(f"{each} is not registered: its decorator made it a {type(value).__name__}. The rest of the cell has run.")
        try:
            runs.say(verbs.register_named(found, request.options.get("--name"), request.options.get("--version", 1)))
        except Mistake as mistake:
            raise request.pointed(mistake) from None


def functions_to_register(tree: ast.Module) -> list[str]:
    """The names of the durable functions that a cell defines, in order; a `Mistake` when there is none, or one is meant and is not."""
    durable: dict[str, None] = {}
    helpers: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            written = [*node.args.posonlyargs, *node.args.args][:1]
            first = [(each.arg, ast.unparse(each.annotation) if each.annotation else "") for each in written]
            if verbs.takes_context(first):
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


# ---- completion --------------------------------------------------------------------------------------------------------------


@context_matcher()  # type: ignore[untyped-decorator]
def complete(context: CompletionContext) -> SimpleMatcherResult:
    """What may stand at the cursor of a `%resonate` line; where we know nothing, IPython's own completion is left alone."""
    shell = get_ipython()
    before, magic, typed = context.text_until_cursor.rpartition("%resonate")
    if shell is None or not magic or not typed[:1].isspace():
        return SimpleMatcherResult(completions=[])
    words = [word.text for word in Line(typed).words]
    word = "" if typed[-1].isspace() else words.pop()
    if before.endswith("%"):
        offered = ["register"] if not words else []
    elif not words:
        offered = [*VERBS, "help"]
    else:
        offered = _candidates(shell, words, word, context.token)
    texts = [text for text in offered if text.startswith(context.token)]
    return SimpleMatcherResult(completions=[SimpleCompletion(text=text) for text in texts], suppress=bool(texts), ordered=True)


def _candidates(shell: InteractiveShell, words: list[str], word: str, token: str) -> list[str]:
    verb, index = words[0], len(words)
    if verb == "help" and index == 1:
        return list(VERBS)
    if verb not in VERBS:
        return []
    options = [option.split(" ")[0] for option in VERBS[verb].options if option.split(" ")[0] not in words]
    if word.startswith("-"):
        return [*options, "-h"]
    if verb == "connect":
        return list(verbs.WHERES) if index == 1 else []
    if verb == "config":
        key = word.partition("=")[0]
        values = {"render": list(session.RENDERS), "stable": ["1", "0"]}
        return values.get(key, []) if "=" in word else ["render=", "stable="]
    now = session.current()
    now.follower.pump()
    with now.follower.lock:
        known = list(now.follower.runs.items())
        waiting = [node.id for _, followed in known for node in followed.model.nodes if node.state == "waiting"]
    registered = {name: function for name, _, function in now.client.registry.functions()}
    match verb, index:
        case "register", _:
            return [name for name, value in shell.user_ns.items() if inspect.isfunction(value) and not name.startswith("_")]
        case "export", 1:
            return file_names(word, token)
        case "export", 2:
            return options * (not word) + [run_id for run_id, _ in known] * (not words[1].endswith(".py"))
        case (("replay" | "diff"), 1) | ("diff", 2):
            return [run_id for run_id, _ in known] + file_names(word, token, RECORDINGS, only_there=True)
        case "record", 2:
            return options * (not word) + file_names(word, token, RECORDINGS)
        case (("run" | "attach" | "tree" | "wait" | "record"), 1):
            return [run_id for run_id, _ in known]
        case "retry", 1:
            return [run_id for run_id, followed in known if followed.model.settled]
        case "cancel", 1:
            return [run_id for run_id, followed in known if not followed.model.settled]
        case (("resolve" | "reject"), 1):
            return waiting
        case "run", 2:
            return list(registered)
        case "run", _ if token and token != word and not word.startswith("-"):  # Inside an expression.
            completer: Any = shell.Completer
            return list(completer.attr_matches(token) if "." in token else completer.global_matches(token))
        case "run", _ if words[2] in registered:
            parameters = list(inspect.signature(registered[words[2]]).parameters.values())[1:]
            free = [f"{each.name}=" for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
            return [name for name in free if not any(given.startswith(name) for given in words)] + options * (not word)
    return []


EXPORTED: Final = tuple(f".{each}" for each in (*exports.PICTURES, "py"))
RECORDINGS: Final = (ENDING,)


def file_names(word: str, token: str, endings: tuple[str, ...] = EXPORTED, *, only_there: bool = False) -> list[str]:
    """Files with these endings, and folders, which begin as the word does; each as the part of it that the token stands for.

    Where there is none, names for a new file are offered, unless it has to be there.
    """
    folder, _, begun = word.rpartition("/")
    before = word[: len(word) - len(token)]
    try:
        inside = list(os.scandir(os.path.expanduser(folder or ("/" if word.startswith("/") else "."))))
    except OSError:
        return []
    names = sorted(each.name + "/" * each.is_dir() for each in inside if each.is_dir() or each.name.endswith(endings))
    shown = [name for name in names if name.startswith(begun) and (begun or not name.startswith("."))]
    whole = [f"{folder}/{name}" if "/" in word else name for name in shown]
    stem = word.rpartition(".")[0] if "." in begun else word
    fresh = [f"{stem}{ending}" for ending in endings] if begun and not shown and not only_there else []
    return [each[len(before) :] for each in (*whole, *fresh) if each.startswith(before)]


def install(shell: InteractiveShell) -> None:
    """Registers the magics and their completion."""
    remove(shell)
    shell.register_magics(ResonateMagics)
    shell.Completer.custom_matchers.append(complete)


def remove(shell: InteractiveShell) -> None:
    """Takes both away again."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("resonate", None)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if matcher is not complete]
