# Every format, opened by what it is for: `go tool pprof`, and from npm speedscope, the
# Firefox Profiler and a schema validator, which are kept in $(BUILD)/consumers.
# FLAMEGRAPH_FOLDER= names a folder with flamegraph.pl. ./packages.sh consumers installs the rest.

.PHONY: test-consumers
test-consumers: $(BUILD)/flameprof $(BUILD)/python ## each format opened by what reads it (fetches from npm)
	FLAMEPROF=$(BUILD)/flameprof CACHE=$(BUILD)/consumers PYTHONPATH=$(BUILD)/python \
		FLAMEGRAPH_FOLDER=$(FLAMEGRAPH_FOLDER) $(PYTHON) -B tests/run.py tests/consumers
