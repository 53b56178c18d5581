"""Words, expressions and mistakes of a `%resonate` line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonate_notebook.arguments import Line, Mistake, check_call, read_arguments, short_repr, signature_text, split, suggest


def texts(line: str) -> list[str]:
    return [word.text for word in split(line)]


def read(text: str, **namespace: object):
    line = Line(text)
    positional, named, _ = read_arguments(line, line.words, namespace)
    return positional, named


def pipeline(ctx, days=31):
    pass


def train(ctx, model, /, rounds, *, seed, **rest):
    pass


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run demo.1 pipeline days=len(df) rows=[1, 2]", ["run", "demo.1", "pipeline", "days=len(df)", "rows=[1, 2]"]),
        ("a={'x': (1, 2)}  b='two words'", ["a={'x': (1, 2)}", "b='two words'"]),
        (r"a='it\'s' b", [r"a='it\'s'", "b"]),
        ('a="""x " y""" b', ['a="""x " y"""', "b"]),
        ("run a b   # a comment, not (words", ["run", "a", "b"]),
        ("a='#' b#c", ["a='#'", "b#c"]),
        ("days=len(df  more", ["days=len(df  more"]),
        ("a] b", ["a]", "b"]),
        ("", []),
    ],
)
def test_a_line_is_cut_at_blanks_outside_brackets_and_quotes(line, words):
    assert texts(line) == words


@given(st.text(alphabet=" ab='\"([{)]}#\\", max_size=40))
def test_every_word_is_the_text_at_its_own_column(line):
    for word in split(line):
        assert line[word.start : word.end] == word.text
        assert word.text


def test_arguments_are_python_expressions_in_the_given_namespace():
    assert read("len(df) rows=[n, 2] text='a b'", df=[1, 2, 3], n=1) == ([3], {"rows": [1, 2], "text": "a b"})


def test_a_comparison_is_no_keyword_argument():
    assert read("n==1", n=1) == ([True], {})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run demo.1 f days=len(df", "(df\n" + " " * 28 + "^^^^^^\n`len(df` is not a Python expression: '(' was never closed."),
        ("run x f days=no", "days=no\n" + " " * 23 + "^^\n`no` cannot be evaluated: NameError: name 'no' is not defined."),
        ("run x f days = 7", "days = 7\n" + " " * 18 + "^^^^\n`days` cannot be evaluated"),
        ("run x f 1 = 7", "= 7\n" + " " * 20 + "^\nWrite `name=value` without blanks around `=`."),
        ("run x f a=1 + 2", "+ 2\n" + " " * 22 + "^\n`+` comes after a named argument."),
        ("run x f a=1 a=2", "a=2\n" + " " * 22 + "^^^\n`a` is given twice."),
        ("run x f a=", "a=\n" + " " * 18 + "^^\n`a=` has no value."),
        ("run x f 中=1/0", "中=1/0\n" + " " * 21 + "^^^\n`1/0` cannot be evaluated: ZeroDivisionError"),
    ],
)
def test_a_mistake_points_at_its_column(text, shown):
    line = Line(text)
    with pytest.raises(Mistake) as caught:
        read_arguments(line, line.words[3:], {})
    assert shown in str(caught.value)
    assert caught.value._render_traceback_() == str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("positional", "named", "message", "about"),
    [
        ([], {"day": 31}, "pipeline(ctx, days=31) takes no argument `day`. Did you mean `days`?", "argument:day"),
        ([1, 2], {}, "pipeline(ctx, days=31) takes 1 argument after the context; 2 are given.", "argument:1"),
        ([1], {"days": 2}, "`days` is given twice, by place and by name.", "argument:days"),
    ],
)
def test_arguments_that_do_not_fit_are_named(positional, named, message, about):
    with pytest.raises(Mistake) as caught:
        check_call("pipeline", pipeline, positional, named)
    assert (caught.value.message, caught.value.about) == (message, about)


def test_a_missing_argument_is_named():
    with pytest.raises(Mistake, match=r"needs `seed`: add `seed=\.\.\.`"):
        check_call("train", train, ["x"], {"rounds": 1, "other": 2})
    assert check_call("train", train, ["x"], {"rounds": 1, "seed": 2, "other": 3}).arguments["rest"] == {"other": 3}


def test_a_value_is_python_or_json_and_plain_text_is_asked_to_be_quoted():
    for text, value in {"{'ok': True}": {"ok": True}, '{"ok": true, "x": null}': {"ok": True, "x": None}, "n + 1": 2}.items():
        line = Line(f"resolve demo.1 {text}")
        assert line.value(line.rest(2), {"n": 1}) == value
    line = Line("resolve demo.1 looks good")
    with pytest.raises(Mistake, match="Plain text goes in quotes: 'looks good'"):
        line.value(line.rest(2), {})


def test_a_text_is_never_longer_than_asked_and_a_broken_repr_does_no_harm():
    class Broken:
        def __repr__(self):
            raise SystemExit

    assert len(short_repr("x" * 10_000)) <= 2_000
    assert short_repr(list(range(10**6)), 50).endswith("…")
    assert "Broken" in short_repr(Broken())
    assert signature_text(pipeline) == "(ctx, days=31)"
    assert signature_text(train) == "(ctx, model, rounds, seed, **rest)"


def test_only_a_close_word_is_suggested():
    assert suggest("pipline", ["pipeline", "clean"]) == " Did you mean `pipeline`?"
    assert suggest("zzz", ["pipeline"]) == ""


def test_a_mistake_shows_control_characters_as_symbols():
    assert str(Mistake("No promise a\x1b[2Jb.")) == "No promise a␛[2Jb."


def test_neither_a_mistake_nor_a_value_tells_a_secret() -> None:
    """Both stand in outputs, which are saved and shown around."""
    assert str(Mistake("No answer from http://ana:hunter2@host/x.")) == "No answer from http://ana:•••@host/x."
    assert short_repr({"api_key": "hunter2", "n": 1}) == "{'api_key': •••, 'n': 1}"
