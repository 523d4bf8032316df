# docs/faults.md through both doors: uWSGI with the plugin, gunicorn with the Middleware.

FAULTS_OUT := $(BUILD)/tests/faults

# Preloaded into servers; and two that the application loads.
$(FAULTS_OUT)/%.so: tests/faults/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -fvisibility=default -D_GNU_SOURCE $(PY_CFLAGS) -shared -o $@ $< -ldl -lpthread

.PHONY: test-faults
test-faults: $(BUILD)/flameprof_plugin.so $(BUILD)/python $(FAULTS_OUT)/refuse.so \
		$(FAULTS_OUT)/no_python_memory.so $(FAULTS_OUT)/segv.so ## what may go wrong in a server: docs/faults.md
	BUILD=$(BUILD) UWSGI=$(UWSGI) PYTHONPATH=$(abspath $(BUILD))/python \
		$(PYTHON) -B tests/run.py tests/faults 3
