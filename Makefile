# The verbs of this project. Each is a short script in tools/; `make help` lists them.
# PYTHON=/path/to/python chooses the interpreter, otherwise tools/find-python looks for one.
.PHONY: help demo lab test check lock package binder docs sim chaos parity interop bench bench-remote bench-parts clean
.DEFAULT_GOAL := help

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo:  ## run the first notebook here, in the terminal
	@tools/setup demo
	@.venv/bin/python tools/demo.py

lab:  ## open the notebooks in JupyterLab
	@tools/setup lab
	@tools/lab

test:  ## run every check and test that this machine can run
	@tools/setup test
	@.venv/bin/python tools/test.py $(TEST)

check:  ## lint and type-check only
	@tools/setup test
	@.venv/bin/python tools/test.py --only check

lock:  ## write the exact versions that setting up installs; LOCK=--upgrade for the newest that fit
	@tools/lock $(LOCK)

package:  ## build wheel and source distribution, and try them in new environments
	@tools/setup demo
	@.venv/bin/python tools/package.py $(PACKAGE)

binder:  ## try what binder/ says: the image, and the tutorials in its environment; BINDER=--badge prints its badge
	@tools/setup test
	@.venv/bin/python tools/binder.py $(BINDER)

sim:  ## run 2,000 simulated schedules of the core under disasters; SIM="--schedules 100000 --seed 5" for more
	@tools/setup test
	@.venv/bin/python -m tests.sim.sweep $(SIM)

chaos:  ## kill, freeze and starve real processes at one file; CHAOS="--soak --minutes 30" for a long soak
	@tools/setup test
	@.venv/bin/python -m tests.chaos.sweep $(CHAOS)

parity:  ## run small programs under resonate-sdk 0.6.7 and here, compare, and rewrite benchmarks/PARITY.md
	@tools/setup demo
	@.venv/bin/python tools/parity.py $(PARITY)

interop:  ## run workers of other SDKs beside ours, and rewrite a section of benchmarks/PARITY.md; INTEROP="--repeat 10" for more
	@tools/setup test
	@.venv/bin/python tools/interop.py $(INTEROP)

bench:  ## measure beside bare floors, resonate-sdk 0.6.7 and DBOS, and rewrite benchmarks/RESULTS.md
	@tools/setup demo
	@.venv/bin/python benchmarks/run.py $(BENCH)

bench-remote:  ## the same as clients of a server, beside bare requests, 0.6.7 and resonate-sdk 0.8.1, and rewrite benchmarks/REMOTE.md
	@tools/setup lab
	@.venv/bin/python benchmarks/remote.py $(BENCH)

bench-parts:  ## measure where the time of a step and of an import goes, and rewrite that section of benchmarks/RESULTS.md
	@tools/setup demo
	@.venv/bin/python benchmarks/parts.py $(BENCH)

docs:  ## build the documentation into build/site, with its links and examples looked at
	@tools/setup docs .venv-docs
	@.venv-docs/bin/python tools/docs.py

clean:  ## remove everything that make has made
	@rm -rf .venv .venv-* build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
