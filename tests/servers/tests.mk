# The servers of docs/servers.md, started as it says.

.PHONY: test-served
test-served: $(BUILD)/python $(BUILD)/flameprof_plugin.so ## docs/servers.md: uWSGI's loops, gunicorn, waitress, Apache, Pyramid, ...
	BUILD=$(BUILD) UWSGI=$(UWSGI) $(PYTHON) -B tests/run.py tests/servers 2
