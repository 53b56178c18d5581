"""Errors and values as the current SDKs of Python (0.8) and TypeScript (0.11) write and read them."""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from resonate.encoders import DEFAULT, FORMAT_HEADER, JsonEncoder, encode_error, encoder_for
from resonate.errors import RemoteError, RemoteTraceback
from resonate.models.durable_promise import outcome_of
from resonate.models.result import Ko, Ok
from resonate.protocol import TRACEBACK_HEADER, Encoded, GetPromise, PromiseRecord, SettlePromise, State
from resonate.refusals import error_text
from resonate.wire.client import Answered
from resonate.wire.current import error_for_others
from resonate.wire.current_client import CurrentClient


def settled(value: Encoded, state: State = "REJECTED") -> PromiseRecord:
    return PromiseRecord("p", state, 9, (None, None), value, None, None, False, 1, 2)


def read(shown: Any, state: State = "REJECTED") -> Any:
    """What awaiting a promise with this data raises or gives."""
    outcome = outcome_of(settled((None, json.dumps(shown)), state), DEFAULT)
    assert isinstance(outcome, Ok if state == "RESOLVED" else Ko)
    return outcome.value


# ---- their errors ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "error"),
    [
        ({"__type": "error", "message": "no stock"}, Exception("no stock")),
        ({"__type": "error", "message": "no stock", "name": "Error"}, Exception("no stock")),
        ({"__type": "error", "message": "no stock", "name": "TypeError"}, RemoteError("TypeError", "no stock")),
        ({"__error__": "no stock", "__type": "error", "message": "another", "name": "ValueError"}, Exception("no stock")),
        ({"__type": "aggregate_error", "message": "all", "errors": []}, Exception("all")),
    ],
)
def test_an_error_of_another_sdk_is_an_exception_with_its_text(shown: Any, error: Exception) -> None:
    """The message counts, and the name where it says more than that it is an error."""
    found = read(shown)
    assert (type(found), found.args) == (type(error), error.args)


def test_the_stack_of_an_error_is_its_cause() -> None:
    """Where a TypeScript error was raised is shown as for an error of another worker of ours."""
    found = read({"__type": "error", "message": "m", "name": "TypeError", "stack": "TypeError: m\n    at f (peer.mjs:1:2)"})
    assert isinstance(found.__cause__, RemoteTraceback)
    assert "peer.mjs:1:2" in str(found.__cause__)


def test_several_errors_in_one_are_a_group() -> None:
    """`AggregateError` is an ExceptionGroup of the errors in it, and what is in it that is no error is one with that text."""
    group = {"__type": "aggregate_error", "message": "m", "errors": [3]}
    inner = [{"__type": "error", "message": "one", "name": "RangeError"}, "two", group]
    found = read({"__type": "aggregate_error", "message": "all failed", "errors": inner})
    assert isinstance(found, ExceptionGroup)
    assert (found.message, [type(each) for each in found.exceptions]) == ("all failed", [RemoteError, Exception, ExceptionGroup])


class _Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_what_is_pickled_in_an_error_stays_so(tmp_path: Path) -> None:
    """SDK 0.8 puts a pickle of the error beside its text. Reading one can run anything, so nobody does."""
    trap = base64.b64encode(pickle.dumps(_Trap(tmp_path / "sprung"))).decode()
    found = read({"__type": "error", "message": "boom", "__py_pickle": trap})
    assert (type(found), found.args) == (Exception, ("boom",))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "shown",
    [{"__type": "error"}, {"__type": "error", "message": 5}, {"__type": ["error"], "message": "m"}, {"__type": "date", "message": "m"}, {}],
)
def test_what_only_looks_like_an_error_is_a_value(shown: Any) -> None:
    """An object without a message that is text, or of another type, is read as it is, and as the reason of a rejection."""
    assert read(shown, "RESOLVED") == shown
    assert read(shown).args == (shown,)


def test_an_error_nested_deep_does_not_overflow() -> None:
    """Groups in groups are read as deep as any value, and refused beyond."""
    shown: Any = "leaf"
    for _ in range(190):
        shown = {"__type": "aggregate_error", "message": "m", "errors": [shown]}
    assert isinstance(read(shown), ExceptionGroup)
    for _ in range(5_000):
        shown = {"__type": "aggregate_error", "message": "m", "errors": [shown]}
    with pytest.raises((ValueError, RecursionError)):
        DEFAULT.decode((None, _text_of(shown)))


def _text_of(shown: Any) -> str:
    depth = 0
    while isinstance(shown, dict):
        shown, depth = shown["errors"][0], depth + 1
    return '{"__type": "aggregate_error", "message": "m", "errors": [' * depth + "1" + "]}" * depth


