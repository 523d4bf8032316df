# The request part as a C unit under sanitizers; the WSGI door in real Python.

REQUEST_TESTS := $(patsubst %,$(BUILD)/tests/middleware/test_%,request access)
ARCHIVE_TEST := $(BUILD)/tests/middleware/test_archive
COMMON_TEST := $(BUILD)/tests/middleware/test_common
SANITIZE ?= -fsanitize=address,undefined -fno-sanitize-recover=undefined

# Everything without Python in it, compiled once more for all of them.
MIDDLEWARE_TEST_OBJ := $(BUILD)/obj/tests/middleware
MIDDLEWARE_TEST_OBJS := $(MIDDLEWARE_OBJS:$(MIDDLEWARE_OBJ)/%=$(MIDDLEWARE_TEST_OBJ)/%) \
	$(filter-out %/support.o,$(RENDERER_TEST_OBJS)) $(RENDERER_OBJ)/pprof.pb-c.o

$(MIDDLEWARE_TEST_OBJ)/%.o: middleware/%.c $(wildcard middleware/*.h middleware/*/*.h) renderer/renderer.h sampler/profile.h \
		| $(RENDERER_OBJ)/assets.h $(MIDDLEWARE_OBJ)/badge_assets.h $(MIDDLEWARE_OBJ)/listing_assets.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SANITIZE) -D_GNU_SOURCE -DFLAME_VERSION='"$(VERSION)"' -I. \
		-I$(RENDERER_OBJ) -I$(MIDDLEWARE_OBJ) -c -o $@ $<

$(REQUEST_TESTS) $(COMMON_TEST) $(ARCHIVE_TEST): $(BUILD)/tests/middleware/%: tests/middleware/%.c \
		$(MIDDLEWARE_TEST_OBJS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SANITIZE) -D_GNU_SOURCE -I. -o $@ $^ -lcmocka $(RENDERER_LIBS) $(READER_LIBS) $(MIDDLEWARE_LIBS)

# Those that need a few of the parts only.
ACCESS_TESTS := $(patsubst %,$(BUILD)/tests/middleware/test_%,proxies token)

$(ACCESS_TESTS): $(BUILD)/tests/middleware/test_%: tests/middleware/test_%.c middleware/access/%.c middleware/access/%.h \
		middleware/access/networks.c middleware/access/networks.h middleware/access/private.c middleware/access/private.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SANITIZE) -D_GNU_SOURCE -I. -o $@ $(filter %.c,$^) -lcmocka $(MIDDLEWARE_LIBS)

.PHONY: test-request test-common test-wsgi
test-request: $(REQUEST_TESTS) $(ACCESS_TESTS) ## what is asked, by whom: tables under sanitizers
	set -e; for test in $^; do $$test; done

test-common: $(COMMON_TEST) ## what processes share, some of them killed: under sanitizers
	$(COMMON_TEST)

.PHONY: test-archive
test-archive: $(ARCHIVE_TEST) $(BUILD)/python $(BUILD)/flameprof ## profiles that are kept: full disks, kill -9, both doors
	$(ARCHIVE_TEST)
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_archive.py

test-wsgi: $(BUILD)/python ## the WSGI door: every response shape
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning \
		-m unittest -v tests/middleware/test_wsgi.py

.PHONY: test-sign
test-sign: $(BUILD)/python $(BUILD)/flameprof ## signed links, trusted proxies, the off file
	FLAMEPROF=$(abspath $(BUILD))/flameprof PYTHONPATH=$(BUILD)/python $(PYTHON) -B \
		-W error::ResourceWarning tests/middleware/test_sign.py
	FLAMEPROF=$(abspath $(BUILD))/flameprof PYTHONPATH=$(BUILD)/python $(PYTHON) -B \
		tests/middleware/test_signed_links.py

.PHONY: test-slow
test-slow: $(BUILD)/python $(BUILD)/flameprof ## slow and failed requests, kept unasked
	PYTHONPATH=$(BUILD)/python BUILD=$(BUILD) $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_slow.py

.PHONY: test-code
test-code: $(BUILD)/python ## profiles of code: Profiler, profile(), the decorator
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_code.py

.PHONY: test-launcher
test-launcher: $(BUILD)/python ## the launcher: all threads of a process
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_launcher.py

.PHONY: test-run
test-run: $(BUILD)/python $(BUILD)/flameprof ## flameprof run: the script as without us, and its picture
	set -e; for test in run run_picture run_doc; do \
		FLAMEPROF=$(abspath $(BUILD))/flameprof PYTHONPATH=$(abspath $(BUILD))/python $(PYTHON) -B \
		-W error::ResourceWarning tests/middleware/test_$$test.py; done

.PHONY: test-terminal
test-terminal: $(BUILD)/python $(BUILD)/flameprof ## flameprof run on a terminal; what shells offer after `flameprof`
	set -e; for test in run_terminal completion; do \
		FLAMEPROF=$(abspath $(BUILD))/flameprof PYTHONPATH=$(abspath $(BUILD))/python $(PYTHON) -B \
		-W error::ResourceWarning tests/middleware/test_$$test.py; done

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

test-badge: $(BUILD)/python ## the badge, and the list of what is kept, in a browser
	PYTHONPATH=$(abspath $(BUILD))/python $(PYTHON) -B tests/middleware/test_badge.py
	PYTHONPATH=$(abspath $(BUILD))/python $(PYTHON) -B tests/middleware/test_listing.py

.PHONY: test-names
test-names: $(BUILD)/python ## what pictures tell of files and functions
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_names.py

PUSH_TEST := $(BUILD)/tests/middleware/test_push_label

$(PUSH_TEST): tests/middleware/test_push_label.c middleware/push/push_label.c middleware/push/push_parts.h middleware/push/push.h \
		middleware/access/private.c middleware/access/private.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SANITIZE) -D_GNU_SOURCE -I. -o $@ $(filter %.c,$^) renderer/writer.c -lcmocka

# Preloaded into a process that pushes.
$(BUILD)/tests/middleware/slow_once.so: tests/middleware/slow_once.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -fvisibility=default -D_GNU_SOURCE -shared -o $@ $< -ldl

.PHONY: test-push
test-push: $(PUSH_TEST) $(BUILD)/python $(BUILD)/tests/middleware/slow_once.so ## profiles on their way to a server
	$(PUSH_TEST)
	SLOW_ONCE=$(abspath $(BUILD))/tests/middleware/slow_once.so \
	PYTHONPATH=$(abspath $(BUILD))/python $(PYTHON) -B -W error::ResourceWarning tests/middleware/test_push.py
