.DEFAULT_GOAL := help
.PHONY: help demo demo-down quick test test-all test-machines test-vm vagrant-test check sim sim-night fuzz proto bench dist clean

# Which tests: unit, sim, cluster, machines, vm (make test ONLY=unit); which figure (make bench ONLY=create_100).
ONLY ?=
PYTHON := .venv/bin/python
# Bytecode is kept, whatever the environment says: tests start many processes, and pytest rewrites each file of tests.
export PYTHONDONTWRITEBYTECODE :=

help: ## what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

demo: setup-host ## a swarm of seven hosts on this machine, a worker lost and healed, the leader lost
	@$(PYTHON) examples/demo.py up

demo-down: ## removes every trace of the demo
	@$(PYTHON) examples/demo.py down

quick: setup ## unit tests that need neither root nor containers nor groups of managers, under 90 s
	@$(PYTHON) -m pytest -q -n 2 --dist loadfile -m 'not root and not cluster and not managers' tests/unit

test: setup-host ## every test; ends with a table of the cluster scenarios
	@.ci/test $(ONLY)

test-all: setup-machines ## every test, and bare hosts beside those that need no lab: what continuous integration runs
	@.ci/test all

test-machines: setup-machines ## bare hosts with systemd, installed over SSH; ends with a table (SUITE=trixie: Debian 13)
	@.ci/test machines

test-vm: setup-vm ## three virtual machines emulated by qemu, installed over SSH; takes long
	@.ci/test vm

vagrant-test: setup-vagrant ## vagrant up with libvirt and an emulated processor, in namespaces; takes long
	@.ci/test vagrant

check: setup ## lint, types, layers, generated code (make check quick: the same, and unit tests)
	@.ci/check

sim: setup ## one simulated run of a group of managers (SEED= STEPS= NODES= FAULTS= MUTANT=, LIST=1 lists them)
	@$(PYTHON) -m tests.sim.raft

sim-night: setup ## simulated runs of fresh seeds, of all kinds, until one fails (HOURS=8)
	@$(PYTHON) -m tests.sim.night

fuzz: setup ## bytes of others, guided by coverage: question, answer, dump, connections, plugin, csi, rules, host (TARGET= MINUTES=5)
	@$(PYTHON) -m pip --disable-pip-version-check -q install -e '.[fuzz]'
	@TARGET=$(TARGET) MINUTES=$(MINUTES) $(PYTHON) -m tests.fuzz

proto: setup ## generates the Python code of the .proto files
	@.ci/proto

bench: setup-host ## measures the figures of docs/reference/figures.md (ONLY=create_100 for one)
	@$(PYTHON) -m benchmarks $(ONLY)

dist: setup ## our wheel, and the bundle of libraries for hosts that do not reach PyPI, into dist/
	@$(PYTHON) -m machine.distribution dist

clean: ## removes the virtual environment and caches
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.PHONY: setup setup-host setup-machines setup-vm setup-vagrant
setup:
	@.ci/setup
setup-host:
	@.ci/setup host
setup-machines:
	@.ci/setup machines
setup-vm:
	@.ci/setup vm
setup-vagrant:
	@.ci/setup vagrant
