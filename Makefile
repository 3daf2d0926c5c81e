# Two commands are enough: `make run` serves the example, `make test` runs every test. Both do all set-up themselves.
# PYTHON=/path/to/python3.X picks the interpreter to build for; PORT is where `make run` listens, ROUNDS how often `make e2e-busy`
# runs its tests.

PYTHON ?= python3
PORT ?= 8000
ROUNDS ?= 20
export PYTHON PORT ROUNDS

.PHONY: help run test check e2e e2e-busy fuzz model faults bench layers instructions format clean

help:
	@echo 'make run      build Funicorn and serve examples/flask_app.py on port $(PORT)'
	@echo 'make test     run every test: format, lints, docs, Rust tests, packages, end to end'
	@echo 'make check    the same without the end-to-end tests'
	@echo 'make e2e      the end-to-end tests alone; ARGS="-k keep_alive" is handed to pytest'
	@echo 'make e2e-busy the same $(ROUNDS) times in a row while builds keep every processor busy'
	@echo 'make fuzz     try a million inputs on each fuzz target, or run long property tests where there is no nightly toolchain'
	@echo 'make model    try 10,000 schedules of the threads of a worker in each of several scenarios'
	@echo 'make faults   hold thousands of idle, slow and vanishing clients and write the figures into docs/security.md'
	@echo 'make bench    compare with other servers, write docs/performance.md (45 minutes; ARGS="--workloads hello" for a part)'
	@echo 'make layers   measure each layer alone'
	@echo 'make instructions  count the instructions of a request and compare them with those on record'
	@echo 'make format   format the Rust sources'
	@echo 'make clean    remove everything that was built'

run:
	@scripts/run

test:
	@scripts/test check e2e

check:
	@scripts/test check

e2e:
	@scripts/test e2e

e2e-busy:
	@scripts/busy

fuzz:
	@scripts/fuzz

model:
	@scripts/model

faults:
	@scripts/faults

bench:
	@scripts/bench peers

layers instructions:
	@scripts/bench $@

format:
	@cargo fmt --all

clean:
	@cargo clean
