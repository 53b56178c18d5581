"""Durable execution: functions whose every step is a promise that outlives the process.

>>> from resonate import Resonate
>>> resonate = Resonate.local()
>>> @resonate.register
... def hello(ctx, name):
...     return f"hello {name}"
>>> hello.run("hello-1", "world")
'hello world'
"""

from resonate.context import Context
from resonate.coroutine import Promise, Yieldable
from resonate.handle import Handle
from resonate.resonate import Resonate

__distribution__ = "resonate-notebook"
"""Other distributions own the name `resonate` too; this tells whose it is."""

__all__ = ["Context", "Handle", "Promise", "Resonate", "Yieldable"]
