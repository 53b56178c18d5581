"""Contract 14: what executions say. One logger serves them all here, where 0.6.7 made one for each (D-21)."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from toys import fails
from waiting import SOON

from resonate import Resonate
from resonate.retry_policies import Never

HELD_BY = {
    "14 lines, and the methods of the logger": "process/test_logging.py::test_lines_carry_date_level_run_and_execution",
    "14 the client's level": "process/test_logging.py::test_the_clients_level_decides",
    "14 default levels": "process/test_logging.py::test_default_levels",
    "14 starts, retries and failures are told": "process/test_logging.py::test_the_sdk_tells_starts_retries_and_failures",
    "14 values are cut": "process/test_logging.py::test_values_are_cut",
    "14 no propagation": "process/test_logging.py::test_the_root_logger_is_left_alone",
    "14 loggers do not pile up": "process/test_logging.py::test_loggers_do_not_pile_up",
}


@pytest.fixture
def records() -> Any:
    """What is written about executions."""
    logger, found = logging.getLogger("resonate.functions"), []
    handler = logging.Handler()
    handler.emit = found.append  # type: ignore[method-assign]
    kept, logger.handlers[:] = logger.handlers[:], [handler]
    yield found
    logger.handlers[:] = kept


def test_the_loggers_methods_take_what_loggings_take(records: list[logging.LogRecord]) -> None:
    """`exc_info`, `extra`, `stack_info` and arguments work in `ctx.logger` as in any logger, and the run's ids are there besides."""

    def top(ctx):
        try:
            raise KeyError("x")
        except KeyError:
            ctx.logger.warning("failed %s", 1, exc_info=True, extra={"mine": 2}, stack_info=True)

    with Resonate(log_level="INFO") as client:
        client.begin_run("run", client.register(top)).result(SOON)
    (record,) = records
    assert (record.getMessage(), record.levelname, record.funcName) == ("failed 1", "WARNING", "top")
    assert (record.cid, record.id, record.mine) == ("run", "run", 2)  # type: ignore[attr-defined]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)
    assert record.stack_info


def test_a_callee_of_an_rpc_speaks_for_its_own_run(records: list[logging.LogRecord]) -> None:
    """The first id of a line is the root whose task is held: the callee's own id, for its children too."""

    def child(ctx):
        ctx.logger.info("child")

    def callee(ctx):
        ctx.logger.info("callee")
        yield ctx.run(child)

    def top(ctx):
        yield ctx.rpc("callee")

    with Resonate(log_level="INFO") as client:
        client.register(callee)
        client.begin_run("top", client.register(top)).result(SOON)
    assert [(each.cid, each.id) for each in records] == [("top.1", "top.1"), ("top.1", "top.1.1")]  # type: ignore[attr-defined]


def test_the_final_failure_is_an_error_with_the_function_and_the_text(records: list[logging.LogRecord]) -> None:
    """A function that fails for good is told once, as ERROR, by name, with type and text of what it raised."""
    with Resonate(log_level="WARNING") as client:
        client.options(retry_policy=Never()).begin_run("run", client.register(fails), "text").future.exception(SOON)
    (record,) = records
    assert record.levelno == logging.ERROR
    assert all(part in record.getMessage() for part in ("fails", "ValueError", "text"))
