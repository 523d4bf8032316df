# The renderer, and what of the program build/flameprof draws. Included by the top Makefile,
# from the repository's root; CC, CFLAGS, PYTHON and BUILD may be set there.
PYTHON ?= /usr/bin/python3
BUILD ?= build
RENDERER_OBJ := $(BUILD)/obj/renderer
# What draws, which the doors have too; what reads; and what protoc-c writes for both.
RENDERER_SOURCES := writer numbers options format \
    $(addprefix tree/,builder preorder names tree combine idle rows callers) \
    $(addprefix picture/,text view colours sentences data svg html cairo) \
    $(addprefix formats/,json folded profile_json speedscope gecko pprof)
READER_SOURCES := $(addprefix read/,reader folded_read json_read pprof_read)
COMMAND_SOURCES := $(addprefix command/,render files)
RENDERER_OBJS := $(RENDERER_SOURCES:%=$(RENDERER_OBJ)/%.o) $(RENDERER_OBJ)/pprof.pb-c.o
READER_OBJS := $(READER_SOURCES:%=$(RENDERER_OBJ)/%.o)
COMMAND_OBJS := $(COMMAND_SOURCES:%=$(RENDERER_OBJ)/%.o)
RENDERER_LIBS := $(call libs_of,libprotobuf-c zlib) -ldl -lm
READER_LIBS := $(call libs_of,jansson)
# Nobody looks at errno after a square root, which then is an instruction.
RENDERER_FLAGS := -std=gnu11 -fno-math-errno -D_GNU_SOURCE -fPIC -I. -I$(RENDERER_OBJ) \
    -DFLAME_VERSION='"$(shell cat VERSION)"'
RENDERER_HEADERS := $(wildcard renderer/*.h renderer/*/*.h) sampler/profile.h

$(RENDERER_OBJ)/assets.h: renderer/picture/embed.py $(wildcard renderer/picture/page/*)
	@mkdir -p $(@D)
	$(PYTHON) renderer/picture/embed.py $@ $(@D)/page.js

$(RENDERER_OBJ)/picture/svg.o: $(RENDERER_OBJ)/assets.h

$(RENDERER_OBJ)/pprof.pb-c.c $(RENDERER_OBJ)/pprof.pb-c.h &: renderer/formats/pprof.proto
	@mkdir -p $(@D)
	protoc-c --proto_path=renderer/formats --c_out=$(RENDERER_OBJ) pprof.proto

$(RENDERER_OBJ)/formats/pprof.o $(RENDERER_OBJ)/read/pprof_read.o: $(RENDERER_OBJ)/pprof.pb-c.h

# Not ours: its warnings are its own.
$(RENDERER_OBJ)/pprof.pb-c.o: $(RENDERER_OBJ)/pprof.pb-c.c
	$(CC) $(CFLAGS) -w $(RENDERER_FLAGS) -c -o $@ $<

$(RENDERER_OBJ)/%.o: renderer/%.c $(RENDERER_HEADERS) VERSION
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(RENDERER_FLAGS) -c -o $@ $<

# For other programs: docs/flameprof.3.
$(BUILD)/libflameprof.a: $(READER_OBJS) $(RENDERER_OBJS)
	rm -f $@
	$(AR) rcs $@ $^

# Says where it is installed, which is known only then.
.PHONY: $(BUILD)/flameprof.pc
$(BUILD)/flameprof.pc: renderer/flameprof.pc.in
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@LIBS@|$(READER_LIBS) $(RENDERER_LIBS)|' $< >$@
