# Two commands do everything: `make demo` captions videos, `make test` runs the tests. Both set up .venv first.
PYTHON ?= python3
BIN ?= .venv/bin
# PyTorch's own index has the CPU build; PyPI's Linux build brings gigabytes of CUDA. Where that index cannot be
# reached, torch comes from wherever pip is set up to look.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PIP := $(BIN)/pip install -q --disable-pip-version-check -c constraints.txt

.PHONY: demo web test mutants check model torch clean

# make demo               captions a sample clip, made of free photographs
# make demo VIDEO=a.mp4   captions yours
demo: .venv/ready
ifdef VIDEO
	@$(BIN)/captioner caption "$(VIDEO)"
else
	@test -e work/sample.mp4 || $(BIN)/captioner sample work/sample.mp4 >&2
	@$(BIN)/captioner caption work/sample.mp4 --segments shots
endif

# make web                 serves the demo on this machine; make web ARGS="--checkpoint DIR --port 8000"
web: .venv/ready-web
	@$(BIN)/python app.py $(ARGS)

test: .venv/ready-dev
	$(BIN)/python -m pytest

# make mutants            changes one thing at a time in six rooms, and says what no test notices; make mutants ARGS="search"
mutants: .venv/ready-dev
	$(BIN)/python -m tests.mutants $(ARGS)

# what CI runs: format, lint, types, import contract, docs, tests
check: .venv/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest -m ray
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 $(BIN)/python -m pytest -m numeric
	ONEDNN_MAX_CPU_ISA=AVX512_CORE $(BIN)/python -m pytest -m numeric

# from the raw data to the checkpoint in the package: about eighty minutes of one core; DATA=../shared/data says where the data is
model: .venv/ready-dev
	BIN=$(BIN) recipes/default/make.sh

torch:
	@$(PIP) --retries 0 --index-url $(TORCH_INDEX) torch 2>/dev/null || $(PIP) torch

.venv/ready: pyproject.toml constraints.txt
	@echo "setting up .venv (a few minutes, once)" >&2
	@$(PYTHON) -m venv .venv
	@$(MAKE) -s torch
	@$(PIP) -e .
	@$(PIP) pillow  # before scikit-image: pip reports what that lacks as soon as a package that it needs arrives
	@$(PIP) --no-deps scikit-image  # its photographs alone, for the sample clip
	@touch $@

.venv/ready-web: .venv/ready
	@$(PIP) -e ".[web]"
	@touch $@

.venv/ready-dev: .venv/ready
	@$(PIP) -e ".[dev]"
	@touch $@

clean:
	rm -rf .venv build dist site *.egg-info
