# make demo and make test need nothing but Python >= 3.11: the first of them sets up everything in .venv.
PYTHON ?= python3
# Which PyTorch. With a GPU: make setup TORCH="torch==2.13.0 --index-url URL", the URL as PyTorch's install selector shows it.
TORCH ?= torch==2.13.0

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

.PHONY: setup demo test lint types docs docs-external wheel benchmarks pretrained clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: no $(PYTHON) found; install Python 3.11 or newer, or say PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1); say PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "error: $(PYTHON) cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "[1/3] virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "[2/3] $(TORCH) (the longest step, a few minutes)"
	@$(PIP) install $(TORCH)
	@echo "[3/3] AAM and the other dependencies, as pinned in constraints.txt (a minute or two)"
	@grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt  # the torch of step 2 stays, whichever it is
	@$(PIP) install --constraint $(VENV)/constraints.txt --editable '.[tree,explain,tune,dev]'
	@touch $@
	@echo "ready: $(BIN)/aam --help"

demo: $(READY)
	$(BIN)/aam demo --overwrite

test: $(READY)
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

# docs/benchmarks.md, from the real tables; goes on where it was broken off.
DATA ?= ../shared/data
benchmarks: $(READY)
	$(BIN)/aam benchmark --suite benchmarks/suite.yaml --data-dir $(DATA) --output-dir benchmarks/results/suite --resume
	cp benchmarks/results/suite/benchmark.md docs/benchmarks.md

# The encoder that comes with AAM, fitted anew to the corpus.
pretrained: $(READY)
	$(BIN)/python -m benchmarks.pretrained --data $(DATA)/corpus --output src/aam/shipped/aam-16s-v4

# The site, in docs/_build/html, without a server: index.html. Without running the tutorials: make docs SPHINXOPTS='-D nb_execution_mode=off'.
$(VENV)/docs: $(READY)
	@$(PIP) install --constraint $(VENV)/constraints.txt --editable '.[docs]'
	@touch $@

docs: $(VENV)/docs
	$(BIN)/python -m sphinx --builder html --jobs auto --fail-on-warning --keep-going --quiet $(SPHINXOPTS) docs docs/_build/html
	$(BIN)/python docs/extensions/links.py docs/_build/html

# Follows links to other servers, where this machine reaches them.
docs-external: $(VENV)/docs
	$(BIN)/python -m sphinx --builder linkcheck --quiet docs docs/_build/links

# The wheel, installed in a clean environment; container files, scripts and recipe.
wheel: $(READY)
	packaging/wheel.sh $(BIN)/python
	$(BIN)/python packaging/check.py

clean:
	rm -rf $(VENV) aam-demo docs/_build docs/api docs/commands docs/project build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info
