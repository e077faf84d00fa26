# `make help` lists the targets. Everything runs from .venv and node_modules, which `make setup` makes.
.DEFAULT_GOAL := help
.PHONY: help setup run test check bench paths faults api-load api-test fmt lock settings-apply
PY := .venv/bin/python

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv and node_modules (the other targets do it by themselves)
	@sh lab/setup.sh

run: setup ## bring up the whole desk on this machine and run it once through; ONCE=1 ends then, FRESH=1 begins anew, HOST=func, PORT=…
	@$(PY) -m lab $(if $(ONCE),--once) $(if $(FRESH),--fresh) $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT))

test: setup ## the tests; TEST=path or -k expression narrows them
	@$(PY) -m pytest -n 2 $(TEST)

check: setup ## lint, format, types (mypy and pyright), import contracts, locks, the long fuzz, storms of faults, a trial of the bench
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	node_modules/.bin/pyright
	.venv/bin/lint-imports
	$(PY) -m lab.locks --check
	$(PY) -m infra.check
	$(PY) -m tests.tickets.fuzz --tries 10000
	$(PY) -m bench --quick
	$(PY) -m lab.faults storms

fmt: setup ## format the code and fix what lint can fix
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

lock: setup ## write uv.lock and both requirements files anew from pyproject.toml
	$(PY) -m lab.locks

bench: setup ## figures against a floor measured in the same run, into docs/performance.md: some 40 minutes; QUICK=1 tries it out, ONLY=rules,lists
	@$(PY) -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

paths: setup ## files entered, and moves between them, for one event, one unchanged and one changed instance, one document
	@$(PY) -m bench.paths

faults: setup ## seeded faults on every flow; N=… schedules (2000) from SEED=… (1) on; a failing seed is printed and replays exactly
	@$(PY) -m lab.faults run --count $(or $(N),2000) --seed $(or $(SEED),1)

api-load: setup ## many clients at once on every operation of the API of a lab, then all that was acknowledged is looked for: CLIENTS=50 SECONDS=60
	@$(PY) -m lab.api_load --clients $(or $(CLIENTS),50) --seconds $(or $(SECONDS),60)

api-test: setup ## made-up requests (schemathesis) on every operation of the API of a lab: EXAMPLES=100 each, or SECONDS=… in all
	@$(PY) -m lab.api_tester --examples $(or $(EXAMPLES),100) $(if $(SECONDS),--seconds $(SECONDS))

settings-apply: setup ## apply a folder of YAML documents: DIR=… URL=… (key in DESKBRIDGE_KEY) [DRY_RUN=1]
	@$(PY) -m lab.settings_apply --dir "$(DIR)" --url "$(URL)" $(if $(DRY_RUN),--dry-run)
