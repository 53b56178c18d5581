"""A page with the live graph and nothing else, driven by a model that only the test speaks for."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Dialog, Locator, Page, Request

HOSTILE = "<img src=x onerror=\"window.__xss=1\"><script>window.__xss=2</script><a href='javascript:window.__xss=3'>x</a>"


class Front:
    """One page with one view of a run; it fails the test when the page raises, opens a dialog or asks another origin."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.origin, self.seq, self.complaints = page, origin, 0, list[str]()
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", self.refuse)
        page.on("request", self.check)
        self.load()

    def load(self) -> None:
        """Open the page, up to its having a model."""
        self.page.goto(f"{self.origin}/tests/browser/page/harness.html")
        self.page.wait_for_function("window.harness")

    def refuse(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def check(self, request: Request) -> None:
        if not request.url.startswith(self.origin):
            self.complaints.append(f"request: {request.url}")

    def mount(self) -> None:
        self.page.evaluate("() => { window.unmount = window.harness.mount() }")

    def deliver(self, message: dict[str, Any]) -> None:
        self.page.evaluate("message => window.harness.deliver(message)", message)

    def snapshot(self, nodes: list[dict[str, Any]], now: int = 5000, **run: Any) -> None:
        self.seq = 1
        about = {"id": "demo.1", "where": {"kind": "memory", "label": "in memory"}, "started": 1_700_000_000_000, "now": now}
        self.deliver({"kind": "snapshot", "seq": 1, "run": about | {"busy": False} | run, "nodes": nodes})

    def operations(self, *operations: list[Any], skip: int = 0, now: int = 6000) -> None:
        self.seq += 1 + skip
        self.deliver({"kind": "ops", "seq": self.seq, "now": now, "ops": list(operations)})

    def sent(self, kind: str) -> list[dict[str, Any]]:
        return list(self.page.evaluate("kind => window.harness.ofKind(kind)", kind))

    def item(self, id: str) -> Locator:
        return self.page.locator(f'[role=treeitem][data-id="{id}"]')

    def item_of_table(self, id: str) -> Locator:
        return self.page.locator(f'.rg-table [role=row][data-id="{id}"]')

    def items(self) -> Locator:
        return self.page.locator("[role=treeitem]")

    def settle(self) -> None:
        """Wait until what was delivered is drawn."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def come_to_rest(self) -> None:
        """Wait until what was delivered is drawn, with what fades or moves at its end; what turns for ever may turn."""
        self.settle()
        self.page.evaluate(
            """() => document.getAnimations().filter(each => Number.isFinite(each.effect.getComputedTiming().endTime))
              .forEach(each => each.finish())"""
        )
        self.settle()


def open_front(browser: Browser, origin: str, width: int = 1100, **options: Any) -> Front:
    made = Front(browser.new_page(viewport={"width": width, "height": 820}, **options), origin)
    made.mount()
    return made


def node(index: int, parent: int, name: str, state: str = "running", **more: Any) -> dict[str, Any]:
    name_of_promise = "demo.1" if parent < 0 else f"demo.1.{index}"
    return {"i": index, "id": name_of_promise, "p": parent, "f": name, "k": "run", "a": [], "t": index, "s": state, "b": index} | more


def small() -> list[dict[str, Any]]:
    return [
        node(0, -1, "pipeline", a=[["days", "3"]]),
        node(1, 0, "load", "resolved", e=900),
        node(2, 0, "clean", a=[["day", "7"]]),
        node(3, 0, "approve", "waiting", k="promise", a=[["ask", "'Publish?'"]]),
    ]
