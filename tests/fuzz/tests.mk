# libFuzzer, which comes with clang: a target for each surface that reads bytes from
# outside, its corpus in tests/fuzz/corpus. A target is a line of FUZZ_TARGETS and a file
# of that name; what it needs beside the renderer and the reader stands in FUZZ_NEEDS_*.

FUZZ_TARGETS := query folded json pprof names stored forwarded token
FUZZ_SECONDS ?= 60
# In all, shared among the targets; set, there is no limit of time.
FUZZ_RUNS ?=
FUZZ_OBJ := $(BUILD)/obj/fuzz
FUZZ_FLAGS := -g -O1 -fno-sanitize-recover=all -D_GNU_SOURCE -DFLAME_VERSION='"$(VERSION)"' \
	-I$(RENDERER_OBJ) -I$(MIDDLEWARE_OBJ)

FUZZ_BOTH := $(RENDERER_SOURCES:%=renderer/%.o) $(READER_SOURCES:%=renderer/%.o)
FUZZ_DOOR := $(MIDDLEWARE_OBJS:$(MIDDLEWARE_OBJ)/%=middleware/%)
FUZZ_NEEDS_query := $(FUZZ_DOOR)
FUZZ_NEEDS_stored := $(FUZZ_DOOR)
FUZZ_NEEDS_forwarded := middleware/access/proxies.o middleware/access/networks.o
FUZZ_NEEDS_token := middleware/access/token.o middleware/access/private.o
FUZZ_NEEDS_folded := tests/fuzz/document.o
FUZZ_NEEDS_json := tests/fuzz/document.o
FUZZ_NEEDS_pprof := tests/fuzz/document.o
FUZZ_NEEDS_names := tests/fuzz/document.o

$(FUZZ_OBJ)/%.o: %.c | $(RENDERER_OBJ)/assets.h $(RENDERER_OBJ)/pprof.pb-c.h \
		$(MIDDLEWARE_OBJ)/badge_assets.h $(MIDDLEWARE_OBJ)/listing_assets.h
	@mkdir -p $(@D)
	clang $(CFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<

FUZZ_PROGRAMS := $(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/%)
.SECONDEXPANSION:
$(FUZZ_PROGRAMS): $(BUILD)/tests/fuzz/%: $(FUZZ_OBJ)/tests/fuzz/%.o \
		$$(addprefix $(FUZZ_OBJ)/,$$(FUZZ_BOTH) $$(FUZZ_NEEDS_$$*)) $(RENDERER_OBJ)/pprof.pb-c.o
	@mkdir -p $(@D)
	clang $(CFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ -lexpat -lpthread \
		$(READER_LIBS) $(RENDERER_LIBS) $(MIDDLEWARE_LIBS)

.PHONY: fuzz fuzz-merge
fuzz: $(FUZZ_PROGRAMS) ## random input into everything that reads (FUZZ_SECONDS=60 or FUZZ_RUNS=10000000, in all)
	$(PYTHON) -B tests/fuzz/run.py $(if $(FUZZ_RUNS),--runs $(FUZZ_RUNS),--seconds $(FUZZ_SECONDS)) $(FUZZ_PROGRAMS)

fuzz-merge: $(FUZZ_PROGRAMS) ## what `make fuzz` found that is new goes into the corpus
	$(PYTHON) -B tests/fuzz/run.py --merge $(FUZZ_PROGRAMS)
