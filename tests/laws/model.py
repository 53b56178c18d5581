"""The reference: the tables of promises, tasks, callbacks and schedules, written down once more as plainly as can be.

Everything is a dictionary and every question is a loop over all of it. `call(name, arguments)` answers what a store must answer, or
raises `Refused`; `label` then says which row of the tables it was, and `messages` what must have been sent.
"""

from __future__ import annotations

import re
from typing import Any

CLAIM_WINDOW_MS = 60_000
EVERY_MS = 10_000
STATE_OF = {"resolve": "RESOLVED", "reject": "REJECTED", "cancel": "REJECTED_CANCELED"}
CODE_OF = {"RESOLVED": 40301, "REJECTED": 40302, "REJECTED_CANCELED": 40303, "REJECTED_TIMEDOUT": 40304}
GROUPS = {"pending": ("PENDING",), "resolved": ("RESOLVED",), "rejected": ("REJECTED", "REJECTED_CANCELED", "REJECTED_TIMEDOUT")}
OPEN = ("INIT", "ENQUEUED", "CLAIMED")

Fields = dict[str, Any]


class Refused(Exception):
    """A store must refuse with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Model:
    """What a store must do. A list keeps the order of birth; `at` is only ever read from `now`."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.promises: dict[str, Fields] = {}
        self.callbacks: dict[str, dict[str, Fields]] = {}
        self.tasks: dict[str, Fields] = {}
        self.schedules: dict[str, Fields] = {}
        self.messages: list[Any] = []
        self.cursor: tuple[Fields, int] | None = None
        self.label: Any = None

    def call(self, name: str, arguments: Fields) -> Any:
        """One operation. Whatever it set off is sent before it is answered."""
        self.label = None
        try:
            answer = getattr(self, name.replace(".", "_"))(**arguments)
        except Refused as refused:
            self.label = refused.code
            raise
        finally:
            self.send()
        return answer

    # ---- promises --------------------------------------------------------------------------------------------------------------------

    def promises_create(self, id: str, timeout: int, ikey: str | None, strict: bool, data: str | None, tags: dict[str, str]) -> Fields:
        known = self.promises.get(id)
        if known is None:
            self.label = "new"
            return dict(self.make(id, timeout, ikey, data, tags))
        self.touch(known)
        if ikey is None or ikey != known["ikey_for_create"] or (strict and known["state"] != "PENDING"):
            raise Refused(40900)
        self.label = "repeat"
        return dict(known)

    def promises_create_with_task(self, id: str, pid: str, ttl: int, **more: Any) -> tuple[Fields, Any]:
        made = self.promises_create(id, **more)
        task = self.tasks.get(f"__invoke:{id}")
        if self.label == "repeat" or task is None:
            self.label = "without task"
            return made, None
        task |= {"state": "CLAIMED", "pid": pid, "ttl": ttl, "expires": self.now + ttl}
        self.label = "with task"
        return made, (task["id"], 1)

    def promises_get(self, id: str) -> Fields:
        self.label = "found"
        return dict(self.touch(self.known(id)))

    def promises_settle(self, how: str, id: str, ikey: str | None, strict: bool, data: str | None) -> Fields:
        known, wanted = self.known(id), STATE_OF[how]
        if self.touch(known)["state"] == "PENDING":
            self.settle(known, wanted, data, ikey, self.now)
            self.label = "settled"
        elif known["state"] == "REJECTED_TIMEDOUT" and not strict:
            self.label = "repeat"
        else:
            same_key = ikey is not None and ikey == known["ikey_for_complete"]
            if not same_key or (strict and wanted != known["state"]):
                raise Refused(CODE_OF[known["state"]])
            self.label = "repeat"
        return dict(known)

    def promises_wait(self, kind: str, id: str, promise_id: str, timeout: int) -> tuple[Fields, Any]:
        known = self.known(promise_id)
        if kind == "callback" and id == promise_id:
            raise Refused(40000)
        name = f"__resume:{id}:{promise_id}" if kind == "callback" else f"__notify:{promise_id}:{id}"
        if known["state"] != "PENDING" or name in self.callbacks.get(promise_id, {}):
            self.label = "nothing made"
            return dict(known), None
        self.callbacks.setdefault(promise_id, {})[name] = {"kind": kind, "root": id, "timeout": timeout}
        self.label = "made"
        return dict(known), (name, promise_id, timeout, self.now)

    def promises_search(self, id: str, state: str | None, tags: dict[str, str] | None, limit: int) -> tuple[list[Fields], bool]:
        return self.page({"id": id, "state": state, "tags": tags or {}, "limit": limit}, len(self.promises))

    def promises_next_page(self) -> tuple[list[Fields], bool]:
        if self.cursor is None:
            raise Refused(40000)
        return self.page(*self.cursor)

    def page(self, asked: Fields, before: int) -> tuple[list[Fields], bool]:
        self.cursor = None
        if (asked["state"] or "pending") not in GROUPS or not 0 <= asked["limit"] <= 100 or asked["id"] == "":
            raise Refused(40000)
        pattern = re.compile(".*".join(map(re.escape, asked["id"].split("*"))), re.DOTALL)
        limit, found = asked["limit"] or 100, []
        for place, promise in reversed(list(enumerate(self.promises.values()))[:before]):
            in_group = asked["state"] is None or promise["state"] in GROUPS[asked["state"]]
            if pattern.fullmatch(promise["id"]) and in_group and asked["tags"].items() <= promise["tags"].items():
                found.append(dict(promise))
            if len(found) == limit:
                self.cursor = (asked, place)
                break
        self.label = "last page" if self.cursor is None else "full page"
        return found, self.cursor is not None

    def known(self, id: str) -> Fields:
        if id not in self.promises:
            raise Refused(40400)
        return self.promises[id]

    def make(self, id: str, timeout: int, ikey: str | None, data: str | None, tags: dict[str, str]) -> Fields:
        self.promises[id] = {
            "id": id, "state": "PENDING", "timeout": timeout, "ikey_for_create": ikey, "ikey_for_complete": None, "param": (None, data),
            "value": (None, None), "tags": tags, "created_on": self.now, "completed_on": None,
            "timer": tags.get("resonate:timeout") == "true",
        }  # fmt: skip
        if "resonate:invoke" in tags:
            self.add_task("invoke", f"__invoke:{id}", id, id, timeout, int(tags.get("resonate:delay", "0")))
        return self.promises[id]

    def touch(self, promise: Fields) -> Fields:
        if promise["state"] == "PENDING" and promise["timeout"] <= self.now:
            self.settle(promise, "RESOLVED" if promise["timer"] else "REJECTED_TIMEDOUT", None, None, promise["timeout"])
        return promise

    def settle(self, promise: Fields, state: str, data: str | None, ikey: str | None, at: int) -> None:
        promise |= {"state": state, "value": (None, data), "ikey_for_complete": ikey, "completed_on": at}
        for task in self.tasks.values():
            if task["root"] == promise["id"] and task["state"] in OPEN:
                task["state"] = "COMPLETED"
        for name, callback in sorted(self.callbacks.pop(promise["id"], {}).items()):
            if callback["kind"] == "callback":
                self.add_task("resume", name, callback["root"], promise["id"], callback["timeout"], 0)
            else:
                self.messages.append(("notify", promise["id"], state, data is not None))

    # ---- tasks -----------------------------------------------------------------------------------------------------------------------

    def tasks_claim(self, id: str, counter: int, pid: str, ttl: int) -> tuple[Fields, Fields | None]:
        task = self.task(id)
        if task["state"] == "CLAIMED":
            raise Refused(40306)
        if task["state"] in ("COMPLETED", "TIMEDOUT"):
            raise Refused(40307)
        if task["counter"] != counter:
            raise Refused(40308)
        task |= {"state": "CLAIMED", "pid": pid, "ttl": ttl, "expires": self.now + ttl}
        self.label = task["kind"]
        return dict(self.promises[task["root"]]), dict(self.promises[task["leaf"]]) if task["kind"] == "resume" else None

    def tasks_complete(self, id: str, counter: int) -> bool:
        task = self.task(id)
        if task["state"] in ("INIT", "ENQUEUED"):
            raise Refused(40309)
        if task["state"] == "CLAIMED" and task["counter"] != counter:
            raise Refused(40308)
        self.label = "ended" if task["state"] == "CLAIMED" else "repeat"
        task["state"] = "COMPLETED"
        return True

    def tasks_drop(self, id: str, counter: int) -> bool:
        task = self.task(id)
        self.label = "left" if task["state"] != "CLAIMED" else "dropped"
        if self.label == "left":
            return False
        if task["counter"] != counter:
            raise Refused(40308)
        self.give_back(task)
        return True

    def tasks_heartbeat(self, pid: str) -> int:
        held = [task for task in self.tasks.values() if task["state"] == "CLAIMED" and task["pid"] == pid]
        for task in held:
            task["expires"] = self.now + task["ttl"]
        self.label = "some" if held else "none"
        return len(held)

    def task(self, id: str) -> Fields:
        if id not in self.tasks:
            raise Refused(40403)
        return self.tasks[id]

    def add_task(self, kind: str, id: str, root: str, leaf: str, timeout: int, expires: int) -> None:
        over = root in self.promises and self.promises[root]["state"] != "PENDING"
        self.tasks[id] = {
            "id": id, "kind": kind, "root": root, "leaf": leaf, "timeout": timeout, "state": "COMPLETED" if over else "INIT", "counter": 1,
            "expires": expires, "pid": None, "ttl": 0,
        }  # fmt: skip

    def give_back(self, task: Fields) -> None:
        task |= {"state": "INIT", "counter": task["counter"] + 1, "expires": 0}

    def send(self) -> None:
        """Of each run without a task that is out, the oldest task that may be sent."""
        busy = {task["root"] for task in self.tasks.values() if task["state"] in ("ENQUEUED", "CLAIMED")}
        for task in self.tasks.values():
            run = self.promises.get(task["root"])
            if task["state"] != "INIT" or task["root"] in busy or task["expires"] > self.now or (run and run["timeout"] <= self.now):
                continue  # the tasks of a run that is past its deadline end with it, as soon as somebody looks
            if task["timeout"] <= self.now:
                task["state"] = "TIMEDOUT"
                continue
            busy.add(task["root"])
            task |= {"state": "ENQUEUED", "expires": self.now + CLAIM_WINDOW_MS}
            self.messages.append((task["kind"], task["id"], task["counter"], task["timeout"], task["root"]))

    # ---- schedules and time ------------------------------------------------------------------------------------------------------------

    def schedules_create(self, id: str, cron: str, promise_id: str, ikey: str | None, promise_tags: dict[str, str]) -> Fields:
        known = self.schedules.get(id)
        if known is not None:
            if ikey is None or ikey != known["ikey"]:
                raise Refused(40901)
            self.label = "repeat"
            return dict(known)
        if not cron.startswith("@every 10s") or promise_id.count("{{") > promise_id.count("}}"):
            raise Refused(40000)
        self.label = "new"
        self.schedules[id] = {
            "id": id, "cron": cron, "promise_id": promise_id, "ikey": ikey, "promise_tags": promise_tags, "created_on": self.now,
            "last_runtime": None, "next_runtime": (self.now + EVERY_MS) // 1000 * 1000,
        }  # fmt: skip
        return dict(self.schedules[id])

    def schedules_get(self, id: str) -> Fields:
        if id not in self.schedules:
            raise Refused(40401)
        self.label = "found"
        return dict(self.schedules[id])

    def schedules_delete(self, id: str) -> None:
        self.schedules_get(id)
        del self.schedules[id]
        self.label = "deleted"

    def time_passes(self, duration_ms: int, looks: bool) -> None:
        """Time passes; when the store looks, it acts on all that has fallen due, the earliest first."""
        self.now += duration_ms
        self.label = "acted on" if looks else "unseen"
        if not looks:
            return
        for promise in sorted(self.promises.values(), key=lambda each: each["timeout"]):
            self.touch(promise)
        while due := [each for each in self.schedules.values() if each["next_runtime"] <= self.now]:
            self.fire(min(due, key=lambda each: (each["next_runtime"], each["id"])))
        for task in self.tasks.values():
            if task["state"] in ("ENQUEUED", "CLAIMED") and task["expires"] <= self.now:
                self.give_back(task)

    def fire(self, schedule: Fields) -> None:
        due = schedule["next_runtime"]
        schedule |= {"last_runtime": due, "next_runtime": due + EVERY_MS}
        promise_id = schedule["promise_id"].replace("{{.id}}", schedule["id"]).replace("{{.timestamp}}", str(due))
        if promise_id not in self.promises:
            tags = schedule["promise_tags"] | {"resonate:schedule": schedule["id"], "resonate:invocation": "true"}
            self.make(promise_id, due + 20_000, None, "[0]", tags)
