# The plugin in real uWSGI servers on 127.0.0.1.

.PHONY: test-plugin

test-plugin: $(BUILD)/flameprof_plugin.so
	BUILD=$(BUILD) UWSGI=$(UWSGI) $(PYTHON) -B tests/run.py tests/plugin 4

SOAK_MINUTES ?= 60
.PHONY: soak-server
soak-server: $(BUILD)/flameprof_plugin.so ## an hour of uWSGI with reloads: what grows? (SOAK_MINUTES=60)
	BUILD=$(BUILD) UWSGI=$(UWSGI) $(PYTHON) -B tests/plugin/soak.py --minutes $(SOAK_MINUTES)
