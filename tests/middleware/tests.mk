# The request part as a C unit under sanitizers; the WSGI door in real Python.

REQUEST_TEST := $(BUILD)/tests/middleware/test_request
SANITIZE ?= -fsanitize=address,undefined -fno-sanitize-recover=undefined

$(REQUEST_TEST): tests/middleware/test_request.c \
		$(MIDDLEWARE_OBJS:$(MIDDLEWARE_OBJ)/%.o=middleware/%.c) \
		$(RENDERER_SOURCES:%=renderer/%.c) $(READER_SOURCES:%=renderer/%.c) $(RENDERER_OBJ)/pprof.pb-c.o | $(RENDERER_OBJ)/assets.h \
		$(MIDDLEWARE_OBJ)/badge_assets.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SANITIZE) -D_GNU_SOURCE -DFLAME_VERSION='"$(VERSION)"' -I. \
		-I$(RENDERER_OBJ) -I$(MIDDLEWARE_OBJ) -o $@ $^ -lcmocka $(RENDERER_LIBS) $(READER_LIBS)

.PHONY: test-request test-wsgi
test-request: $(REQUEST_TEST) ## what is asked, by whom: tables under sanitizers
	$(REQUEST_TEST)

test-wsgi: $(BUILD)/python ## the WSGI door: every response shape
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning \
		-m unittest -v tests/middleware/test_wsgi.py

.PHONY: test-code
test-code: $(BUILD)/python ## profiles of code: Profiler, profile(), the decorator
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_code.py

.PHONY: test-launcher
test-launcher: $(BUILD)/python ## the launcher: all threads of a process
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_launcher.py

.PHONY: test-servers
test-servers: $(BUILD)/python ## the middleware behind gunicorn and wsgiref
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -m unittest -v tests/middleware/test_servers.py

.PHONY: test-panel test-badge
test-panel: $(BUILD)/python ## pages with a badge: every response shape
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_panel.py
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B tests/middleware/test_shelf.py
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B tests/middleware/test_documents.py

test-badge: $(BUILD)/python ## the badge in a browser
	PYTHONPATH=$(abspath $(BUILD))/python $(PYTHON) -B tests/middleware/test_badge.py
