# The plugin in real uWSGI servers on 127.0.0.1.

.PHONY: test-plugin

test-plugin: $(BUILD)/flameprof_plugin.so
	BUILD=$(BUILD) UWSGI=$(UWSGI) $(PYTHON) -B tests/run.py tests/plugin 3
