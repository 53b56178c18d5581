"""The laws of exported text: each format is well-formed whatever a run is called and says, and holds nothing foreign but text."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_runs import START, Story, backfill, broken, pipeline

from resonate_notebook.formats import dot_text, mermaid_text, render_dot, render_html, render_json, render_mermaid
from resonate_notebook.lines import Line, cut_line
from resonate_notebook.model import STATES, RunModel
from resonate_notebook.text import visible

HOSTILE = [
    '"]; evil [label="x', '\\"', "\\", "\\N\\G\\l", "&lt;&#60;&quot;", "<script>alert(1)</script>", "</svg><img src=x onerror=alert(1)>",
    "javascript:alert(1)", "n1 --> n2", '"] --> evil["', "%%{init: {}}%%", "#quot;#35;", "end", "click n0 href", "`**b**`", "ﬂ°°60¶ß",
    "-->", "--><b>", "<!--", "]]>", "\x00\x1b[2J\x7f", "a\nb\r\nc\u2028d\x85e", "\ud800", "\u202egnp.exe", "", " ", "漢字" * 60, "W" * 500,
]  # fmt: skip
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec=None, categories=None), max_size=60))
RUNS = {"pipeline": pipeline, "backfill": backfill, "broken": broken}
DOT_STRING = r'"(?:[^"\\\n]|\\["\\n])*"'
DOT_LINE = re.compile(
    rf"digraph run {{|}}|  (?:graph|node|edge|n\d+|left) \[[a-z]+={{0,1}}(?:[A-Za-z\d.]+|{DOT_STRING})"
    rf"(?:, [a-z]+=(?:[A-Za-z\d.]+|{DOT_STRING}))*\];|  n\d+ -> n\d+;"
)
MERMAID_LABEL = r'(?:[^\W]|[ _.,=+×·…✓✗◆◷↻●☾○⊘-]|#\d+;|<br/>)*'
MERMAID_LINE = re.compile(
    rf'flowchart LR|  n\d+(?:\[\["{MERMAID_LABEL}"\]\]|\("{MERMAID_LABEL}"\)):::[a-z]+|  left\["{MERMAID_LABEL}"\]|  n\d+ --> n\d+'
    r"|  classDef [a-z]+ fill:#[\da-f]{6},stroke:#[\da-f]{6},color:#[\da-f]{6}"
)
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "table", "caption", "thead", "tbody", "tr", "th", "td", "p",
    "svg", "desc", "g", "rect", "path", "text", "tspan",
}  # fmt: skip


def hostile_run(texts: list[str]) -> RunModel:
    """A run whose every text is foreign: id, names, arguments, errors, place."""
    take = iter(texts * 10)
    run = next(take) or "run"
    story = Story(run).created(0, run, next(take), a=next(take)).started(0, run)
    for number in range(7):
        call = f"{run}.{number}{next(take)}"
        story.created(1, call, next(take), run, x=next(take)).started(1, call)
        if number % 2:
            story.settled(2, call, "rejected", error=next(take))
    model = story.model()
    model.where_label = next(take)
    return model


class Page(html.parser.HTMLParser):
    """The page as a browser reads it: tags, attributes, texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def lines_of(model: RunModel) -> list[Line]:
    """One line of each call, which says what the call is called and what it failed with."""
    streams, texts = ("stdout", "log error", "warning"), [cut_line(node.name + node.error) for node in model.nodes]
    return [Line(at, at, START + at, node.id, at % 3, streams[at % 3], 0, texts[at]) for at, node in enumerate(model.nodes)]


def check(model: RunModel) -> None:
    dot = render_dot(model, START + 300)
    assert all(DOT_LINE.fullmatch(line) for line in dot.removesuffix("\n").split("\n")), dot
    mermaid = render_mermaid(model, START + 300)
    assert all(MERMAID_LINE.fullmatch(line) for line in mermaid.removesuffix("\n").split("\n")), mermaid
    told = json.loads(render_json(model, START + 300, lines=lines_of(model)))
    assert [call["state"] for call in told["calls"]] == [node.state for node in model.nodes]
    page = Page(render_html(model, START + 300, lines=lines_of(model)))
    for tag, attributes in page.tags:
        assert tag in TAGS
        assert not {name for name in attributes if name.startswith("on") or name in {"src", "href", "style", "action", "srcdoc"}}
    for text in (dot, mermaid, "".join(page.texts)):
        text.encode()


@pytest.mark.parametrize("run", RUNS)
def test_the_sample_runs_are_well_formed(run):
    """Every format of every sample run keeps to its grammar."""
    check(RUNS[run]().model())


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, min_size=5, max_size=40))
def test_hostile_texts_stay_text(texts):
    """Whatever a run's texts hold, no format has more in it than its own grammar."""
    check(hostile_run(texts))


@given(TEXTS)
def test_escaped_text_reads_back_as_it_was(text):
    """What Graphviz and Mermaid show is the visible text, no more and no less."""
    shown = visible(text)
    assert dot_text(text).replace('\\"', '"').replace("\\\\", "\\").replace("&amp;", "&") == shown
    assert re.sub(r"#(\d+);", lambda match: chr(int(match[1])), mermaid_text(text)) == shown


