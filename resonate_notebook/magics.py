"""`%resonate` and `%%resonate`: they read a line, call the verb's Python twin in `verbs`, and show its answer. Nothing else.

A line is a verb, its words and its options; `VERBS` says which. Each handler reads the words of one verb and notes which word is
about what (`places`), so a `Mistake` that a twin raises comes back with carets under the word it is about.
"""

from __future__ import annotations

import inspect
import itertools
import os
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.getipython import get_ipython
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from resonate.errors import CodeChanged, ResonateError
from resonate.recordings import ENDING
from resonate_notebook import actions, cell_runs, checks, exports, listing, reading, recordings, runs, schedules, session, verbs, views
from resonate_notebook.arguments import Line, Mistake, Word, read_arguments, suggest
from resonate_notebook.text import terminal_width
from resonate_notebook.text_views import SORTS

NUMBERS: Final = frozenset({"--version", "--port", "--timeout", "--limit", "--last"})
WHOLE: Final = frozenset({"--version", "--port", "--limit", "--last"})
CELL_VERBS: Final = ("register", "run")
WORDS: Final = {  # What may stand at one place of a line: what a mistake is about there, and what it is called. Completion knows them too.
    "run": ("id", "a run's id"), "open run": ("id", "a run's id"), "ended run": ("id", "a run's id"), "promise": ("id", "a promise's id"),
    "question": ("id", "a promise's id"), "function": ("function", "a function"), "file": ("path", "a file's name"),
    "picture of": ("id", "a run's id"), "age": ("age", "an age"), "url": ("url", "an address"),
    "recording": ("path", "a file's name"), "recorded": ("id", "a run's id or a recording's file"), "another": ("other", "another one"),
}  # fmt: skip
CHOICES: Final = {
    "--view": views.VIEWS, "--state": views.STATE_WORDS, "--sort": SORTS, "--until": verbs.WAITS, "--durability": verbs.DURABILITIES,
    "--protocol": ("legacy", "current"),
}  # fmt: skip
HELP_COLUMNS: Final = 80
HELP_COLUMNS_MAX: Final = 100
"""Columns of the help that Python shows (`%resonate?`) are the former, those that a wide terminal gets at most the latter."""
PROMISES_COMPLETED_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Verb:
    """One word after `%resonate`: how it is written, its options, and the same thing in Python.

    `words` are what may stand after it, by place (`WORDS`; `?` where it may be left out). A verb without a method of its own in
    `ResonateMagics` hands them to its twin, and its options as keywords.
    """

    usage: str
    python: str
    twin: Callable[..., Any]
    options: dict[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()


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
        words=("run", "function"),
    ),
    "rpc": Verb(
        "rpc ID FUNCTION [VALUE | NAME=VALUE] ... [--target GROUP] [--version N]",
        'rpc("report.7", "build_report", month=7)',
        verbs.rpc,
        {"--target GROUP": "the group whose workers are asked", "--version N": "an earlier version of the function"},
        words=("run", "function"),
    ),
    "schedule": Verb(
        "schedule [ID CRON FUNCTION [VALUE | NAME=VALUE] ...] [--timeout S] [--delete ID]",
        'schedule("nightly", "0 2 * * *", "report", day=1); unschedule("nightly")',
        schedules.schedule,
        {"--timeout S": "how long each run may take, in seconds (a day without it)", "--delete ID": "end this schedule"},
        words=("", "", "function"),
    ),
    "attach": Verb("attach ID", 'attach("demo.1")', verbs.attach, words=("run",)),
    "ps": Verb("ps [--all]", "ps(all=True)", listing.ps, {"--all": "with hundreds of runs that have ended, not the newest alone"}),
    "show": Verb(
        "show ID [--view graph|tree|timeline|table]",
        'show("demo.1", view="timeline")',
        views.show,
        {"--view V": "graph, tree, timeline or table"},
        words=("run",),
    ),
    "tree": Verb("tree ID", 'tree("demo.1")', verbs.tree, words=("run",)),
    "timeline": Verb("timeline ID", 'timeline("demo.1")', views.timeline, words=("run",)),
    "table": Verb(
        "table ID [--state STATE] [--sort call|time|state|attempts|name] [--limit N]",
        'table("demo.1", state="failed", sort="time")',
        views.table,
        {"--state STATE": "failed, open, settled, or one state", "--sort BY": "call (made first), time (longest first), ...",
         "--limit N": "rows at most; 0 is all"},
        words=("run",),
    ),
    "get": Verb("get ID", 'get("demo.1.3").value', views.get, words=("promise",)),
    "logs": Verb(
        "logs ID [--last N] [--level L]",
        'logs("demo.1", last=20, level="warning")',
        reading.logs,
        {"--last N": "the last N lines", "--level L": "logs of this level or above: debug, info, warning, error, critical"},
        words=("promise",),
    ),
    "wait": Verb(
        "wait ID [--timeout S] [--until waiting] [--logs]",
        'wait("demo.1", timeout=60)',
        verbs.wait,
        {
            "--timeout S": "stop waiting after S seconds",
            "--until waiting": "until the run waits for a person, or has ended",
            "--logs": "show what its calls print and log as it comes",
        },
        words=("run",),
    ),
    "resolve": Verb("resolve ID [VALUE]", 'resolve("demo.1.31", {"ok": True})', verbs.resolve, words=("question",)),
    "reject": Verb("reject ID [VALUE]", 'reject("demo.1.31", "too few rows")', verbs.reject, words=("question",)),
    "cancel": Verb("cancel ID", 'cancel("demo.1")', verbs.cancel, words=("open run",)),
    "retry": Verb(
        "retry ID [--id NEW] [--from STEP]",
        'retry("demo.0", from_step="demo.0.7")',
        verbs.retry,
        {"--id NEW": "the new run's id", "--from STEP": "run this step and all that came after it again"},
        words=("ended run",),
    ),
    "record": Verb(
        "record ID [FILE.recording] [--force]",
        'record("demo.1", "demo.1.recording")',
        recordings.record,
        {"--force": "write over a file that is no recording"},
        words=("run", "recording?"),
    ),
    "replay": Verb(
        "replay ID|FILE.recording [--undurable]",
        'replay("demo.1.recording")',
        recordings.replay,
        {"--undurable": "call what is `durable=False` too"},
        words=("recorded",),
    ),
    "diff": Verb(
        "diff ID|FILE.recording [ID|FILE.recording]", 'diff("demo.1", "demo.2")', recordings.diff, words=("recorded", "another?")
    ),
    "export": Verb(
        "export FILE.(svg|html|png|pdf|dot|mmd|json) [RUN] | FILE.py [--force]",
        'export("demo.1.svg", "demo.1")',
        verbs.export,
        {"--force": "write over a file that no export has written"},
        words=("file", "picture of?"),
    ),
    "prune": Verb(
        "prune AGE [--dry-run]", 'prune("30d", dry_run=True)', verbs.prune, {"--dry-run": "delete nothing, say what would be"},
        words=("age",),
    ),
    "doctor": Verb("doctor [URL]", "doctor()", verbs.doctor, words=("url?",)),
    "config": Verb(
        "config [render=auto|widget|html|svg|text|off] [stable=1] [output=node|cell]", 'config(render="text", stable=True)', verbs.config
    ),
    "stop": Verb("stop [--cancel]", "stop()", verbs.stop, {"--cancel": "cancel the runs that this kernel knows first"}),
}


