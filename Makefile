# Every target calls tools/dev.py, which needs nothing but a Python; PORT, HOST, ARGS and WHEELS are handed on.
.DEFAULT_GOAL := help
.PHONY: help run test soak bench check test-clients clean

help:
	@echo 'make run            install into .venv and serve on http://127.0.0.1:7860 (PORT=, HOST=, ARGS=)'
	@echo 'make test           install the test tools and run the tests (ARGS="-k name")'
	@echo 'make soak           the long tests, and new examples for the property tests'
	@echo 'make check          style, format and types'
	@echo 'make bench          measure the gateway beside nginx'
	@echo 'make test-clients   the tests with other clients, which need Node'
	@echo 'make clean          remove .venv, caches and builds'
	@echo 'WHEELS=folder installs from a folder of wheels, without a package index.'

# The first Python that runs at all is enough: tools/dev.py goes on in a newer one that it finds.
run test soak bench check test-clients:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python "$$(uv python find 2>/dev/null)"; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1; then exec "$$python" tools/dev.py $@; fi; \
	done; \
	echo 'Tidegate needs Python 3.11 or newer and found none: type one of `sudo apt install python3 python3-venv`,' \
	  '`sudo dnf install python3.12`, `brew install python@3.13` or `uv python install 3.13`, then try again.' >&2; exit 1

clean:
	rm -rf .venv tests/clients/.venv tests/clients/node_modules build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f src/tidegate/streams/_relay.*.so
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
