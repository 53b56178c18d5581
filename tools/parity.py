"""Runs small programs under this SDK and under resonate-sdk 0.6.7, each in a process of its own, and compares what was seen.

    make parity                                 about three minutes
    make parity PARITY="--only calls --show"    some of them, with all their facts; the record is left alone

The programs are in tests/parity. What they did (result or error, promises, ids, states, tags, keys, stored text, deadlines) must agree,
except where a difference is declared beside the program, and a declared difference must be there exactly as declared. The record is
benchmarks/PARITY.md; the exit code is 1 when anything else was seen.

0.6.7 loses a race now and then and takes its process with it (D-3, D-12), so its side of a program may be run three times until it
shows what it usually shows. This side is run once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
RECORD = ROOT / "benchmarks" / "PARITY.md"
OTHER_SDKS = "## Other SDKs"
"""Begins the last section of the record, which `make interop` writes."""
PROCESS_LIMIT_S = 60
PEER_RUNS = 3
DEADLINE_TOLERANCE_MS = 1000
FOLLOWS_STATE = ("complete-key", "value", "value-exact")  # where the state differs, these do
PEER_NAME = "0.6.7"
WORDS = ("agrees", "differs as declared", "UNDECLARED")

Facts = dict[str, Any]


@dataclass
class Verdict:
    """What became of one program: which declared differences were seen, and what is wrong."""

    program: Facts
    agreed: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    peer_runs: int = 1

    @property
    def name(self) -> str:
        return str(self.program["name"])

    @property
    def word(self) -> str:
        return WORDS[2] if self.wrong else WORDS[1] if self.seen else WORDS[0]

    @property
    def outcome(self) -> str:
        return f"{self.word}: {'; '.join(self.seen)}" if self.seen else self.word


# ---- running ---------------------------------------------------------------------------------------------------------------------------


def start(python: str, argument: str, *, is_ours: bool) -> subprocess.CompletedProcess[str]:
    """Run the programs' own main in a fresh process. Only our side sees this project's packages."""
    environment = {key: text for key, text in os.environ.items() if not key.startswith(("PYTHON", "RESONATE"))}
    environment |= {"PYTHONHASHSEED": "0"} | ({"PYTHONPATH": str(ROOT)} if is_ours else {})  # sets have one order on both sides
    command = [python, "-m", "parity", argument]
    return subprocess.run(command, cwd=TESTS, env=environment, capture_output=True, text=True, timeout=PROCESS_LIMIT_S, check=False)


def facts_of(python: str, name: str, *, is_ours: bool) -> Facts:
    """The facts of one program, or how its process ended."""
    try:
        done = start(python, name, is_ours=is_ours)
    except subprocess.TimeoutExpired:
        return {"outcome": f"the process did not end within {PROCESS_LIMIT_S} s"}
    if done.returncode:
        return {"outcome": f"the process ended with code {done.returncode}", "stderr": done.stderr[-2000:]}
    facts: Facts = json.loads(done.stdout.splitlines()[-1])
    return facts


def judge(program: Facts, peer: str, show: bool) -> Verdict:
    """Run one program on both sides and compare."""
    name = program["name"]
    with ThreadPoolExecutor(2) as pool:
        sides = [pool.submit(facts_of, peer, name, is_ours=False), pool.submit(facts_of, sys.executable, name, is_ours=True)]
        theirs, ours = (side.result() for side in sides)
    verdict = compare(program, theirs, ours)
    for number in range(2, PEER_RUNS + 1):
        if not verdict.wrong:
            break
        theirs = facts_of(peer, name, is_ours=False)
        verdict = compare(program, theirs, ours)
        verdict.peer_runs = number
    if show:
        print(json.dumps({PEER_NAME: theirs, "here": ours}, indent=1, ensure_ascii=False))
    return verdict


# ---- comparing -------------------------------------------------------------------------------------------------------------------------


def compare(program: Facts, theirs: Facts, ours: Facts) -> Verdict:
    """Every fact is equal on both sides, or declared with what each side shows."""
    verdict = Verdict(program)
    differences = facts_that_differ(theirs, ours, verdict)
    for fact, (there, here) in differences.items():
        declared = program["differs"].get(fact)
        if declared is None:
            verdict.wrong.append(f"{fact}: {PEER_NAME} {_short(there)}, here {_short(here)}")
        elif not (is_as_declared(there, declared[0]) and is_as_declared(here, declared[1])):
            verdict.wrong.append(f"{fact}: declared {_short(declared[:2])}, seen {_short([there, here])}")
        else:
            verdict.seen[declared[2]] += 1
    for fact, foretold in program["expected"].items():
        if not is_as_declared(ours.get(fact), foretold):
            verdict.wrong.append(f"{fact}: its program says {_short(foretold)}, here {_short(ours.get(fact))}")
    for fact in program["differs"].keys() - differences.keys():
        verdict.wrong.append(f"{fact}: declared to differ, but it does not: {_short(ours.get(fact))}")
    return verdict


def facts_that_differ(theirs: Facts, ours: Facts, verdict: Verdict) -> dict[str, tuple[Any, Any]]:
    """By name, the facts that are not the same. A promise that is on one side only differs in its state alone."""
    if "order" not in theirs or "order" not in ours:  # one of the processes ended, and its promises with it
        theirs, ours = ({name: fact for name, fact in side.items() if name.startswith("outcome")} for side in (theirs, ours))
        if "outcome" in theirs and "outcome" not in ours:
            ours = {"outcome": {name.removeprefix("outcome "): fact for name, fact in ours.items()}}
    there, here = set(theirs.get("order", ())), set(ours.get("order", ()))
    theirs, ours = ({**side, "order": [each for each in side.get("order", ()) if each in there & here]} for side in (theirs, ours))
    found = {}
    for name in dict.fromkeys([*theirs, *ours]):
        promise_id, _, kind = name.rpartition(" ")
        if promise_id in there ^ here and kind != "state":
            continue
        if kind in FOLLOWS_STATE and theirs[f"{promise_id} state"] != ours[f"{promise_id} state"]:
            continue
        one, other = theirs.get(name), ours.get(name)
        is_left_out = kind.endswith("-exact") and other is None
        if is_same(name, one, other) or (is_left_out and is_no_more_exact(one, ours[name.removesuffix("-exact")])):
            verdict.agreed += 1
        else:
            found[name] = (one, other)
    return found


def is_same(name: str, one: Any, other: Any) -> bool:
    """1, 1.0 and True are three things; two clocks may differ by a little."""
    if name.endswith(" deadline") and isinstance(one, int) and isinstance(other, int):
        return abs(one - other) <= DEADLINE_TOLERANCE_MS
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def is_no_more_exact(header: Any, text: Any) -> bool:
    """Whether a header of 0.6.7 tells a reader nothing beyond the JSON text: then it is not written here.

    The arguments of an invocation are a tuple by convention, which no header must say.
    """
    if isinstance(header, dict) and "func" in header and isinstance(header.get("args"), dict):
        header = header | {"args": header["args"].get("py/tuple")}
    return json.dumps(header, sort_keys=True) == json.dumps(text, sort_keys=True)


def is_as_declared(seen: Any, declared: Any) -> bool:
    """A declared text that ends in … stands for all that begin so, … alone for anything."""
    if declared == "…":
        return True
    if isinstance(declared, str) and declared.endswith("…"):
        return isinstance(seen, str) and seen.startswith(declared[:-1])
    return json.dumps(seen, sort_keys=True) == json.dumps(declared, sort_keys=True)


def _short(thing: Any) -> str:
    return json.dumps(thing, ensure_ascii=False)


# ---- the record ------------------------------------------------------------------------------------------------------------------------


def record(verdicts: list[Verdict], seconds: float, arguments: list[str]) -> str:
    """The counts, the differences by reason, and one line for each program."""
    words = Counter(verdict.word for verdict in verdicts)
    reasons: Counter[str] = Counter()
    programs: dict[str, list[str]] = {}
    for verdict in verdicts:
        reasons += verdict.seen
        for reason in verdict.seen:
            programs.setdefault(reason, []).append(verdict.name)
    command = "make parity" + (f" PARITY={shlex.quote(shlex.join(arguments))}" if arguments else "")
    lines = [
        "# Parity with resonate-sdk 0.6.7", "",
        f"Made by `{command}` on {time.strftime('%Y-%m-%d')} with Python {platform.python_version()}, in {seconds:.0f} s. Do not edit.", "",
        "Small programs (`tests/parity`) run under resonate-sdk 0.6.7, as a black box, and under this package, and what was seen is",
        "compared fact by fact: the result or error, and of every promise its id, state, tags, keys, deadline, stored text and exact form.",
        "A known difference is declared beside its program, and must be there exactly as declared. The numbers D-1 to D-32 are explained",
        "in [Coming from resonate-sdk 0.6.7](../docs/from-0.6.7.md).", "",
        f"- {len(verdicts)} programs, {sum(verdict.agreed for verdict in verdicts)} facts that agree",
        f"- {words[WORDS[0]]} programs agree in everything",
        f"- {words[WORDS[1]]} differ exactly as declared, in {sum(reasons.values())} facts",
        f"- {words[WORDS[2]]} differ otherwise", "",
        "## Differences by reason", "",
        "| reason | facts | programs |", "|---|---|---|",
        *(f"| {reason} | {reasons[reason]} | {', '.join(programs[reason])} |" for reason in sorted(reasons, key=_place)), "",
        "## Programs", "",
        "| program | contract | law | facts that agree | outcome |", "|---|---|---|---|---|",
        *(f"| {each.name} | {each.program['section']} | {each.program['law']} | {each.agreed} | {each.outcome} |" for each in verdicts),
    ]  # fmt: skip
    for verdict in verdicts:
        if verdict.wrong:
            lines += ["", f"## Undeclared: {verdict.name}", "", *(f"- `{text}`" for text in verdict.wrong)]
    return "\n".join(lines) + "\n"


def _place(reason: str) -> tuple[int, str]:
    number = reason.removeprefix("D-")
    return (int(number), "") if number.isdigit() else (1000, reason)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peer", help="a Python that has resonate-sdk 0.6.7; without it an environment is made, the one of `make bench`")
    parser.add_argument("--only", default="", help="run only programs with this in their name, and leave the record alone")
    parser.add_argument("--show", action="store_true", help="print all facts")
    chosen = parser.parse_args(arguments)

    listed = start(sys.executable, "--list", is_ours=True)
    if listed.returncode:
        sys.exit(listed.stderr)
    programs = [program for program in json.loads(listed.stdout) if chosen.only in program["name"]]
    peer = chosen.peer or reference_python()
    began_s, verdicts = time.monotonic(), []
    for program in programs:
        verdict = judge(program, peer, chosen.show)
        verdicts.append(verdict)
        again = f" ({PEER_NAME} was run {verdict.peer_runs} times)" if verdict.peer_runs > 1 else ""
        print(f"{verdict.name:<50} {verdict.agreed:>4} facts agree   {verdict.outcome}{again}", flush=True)
        for text in verdict.wrong:
            print(f"    {text}")

    words = Counter(verdict.word for verdict in verdicts)
    print(f"{len(verdicts)} programs: " + ", ".join(f"{words[word]} {word}" for word in WORDS if words[word]))
    if chosen.only:
        print(f"{RECORD.name} is left as it was: this was a part of the programs.")
    else:
        _, mark, others = RECORD.read_text(encoding="utf-8").partition(OTHER_SDKS) if RECORD.exists() else ("", "", "")
        kept = f"\n{mark}{others}" if mark else ""
        RECORD.write_text(record(verdicts, time.monotonic() - began_s, arguments) + kept, encoding="utf-8")
        print(f"Written to {RECORD.relative_to(ROOT)}.")
    return 1 if words[WORDS[2]] else 0


def reference_python() -> str:
    """The interpreter of 0.6.7's own environment, as the benchmarks make it."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import run

    return run.reference_python()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
