"""Ids that somebody will use one day, and what is no id."""

from __future__ import annotations

from resonate.limits import ID_LIMIT

IDS: dict[str, str] = {
    "slash": "a/b", "slashes": "a//b", "leading slash": "/a/b", "trailing slash": "a/b/", "only a slash": "/", "dot": ".",
    "dots": "..", "dots inside": "a/../b", "dot inside": "a/./b", "question mark": "a?b", "query": "a?id=b&state=x",
    "fragment": "a#b", "percent": "a%b", "encoded slash": "a%2Fb", "encoded percent": "a%252Fb", "plus": "a+b", "space": "a b",
    "leading space": " a", "trailing space": "a ", "only a space": " ", "no-break space": "a\u00a0b", "single quote": "a'b",
    "double quote": 'a"b', "statement": "'; DROP TABLE promises;--", "backslash": "a\\b", "newline": "a\nb", "return": "a\r\nb",
    "tab": "a\tb", "NUL": "a\x00b", "only NUL": "\x00", "escape": "a\x1b[31mb", "emoji": "a😀b", "family": "👩‍👩‍👧",
    "composed": "\u00e9", "decomposed": "e\u0301", "sharp s": "ß", "two s": "ss", "capital": "A/B", "right to left": "שלום",
    "override": "a\u202eb", "zero width": "a\u200bb", "byte order mark": "\ufeffa", "line separator": "a\u2028b", "one": "a",
    "long": "x" * 4096, "long but one": "x" * 4095, "proto": "__proto__", "constructor": "constructor", "null": "null",
    "number": "1", "number with zero": "01", "star": "a*b", "only a star": "*", "wildcards": "a_b%[c]", "braces": "{{.id}}",
    "colons": "a:b:c", "task": "__invoke:a", "resume": "__resume:a:b", "script": "<script>alert(1)</script>",
    "json": '{"id": "a"}', "noncharacter": "a\uffffb", "empty": "",
}  # fmt: skip
"""Different ids, each under a name; equal to no other, however it is written, encoded or normalised on its way."""

NO_IDS: dict[str, str] = {
    "high surrogate": "a\ud800b", "low surrogate": "\udfff", "swapped pair": "\udc00\ud800", "too long": "x" * (ID_LIMIT + 1),
}  # fmt: skip
"""Text that can be no id."""
