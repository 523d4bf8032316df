# Benchmarks, each with its peers beside it; results are kept in bench/README.md.

.PHONY: bench
bench: all ## every benchmark, about half an hour; tables as in bench/README.md
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B bench/overhead.py
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B bench/accuracy.py
