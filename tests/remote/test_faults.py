"""Servers that are not there, or answer what they should not: runs wait, nobody is stormed, and everything goes on soon after."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from resonate import Handle, Resonate
from resonate.errors import ResonateStoreError, StoreUnavailable
from resonate.limits import STREAM_HEAD_S
from resonate.retry_policies import Constant
from resonate.server import DevelopmentServer
from resonate.stores import RemoteStore
from tests.process.waiting import when
from tests.remote.conftest import Made
from tests.remote.crossing import HANG, LOSE_REQUEST, PASS, Asked, Crossing, Fate, reply
from tests.remote.programs import register, start

SOON_S = 20
RECOVERY_S = 2
TTL_S = 2
SECRET = "hunter2-not-for-logs"
SICK: dict[str, Fate] = {
    "500": reply(500, b"oops", "text/plain"), "502": reply(502, b"<html>bad gateway</html>", "text/html"), "503": reply(503),
    "429": reply(429, b'{"error": {"code": 42900, "message": "slow down"}}'), "504": reply(504),
    "truncated": reply(200, b'{"id": "x", "sta'),
    "another content type": reply(200, b"<html>welcome to the hotel</html>", "text/html"), "no content type": reply(200, b"{}", ""),
    "an empty object": reply(200, b"{}"), "a list": reply(200, b"[]"), "not UTF-8": reply(200, b"\xff\xfe"), "null": reply(200, b"null"),
    "half a reply": reply(200, b"x" * 50, "application/json", "Connection: close").replace(b": 50", b": 5000"),
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\nConnection: close\r\n",
    "lost": LOSE_REQUEST, "no envelope": reply(201, b'{"kind": null, "head": [], "data": {}, "error": {"code": 50000}}'),
}  # fmt: skip


@pytest.mark.parametrize("sickness", SICK)
def test_a_sick_server_is_waited_for(client: Made, url: str, fresh: str, sickness: str) -> None:
    """Whatever a server answers for a while, a run ends right within 2 s of its being well again, and hears of nothing."""
    fate = SICK[sickness]
    with Crossing(url) as crossing:
        ours = client(host=crossing.url, ttl=TTL_S)
        ran: list[str] = []
        register(ours, ran.append)
        ours.begin_run(f"{fresh}-warm", "sequence", 1).result(SOON_S)
        ran.clear()
        well = threading.Event()

        def fall_ill(asked: Asked) -> Fate:
            return PASS if well.is_set() or len(ran) < 2 else fate

        crossing.fate = fall_ill
        handle = ours.begin_run(fresh, "sequence", 4)
        when(lambda: len(ran) >= 2)
        time.sleep(0.4)  # a while of illness is what is tried
        well.set()
        began = time.monotonic()
        assert handle.result(SOON_S) == ["s0", "s1", "s2", "s3"]
        # JSON that only looks like an answer is not asked for again; the run is, when its lease has lapsed, with the step in flight.
        is_given_up = sickness == "no envelope"
        assert time.monotonic() - began < RECOVERY_S + TTL_S * is_given_up
        assert len(ran) - len(set(ran)) <= is_given_up


def test_a_server_that_is_down_is_not_stormed(client: Made, url: str, fresh: str) -> None:
    """While nobody is there a client asks about once a second, however many runs wait; then all go on within 2 s."""
    with Crossing(url) as crossing:
        ours = client(host=crossing.url)
        register(ours)
        ours.begin_run(f"{fresh}-warm", "sequence", 1).result(SOON_S)
        handles = [ours.begin_run(f"{fresh}-{number}", "sleeps", 0.3) for number in range(30)]
        crossing.fate, crossing.has_streams = (lambda asked: reply(503)), False
        crossing.cut_streams()
        down_at = time.monotonic()
        time.sleep(5)  # how often it asks in that time is what is measured
        late = [each for each in crossing.times if each > down_at + 2]
        crossing.fate, crossing.has_streams = (lambda asked: PASS), True
        began = time.monotonic()
        assert len(late) <= 4
        assert [handle.result(SOON_S) for handle in handles] == ["awake"] * 30
        assert time.monotonic() - began < RECOVERY_S + 1


def test_a_server_may_come_later(client: Made, url: str, fresh: str) -> None:
    """A run that is begun while nobody is there begins as soon as somebody is."""
    crossing = Crossing(url)
    crossing.down()
    ours = client(host=crossing.url)
    register(ours)
    came: list[float] = []

    def come() -> None:
        crossing.up()
        came.append(time.monotonic())

    timer = threading.Timer(0.7, come)
    timer.start()
    assert ours.begin_run(fresh, "sequence", 2).result(SOON_S) == ["s0", "s1"]
    assert time.monotonic() - came[0] < RECOVERY_S
    timer.join()
    ours.stop()
    crossing.down()


def test_a_policy_of_ones_own_says_how_often_a_store_tries(protocol: str) -> None:
    """A store whose policy gives up tells its callers at once, after a first retry and the policy's; else it tries for 10 s."""
    with Crossing("http://127.0.0.1:9") as crossing:
        crossing.fate = lambda asked: reply(503)
        for retries in (0, 2):
            store = RemoteStore(crossing.url, retry_policy=Constant(0, retries), protocol=protocol)
            crossing.asked.clear()
            with pytest.raises(StoreUnavailable):
                store.promises.get("x")
            assert len(crossing.asked) == 2 + retries
            store.stop()


