# Two commands: `make run` and `make test`. Both need Python >= 3.11, make and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN_OUT ?= runs/day
PACKAGES := profiles controllers simulators scenarios analysis
SOURCES := pyproject.toml $(shell find $(PACKAGES) -name '*.py' -o -name '*.toml' -o -name py.typed \
	-o -name '*.js' -o -name '*.css')

.PHONY: run quick test checks test-slow soak lint types imports wheel pytest browser-test benchmark zoo docs gallery clean schema

# one day of co-simulation (minutes); results and their report stay in a new numbered folder
run: $(VENV)/.installed
	$(call run_scenario,day,$(RUN_OUT))

# the same with one feeder and one community: seconds
quick: $(VENV)/.installed
	$(call run_scenario,quick,runs/quick)

define run_scenario
@out=$(2); n=1; while [ -e $$out ]; do n=$$((n+1)); out=$(2)-$$n; done; \
$(BIN)/stackelgrid run $(1) --out $$out && \
echo "Look at it: open $$out/report.html in a browser, or run $(BIN)/stackelgrid view $$out"
endef

test: lint checks pytest

# side by side: each uses one core
checks: $(VENV)/.dev
	@$(MAKE) --no-print-directory -j 2 types imports wheel

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/check_wording.py
	$(BIN)/python tests/check_private_names.py

# types are checked on the installed package, from outside the checkout: the folders of the
# checkout are not importable by their bare names
types: $(VENV)/.dev
	cd $(VENV) && bin/mypy --config-file ../pyproject.toml --cache-dir .mypy_cache -p stackelgrid

imports: $(VENV)/.dev
	cd $(VENV) && bin/lint-imports --config ../pyproject.toml --no-cache

# the built wheel holds exactly the files that git tracks
wheel: $(VENV)/.dev
	$(BIN)/python tests/check_wheel.py

pytest: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=10

# reports and the page of `stackelgrid view` in a real browser; `make test` runs them, too, where
# there is one
browser-test: $(VENV)/.dev
	@for program in chromium chromedriver; do command -v $$program > /dev/null || { \
	echo "make browser-test needs $$program: apt-get install chromium chromium-driver" >&2; \
	exit 1; }; done
	$(BIN)/python -m pytest -m browser tests/browser

# checks that take a minute or more, and further cases of what `make test` checks
test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

# two hundred kills of runs of all kinds at random moments, each resumed and compared; an hour
soak: $(VENV)/.dev
	cd tests && ../$(BIN)/python -m support.soak --kills 200

# parts of the documentation that are declared elsewhere: columns, keys, quantities, equations
schema: $(VENV)/.dev
	$(BIN)/python docs/hooks/columns.py

benchmark: $(VENV)/.dev
	$(BIN)/python benchmarks/resolve.py
	$(BIN)/python benchmarks/misocp.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/feeders.py
	$(BIN)/python benchmarks/communication.py
	$(BIN)/python benchmarks/ldd_admm.py
	$(BIN)/python benchmarks/ensemble.py
	$(BIN)/python benchmarks/winter.py

# a short run and a sweep of exactness on the grids of benchmarks/zoo, compared with pandapower: ten
# to twenty minutes; writes docs/zoo.csv and the tables of docs/zoo.md
zoo: $(VENV)/.zoo
	$(BIN)/python benchmarks/zoo.py

$(VENV)/.zoo: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[zoo]'
	rm -rf build/bdist.* build/lib
	@touch $@

# the documentation site in build/site, with the executed gallery (minutes, unless nothing has
# changed since); a broken link or anchor, or a page that the navigation lacks, ends it
docs: $(VENV)/.docs gallery
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open build/site/index.html in a browser"

# the notebooks of docs/gallery that have changed, or all if the code has, executed into
# build/gallery: minutes; STACKELGRID_GALLERY=full for their full size
gallery: $(VENV)/.gallery
	$(BIN)/python docs/hooks/execute_gallery.py

$(VENV)/.gallery: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[gallery]'
	rm -rf build/bdist.* build/lib
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[docs]'
	rm -rf build/bdist.* build/lib
	@touch $@

# reinstalled whenever a source changes: what is tested is what a user installs
$(VENV)/.installed: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	rm -rf build/bdist.* build/lib
	$(BIN)/python -m pip install --quiet --disable-pip-version-check .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[dev]'
	rm -rf build/bdist.* build/lib
	@touch $@

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