def first_line(verb: str) -> str:
    """The verb in one sentence: the first line of its twin's docstring."""
    return (inspect.getdoc(VERBS[verb].twin) or "").split("\n", 1)[0]


EXAMPLE: Final = """
    %%resonate register
    from resonate.retry_policies import Constant
    def clean(ctx, day):                       # a step: done once, and recorded
        return day * 2
    def pipeline(ctx, days):                   # a generator is made of steps
        first = yield ctx.run(clean, 1)        # call, and wait for the value
        begun = yield ctx.begin_run(clean, 2)  # begin a call beside it
        yield ctx.sleep(1.0)                   # seconds; it may be days
        second = yield begun                   # its value
        yield ctx.run(clean, days).options(retry_policy=Constant(max_retries=3))
        asked = yield ctx.promise()            # `%resonate resolve ID VALUE`
        return first + second + (yield asked)  # answers it
"""


def overview(width: int = HELP_COLUMNS) -> str:
    """What `%resonate` alone and `%resonate?` show, with no line of words longer than `width`."""
    verbs = [textwrap.fill(f"  {name:<10} {first_line(name)}", width, subsequent_indent=" " * 13) for name in VERBS]
    more = "`%resonate run -h` tells all about one verb. Each verb is a function of `resonate_notebook` too."
    head = (
        "`%%resonate register` on top of a cell makes its functions durable: those that take `ctx` first. `%resonate run demo.1 pipeline "
        "days=3` starts one of them. `%%resonate run demo.1` does both: its cell ends in the call. In an `async def`, write `await` for "
        "`yield`."
    )
    texts = ["%resonate VERB ...: durable functions, watched live.", textwrap.fill(head, width), EXAMPLE.strip("\n"), "\n".join(verbs)]
    return "\n\n".join([*texts, textwrap.fill(more, width)])


