# `make help` lists the targets. Everything runs from .venv and node_modules, which each target sets up by itself.
.DEFAULT_GOAL := help
.PHONY: pictures attack sbom help setup setup-lab setup-test doctor run test check bench scale paths faults api-load api-test fmt lock settings-apply
PY := .venv/bin/python
list = awk -F ':.*$(1) ' '/^[a-z-]+:.*$(1) / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

help: ## this list
	@echo "To use the desk:"
	@$(call list,\#\#)
	@echo "  ./lab/do              things to do while it runs: expire a secret, stop an instance, make AWS fail"
	@echo "To work on it:"
	@$(call list,\#-)

setup-lab:
	@sh lab/setup.sh lab

setup-test:
	@sh lab/setup.sh test

run: setup-lab ## bring the whole desk up on this machine; ONCE=1 ends then, FRESH=1 begins anew, PORT=…, HOST=func
	@$(PY) -m lab $(if $(ONCE),--once) $(if $(FRESH),--fresh) $(if $(HOST),--host "$(HOST)") $(if $(PORT),--port "$(PORT)")

doctor: ## say what this machine lacks for `make run` and for `func start`, and what to do
	@sh lab/doctor.sh

settings-apply: setup-lab ## apply a folder of documents: DIR=… URL=… (token in DESKBRIDGE_TOKEN) [DRY_RUN=1]
	@$(PY) -m lab.settings_apply --dir "$(DIR)" --url "$(URL)" $(if $(DRY_RUN),--dry-run)

test: setup-test ## run the tests; TEST=path or -k expression narrows them
	@$(PY) -m pytest -n 2 $(TEST)

setup: #- install everything, also the tools for `make check`
	@sh lab/setup.sh check

check: setup #- lint, format, types (mypy, pyright, tsc), import contracts, locks, the long fuzz, storms of faults, a trial of the bench
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	node_modules/.bin/pyright
	node_modules/.bin/tsc -p functions/console
	.venv/bin/lint-imports
	$(PY) -m lab.locks --check
	$(PY) -m infra.check
	$(PY) -m tests.tickets.fuzz --tries 10000
	$(PY) -m bench --quick
	$(PY) -m lab.faults storms

fmt: setup-test #- format the code and fix what lint can fix
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

lock: setup-test #- write uv.lock and the requirements files anew from pyproject.toml
	$(PY) -m lab.locks

sbom: setup-test #- write sbom.cdx.json: what is deployed, with licences and hashes (CycloneDX 1.6)
	@$(PY) -m lab.sbom

faults: setup-test #- seeded faults on every flow; N=… schedules (2000) from SEED=… (1) on; a failing seed replays exactly
	@$(PY) -m lab.faults run --count $(or $(N),2000) --seed $(or $(SEED),1)

pictures: setup-test #- the console's main screens as pictures, into docs/images
	@$(PY) -m lab.pictures

attack: setup-test #- attacks on a desk of the lab, each with what the desk answered; ONLY=text
	@$(PY) -m lab.attack $(if $(ONLY),--only "$(ONLY)")

api-load: setup-test #- many clients on every operation of the API, then all that was acknowledged is looked for: CLIENTS=50 SECONDS=60
	@$(PY) -m lab.api_load --clients $(or $(CLIENTS),50) --seconds $(or $(SECONDS),60)

api-test: setup-test #- made-up requests (schemathesis) on every operation of the API: EXAMPLES=100 each, or SECONDS=… in all
	@$(PY) -m lab.api_tester --examples $(or $(EXAMPLES),100) $(if $(SECONDS),--seconds $(SECONDS))

bench: setup-test #- figures against a floor measured in the same run, into docs/performance.md: some 40 minutes; QUICK=1, ONLY=rules,lists
	@$(PY) -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

scale: setup-test #- imports and sweeps of a large fleet by a virtual clock, into docs/performance.md: PARTS=… INSTANCES=… VAULTS=… SAMPLE=…
	@$(PY) -m bench.scale --page docs/performance.md $(if $(PARTS),--parts $(PARTS)) $(if $(INSTANCES),--instances $(INSTANCES)) $(if $(VAULTS),--vaults $(VAULTS)) $(if $(SAMPLE),--sample $(SAMPLE))

paths: setup-test #- files entered, and moves between them, for one event, one unchanged and one changed instance, one document
	@$(PY) -m bench.paths