def test_a_value_of_ours_that_looks_like_an_error_comes_back() -> None:
    """What our own encoder wrote is read exactly, whatever its keys are called."""
    value = {"__type": "error", "message": "m", "name": "TypeError"}
    assert DEFAULT.decode(DEFAULT.encode(value)) == value
    assert JsonEncoder().decode(JsonEncoder().encode(value)) == value


@pytest.mark.parametrize(
    ("shown", "text"), [({"__type": "error", "message": "boom", "name": "TypeError"}, "boom"), ({"__error__": "bang"}, "bang"),
                        ({"__type": "error", "message": 1}, "{'__type': 'error', 'message': 1}")],
)  # fmt: skip
def test_pictures_show_the_message(shown: Any, text: str) -> None:
    """The short text of a failed node is what the other SDK said."""
    assert error_text(settled((None, json.dumps(shown)))) == text


# ---- our errors for them -----------------------------------------------------------------------------------------------------------


class OutOfStock(Exception):
    pass


@pytest.mark.parametrize(("error", "name"), [(ValueError("no bolts"), "ValueError"), (OutOfStock("no bolts"), "OutOfStock")])
def test_an_error_of_ours_tells_others_its_name_and_text(error: Exception, name: str) -> None:
    """Beside `__error__` stand the keys that the current SDKs read; the exact form is left as it is, and we read the same error."""
    headers, data = error_for_others(encode_error(error, DEFAULT))
    assert json.loads(data or "") == {"__error__": "no bolts", "__type": "error", "message": "no bolts", "name": name}
    assert headers == encode_error(error, DEFAULT)[0]
    found = DEFAULT.decode((headers, data))
    assert (type(found), found.args) == (type(error), error.args)


def test_an_error_in_an_encoding_of_the_users_tells_its_text() -> None:
    """Where there is no exact form that names the class, it is just an error."""
    _, data = error_for_others(encode_error(ValueError("x"), encoder_for(JsonEncoder())))
    assert json.loads(data or "") == {"__error__": "x", "__type": "error", "message": "x", "name": "Exception"}


@pytest.mark.parametrize(
    "value",
    [
        (None, '{"__error__": "x"}'), ({FORMAT_HEADER: "1"}, '{"__error__": "x"}'),
        ({TRACEBACK_HEADER: ""}, '{"__error__": "x", "more": 1}'), ({TRACEBACK_HEADER: ""}, '{"__error__": 5}'),
        ({TRACEBACK_HEADER: ""}, '{"__error__": '), ({TRACEBACK_HEADER: ""}, None),
        ({TRACEBACK_HEADER: ""}, "gAAA"),
    ],
)  # fmt: skip
def test_what_somebody_wrote_by_hand_is_sent_as_it_is(value: Encoded) -> None:
    """Only what `encode_error` made is added to."""
    assert error_for_others(value) == value


# ---- through the client ------------------------------------------------------------------------------------------------------------


def exchanged(operation: Any, promise: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """(what the client asks, what it makes of this promise as the answer)."""
    exchanges = CurrentClient().ask(operation)
    (request,) = next(exchanges)
    asked = json.loads(request.body or b"")
    shown = {"id": "p", "state": "resolved", "param": {}, "value": {}, "tags": {}, "timeoutAt": 9, "createdAt": 1, "settledAt": 2} | promise
    head = {"corrId": asked["head"]["corrId"], "status": 200, "version": "2026-04-01"}
    with pytest.raises(StopIteration) as end:
        exchanges.send([Answered(200, {"kind": asked["kind"], "head": head, "data": {"promise": shown}})])
    return asked, end.value.value


@pytest.mark.parametrize("value", [{"headers": {}, "data": ""}, {"headers": {}}, {}, {"data": None}])
def test_undefined_is_none(value: dict[str, Any]) -> None:
    """TypeScript sends the empty text for `undefined`; it reads as None, as a value that is missing does."""
    _, record = exchanged(GetPromise("p"), {"value": value, "param": value})
    assert (record.value[1], record.param[1]) == (None, None)
    assert DEFAULT.decode(record.value) is None


def test_a_rejection_is_sent_in_both_forms() -> None:
    """A run that fails on a current server tells its error to every SDK."""
    value = encode_error(ValueError("no bolts"), DEFAULT)
    asked, _ = exchanged(SettlePromise("p", "REJECTED", value, adopt=True), {"state": "rejected"})
    sent = asked["data"]["value"]
    assert json.loads(base64.b64decode(sent["data"]))["message"] == "no bolts"
    assert sent["headers"][FORMAT_HEADER] == (value[0] or {})[FORMAT_HEADER]