def _help_width() -> int:
    return min(HELP_COLUMNS_MAX, terminal_width())


def help_text(verb: str) -> str:
    """All about one verb."""
    known = VERBS[verb]
    options = [
        textwrap.fill(f"  {name:<15} {text}", _help_width(), subsequent_indent=" " * 18) for name, text in known.options.items()
    ]
    python = f"In Python: resonate_notebook.{known.python}"
    width = _help_width()
    texts = [text if text.startswith(" ") else textwrap.fill(text, width) for text in (inspect.getdoc(known.twin) or "").split("\n\n")[1:]]
    parts = [f"%resonate {known.usage}", first_line(verb), *texts, "\n".join(options), python]
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

    def take_words(self) -> list[str]:
        """The words of a verb, as `Verb.words` has them; those at the end that may be left out may be missing."""
        kinds = (kind for kind in VERBS[self.verb].words if self.words or not kind.endswith("?"))
        found = [self.take(*WORDS[kind.removesuffix("?")]) for kind in kinds]
        self.nothing_more()
        return found

    def keywords(self) -> dict[str, Any]:
        """The options as a twin takes them."""
        return {name.removeprefix("--").replace("-", "_"): value for name, value in self.options.items()}

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
            return runs.say(overview(_help_width()))
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
            return self._answer(VERBS[verb].twin(*request.take_words(), **request.keywords()))
        except Mistake as mistake:
            raise request.pointed(mistake) from mistake.__cause__
        except ResonateError as error:
            raise Mistake(actions.sentence(error.mesg, request.places["id"].text if "id" in request.places else "")) from error

    resonate.__doc__ = overview()
    resonate = no_var_expand(line_cell_magic(resonate))  # type: ignore[assignment]

    def _namespace(self) -> dict[str, Any]:
        assert isinstance(self.shell, InteractiveShell)
        names: dict[str, Any] = self.shell.user_ns
        return names

    def _answer(self, answer: object) -> Any:
        if isinstance(answer, (str, checks.Findings)):
            return runs.say(str(answer))
        return answer

    def _help(self, line: Line) -> None:
        if len(line.words) == 1:
            return runs.say(overview(_help_width()))
        verb = line.words[1].text
        if verb not in VERBS:
            raise line.mistake(f"No verb `{verb}`.{suggest(verb, VERBS)} `%resonate` alone lists them.", line.words[1])
        return runs.say(help_text(verb))

    # ---- verbs that are more than an id --------------------------------------------------------------------------------------

    def _connect(self, request: Request) -> None:
        where = request.take("where", "a place")
        url = request.take("url", "the server's address") if where == "remote" else ""
        request.nothing_more()
        runs.say(verbs.connect(where, url=url, **request.keywords()))

    def _retry(self, request: Request) -> runs.Run:
        run_id = request.take("id", "a run's id")
        request.nothing_more()
        run = verbs.retry(run_id, request.options.get("--id"), request.options.get("--from"))
        return run.launched(f"{run.id} begins with what {run_id} had achieved")

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
        run = verbs.ask(run_id, function, args, kwargs, **request.keywords())
        return run.launched(verbs.sent_to(function, request.options.get("--target")).format(run_id), is_new=True)

    def _schedule(self, request: Request) -> None:
        ended = request.options.pop("--delete", None)
        if ended is not None:
            request.nothing_more()
            return runs.say(schedules.unschedule(ended))
        if not request.words:
            return runs.say(schedules.schedule())
        name = request.take("id", "an id")
        expression = request.take("cron", "a cron expression and a function")
        if " " not in expression and not expression.startswith("@"):
            example = f'`%resonate schedule {name} "0 2 * * *" FUNCTION`'
            raise request.line.mistake(f"A cron expression has five fields, in quotes: {example}.", request.places["cron"])
        function = request.take("function", "a function")
        args, kwargs, places = read_arguments(request.line, request.words, request.namespace)
        request.places |= places
        try:
            runs.say(schedules.plan(name, expression, function, args, kwargs, **request.keywords()))
        except Mistake as mistake:
            if mistake.about.startswith("cron:"):  # one field of it
                whole, part = request.places["cron"], mistake.about.removeprefix("cron:")
                found = re.search(rf"(?<!\S){re.escape(part)}(?!\S)", whole.text.strip("'\""))
                at = whole.start + (whole.text[:1] in "'\"") + found.start() if found else whole.start
                request.places[mistake.about] = Word(part, at) if found else whole
            raise

    def _attach(self, request: Request) -> runs.Run:
        run_id = request.take("id", "an id")
        request.nothing_more()
        run = verbs.attach(run_id)
        is_terminal = run.session.mode() == "terminal"  # which shows the run's state as the cell's value
        return run.launched(f"{run_id} is taken up. `%resonate wait {run_id}` follows it." if is_terminal else repr(run))

    def _logs(self, request: Request) -> None:
        call_id = request.take("id", "the id of a run or a call")
        request.nothing_more()
        given = {name.removeprefix("--"): value for name, value in request.options.items()}
        runs.say(reading.logs(call_id, **given))

    def _wait(self, request: Request) -> Any:
        run_id = request.take("id", "an id")
        request.nothing_more()
        try:
            until, logs = request.options.get("--until", "end"), "--logs" in request.options
            answer = verbs.wait(run_id, request.options.get("--timeout"), until, logs=logs)
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

    def _cell(self, line: Line, cell: str) -> Any:
        verb, word = (line.words[0].text, line.words[0]) if line.words else ("", None)
        if verb not in CELL_VERBS:
            raise line.mistake(f"`%%resonate` takes `register` or `run ID`.{suggest(verb, CELL_VERBS)}", word)
        request = Request(line, verb, self._namespace())
        if verb == "run" and not request.words:
            raise line.mistake("A run needs an id: `%%resonate run demo.1`.")
        run_id = request.take("id", "an id") if verb == "run" else ""
        request.nothing_more()
        shell = self.shell
        assert isinstance(shell, InteractiveShell)
        names, version = (request.options.get("--name"), request.options.get("--version", 1 if verb == "register" else 0))
        try:
            if verb == "register":
                runs.say(cell_runs.register(shell, cell, names, version))
                return None
            run, told = cell_runs.run(shell, cell, run_id, new="--new" in request.options, version=version)
            return run.launched(told)
        except Mistake as mistake:
            raise request.pointed(mistake) from None


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
    if before.endswith("%") and not words:
        offered = list(CELL_VERBS)
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
    known = VERBS[verb]
    options = [option.split(" ")[0] for option in known.options if option.split(" ")[0] not in words]
    if word.startswith("-"):
        return [*options, "-h"]
    if words[-1] in CHOICES and words[-1] in {option.split(" ")[0] for option in known.options}:
        return list(CHOICES[words[-1]])
    if verb == "connect":
        return list(verbs.WHERES) if index == 1 else []
    if verb == "config":
        key = word.partition("=")[0]
        values = {**{name: list(each) for name, each in verbs.CHOICES.items()}, "stable": ["1", "0"]}
        return values.get(key, []) if "=" in word else [f"{name}=" for name in values]
    if verb == "register":
        return [name for name, value in shell.user_ns.items() if inspect.isfunction(value) and not name.startswith("_")]
    now = session.current(even_stopped=True)
    registered = {name: function for name, _, function in now.client.registry.functions()}
    places = len(known.words)
    if index <= places:
        kind = known.words[index - 1].removesuffix("?")
        left_out = kind == "picture of" and words[1].endswith(".py")
        more = options * (not word and index > 1)
        return more if left_out else more + _known_words(kind, now, registered, word, token)
    if "function" not in known.words:
        return options * (not word)
    if token and token != word:  # Inside an expression.
        completer: Any = shell.Completer
        return list(completer.attr_matches(token) if "." in token else completer.global_matches(token))
    called = words[known.words.index("function") + 1]
    parameters = list(inspect.signature(registered[called]).parameters.values())[1:] if called in registered else []
    free = [f"{each.name}=" for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    return [name for name in free if not any(given.startswith(name) for given in words)] + options * (not word)


def _known_words(kind: str, now: session.Session, registered: dict[str, Any], word: str, token: str) -> list[str]:
    """What may stand where a word of this kind (`WORDS`) does."""
    if kind == "function":
        return list(registered)
    if kind == "file":
        return file_names(word, token)
    if kind == "recording":
        return file_names(word, token, RECORDINGS)
    if not now.stopped:
        now.follower.pump()
    with now.follower.lock:
        known = list(now.follower.runs.items())
        match kind:
            case "run" | "picture of":
                return [run_id for run_id, _ in known]
            case "recorded" | "another":
                return [run_id for run_id, _ in known] + file_names(word, token, RECORDINGS, only_there=True)
            case "ended run":
                return [run_id for run_id, followed in known if followed.model.settled]
            case "open run":
                return [run_id for run_id, followed in known if not followed.model.settled]
            case "question":
                return [node.id for _, followed in known for node in followed.model.nodes if node.state == "waiting"]
            case "promise":
                nodes = (node.id for _, followed in known for node in followed.model.nodes if node.id.startswith(token))
                return list(itertools.islice(nodes, PROMISES_COMPLETED_MAX))
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
