"""What is typed after `%resonate`: words with their columns, Python expressions, and mistakes that point at them.

A line is cut into words at the blanks that stand outside brackets and quotes, so `rows=[1, 2]` is one word. Nothing is evaluated
while cutting. A mistake knows what it is about ("id", "function", "argument:days", ...); whoever read the line knows which columns
that is and points at them. The functions of `verbs` raise the same mistakes without a line, so they serve Python callers too.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import json
import re
import reprlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

from IPython.core.error import UsageError

from resonate_notebook.model import hidden
from resonate_notebook.text import cells, visible, wrapped

KEYWORD = re.compile(r"([^\W\d]\w*)=(?!=)")
PAIRS = {")": "(", "]": "[", "}": "{"}
DEFAULT_TEXT_LIMIT = 40
_REPR = reprlib.Repr(maxlevel=8, maxtuple=200, maxlist=200, maxdict=200, maxset=200, maxstring=2_000, maxlong=400, maxother=2_000)


class Mistake(UsageError):
    """Something was asked that cannot be done. Nothing has happened when it is raised.

    It is shown as one block without a traceback: the line, carets under the part it is about, and the message.

    >>> print(Mistake("No function `pipline`.").pointing("%resonate run demo.1 pipline", 21, 28))
    %resonate run demo.1 pipline
                         ^^^^^^^
    No function `pipline`.
    """

    def __init__(self, message: str, about: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.about = about
        self.line = ""
        self.start = self.end = 0

    def pointing(self, line: str, start: int, end: int) -> Self:
        """The same mistake, shown under columns `start` to `end` of `line`."""
        self.line, self.start, self.end = line, start, end
        return self

    def __str__(self) -> str:
        message = "\n".join(visible(hidden(line)) for line in self.message.splitlines())
        if not self.line:
            return message
        before, at = visible(self.line[: self.start]), visible(self.line[self.start : self.end])
        return f"{visible(self.line)}\n{' ' * cells(before)}{'^' * max(1, cells(at))}\n{message}"

    def _render_traceback_(self) -> list[str]:
        # IPython asks for this in place of a traceback; the cell still fails, so that "Run all" stops here.
        *above, message = str(self).split("\n", 2) if self.line else [str(self)]
        return [*above, *(wrapped(line) for line in message.splitlines())]


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of a line: its text and the column where it starts."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """The column after its last character."""
        return self.start + len(self.text)

    def keyword(self) -> tuple[str, Word] | None:
        """`days=7` as ("days", the word `7`); None where it is no keyword argument."""
        match = KEYWORD.match(self.text)
        return (match[1], Word(self.text[match.end() :], self.start + match.end())) if match else None


class Line:
    """One line after `%resonate `, cut into words, able to point at any of them.

    >>> [word.text for word in Line("run demo.1 pipeline rows=[1, 2]").words]
    ['run', 'demo.1', 'pipeline', 'rows=[1, 2]']
    """

    def __init__(self, text: str, prefix: str = "%resonate ") -> None:
        self.text = re.sub(r"\s", " ", text)
        self.prefix = prefix
        self.words = split(self.text)

    def mistake(self, message: str, word: Word | None = None, about: str = "") -> Mistake:
        """A mistake that points at a word, or at the end of the line, where something is missing."""
        line = self.prefix + self.text.rstrip()
        start, end = (word.start, word.end) if word else (len(self.text.rstrip()) + 1, len(self.text.rstrip()) + 2)
        return Mistake(message, about).pointing(line, start + len(self.prefix), end + len(self.prefix))

    def rest(self, index: int) -> Word | None:
        """Everything from word number `index` on as one word, or None when there is none."""
        words = self.words[index:]
        return Word(self.text[words[0].start : words[-1].end], words[0].start) if words else None

    def evaluate(self, word: Word, namespace: dict[str, Any], hint: str = "") -> Any:
        """The value of a Python expression in the user's namespace, or a mistake that points at it."""
        text = word.text.strip()
        try:
            code = compile(ast.parse(text, mode="eval"), "<argument>", "eval")
        except (SyntaxError, ValueError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            hint = hint or " An expression with blanks goes in brackets: `(lambda x: x)`." * (text == "lambda")
            raise self.mistake(f"`{text}` is not a Python expression: {reason}.{hint}", word) from None
        try:
            return eval(code, namespace)  # noqa: S307 - the person typed it in their own notebook
        except Exception as error:
            if isinstance(error, NameError):
                hint = hint or f" Plain text goes in quotes: {text!r}."
            raise self.mistake(f"`{text}` cannot be evaluated: {type(error).__name__}: {error}.{hint}", word) from error

    def unquoted(self, word: Word) -> str:
        """A word as it stands; quotes around it are taken off."""
        if word.text[:1] in {"'", '"'}:
            value = self.evaluate(word, {})
            if isinstance(value, str):
                return value
        return word.text

    def value(self, word: Word, namespace: dict[str, Any]) -> Any:
        """The value of a Python expression or of JSON; plain text has to be in quotes."""
        try:
            return self.evaluate(word, namespace, hint=f" Plain text goes in quotes: {word.text.strip()!r}.")
        except Mistake:
            try:
                return json.loads(word.text)
            except ValueError:
                pass
            raise


def split(text: str) -> list[Word]:
    """The words of a line. A word that starts with `#` begins a comment; an open bracket or quote reaches to the end."""
    words: list[Word] = []
    open_brackets: list[str] = []
    quote = ""
    start = -1
    position = 0
    while position < len(text):
        character = text[position]
        if start < 0:
            if character == "#":
                break
            if character.isspace():
                position += 1
                continue
            start = position
        if quote:
            if character == "\\":
                position += 1
            elif text.startswith(quote, position):
                position += len(quote) - 1
                quote = ""
        elif character in "'\"":
            quote = character * 3 if text.startswith(character * 3, position) else character
            position += len(quote) - 1
        elif character in "([{":
            open_brackets.append(character)
        elif open_brackets and PAIRS.get(character) == open_brackets[-1]:
            open_brackets.pop()
        elif character.isspace() and not open_brackets:
            words.append(Word(text[start:position], start))
            start = -1
        position += 1
    if start >= 0:
        words.append(Word(text[start:].rstrip(), start))
    return words


type Call = tuple[list[Any], dict[str, Any], dict[str, Word]]


def read_arguments(line: Line, words: Iterable[Word], namespace: dict[str, Any]) -> Call:
    """Positional and keyword values of a call, and which word each came from: `argument:0`, `argument:days`."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    places: dict[str, Word] = {}
    for word in words:
        if word.text.startswith("="):
            raise line.mistake("Write `name=value` without blanks around `=`.", word)
        pair = word.keyword()
        if pair is None:
            if named:
                hint = " An expression with blanks goes in brackets: `days=(a + b)`."
                raise line.mistake(f"`{word.text}` comes after a named argument.{hint}", word)
            places[f"argument:{len(positional)}"] = word
            positional.append(line.evaluate(word, namespace))
            continue
        name, expression = pair
        if name in named:
            raise line.mistake(f"`{name}` is given twice.", word)
        if not expression.text:
            raise line.mistake(f"`{name}=` has no value.", word)
        places[f"argument:{name}"] = Word(name, word.start)
        named[name] = line.evaluate(expression, namespace)
    return positional, named, places


def check_call(name: str, function: Callable[..., Any], positional: list[Any], named: dict[str, Any]) -> inspect.BoundArguments:
    """The arguments bound to the function's parameters after the context, or a mistake that says which one does not fit."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    shown = f"{name}{signature_text(function)}"
    any_place = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    any_name = any(each.kind is each.VAR_KEYWORD for each in parameters)
    fixed = [each for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    by_place = [each for each in fixed if each.kind is not each.KEYWORD_ONLY]
    by_name = [each.name for each in fixed if each.kind is not each.POSITIONAL_ONLY]
    for key in named:
        if key not in by_name and not any_name:
            raise Mistake(f"{shown} takes no argument `{key}`.{suggest(key, by_name)}", about=f"argument:{key}")
    if len(positional) > len(by_place) and not any_place:
        most = f"{len(by_place)} argument{'s' * (len(by_place) != 1)}" if by_place else "no arguments"
        given = f"{len(positional)} {'is' if len(positional) == 1 else 'are'} given"
        raise Mistake(f"{shown} takes {most} after the context; {given}.", about=f"argument:{len(by_place)}")
    placed = {each.name for each in by_place[: len(positional)]}
    for each in fixed:
        if each.name in placed and each.name in named and each.name in by_name:
            raise Mistake(f"`{each.name}` is given twice, by place and by name.", about=f"argument:{each.name}")
        if each.default is each.empty and each.name not in placed and (each.name not in named or each.name not in by_name):
            raise Mistake(f"{shown} needs `{each.name}`: add `{each.name}=...`.", about="end")
    return inspect.Signature(parameters).bind(*positional, **named)


def signature_text(function: Callable[..., Any]) -> str:
    """`(ctx, days=31)`: names and short defaults, without annotations."""
    texts: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        default = "" if parameter.default is parameter.empty else f"={short_repr(parameter.default, DEFAULT_TEXT_LIMIT)}"
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
        texts.append(f"{stars}{parameter.name}{default}")
    return f"({', '.join(texts)})"


def short_repr(value: object, limit: int = 2_000) -> str:
    """The value's repr without its secrets, at most `limit` characters, whatever its `__repr__` does."""
    try:
        text = hidden(_REPR.repr(value))
    except (Exception, SystemExit):
        text = f"<{type(value).__name__} whose repr fails>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def suggest(word: str, known: Iterable[str]) -> str:
    """` Did you mean `pipeline`?` when something known is close, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean `{close[0]}`?" if close else ""
