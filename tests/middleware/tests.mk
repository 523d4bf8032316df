# The request part as a C unit under sanitizers; the WSGI door in real Python.

REQUEST_TESTS := $(patsubst %,$(BUILD)/tests/middleware/test_%,request access)
COMMON_TEST := $(BUILD)/tests/middleware/test_common
SANITIZE ?= -fsanitize=address,undefined -fno-sanitize-recover=undefined

$(REQUEST_TESTS) $(COMMON_TEST): $(BUILD)/tests/middleware/%: tests/middleware/%.c \
		$(MIDDLEWARE_OBJS:$(MIDDLEWARE_OBJ)/%.o=middleware/%.c) \
		$(RENDERER_SOURCES:%=renderer/%.c) $(READER_SOURCES:%=renderer/%.c) $(RENDERER_OBJ)/pprof.pb-c.o | $(RENDERER_OBJ)/assets.h \
		$(MIDDLEWARE_OBJ)/badge_assets.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SANITIZE) -D_GNU_SOURCE -DFLAME_VERSION='"$(VERSION)"' -I. \
		-I$(RENDERER_OBJ) -I$(MIDDLEWARE_OBJ) -o $@ $^ -lcmocka $(RENDERER_LIBS) $(READER_LIBS) $(MIDDLEWARE_LIBS)

# Those that need a few of the parts only.
ACCESS_TESTS := $(patsubst %,$(BUILD)/tests/middleware/test_%,proxies token)

$(ACCESS_TESTS): $(BUILD)/tests/middleware/test_%: tests/middleware/test_%.c middleware/%.c middleware/%.h \
		middleware/networks.c middleware/networks.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SANITIZE) -D_GNU_SOURCE -I. -o $@ $(filter %.c,$^) -lcmocka $(MIDDLEWARE_LIBS)

.PHONY: test-request test-common test-wsgi
test-request: $(REQUEST_TESTS) $(ACCESS_TESTS) ## what is asked, by whom: tables under sanitizers
	set -e; for test in $^; do $$test; done

test-common: $(COMMON_TEST) ## what processes share, some of them killed: under sanitizers
	$(COMMON_TEST)

test-wsgi: $(BUILD)/python ## the WSGI door: every response shape
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning \
		-m unittest -v tests/middleware/test_wsgi.py

.PHONY: test-sign
test-sign: $(BUILD)/python $(BUILD)/flameprof ## signed links, trusted proxies, the off file
	FLAMEPROF=$(abspath $(BUILD))/flameprof PYTHONPATH=$(BUILD)/python $(PYTHON) -B \
		-W error::ResourceWarning tests/middleware/test_sign.py
	FLAMEPROF=$(abspath $(BUILD))/flameprof PYTHONPATH=$(BUILD)/python $(PYTHON) -B \
		tests/middleware/test_signed_links.py

.PHONY: test-code
test-code: $(BUILD)/python ## profiles of code: Profiler, profile(), the decorator
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_code.py

.PHONY: test-launcher
test-launcher: $(BUILD)/python ## the launcher: all threads of a process
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_launcher.py

.PHONY: test-servers
test-servers: $(BUILD)/python ## the middleware behind gunicorn and wsgiref
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -m unittest -v tests/middleware/test_servers.py

.PHONY: test-limits
test-limits: $(BUILD)/python ## limits and numbers that several processes share
	PYTHONPATH=$(abspath $(BUILD))/python $(PYTHON) -B tests/middleware/test_limits.py

.PHONY: test-panel test-badge
test-panel: $(BUILD)/python ## pages with a badge: every response shape
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_panel.py
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B tests/middleware/test_shelf.py
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B tests/middleware/test_documents.py

test-badge: $(BUILD)/python ## the badge in a browser
	PYTHONPATH=$(abspath $(BUILD))/python $(PYTHON) -B tests/middleware/test_badge.py

.PHONY: test-names
test-names: $(BUILD)/python ## what pictures tell of files and functions
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_names.py

.PHONY: test-push
test-push: $(BUILD)/python ## profiles on their way to a server
	PYTHONPATH=$(abspath $(BUILD))/python $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_push.py
