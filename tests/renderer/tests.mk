# The renderer's tests: everything compiled once more, under ASan and UBSan.
# `make bless-renderer` writes the golden files anew.
RENDERER_TEST_OBJ := $(BUILD)/obj/tests/renderer
RENDERER_TESTS := test_writer test_tree test_names test_formats test_read
RENDERER_SANITIZE := -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
RENDERER_TEST_OBJS := $(RENDERER_SOURCES:%=$(RENDERER_TEST_OBJ)/%.o) \
    $(READER_SOURCES:%=$(RENDERER_TEST_OBJ)/%.o) $(RENDERER_TEST_OBJ)/support.o

$(RENDERER_TEST_OBJ)/%.o: renderer/%.c $(RENDERER_HEADERS) $(RENDERER_OBJ)/assets.h \
    $(RENDERER_OBJ)/pprof.pb-c.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(RENDERER_FLAGS) $(RENDERER_SANITIZE) -c -o $@ $<

$(RENDERER_TEST_OBJ)/%.o: tests/renderer/%.c tests/renderer/support.h $(RENDERER_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(RENDERER_FLAGS) $(RENDERER_SANITIZE) -c -o $@ $<

$(RENDERER_TESTS:%=$(BUILD)/tests/renderer/%): $(BUILD)/tests/renderer/%: \
    $(RENDERER_TEST_OBJ)/%.o $(RENDERER_TEST_OBJS) $(RENDERER_OBJ)/pprof.pb-c.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(RENDERER_SANITIZE) -o $@ $^ -lcmocka $(READER_LIBS) $(RENDERER_LIBS)

# Preloaded by test_no_memory.py.
NO_MEMORY := $(BUILD)/tests/renderer/no_memory.so

$(NO_MEMORY): tests/renderer/no_memory.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -fvisibility=default -shared -o $@ $<

.PHONY: test-renderer test-renderer-c test-command test-peers bless-renderer
test-renderer: test-renderer-c test-command test-peers ## the tree and the formats, the command, the picture in a browser
	FLAMEPROF=$(BUILD)/flameprof $(PYTHON) -B tests/browser/test_svg.py
	FLAMEPROF=$(BUILD)/flameprof $(PYTHON) -B tests/browser/test_reach.py

# Both want npm and its registry; what they fetch stays in the build folder.
NPM_GET = npm install --prefix $(BUILD)/npm --no-save --no-audit --no-fund \
    --ignore-scripts --loglevel=error axe-core@4.14.1 eslint@9.39.5
AXE := $(BUILD)/npm/node_modules/axe-core/axe.min.js

.PHONY: test-axe lint-page
test-axe: $(BUILD)/flameprof ## axe-core's rules for those who cannot see or point, in every view (npm)
	-$(NPM_GET)
	FLAMEPROF=$(BUILD)/flameprof AXE=$(AXE) $(PYTHON) -B tests/browser/test_axe.py

lint-page: $(BUILD)/obj/renderer/assets.h ## eslint over the page's script (npm)
	$(NPM_GET)
	$(BUILD)/npm/node_modules/.bin/eslint --max-warnings 0 \
		--config renderer/picture/page/eslint.config.mjs $(<D)/page.js middleware/badge/badge.js

test-command: $(BUILD)/flameprof $(NO_MEMORY)
	FLAMEPROF=$(BUILD)/flameprof $(PYTHON) -B tests/renderer/test_command.py
	FLAMEPROF=$(BUILD)/flameprof NO_MEMORY=$(abspath $(NO_MEMORY)) \
		$(PYTHON) -B tests/renderer/test_no_memory.py

test-peers: $(BUILD)/flameprof ## the same frames as flamegraph.pl draws (FLAMEGRAPH_FOLDER=, INFERNO_FOLDER=)
	FLAMEPROF=$(BUILD)/flameprof $(PYTHON) -B tests/renderer/peers.py

test-renderer-c: $(RENDERER_TESTS:%=$(BUILD)/tests/renderer/%)
	set -e; for test in $^; do $$test; done

bless-renderer: $(RENDERER_TESTS:%=$(BUILD)/tests/renderer/%)
	set -e; for test in $^; do FLAME_BLESS=1 $$test; done
