"""Cells with hostile text and secrets; what to look for in the notebooks that are saved, and in the pages that nbconvert makes of them."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser
from test_hostile import PAYLOADS

SECRETS = {"token": "tok-9f8e7d6c5b4a", "password": "pw+1a2b/3c4d", "db_password": "pw-5e6f7a8b", "bearer_token": "eyJhbGciOi.9.x_1"}
GIVEN = {"secrets": SECRETS, "address": f"postgres://ana:{SECRETS['db_password']}@db.example/x", "payloads": PAYLOADS}

FUNCTIONS = """%%resonate register
import logging, warnings
from dataclasses import dataclass
from resonate.retry_policies import Never

@dataclass
class Login:
    user: str
    password: str

GIVEN = json.load(open('given.json'))
SECRETS, ADDRESS = GIVEN['secrets'], GIVEN['address']
LOGIN = Login('ana', SECRETS['password'])

def fetch(ctx, token, url, options):
    print(f'token={token} from {url}')
    ctx.logger.warning('sent Authorization: Bearer %s', SECRETS['bearer_token'])
    warnings.warn(f'{options} is old')
    return {'api_key': token, 'url': url, 'Authorization': f"Bearer {SECRETS['bearer_token']}"}

def login(ctx, password):
    raise PermissionError(f'{ADDRESS} refuses {LOGIN}')

def flow(ctx, api_key):
    headers = {'Authorization': f"Bearer {SECRETS['bearer_token']}"}
    yield ctx.run(fetch, api_key, ADDRESS, {'secret': api_key, 'headers': headers})
    yield (yield ctx.promise(id=f'{ctx.id}.ask', data={'token': api_key, 'ask': f'use {ADDRESS}?'}))
    yield ctx.run(login, SECRETS['password']).options(retry_policy=Never())

def hostile(ctx, payload):
    print(payload)
    ctx.logger.error(payload)
    raise ValueError(payload)

def hostiles(ctx, **given):
    for place, payload in enumerate(GIVEN['payloads']):
        asked = ctx.run(hostile, payload).options(id=f'{payload}{place}'[:200], tags={payload: payload}, retry_policy=Never())
        try:
            yield asked
        except ValueError:
            pass
    return GIVEN['payloads']
"""
SHOW = [
    "rn.run('demo.1', 'flow', api_key=SECRETS['token'])\n%resonate wait demo.1 --until waiting --logs",
    "%resonate get demo.1.ask\n%resonate resolve demo.1.ask {'token': SECRETS['token']}",
    "%resonate wait demo.1",
]
LOOK = [
    *(f"%resonate show demo.1 --view {view}" for view in ("graph", "timeline", "table")),
    *(f"%resonate {verb} demo.1" for verb in ("tree", "timeline", "table", "get", "logs", "replay")),
    *(f"%resonate get demo.1.{call}" for call in ("1", "3", "ask")),
    "%resonate ps", "%resonate functions", "%resonate run demo.1 flow api_key='other'", "%resonate resolve demo.1.ask {'token': 1}",
    "%resonate schedule nightly \"0 2 * * *\" flow api_key=SECRETS['token']\n%resonate schedule",
]  # fmt: skip
HOSTILE = [
    "first, *more = GIVEN['payloads']\nrn.register(hostiles, name=first)\nrun = rn.run(first, first, **{each: each for each in more[:9]})",
    "rn.wait(first)\nrn.show(first)", *(f"rn.{verb}(first)" for verb in ("show", "tree", "timeline", "table", "get", "logs")),
    "rn.show(first, view='timeline')", "rn.show(first, view='table')", "rn.run(first, 'hostile', 1)", "rn.get(GIVEN['payloads'][6] + '6')",
    "rn.run('<img src=x onerror=window.__xss=1>', 'no')", "%resonate config render=html\nrn.show(first)", "rn.show(first, view='table')",
]  # fmt: skip
EXPORT = """for kind in ('svg', 'html', 'json', 'mmd', 'dot'):
    rn.export(f'demo.{kind}', 'demo.1')
rn.connect('dev', port=0)
rn.export('worker.py')
"""
LOAD = "%load_ext resonate_notebook\nimport json\nimport resonate_notebook as rn"


def leaks(content: bytes) -> list[str]:
    """Which secrets a file has in it, as they are, percent-encoded, or in base64 (where the ends depend on what stands beside them)."""
    found = []
    for name, secret in SECRETS.items():
        inner = [base64.b64encode(b"x" * shift + secret.encode())[4 if shift else 0 : -4] for shift in range(3)]
        if any(form in content for form in (secret.encode(), quote(secret, safe="").encode(), *inner)):
            found.append(name)
    return found


def page_of(notebook: Path) -> str:
    """What nbconvert makes of a notebook, by its own template."""
    return str(pytest.importorskip("nbconvert").HTMLExporter().from_filename(str(notebook))[0])


FOREIGN = """() => [...document.querySelectorAll('.jp-OutputArea-output *')].flatMap(each => [
  ...(/^(SCRIPT|IFRAME|OBJECT|EMBED|VIDEO|AUDIO|FORM|LINK|BASE|META|STYLE|INPUT|BUTTON|A)$/.test(each.tagName) ? [each.tagName] : []),
  ...[...each.attributes].filter(({ name, value }) => /^on|^(src|srcdoc|action)$/i.test(name)
    && !(each.tagName === 'IMG' && value.startsWith('data:image/svg+xml;base64,'))).map(({ name }) => `${each.tagName} ${name}`),
])"""
"""Pictures are `img` in a page of nbconvert, in which nothing can run; no other element that does anything is to be there."""


def complaints_about(browser: Browser, text: str) -> list[str]:
    """What a page with foreign text in it does that it should not: dialogs, scripts, requests to places that no template asks, elements."""
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (asked.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.set_content(text)
    page.wait_for_load_state()
    found = list(page.evaluate(FOREIGN))
    found += [f"asked {each}" for each in asked if "evil.test" in each or each.startswith(("dialog", "file:", "javascript:"))]
    if page.evaluate("window.__xss ?? null") is not None:
        found.append("a script has run")
    page.close()
    return found
