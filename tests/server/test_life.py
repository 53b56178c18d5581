"""How the server begins, ends and keeps things: ports, threads, files, the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from conftest import FAR, Client, Listener, eventually

from resonate.errors import StoreDamaged
from resonate.server import DevelopmentServer

STOP_LIMIT_S = 1.0


def started(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "resonate", "dev", *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, **variables},
    )  # fmt: skip


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("db", [False, True])
def test_it_leaves_no_thread_and_no_port(tmp_path: Path, db: bool) -> None:
    """After `stop` its threads are gone and its ports free; it can be started anew, and stopping twice is stopping once."""
    before = set(threading.enumerate())
    server = DevelopmentServer(port=0, db=tmp_path / "promises.db" if db else None)
    with server:
        ports = [int(url.rpartition(":")[2]) for url in (server.url, server.message_url)]
        client = Client(server.url)
        client.create("a")
        listener = Listener(client.connect(), "/poll/g/w")
        kept_alive = client.connect()
        kept_alive.request("GET", "/ping")
        kept_alive.getresponse().read()
        began_s = time.monotonic()
    assert time.monotonic() - began_s < STOP_LIMIT_S
    listener.close()
    kept_alive.close()
    server.stop()
    assert not {each for each in threading.enumerate() if each not in before and each.is_alive()}
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()
    with server:
        assert Client(server.url)("GET", "/promises/a").status == (200 if db else 404)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command(number: signal.Signals) -> None:
    """`--json` says in one line where it is; Ctrl-C and SIGTERM end it within a second, listeners or not, with status 0."""
    process = started("--port", "0", "--json")
    told = json.loads(first_line(process))
    assert told["pid"] == process.pid
    assert told["db"] is None
    client = Client(told["url"])
    assert client.create("a").status == 201
    listener = Listener(Client(told["message_url"]).connect(), "/g/w")
    began_s = time.monotonic()
    process.send_signal(number)
    said, complained = process.communicate(timeout=10)
    assert time.monotonic() - began_s < STOP_LIMIT_S
    assert (process.returncode, said, complained) == (0, "", "")
    listener.close()


def test_the_line_for_people(tmp_path: Path) -> None:
    """Without `--json` one line says every address and where the promises are."""
    process = started("--port", "0", "--message-port", "0", "--db", str(tmp_path / "p.db"), "--durability", "fast")
    line = first_line(process)
    process.terminate()
    process.communicate()
    assert line.count("http://127.0.0.1:") == 2
    assert str(tmp_path / "p.db") in line


def test_secrets_may_come_from_the_environment() -> None:
    """A password and a token need not stand on the command line."""
    process = started("--port", "0", "--json", RESONATE_DEV_USER="ada:lovelace", RESONATE_DEV_TOKEN="t0")
    client = Client(json.loads(first_line(process))["url"])
    try:
        statuses = [client("GET", "/promises/a", **headers).status for headers in (
            {}, {"Authorization": "Bearer t0"}, {"Authorization": "Basic YWRhOmxvdmVsYWNl"},
        )]  # fmt: skip
    finally:
        process.terminate()
        process.communicate()
    assert statuses == [401, 404, 404]


@pytest.mark.parametrize("option", ["--port", "--message-port"])
def test_a_port_that_is_taken(option: str) -> None:
    """A port that somebody has is named, with what to do; nothing else is left open."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"--port": "0", "--message-port": "0"} | {option: str(taken.getsockname()[1])}
        process = started(*(text for pair in ports.items() for text in pair))
        said, complained = process.communicate(timeout=20)
    assert (process.returncode, said) == (1, "")
    assert f"{option} 0" in complained
    assert len(complained.splitlines()) == 1


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """A file that holds no promises is refused in one sentence and left alone, and the ports are free again."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database" * 100)
    process = started("--port", "0", "--db", str(path))
    said, complained = process.communicate(timeout=20)
    assert (process.returncode, said) == (1, "")
    assert str(path) in complained
    assert "Traceback" not in complained
    with pytest.raises(StoreDamaged):
        DevelopmentServer(port=0, db=path).start()


def test_without_the_extra() -> None:
    """Where uvicorn is not installed, one sentence says how to install it; importing the SDK does not need it."""
    code = "import sys; sys.modules['uvicorn'] = None; import resonate; from resonate.__main__ import main; sys.exit(main(['dev']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "The development server needs uvicorn: pip install 'resonate-notebook[server]'\n")


def test_it_ends_while_somebody_else_has_the_file(tmp_path: Path) -> None:
    """A server whose file another process keeps locked is ended by Ctrl-C all the same, with a request waiting."""
    db = tmp_path / "p.db"
    process = started("--port", "0", "--json", "--db", str(db))
    client = Client(json.loads(first_line(process))["url"])
    assert client.create("a").status == 201
    with closing(sqlite3.connect(db)) as other:
        other.execute("BEGIN IMMEDIATE")
        connection = client.connect()
        connection.request("POST", "/promises", json.dumps({"id": "b", "timeout": FAR}))
        assert client("GET", "/ping").status == 200  # the event loop waits for nobody
        time.sleep(0.2)
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert time.monotonic() - began_s < STOP_LIMIT_S + 0.5
        connection.close()
    assert process.returncode == 0


# ---- files -------------------------------------------------------------------------------------------------------------------------------


def test_a_file_outlives_the_server(tmp_path: Path) -> None:
    """What was answered is there after a kill: promises, leases, callbacks and trace context."""
    db = str(tmp_path / "p.db")
    process = started("--port", "0", "--json", "--db", db, "--durability", "full")
    client = Client(json.loads(first_line(process))["url"])
    client("POST", "/promises/task", {
        "promise": {"id": "r", "timeout": FAR, "tags": {"resonate:invoke": "poll://any@g"}}, "task": {"processId": "w", "ttl": 60_000},
    })  # fmt: skip
    client.create("leaf", param={"data": "/wD+AQ=="})
    client("POST", "/promises/callback/leaf", {"rootPromiseId": "r", "timeout": FAR, "recv": "poll://any@g"}, traceparent="00-1")
    process.kill()
    process.communicate()
    with DevelopmentServer(port=0, db=db) as server:
        client = Client(server.url)
        listener = Listener(client.connect(), "/poll/g/w")
        assert client("GET", "/promises/leaf").body["param"] == {"data": "/wD+AQ=="}
        assert client("POST", "/tasks/heartbeat", {"processId": "w"}).body == {"tasksAffected": 1}
        assert client("POST", "/tasks/complete", {"id": "__invoke:r", "counter": 1}).status == 201
        client("PATCH", "/promises/leaf", {"state": "RESOLVED"})
        (message,) = eventually(lambda: listener.messages)
        assert (message["task"]["id"], message["head"]) == ("__resume:r:leaf", {"traceparent": "00-1"})
    listener.close()


def test_two_servers_share_a_file(tmp_path: Path) -> None:
    """What is written through one is there through the other, and a message finds its listener on either."""
    db = str(tmp_path / "p.db")
    process = started("--port", "0", "--json", "--db", db, "--durability", "fast")
    one = Client(json.loads(first_line(process))["url"])
    try:
        with DevelopmentServer(port=0, db=db, durability="fast") as server:
            other = Client(server.url)
            listener = Listener(other.connect(), "/poll/g/w")
            assert one.create("a").status == 201
            assert other("PATCH", "/promises/a", {"state": "RESOLVED"}).status == 201
            assert one("GET", "/promises/a").body["state"] == "RESOLVED"
            assert one.invoke("b", "poll://any@g").status == 201
            eventually(lambda: listener.tasks() == ["__invoke:b"])
            assert other("GET", "/tasks/claim/__invoke:b/1").status == 201
            assert one("GET", "/tasks/claim/__invoke:b/1").body["error"]["code"] == 40306
        listener.close()
    finally:
        process.terminate()
        process.communicate()


# ---- what only time brings ---------------------------------------------------------------------------------------------------------------


def test_schedules_fire(any_server: DevelopmentServer) -> None:
    """A schedule creates its promises by itself and starts what they name."""
    client = Client(any_server.url)
    listener = Listener(client.connect(), "/poll/g/w")
    client("POST", "/schedules", {
        "id": "s", "cron": "* * * * * *", "promiseId": "s.{{.timestamp}}", "promiseTimeout": 60_000,
        "promiseTags": {"resonate:invoke": "poll://any@g"},
    })  # fmt: skip
    eventually(lambda: len(listener.messages) >= 2)
    assert client("DELETE", "/schedules/s").status == 204
    found = client("GET", "/promises?id=s.*&tags[resonate:schedule]=s").body["promises"]
    assert {f"__invoke:{promise['id']}" for promise in found} >= set(listener.tasks())
    listener.close()


def test_a_lease_that_lapses(any_server: DevelopmentServer) -> None:
    """A task that is not kept alive goes out again by itself, with the next counter."""
    client = Client(any_server.url)
    listener = Listener(client.connect(), "/poll/g/w")
    client("POST", "/promises/task", {
        "promise": {"id": "r", "timeout": FAR, "tags": {"resonate:invoke": "poll://any@g"}}, "task": {"processId": "w", "ttl": 200},
    })  # fmt: skip
    (message,) = eventually(lambda: listener.messages)
    assert message["task"]["counter"] == 2
    listener.close()
