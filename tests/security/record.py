"""Records what resonate-sdk 0.6.7 stores of a list of values, run in an environment that has it:

    python tests/security/record.py > tests/security/recorded-0.6.7.jsonl

Each line holds a Python expression, and the headers and data that a worker of 0.6.7 left of its value in a promise: returned, or raised
where it is an error. `test_recorded_values.py` reads them back.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

EXPRESSIONS = [
    "None", "True", "0", "-1", "2**70", "1.5", "-0.0", "1e300", "float('inf')", "float('nan')", "''", "'text'", "'ünï \\u2028 😀'",
    "'py/object'", "[]", "[1, 'a', None, 2.5, True]", "[[], [[]], [[[1]]]]", "{}", "{'a': 1, 'b': [2, {'c': None}]}", "{'': 0, 'ü': 1}",
    "{'__error__': 'no error'}", "()", "(1,)", "(1, (2, (3,)))", "[(1, 2), {'t': (3,)}]", "{1, 2, 3}", "set()", "[{1}, {'a': {2}}]",
    "frozenset({1, 2})", "{(1, 2), (3, 4)}", "{b'x'}", "b''", "b'\\x00\\xff'", "[b'a', {'b': b'c'}]", "bytearray(b'ab')", "1 + 2j",
    "range(2, 10, 3)", "datetime.datetime(2024, 2, 29, 12, 30, 1, 5)", "datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)",
    "datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30)))",
    "datetime.datetime(2024, 10, 27, 2, 30, fold=1)", "datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin'))",
    "datetime.date(2024, 2, 29)", "datetime.time(23, 59, 59, 1)", "datetime.timedelta(days=-1, seconds=2, microseconds=3)",
    "datetime.timezone.utc", "[datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)]", "decimal.Decimal('1.10')", "decimal.Decimal('NaN')",
    "fractions.Fraction(1, 3)", "uuid.UUID('12345678123456781234567812345678')", "pathlib.PurePosixPath('/a/b')",
    "pathlib.PosixPath('c/d')", "ipaddress.ip_address('10.0.0.1')", "ipaddress.ip_network('10.0.0.0/8')",
    "collections.OrderedDict([('b', 1), ('a', 2)])", "collections.deque([1, 2], maxlen=5)", "collections.Counter('aab')",
    "collections.defaultdict(list, {'a': [1]})", "Point(1, 2)", "Point([Point(1, None)], {'p': Point('x', 'y')})", "Frozen('a', (1, 2))",
    "[Point(1, 2), Point(1, 2)]", "Colour.RED", "{'c': Colour.BLUE, 'd': [Colour.RED]}", "Pair(1, 'b')", "[Pair(1, Pair(2, 3))]",
    "(lambda shared: [shared, shared, {'again': shared}])([1, 2])", "(lambda point: [point, point])(Point(1, 2))",
    "(lambda zone: [datetime.datetime(2024, 1, 1, tzinfo=zone)] * 2)(datetime.timezone.utc)", "ValueError('returned, not raised')",
]  # fmt: skip
ERRORS = [
    "ValueError()", "ValueError('x')", "ValueError('x', 1, (2,), {'a': b'c'})", "KeyError('k')", "KeyError(('a', 1))", "IndexError(5)",
    "OSError(2, 'No such file')", "FileNotFoundError(2, 'gone', '/f')", "PermissionError(13, 'no')", "ConnectionResetError(104, 'reset')",
    "TimeoutError('late')", "UnicodeDecodeError('utf-8', b'\\xff', 0, 1, 'bad')", "ZeroDivisionError('division by zero')",
    "AssertionError()",
    "RuntimeError('nested', [1, (2,)])", "NotImplementedError('todo')", "StopIteration(5)", "ImportError('m', name='n')",
    "ExceptionGroup('many', [ValueError(1), KeyError('k')])", "Plain('p', 1)", "noted(ValueError('n'), 'while reading day 3')",
    "decimal.InvalidOperation('d')", "ArithmeticError(1.5)", "ModuleNotFoundError('no')", "RecursionError('deep')",
]  # fmt: skip


def main() -> None:
    """Print a line for each expression."""
    from resonate import Resonate
    from resonate.retry_policies import Never

    sys.path.insert(0, str(Path(__file__).parent))
    import recorded_types

    resonate = Resonate(log_level="CRITICAL", workers=2)

    def returns(ctx: Any, expression: str) -> Any:
        return recorded_types.value_of(expression)

    def raises(ctx: Any, expression: str) -> Any:
        raise recorded_types.value_of(expression)

    for number, (func, expression) in enumerate([(returns, each) for each in EXPRESSIONS] + [(raises, each) for each in ERRORS]):
        name = f"{func.__name__}.{number}"
        client = resonate.options(retry_policy=Never())
        if number in (0, len(EXPRESSIONS)):
            resonate.register(func)
        try:
            client.run(name, func, expression)
        except Exception:  # what it raises is read from the promise
            pass
        value = resonate.promises.get(name).value
        print(json.dumps({"state": resonate.promises.get(name).state, "expression": expression, **dataclasses.asdict(value)}), flush=True)
    sys.stdout.flush()
    resonate.stop()


if __name__ == "__main__":
    main()
