# The pytest plugin, in runs of real pytest.

.PHONY: test-pytest
test-pytest: $(BUILD)/python ## pytest --flameprof: its graphs, marker and fixture, with xdist and unittest
	PYTHONPATH=$(BUILD)/python BUILD=$(BUILD) $(PYTHON) -B tests/run.py tests/pytest 2
