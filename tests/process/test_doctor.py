"""`%resonate doctor`: what is well is called ok, what is not comes with how to mend it, and looking changes nothing."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import shutil
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import resonate_notebook as rn
from resonate.server import DevelopmentServer
from resonate_notebook import checks, session


@pytest.fixture(autouse=True)
def fresh():
    session.end()
    yield
    session.end()


def about(findings, name):
    return [each for each in findings if each.about == name]


def one(findings, name):
    (found,) = about(findings, name)
    return found


def test_a_kernel_in_memory_is_well_and_each_finding_is_a_line():
    found = rn.doctor()
    assert [each for each in found if each.state == "problem"] == []
    assert one(found, "Python").text.startswith("3.")
    assert one(found, "connected").state == "ok"
    assert one(found, "functions").mend == "`%%resonate register` on top of a cell registers the functions in it."
    lines = str(found).splitlines()
    assert lines[0].startswith("ok       Python")
    assert lines[-1].endswith((" notes", " note", "nothing to mend"))
    assert isinstance(found, list)


def test_registered_functions_are_named():
    def clean(ctx): ...

    rn.register(clean)
    assert one(rn.doctor(), "functions") == ("functions", "ok", "1 registered: clean", "")


@pytest.mark.parametrize("version", ["7.0.0", "7.0.1", "6.20"])
def test_a_kernel_that_bites_is_named_with_its_cure(monkeypatch, version):
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version if name == "ipykernel" else real(name))
    found = one(rn.doctor(), "ipykernel")
    assert found.state == "problem"
    assert version in found.text
    assert ("raises when a thread updates a display" in found.text) is version.startswith("7.0")
    assert found.mend.startswith("Run `pip install 'ipykernel")
    assert "!=7.0.*" in found.mend


def test_a_missing_package_is_named(monkeypatch):
    real = importlib.metadata.version

    def version(name):
        if name == "anywidget":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert one(rn.doctor(), "anywidget").text == "is not installed."


def test_graphviz_is_found_or_told_how_to_get(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    found = one(rn.doctor(), "Graphviz")
    assert found.state == "note"
    assert found.mend.startswith("Install Graphviz: ")
    monkeypatch.setattr(shutil, "which", lambda _name: str(tmp_path / "gone"))
    assert one(rn.doctor(), "Graphviz").state == "problem"


def test_a_file_tells_its_size_and_room(monkeypatch, tmp_path):
    rn.connect("local", db=str(tmp_path / "runs.db"))
    found = one(rn.doctor(), "runs.db")
    assert found.state == "ok"
    assert found.text.startswith(f"{tmp_path / 'runs.db'}, ")
    assert found.text.endswith(" free")
    usage = shutil.disk_usage(tmp_path)
    for free, state in ((5_000_000, "note"), (1_000, "problem")):
        monkeypatch.setattr(checks.shutil, "disk_usage", lambda _path, free=free: usage._replace(free=free))
        found = one(rn.doctor(), "runs.db")
        assert (found.state, bool(found.mend)) == (state, True)
        monkeypatch.undo()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be written by this user" in one(rn.doctor(), "runs.db").text


def test_a_file_that_is_gone_is_a_problem(tmp_path):
    rn.connect("local", db=str(tmp_path / "runs.db"))
    for each in tmp_path.iterdir():
        each.unlink()
    found = one(rn.doctor(), "runs.db")
    assert found.state == "problem"
    assert found.text.endswith("is gone; what it held cannot be read.")


def test_runs_that_wait_for_a_function_are_named(tmp_path):
    def ask(ctx):
        return (yield ctx.promise())

    rn.connect("local", db=str(tmp_path / "runs.db"))
    rn.register(ask)
    rn.run("demo.1", "ask")
    session.end()
    rn.connect("local", db=str(tmp_path / "runs.db"))
    found = about(rn.doctor(), "functions")[-1]
    assert (found.state, found.text) == ("problem", "demo.1 waits for `ask`, which is not registered here.")
    assert found.mend == "Run the cell that registers it, and the runs go on."


def test_a_server_tells_its_protocol_and_the_clocks_agree():
    with DevelopmentServer(port=0) as server:
        rn.connect("remote", url=server.url)
        found = rn.doctor()
        assert one(found, server.url).text.startswith("answers within ")
        assert re.search(r"(legacy|current) protocol.*, group default$", one(found, server.url).text)
        assert one(found, "clock") == ("clock", "ok", "as the server's, to within 2 s", "")
        assert one(rn.doctor(server.url), "functions")
    found = one(rn.doctor(), server.url)
    assert found.state == "problem"
    assert f"Nothing listens at port {server.url.rpartition(':')[2]} of 127.0.0.1: start the server" in found.mend


@contextlib.contextmanager
def web_server(date):
    """Something that answers HTTP and is no Resonate Server; `date` is its clock."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response_only(404)
            if date is not None:
                self.send_header("Date", self.date_time_string(date()))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("ahead", "told"), [(90, "1 m 30 s behind the server's"), (-600, "10 m 00 s ahead of the server's")])
def test_clocks_that_differ_are_a_problem(ahead, told):
    with web_server(lambda: time.time() + ahead) as url:
        assert checks.clock_difference_s(url) == pytest.approx(ahead, abs=1)
        (found,) = checks._clock(url)
    assert found.state == "problem"
    assert found.text.startswith("This machine's clock is ")
    minutes, words = told.split(" m ")[0], told.split(" s ")[1]
    assert words in found.text
    assert f"{minutes} m" in found.text or f"{int(minutes) - 1} m 59" in found.text
    with web_server(None) as url:
        assert next(checks._clock(url)).state == "note"
    assert next(checks._clock(url)).state == "note"


def test_an_address_where_somebody_else_answers_is_told():
    with web_server(None) as url:
        found = one(rn.doctor(url), url)
    assert found.state == "problem"
    assert "and is no Resonate Server" in found.mend


def test_an_address_where_nobody_listens_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    found = one(rn.doctor(f"127.0.0.1:{port}"), f"http://127.0.0.1:{port}")
    assert (found.state, found.mend.partition(":")[0]) == ("problem", f"Nothing listens at port {port} of 127.0.0.1")


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x:99999", "http://x:nine"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(rn.Mistake, match="is no address of a server"):
        rn.doctor(url)


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(monkeypatch):
    def broken(_session):
        raise RuntimeError("planted\x1b[2J")
        yield

    monkeypatch.setattr(checks, "_front_end", broken)
    found = rn.doctor()
    assert one(found, "live graph").text == "The check itself failed: RuntimeError: planted\x1b[2J"
    assert "\x1b" not in str(found)
    assert about(found, "functions")