def test_a_policy_that_fails_is_told_and_does_without(protocol: str, url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A retry policy that raises ends no thread and hangs nobody: the log has its error, and the server is tried as without it."""

    class Broken:
        def next(self, attempt: int) -> float | None:
            raise RuntimeError(f"no idea about {attempt}")

    with Crossing(url) as crossing:
        crossing.fate = lambda asked: reply(503) if asked.number < 3 else PASS
        store = RemoteStore(crossing.url, retry_policy=Broken(), protocol=protocol)
        assert store.promises.create(f"broken-{protocol}", int((time.time() + 60) * 1000)).pending
        assert "no idea about 0" in caplog.text
        store.stop()


@pytest.mark.parametrize("how", ["nobody is there", "it hangs"])
def test_an_interrupt_is_answered_at_once(client: Made, url: str, fresh: str, how: str) -> None:
    """Ctrl-C ends the wait for a server within 200 ms, whether it is away or says nothing; then the client still works."""
    with Crossing(url) as crossing:
        ours = client(host=crossing.url)
        register(ours)
        ours.begin_run(f"{fresh}-warm", "sequence", 1).result(SOON_S)
        if how == "it hangs":
            crossing.fate = lambda asked: HANG
        else:
            crossing.down()
        sent: list[float] = []

        def interrupt() -> None:
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        timer = threading.Timer(0.4, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            ours.begin_run(fresh, "sequence", 1).result(SOON_S)
        assert time.monotonic() - sent[0] < 0.2
        timer.join()
        crossing.fate = lambda asked: PASS
        if how != "it hangs":
            crossing.up()
        assert ours.begin_run(f"{fresh}-2", "sequence", 1).result(SOON_S) == ["s0"]


def test_a_server_that_says_nothing_is_asked_again(url: str, protocol: str, fresh: str) -> None:
    """A request that is not answered within the time for it is sent again."""
    with Crossing(url) as crossing:
        store = RemoteStore(crossing.url, timeout=0.3, protocol=protocol)
        ours = Resonate(store=store, group=fresh, log_level="CRITICAL", workers=2)
        register(ours)
        ours.begin_run(f"{fresh}-warm", "sequence", 1).result(SOON_S)
        hung: list[int] = []

        def hang_once(asked: Asked) -> Fate:
            if len(hung) < 2:
                hung.append(asked.number)
                return HANG
            return PASS

        crossing.fate = hang_once
        assert ours.begin_run(fresh, "sequence", 2).result(SOON_S) == ["s0", "s1"]
        ours.stop()


# ---- messages ----------------------------------------------------------------------------------------------------------------------------


def told_after_an_outage(crossing: Crossing, handle: Handle[Any], meanwhile: Callable[[], Any]) -> Any:
    """What a handle is told of what happens while its client's way to the server is cut: it is told soon after that is open again."""
    crossing.down()
    meanwhile()
    crossing.up()
    began = time.monotonic()
    found = handle.result(SOON_S)
    assert time.monotonic() - began < RECOVERY_S
    return found


def test_lost_news_comes_after_the_stream_is_back(client: Made, url: str, fresh: str) -> None:
    """Who waits for a promise that settles while the stream of messages is cut is told soon after it is open again."""
    theirs = client("x")
    theirs.promises.create(fresh, 4_102_444_800_000, data="1")
    with Crossing(url) as crossing:
        ours = client(host=crossing.url)
        handle = ours.get(fresh)
        when(lambda: crossing._streams)
        assert told_after_an_outage(crossing, handle, lambda: theirs.promises.resolve(fresh, data="7")) == 7


def test_lost_work_comes_after_the_stream_is_back(client: Made, url: str, fresh: str) -> None:
    """A run that rests, and whose wake-up is lost with its stream, goes on soon after the stream is open again."""
    theirs = client("x")
    with Crossing(url) as crossing:
        ours = client(host=crossing.url)
        register(ours)
        handle = ours.begin_run(fresh, "person")
        when(lambda: theirs.promises.get(f"{fresh}-ask").pending)
        when(lambda: ours._shared.store._parked)  # type: ignore[attr-defined] # a store of a server
        answer = lambda: theirs.promises.resolve(f"{fresh}-ask", data='"yes"')  # noqa: E731
        assert told_after_an_outage(crossing, handle, answer) == ["yes", "after"]


def test_a_stream_that_is_dead_without_a_word_is_opened_anew(client: Made, url: str, fresh: str) -> None:
    """After a server was away a client does not trust its stream: what is sent next arrives, though the old stream never ended."""
    theirs = client("x")
    with Crossing(url) as crossing:
        ours = client(host=crossing.url)
        register(ours)
        start(ours)
        crossing.is_mute = True
        for number in range(2):  # the first is what the stream swallows
            theirs.options(target=ours._shared.group).begin_rpc(f"{fresh}-{number}", "sequence", 1)
        crossing.fate = lambda asked: reply(503)
        with pytest.raises(StoreUnavailable):
            ours._shared.store.reach(0.2)  # type: ignore[attr-defined] # a store of a server
        crossing.fate, crossing.is_mute = (lambda asked: PASS), False
        began = time.monotonic()
        ours._shared.store.reach(5)  # type: ignore[attr-defined]
        when(lambda: len(crossing._streams) == 1 and ours._shared.store._connected_at > began)  # type: ignore[attr-defined]
        handle = theirs.options(target=ours._shared.group).begin_rpc(f"{fresh}-3", "sequence", 1)
        assert handle.result(SOON_S) == ["s0"]
        assert time.monotonic() - began < RECOVERY_S


def test_a_stream_that_does_not_begin_keeps_nobody_waiting(client: Made, url: str, fresh: str) -> None:
    """Where streams are held back, as by some proxies, no run waits for one but the first, and that no longer than for its head."""
    with Crossing(url) as crossing:
        crossing.holds_streams_back = True
        ours = client(host=crossing.url)
        register(ours)
        ours.start()
        when(lambda: crossing.times)
        took_s = []
        for number in range(20):
            began = time.monotonic()
            assert ours.begin_run(f"{fresh}-{number}", "sequence", 2).result(SOON_S) == ["s0", "s1"]
            took_s.append(time.monotonic() - began)
            time.sleep(0.1)  # so that there are runs at each moment of a stream that does not begin
        first, *others = took_s
        assert first < 2 * STREAM_HEAD_S
        assert max(others) < STREAM_HEAD_S


def test_stopping_takes_no_time(client: Made, fresh: str) -> None:
    """A client with an open stream and waiting runs ends within 2 s and leaves no threads (its fixture looks)."""
    ours = client()
    register(ours)
    handle = ours.begin_run(fresh, "person")
    when(lambda: ours.promises.get(f"{fresh}-ask").pending)
    began = time.monotonic()
    ours.stop()
    assert time.monotonic() - began < 2
    assert handle.done()


def test_stopping_does_not_wait_for_a_server(client: Made, url: str, fresh: str) -> None:
    """Nor does one whose server hangs or has gone wait for it."""
    for gone in (True, False):
        with Crossing(url) as crossing:
            ours = client(host=crossing.url)
            register(ours)
            ours.begin_run(f"{fresh}{gone}", "sleeps", 60)
            when(lambda: crossing._streams)
            if gone:
                crossing.down()
            else:
                crossing.fate = lambda asked: HANG
            began = time.monotonic()
            ours.stop()
            assert time.monotonic() - began < 3


# ---- being let in ------------------------------------------------------------------------------------------------------------------------


def everything_said(error: BaseException, log: pytest.LogCaptureFixture, *things: object) -> str:
    return "\n".join([*traceback.format_exception(error), log.text, *(f"{each!r} {each}" for each in things)])


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_told_to_whoever_waits(
    client: Made, url: str, fresh: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waits for a run is told within a second that the credentials are refused, and which setting they are; nothing shows them."""
    caplog.set_level(logging.DEBUG)
    with Crossing(url) as crossing:
        ours = client(host=crossing.url, auth=SECRET, log_level="DEBUG")
        register(ours)
        handle = ours.begin_run(fresh, "sleeps", 60)
        when(lambda: crossing._streams)
        crossing.fate = lambda asked: reply(status, b'{"error": {"code": %d, "message": "no"}}' % (status * 100))
        began = time.monotonic()
        with pytest.raises(StoreUnavailable) as raised:
            ours.begin_run(f"{fresh}-2", "sequence", 1).result(SOON_S)
        with pytest.raises(StoreUnavailable) as told:
            handle.result(SOON_S)
        assert time.monotonic() - began < 1
        for error in (raised.value, told.value):
            assert "`auth`" in str(error)
            assert "RESONATE_TOKEN" in str(error)
            store: Any = ours._shared.store
            assert SECRET not in everything_said(error, caplog, ours, store, store._connections, handle)
        asked = len(crossing.asked)
        with pytest.raises(StoreUnavailable):
            ours.promises.get(fresh)
        assert len(crossing.asked) <= asked + 1, "a server that refuses is left alone"


@pytest.mark.parametrize(("kind", "auth"), [("token", SECRET), ("user", ("ana", SECRET))])
def test_the_right_credentials_let_in(protocol: str, fresh: str, kind: str, auth: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A token, or a user and password, reach the server with each request and the stream; the wrong ones, or none, do not."""
    if kind == "user" and protocol == "current":
        pytest.skip("the current protocol knows tokens only")
    caplog.set_level(logging.DEBUG)
    server = DevelopmentServer(port=0, message_port=0, **{kind: auth if kind == "token" else ":".join(auth)})
    with server:
        for given, is_let_in in ((auth, True), (None, False), ("wrong", False)):
            ours = Resonate.remote(host=server.url, auth=given, protocol=protocol, group=fresh, log_level="CRITICAL")
            register(ours)
            try:
                if is_let_in:
                    assert ours.begin_run(fresh, "sleeps", 0.05).result(SOON_S) == "awake"
                else:
                    with pytest.raises(StoreUnavailable, match="credentials"):
                        ours.begin_run(f"{fresh}-{given}", "sequence", 1).result(SOON_S)
            finally:
                ours.stop()
    assert SECRET not in caplog.text


def test_nobody_else_gets_a_token(client: Made, url: str, fresh: str) -> None:
    """A redirect is not followed, not even for a stream: whom it names hears nothing, and the server is waited for."""
    with socket.create_server(("127.0.0.1", 0)) as other, Crossing(url) as crossing:
        other.settimeout(0.2)
        place = f"Location: http://127.0.0.1:{other.getsockname()[1]}/"
        ours = client(host=crossing.url, auth=SECRET)
        register(ours)
        well = threading.Event()
        statuses = [301, 302, 303, 307, 308]
        crossing.fate = lambda asked: PASS if well.is_set() else reply(statuses[asked.number % 5], b"", "text/html", place)
        threading.Timer(0.8, well.set).start()
        assert ours.begin_run(fresh, "sequence", 1).result(SOON_S) == ["s0"]
        with pytest.raises(TimeoutError):
            other.accept()


# ---- the wrong server --------------------------------------------------------------------------------------------------------------------


WRONG: dict[str, Callable[[Asked], Fate]] = {
    "legacy": lambda asked: reply(410, b'{"error": "gone"}'), "current": lambda asked: reply(404, b"404 page not found", "text/plain"),
}  # fmt: skip


def test_a_wrong_protocol_is_said_at_once(client: Made, url: str, fresh: str, protocol: str) -> None:
    """Who says `protocol=` and is wrong is told in a sentence, within a second, what to say instead."""
    other = {"legacy": "current", "current": "legacy"}[protocol]
    with Crossing(url, WRONG[protocol]) as crossing:
        ours = client(host=crossing.url)
        register(ours)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match=f'protocol="{other}"'):
            ours.begin_run(fresh, "sequence", 1).result(SOON_S)
        assert time.monotonic() - began < 1


def test_which_protocol_it_is_is_found_out(client: Made, url: str, fresh: str, protocol: str) -> None:
    """Without `protocol=` the first request tells, and the client says it then."""
    is_current = protocol == "current"
    fates: dict[bool, Callable[[Asked], Fate]] = {
        True: lambda asked: reply(410, b'{"error": "gone"}') if "/promises" in asked.kind else PASS,
        False: lambda asked: PASS if asked.kind.startswith(("GET", "POST", "PATCH")) else reply(404, b"not found", "text/plain"),
    }
    with Crossing(url, fates[is_current]) as crossing:
        ours = client(host=crossing.url, protocol=None)
        register(ours)
        assert "not asked yet" in repr(ours)
        assert ours.begin_run(fresh, "fan_out", 3).result(SOON_S) == ["f0", "f1", "f2"]
        assert f"{protocol} protocol" in repr(ours)


def test_another_kind_of_server_is_said(fresh: str) -> None:
    """What is no Resonate Server at all is told as that to a caller who waits for an answer, and not taken for one."""
    with Crossing("http://127.0.0.1:1", lambda asked: reply(200, b"<html>hello</html>", "text/html")) as crossing:
        ours = Resonate.remote(host=crossing.url, group=fresh, log_level="CRITICAL")
        with pytest.raises(StoreUnavailable, match="text/html"):
            ours._shared.store.reach(0.5)  # type: ignore[attr-defined] # a store of a server
        ours.stop()


# ---- where it is -------------------------------------------------------------------------------------------------------------------------


def test_proxies_of_the_environment_are_not_used(client: Made, fresh: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is asked directly, whatever HTTP_PROXY says: streams through proxies that were meant for web pages do not work."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    ours = client()
    register(ours)
    assert ours.begin_run(fresh, "sequence", 1).result(SOON_S) == ["s0"]


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_a_server_on_ipv6(protocol: str, fresh: str) -> None:
    """An address in brackets is one."""
    try:
        server = DevelopmentServer("::1", port=0, message_port=0).start()
    except OSError as error:
        pytest.skip(f"no loopback of IPv6 here: {error}")
    with server:
        ours = Resonate.remote(host=server.url, protocol=protocol, group=fresh, log_level="CRITICAL")
        register(ours)
        assert ours.begin_run(fresh, "sleeps", 0.05).result(SOON_S) == "awake"
        ours.stop()


@pytest.mark.parametrize("given", [
    {"host": "ftp://x"}, {"host": "http://"}, {"store_port": "many"}, {"store_port": 70000}, {"store_port": -1}, {"host": "http://x:y"},
    {"message_source_port": "many"}, {"message_source_port": 99999},
], ids=str)  # fmt: skip
def test_what_is_no_address_is_refused(given: dict[str, Any]) -> None:
    """A host or port that is none is refused when the client is made, by its value."""
    with pytest.raises((ValueError, TypeError)) as error:
        Resonate.remote(**given)
    assert str(next(iter(given.values()))) in str(error.value)


def test_a_value_that_is_too_large_is_refused(client: Made, fresh: str) -> None:
    """A promise that the server does not take for its size is refused to whoever makes it, and nobody else waits for that."""
    ours = client()
    register(ours)
    with pytest.raises(ResonateStoreError) as error:
        ours.promises.create(fresh, 4_102_444_800_000, data="x" * 20_000_000)
    assert not isinstance(error.value, StoreUnavailable)
    assert ours.begin_run(f"{fresh}-2", "sequence", 1).result(SOON_S) == ["s0"]


def test_a_step_whose_value_is_too_large_fails(client: Made, fresh: str) -> None:
    """A run whose step gives what the server does not take is told so, and others go on."""
    ours = client()
    register(ours)

    def large(ctx: Any) -> str:
        return "x" * 20_000_000

    @ours.register
    def makes(ctx: Any) -> Any:
        return len((yield ctx.run(large)))

    handle = ours.begin_run(fresh, makes)
    assert ours.begin_run(f"{fresh}-2", "sequence", 1).result(SOON_S) == ["s0"]
    with pytest.raises(Exception, match=r"size|large|413|bytes|take"):
        handle.result(SOON_S)
