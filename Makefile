# make demo: the main job on the bundled sample.  make test: every check.  Each alone is enough.
# Variables: PYTHON (3.11 to 3.13), TORCH (what pip installs: a version, or the path of a wheel), PYTEST_ARGS.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
TORCH ?= torch==2.13.0
FAIRSEQ := fairseq-fixed==0.12.3.1
# What fairseq builds with, and recent enough for all that is installed after it
SETUPTOOLS := setuptools==80.10.2

# In the order of the files: in xdist's own (most tests first) a few long tests come last, on one core.
PYTEST_ARGS ?= --numprocesses auto --dist loadfile --no-loadscope-reorder
JUNIT := build/tests.xml
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
# Is there while packages are being installed: pip takes one that it was killed over for whole.
CUT_SHORT := $(VENV)/being-installed
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help demo test browser lint docs check tiers coverage bench dist smoke clean
help:
	@echo "make demo   prepare a bilingual sample, train VHM and MT-MS-CLS, generate, score (minutes)"
	@echo "make test   all tests"
	@echo "make lint   ruff and mypy"
	@echo "make docs   the documentation site, in build/docs"
	@echo "make tiers  times of the tests of the last make test, by folder"
	@echo "make coverage  branches of the plugin that the tests reach (half an hour)"
	@echo "make bench  a short run of the benchmarks"
	@echo "make dist   dist/: wheel and sdist"
	@echo "make smoke  the wheel in an empty environment: install, prepare, train, generate, score"
	@echo "make clean  remove .venv, demo/ and caches"

demo: $(STAMP)
	$(BIN)/python examples/demo/run.py demo

test: $(STAMP) browser
	$(BIN)/python -m pytest --junit-xml $(JUNIT) $(PYTEST_ARGS)

# The pages are tested in Chromium; without one, those tests are skipped and say so.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
		test "$$(id -u)" = 0 && apt-get update -qq && \
		apt-get install -y -qq --no-install-recommends chromium; } || \
		echo "no Chromium (apt-get install chromium): the tests in tests/browser will be skipped"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

# A warning (a link or a name that leads nowhere, a page that no other leads to) is an error.
docs: $(STAMP)
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/docs

check: lint docs test

# The times of the last make test, or of JUNIT.
tiers: $(STAMP)
	$(BIN)/python tests/tiers.py $(JUNIT)

# In every process that the tests start; the report is of branches.
coverage: $(STAMP)
	rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/python -m coverage run -m pytest $(PYTEST_ARGS)
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report

# The shortest of each: whether they run and what they print, not figures to quote (docs/performance.md).
bench: $(STAMP)
	$(BIN)/python benchmarks/startup.py --rounds 1
	$(BIN)/python benchmarks/train.py --size tiny --vocab 500 --pair mt_ms_cls:fairseq --rounds 1 --no-memory
	$(BIN)/python benchmarks/decode.py --size tiny --vocab 500 --pair mt_ms_cls:fairseq --rounds 1
	$(BIN)/python benchmarks/sampling.py --updates 100
	$(BIN)/python benchmarks/score.py --outputs 50

dist: $(STAMP)
	rm -rf dist build
	$(BIN)/python -m build --no-isolation --outdir dist .

SMOKE_PIP := build/smoke/bin/python -I -m pip --disable-pip-version-check
# What a user does: torch, fairseq built against it, then the wheel with all that it requires.
smoke: dist
	rm -rf build/smoke && $(PYTHON) -m venv build/smoke
	$(SMOKE_PIP) install "$(SETUPTOOLS)" wheel cython==3.3.1 \
		"numpy$$($(PYTHON) -c 'from runpy import run_path as r; \
		print(r("fairseq_vhm/supported.py")["NUMPY"])')" "$(TORCH)"
	$(SMOKE_PIP) install --no-build-isolation --no-deps $(FAIRSEQ)
	$(SMOKE_PIP) install dist/*.whl
	cd build/smoke && bin/python -I $(CURDIR)/tests/smoke.py

# torch first, then fairseq built against it (never in pip's isolated environment, which would fetch
# another torch), then all the rest at its pinned version.
$(STAMP): requirements.txt setup.py fairseq_vhm/supported.py Makefile
	@test -n "$(PYTHON)" || { echo "make: needs Python 3.11 to 3.13; install it, or give PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "make: $(PYTHON) has no venv module; apt-get install python3-venv" >&2; exit 1; }
	@command -v c++ >/dev/null || \
		{ echo "make: needs a C++ compiler to build fairseq; apt-get install g++ python3-dev" >&2; exit 1; }
	@test ! -e $(CUT_SHORT) || { echo "$(VENV): its set-up was cut short; making it anew"; rm -rf $(VENV); }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $(CUT_SHORT)
	$(PIP) install "pip>=24.1" "$(SETUPTOOLS)" wheel cython==3.3.1 "numpy$$($(PYTHON) -c \
		'from runpy import run_path as r; print(r("fairseq_vhm/supported.py")["NUMPY"])')"
	$(PIP) install "$(TORCH)"
	@echo "building fairseq: three to four minutes on two cores where there is no wheel for this Python"
	$(PIP) install --no-build-isolation --no-deps $(FAIRSEQ)
	$(PIP) install -r requirements.txt
	$(PIP) install --no-build-isolation --no-deps --editable .
	$(PIP) check
	mv $(CUT_SHORT) $@

clean:
	rm -rf $(VENV) demo build dist docs/api/*.rst *.egg-info .pytest_cache .ruff_cache
