# The renderer and the program build/flameprof. Included by the top Makefile,
# from the repository's root; CC, CFLAGS, PYTHON and BUILD may be set there.
PYTHON ?= /usr/bin/python3
BUILD ?= build
RENDERER_OBJ := $(BUILD)/obj/renderer
RENDERER_SOURCES := writer tree text view colours sentences data svg folded cairo html json \
    profile_json speedscope format
RENDERER_OBJS := $(RENDERER_SOURCES:%=$(RENDERER_OBJ)/%.o)
RENDERER_FLAGS := -std=gnu11 -D_GNU_SOURCE -fPIC -I. -I$(RENDERER_OBJ) \
    -DFLAME_VERSION='"$(shell cat VERSION)"'
RENDERER_HEADERS := $(wildcard renderer/*.h) sampler/profile.h

$(RENDERER_OBJ)/assets.h: renderer/embed.py $(wildcard renderer/page/*)
	@mkdir -p $(@D)
	$(PYTHON) renderer/embed.py $@

$(RENDERER_OBJ)/svg.o: $(RENDERER_OBJ)/assets.h

$(RENDERER_OBJ)/%.o: renderer/%.c $(RENDERER_HEADERS) VERSION
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(RENDERER_FLAGS) -c -o $@ $<

$(BUILD)/flameprof: $(RENDERER_OBJ)/command.o $(RENDERER_OBJS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -ldl -lm
