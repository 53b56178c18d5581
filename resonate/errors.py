"""Every error that a user of the SDK can meet. Each says what was wrong, where, and what to do next."""

from __future__ import annotations

import json
from typing import Any


class ResonateError(Exception):
    """Base of the SDK's own errors. `code` is a float, `details` anything that JSON can carry.

    >>> print(ResonateError("something is off", 7))
    [007.00000] something is off
    """

    def __init__(self, mesg: str, code: float, details: Any = None) -> None:
        super().__init__(mesg)
        self.mesg = mesg
        self.code = code
        try:
            self.details = json.dumps(details, indent=2) if details else None
        except (TypeError, ValueError):
            self.details = str(details)

    def __str__(self) -> str:
        return f"[{self.code:09.5f}] {self.mesg}" + (f"\n{self.details}" if self.details else "")

    def __reduce__(self) -> tuple[Any, ...]:
        # Rebuilt without calling the constructor, so subclasses with other signatures survive pickling.
        return (_rebuild, (type(self), self.args), dict(self.__dict__))


def _rebuild[E: Exception](cls: type[E], args: tuple[Any, ...]) -> E:
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class ResonateStoreError(ResonateError):
    """A store refused an operation. The server's code 40400 reads as `100.404` and prints as `[100.40400]`."""

    def __init__(self, mesg: str, code: int, details: Any = None) -> None:
        super().__init__(mesg, float(f"100.{code}"), details)

    @property
    def server_code(self) -> int:
        """The code as the server gives it: 40400."""
        return server_code(self.code)


def server_code(code: float) -> int:
    """The server's code that an error's code holds: 40400 of 100.404. One that is whole is the server's already."""
    return code if type(code) is int else round((code - 100) * 100_000)


class StoreUnavailable(ResonateStoreError):
    """The place where promises live cannot be used now. The text names it and says why; nothing that was acknowledged is lost."""

    def __init__(self, mesg: str, code: int = 0) -> None:
        super().__init__(mesg, code)


class RemoteProtocolError(ResonateStoreError):
    """A server answered in a way that its protocol does not have. The text says how."""

    def __init__(self, mesg: str, code: int = 0) -> None:
        super().__init__(mesg, code)


class StoreDamaged(ResonateStoreError):
    """A file is no file of promises, or a damaged one. It is never written over."""

    def __init__(self, mesg: str, code: int = 0) -> None:
        super().__init__(mesg, code)


class ResonateCanceledError(ResonateError):
    """The awaited promise was canceled."""

    def __init__(self, promise_id: str) -> None:
        super().__init__(f"Promise {promise_id} canceled", 200)
        self.promise_id = promise_id


class ResonateTimedoutError(ResonateError):
    """The awaited promise reached its deadline (`timeout`, in seconds since the epoch) before anybody settled it."""

    def __init__(self, promise_id: str, timeout: float) -> None:
        super().__init__(f"Promise {promise_id} timedout at {timeout}", 201)
        self.promise_id = promise_id
        self.timeout = timeout


class ResonateShutdownError(ResonateError):
    """The client was stopped, or lost its store, before the result was there. The run itself may go on elsewhere."""

    def __init__(self, mesg: str) -> None:
        super().__init__(mesg, 300)


class ValueNotStorable(TypeError):
    """A value cannot be stored without losing something. The text names the path, `$.model` or `$.rows[2]`."""


class RemoteError(Exception):
    """An error whose class is not imported here. `type_name` is the name of its class where it was raised."""

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__(f"{type_name}: {text}")
        self.type_name = type_name

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args), dict(self.__dict__))


class RemoteTraceback(Exception):
    """The traceback of an error as it was where it was raised: the `__cause__` of an error that comes out of a promise."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0].rstrip()}\n"""'


class NotDurable(TypeError):
    """A durable function yielded or awaited something that is no command, or a promise that belongs to another run."""


class RunStuck(RuntimeError):
    """Every part of a run waits for another part of the same run, so none can ever go on."""


class CodeChanged(RuntimeError):
    """A run that was taken up again meets another call under an id than the one that is recorded there. Nothing of the run is settled or
    lost: it goes on as soon as a worker has code again that makes the recorded calls. `recorded` and `called` are the two sides.
    """

    def __init__(self, promise_id: str, recorded: str, called: str) -> None:
        super().__init__(
            f"{promise_id} is recorded as {recorded}, but the code now makes it {called}. The run was stopped before that call, and "
            "nothing of it is lost. Register the function as it was (or the new one under another `version`) to go on, cancel the run, "
            "or launch another id. What differs from one execution to the next belongs into a step, as `yield ctx.time.time()`."
        )
        self.promise_id, self.recorded, self.called = promise_id, recorded, called

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.promise_id, self.recorded, self.called))


class RecordingDamaged(ValueError):
    """A file is no recording of a run, or was damaged or changed. The text names the file, the place in it, and what to do."""


class ReplayDiverged(AssertionError):
    """Today's code does not do what a recorded run has done. The text says where first; `divergences` are all of them."""

    def __init__(self, text: str, divergences: tuple[Any, ...] = ()) -> None:
        super().__init__(text)
        self.divergences = divergences


class StepEnded(RuntimeError):
    """A durable function raised `SystemExit`, `KeyboardInterrupt` or the like. Only that function fails; the process goes on."""


def safe_text(error: BaseException) -> str:
    """`str(error)`, also where the error's own `__str__` fails."""
    try:
        return str(error)
    except BaseException:
        return f"<{type(error).__name__} without a text>"
