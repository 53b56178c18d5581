"""What a message source brings: JSON as the server sends it."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class TaskMesg(TypedDict):
    """The task to claim."""

    id: str
    counter: int


class DurablePromiseValueMesg(TypedDict):
    """Headers, and data in base64; either may be absent."""

    headers: NotRequired[dict[str, str]]
    data: NotRequired[str]


class DurablePromiseMesg(TypedDict):
    """A promise, completed."""

    id: str
    state: str
    timeout: int
    param: DurablePromiseValueMesg
    value: DurablePromiseValueMesg
    tags: NotRequired[dict[str, str]]
    idempotencyKeyForCreate: NotRequired[str]
    idempotencyKeyForComplete: NotRequired[str]
    createdOn: int
    completedOn: NotRequired[int]


class InvokeMesg(TypedDict):
    """Begin a run."""

    type: Literal["invoke"]
    task: TaskMesg


class ResumeMesg(TypedDict):
    """Go on with a run: a promise that it waited for has settled."""

    type: Literal["resume"]
    task: TaskMesg


class NotifyMesg(TypedDict):
    """A promise that somebody subscribed to has settled."""

    type: Literal["notify"]
    promise: DurablePromiseMesg


type Mesg = InvokeMesg | ResumeMesg | NotifyMesg
