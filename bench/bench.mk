# Benchmarks, each with its peers beside it; results are kept in bench/README.md.
# BENCH= chooses among them. A missed target is said, and the next one runs all
# the same.

BENCH ?= instructions refusals slow_capture panels answer overhead accuracy disturbance load render page

# From renderer/, without what reads.
$(BUILD)/bench/drawing: bench/drawing.c $(RENDERER_OBJS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(RENDERER_LIBS)

.PHONY: bench
bench: all $(BUILD)/bench/drawing ## every benchmark, three hours on an idle machine (BENCH=instructions: one)
	@missed=; for bench in $(BENCH); do \
		echo "== bench/$$bench.py"; \
		BUILD=$(BUILD) UWSGI=$(UWSGI) PYTHONPATH=$(BUILD)/python \
			$(PYTHON) -B bench/$$bench.py || missed="$$missed $$bench"; \
	done; \
	test -z "$$missed" || { echo "missed:$$missed"; exit 1; }
