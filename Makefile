# Everything runs in .venv, which the first command makes. Needs Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo serve training test lint audit bench docs clean

# Base install: small, without torch. --no-deps packages hold only sample photos.
$(VENV)/.base: pyproject.toml constraints.txt
	@echo "Installing FaceGallery into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -e .
	@touch $@

$(VENV)/.demo: $(VENV)/.base
	@echo "Fetching packages that hold sample photos ..."
	@$(PIP) --no-deps --target $(VENV)/samples --upgrade insightface matplotlib scikit-image
	@touch $@

# Everything for development: torch, timm and the tools.
$(VENV)/.dev: $(VENV)/.demo
	@echo "Installing the training and development packages (several GB, for torch) ..."
	@$(PIP) -e ".[train,dev]"
	@touch $@

# What python -m training needs besides the base install.
$(VENV)/.training: $(VENV)/.base
	@echo "Installing the training packages (several GB, for torch) ..."
	@$(PIP) -e ".[train]"
	@touch $@

STARTED := $(shell date +%s.%N)

demo: $(VENV)/.demo
	@$(BIN)/python -m benchmarks.demo --started $(STARTED)

serve: $(VENV)/.base
	@$(BIN)/facegallery serve

training: $(VENV)/.training

# Half of the time tests wait, so there are more processes than cores.
test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses 3 --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive embedding index service \
		training benchmarks

# Asks a list of known flaws on the network for every pinned package. Where that cannot be asked the
# step fails and says so: nothing was found out then.
audit: $(VENV)/.dev
	@$(BIN)/pip-audit --strict --no-deps --disable-pip --progress-spinner off \
		--requirement constraints.txt || { echo "make audit: not clean. A table above names" \
		"packages with known flaws; 'could not be audited' or a failed connection says that" \
		"the list could not be asked here, and nothing is known." >&2; exit 1; }

# The peer of the comparison, in a folder of its own; dlib-bin is dlib as a wheel.
$(VENV)/.peers: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(VENV)/peers face_recognition==1.3.0 face_recognition_models==0.3.0 \
		dlib-bin "setuptools<80"
	@touch $@

bench: $(VENV)/.peers
	$(BIN)/python -m benchmarks.stages
	$(BIN)/python -m benchmarks.http
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python -m benchmarks.accuracy
	$(BIN)/python -m benchmarks.open_set
	$(BIN)/python -m benchmarks.holdout
	$(BIN)/python -m benchmarks.verification
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.store
	$(BIN)/python -m benchmarks.snapshot
	$(BIN)/python -m benchmarks.sealing
	$(BIN)/python -m benchmarks.audit
	$(BIN)/python -m benchmarks.events
	$(BIN)/python -m benchmarks.batch
	$(BIN)/python -m benchmarks.classifier
	$(BIN)/python -m benchmarks.training_step
	$(BIN)/python -m benchmarks.augment

docs: $(VENV)/.dev
	$(BIN)/python -m pytest tests/test_docs.py

clean:
	rm -rf $(VENV) build *.egg-info
