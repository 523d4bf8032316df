# The IPython extension: a kernel, a terminal, notebooks in a browser.

.PHONY: test-ipython
test-ipython: $(BUILD)/python ## %flameprof and %%flameprof: in a kernel, a terminal, and a notebook in Chromium
	PYTHONPATH=$(BUILD)/python BUILD=$(BUILD) $(PYTHON) -B tests/run.py tests/ipython 2
