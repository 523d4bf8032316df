# The renderer's tests: everything compiled once more, under ASan and UBSan.
# `make bless-renderer` writes the golden files anew.
RENDERER_TEST_OBJ := $(BUILD)/obj/tests/renderer
RENDERER_TESTS := test_writer test_tree test_formats
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

# libFuzzer comes with clang, and keeps what it finds in the folder it starts from.
FUZZ_SECONDS ?= 20

$(BUILD)/tests/renderer/fuzz_folded: tests/renderer/fuzz_folded.c \
    $(RENDERER_SOURCES:%=renderer/%.c) $(RENDERER_HEADERS) $(RENDERER_OBJ)/assets.h
	@mkdir -p $(@D)
	clang $(CFLAGS) $(RENDERER_FLAGS) -g -O1 -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -o $@ $(filter %.c,$^) -ldl -lm

.PHONY: fuzz
fuzz: $(BUILD)/tests/renderer/fuzz_folded ## random folded text through every format (FUZZ_SECONDS=600)
	mkdir -p $(BUILD)/fuzz
	$< -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -verbosity=0 -print_final_stats=1 $(BUILD)/fuzz

.PHONY: test-renderer test-renderer-c test-command bless-renderer
test-renderer: test-renderer-c test-command ## the tree and the formats, the command, the picture in a browser
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
		--config renderer/page/eslint.config.mjs $(<D)/page.js

test-command: $(BUILD)/flameprof
	FLAMEPROF=$(BUILD)/flameprof $(PYTHON) -B tests/renderer/test_command.py

test-renderer-c: $(RENDERER_TESTS:%=$(BUILD)/tests/renderer/%)
	set -e; for test in $^; do $$test; done

bless-renderer: $(RENDERER_TESTS:%=$(BUILD)/tests/renderer/%)
	set -e; for test in $^; do FLAME_BLESS=1 $$test; done
