# Short names for the scripts; `make help` lists them.
PYTHON := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup unit test check format screens demo up bench chaos clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

setup:  ## make .venv with everything that tests need
	./scripts/test --help > /dev/null

unit: setup  ## all unit tests, without servers
	$(PYTHON) -m pytest -q tests/unit

test:  ## lint, types, layers, audit and all tests, on private servers
	./scripts/test

check: setup  ## lint, types and layers
	./scripts/test lint types layers

format: setup  ## format the code and mend what ruff can mend
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

screens: setup  ## the pictures in README, taken by the browser tests
	rm -rf .screens && mkdir .screens
	PICTURES=.screens $(PYTHON) -m pytest -q tests/browser/test_accessibility.py -k 'tracker or board'
	cp .screens/track-road-phone-light.png docs/images/tracker.png
	cp .screens/kitchen-desk-light.png docs/images/kitchen.png
	rm -r .screens

demo:  ## the restaurant with a lunch rush of 12 orders
	./scripts/demo

up:  ## the restaurant in the foreground
	./scripts/up

bench:  ## throughput and latency
	./scripts/bench

chaos:  ## fault injection over the whole restaurant
	./scripts/chaos

clean:  ## remove the data of the demo
	./scripts/demo --clean
