# The renderer and the program build/flameprof. Included by the top Makefile,
# from the repository's root; CC, CFLAGS, PYTHON and BUILD may be set there.
PYTHON ?= /usr/bin/python3
BUILD ?= build
RENDERER_OBJ := $(BUILD)/obj/renderer
# What draws, which the doors have too; what reads; and what protoc-c writes for both.
RENDERER_SOURCES := writer builder tree text view colours sentences data svg folded cairo \
    html json profile_json speedscope gecko pprof callers options format
READER_SOURCES := reader folded_read json_read pprof_read
RENDERER_OBJS := $(RENDERER_SOURCES:%=$(RENDERER_OBJ)/%.o) $(RENDERER_OBJ)/pprof.pb-c.o
READER_OBJS := $(READER_SOURCES:%=$(RENDERER_OBJ)/%.o)
RENDERER_LIBS := -lprotobuf-c -lz -ldl -lm
READER_LIBS := -ljansson
RENDERER_FLAGS := -std=gnu11 -D_GNU_SOURCE -fPIC -I. -I$(RENDERER_OBJ) \
    -DFLAME_VERSION='"$(shell cat VERSION)"'
RENDERER_HEADERS := $(wildcard renderer/*.h) sampler/profile.h

$(RENDERER_OBJ)/assets.h: renderer/embed.py $(wildcard renderer/page/*)
	@mkdir -p $(@D)
	$(PYTHON) renderer/embed.py $@ $(@D)/page.js

$(RENDERER_OBJ)/svg.o: $(RENDERER_OBJ)/assets.h

$(RENDERER_OBJ)/pprof.pb-c.c $(RENDERER_OBJ)/pprof.pb-c.h &: renderer/pprof.proto
	@mkdir -p $(@D)
	protoc-c --proto_path=renderer --c_out=$(RENDERER_OBJ) pprof.proto

$(RENDERER_OBJ)/pprof.o $(RENDERER_OBJ)/pprof_read.o: $(RENDERER_OBJ)/pprof.pb-c.h

# Not ours: its warnings are its own.
$(RENDERER_OBJ)/pprof.pb-c.o: $(RENDERER_OBJ)/pprof.pb-c.c
	$(CC) $(CFLAGS) -w $(RENDERER_FLAGS) -c -o $@ $<

$(RENDERER_OBJ)/%.o: renderer/%.c $(RENDERER_HEADERS) VERSION
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(RENDERER_FLAGS) -c -o $@ $<

$(BUILD)/flameprof: $(RENDERER_OBJ)/command.o $(RENDERER_OBJ)/files.o $(READER_OBJS) $(RENDERER_OBJS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(READER_LIBS) $(RENDERER_LIBS)

# For other programs: docs/flameprof.3.
$(BUILD)/libflameprof.a: $(READER_OBJS) $(RENDERER_OBJS)
	rm -f $@
	$(AR) rcs $@ $^

# Says where it is installed, which is known only then.
.PHONY: $(BUILD)/flameprof.pc
$(BUILD)/flameprof.pc: renderer/flameprof.pc.in
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@LIBS@|$(READER_LIBS) $(RENDERER_LIBS)|' $< >$@