def test_json_holds_every_call_with_texts_and_times():
    """JSON has each call with its parent, its texts, and its times in UTC."""
    model = pipeline().model()
    told = json.loads(render_json(model, START + 212, values={"demo.1.1": "31"}))
    assert told["run"]["id"] == "demo.1"
    assert told["run"]["seen"] == "2025-06-15T15:10:12.000Z"
    calls = {call["id"]: call for call in told["calls"]}
    assert len(calls) == len(model.nodes)
    assert calls["demo.1.1"]["value"] == "31"
    assert calls["demo.1.1"]["arguments"][0] == {"name": "source", "text": "'s3://sales/2024-06/*.parquet'"}
    failed = calls["demo.1.37.1"]
    assert (failed["state"], failed["parent"], failed["caught"]) == ("rejected", "demo.1.37", True)
    assert failed["error"] == "MemoryError: 688 MiB asked, 402 MiB left on gpu-1"
    assert failed["ended"] == "2025-06-15T15:09:38.900Z"


def test_what_is_stable_has_no_times():
    """With `stable` a run told an hour later looks the same in every format."""
    for render in (render_dot, render_mermaid, render_json, render_html):
        model = backfill().model()
        assert render(model, START + 300, stable=True) == render(model, START + 3_900, stable=True)
    lines = lines_of(pipeline().model())
    later = [line._replace(at=line.at + 3_600) for line in reversed(lines)]
    for tell in (render_json, render_html):
        model = pipeline().model()
        assert tell(model, START, lines=lines, stable=True) == tell(model, START, lines=later, stable=True)


def test_json_and_pages_have_what_the_calls_have_said():
    """JSON has the lines with their call, a page has them all below its calls; without any, neither speaks of a log."""
    model = pipeline().model()
    lines = [Line(1, 1, START + 1.5, "demo.1.2", 1, "stdout", 0, "31 <rows>"), Line(2, 2, START + 2, "demo.1.2", 2, "log info", 20, "a  b")]
    calls = {call["id"]: call for call in json.loads(render_json(model, START + 212, lines=lines))["calls"]}
    assert calls["demo.1.2"]["log"] == [
        {"at": "2025-06-15T15:06:41.500Z", "attempt": 1, "stream": "stdout", "text": "31 <rows>"},
        {"at": "2025-06-15T15:06:42.000Z", "attempt": 2, "stream": "log info", "text": "a  b"},
    ]
    assert "log" not in calls["demo.1.1"]
    text = render_html(model, START + 212, lines=lines)
    assert "<td>stdout</td><td>31 &lt;rows&gt;</td>" in text
    assert "<td>demo.1.2 clean, attempt 2</td>" in text
    assert "Log" not in render_html(model, START + 212)


def test_a_page_asks_for_nothing_and_says_so():
    """The page has a policy that forbids everything but its own styles, and no address in it."""
    text = render_html(pipeline().model(), START + 212, values={"demo.1.1": "<b>"})
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert not re.search(r"(?:https?:|url\(|@import|<script|<link)", text.replace("http://www.w3.org/2000/svg", ""))
    assert "<td>&lt;b&gt;</td>" in text
    assert text.count("<tr>") == len(pipeline().model().nodes) + 1


def test_large_graphs_are_bounded_and_say_what_is_left_out():
    """A graph of thousands of different calls keeps what needs a look and counts the rest."""
    story = Story("big").created(0, "big", "big").started(0, "big")
    for number in range(3_000):
        story.ran(1, 2, f"big.{number}", f"step_{number}") if number != 2_999 else story.created(1, "big.2999", "ask", kind="promise")
    model = story.model()
    for text, limit in ((render_dot(model, START + 3), 1_000), (render_mermaid(model, START + 3), 300)):
        assert len(re.findall(r"^  n\d+ ?[\[(]", text, re.MULTILINE)) == limit
        assert f"{3_001 - limit:,} more calls" in text.replace("#44;", ",")
        assert "ask" in text
    assert len(render_mermaid(model, START + 3)) < 50_000


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("texts", [[each, "x", each] for each in HOSTILE])
def test_graphviz_reads_hostile_graphs_as_they_are_meant(texts):
    """Graphviz draws exactly our boxes and arrows, and warns of nothing."""
    model = hostile_run(texts)
    text = render_dot(model, START + 300)
    done = subprocess.run(["dot", "-Tplain"], input=text.encode(), capture_output=True, timeout=30, check=True)
    assert done.stderr == b""
    kinds = [line.split(b" ", 2)[:2] for line in done.stdout.splitlines()]
    names = [name.decode() for kind, name in (each for each in kinds if len(each) == 2) if kind == b"node"]
    assert sorted(names) == sorted(re.findall(r"^  (n\d+) \[", text, re.MULTILINE))


def test_every_state_has_a_style():
    """Mermaid gets one class for each state that occurs."""
    text = render_mermaid(pipeline().model(), START + 212)
    assert set(re.findall(r":::(\w+)", text)) == set(re.findall(r"classDef (\w+)", text)) <= set(STATES)
