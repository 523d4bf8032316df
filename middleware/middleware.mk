# What both doors share (no Python in it), the extension module and the package.

MIDDLEWARE_OBJ := $(BUILD)/obj/middleware
# What samples or keeps needs the sampler, and that Python: the module's objects.
WITH_SAMPLER := slow common/taking archive/keeper
MIDDLEWARE_SOURCES := $(wildcard middleware/*.c $(patsubst %,middleware/%/*.c,access archive badge common push))
MIDDLEWARE_OBJS := $(patsubst middleware/%.c,$(MIDDLEWARE_OBJ)/%.o,$(filter-out \
	$(WITH_SAMPLER:%=middleware/%.c),$(MIDDLEWARE_SOURCES)))
# Of the parts above: HMAC-SHA-256.
MIDDLEWARE_LIBS := $(call libs_of,libsodium)
# The program's sub-commands: python -m flameprof has them, too.
COMMANDS_OBJS := $(patsubst %,$(MIDDLEWARE_OBJ)/%.o,command/program command/run command/sign)
# The plugin links them too, so that a process has one sampler.
MODULE_OBJS := $(COMMANDS_OBJS) $(COMMAND_OBJS) $(WITH_SAMPLER:%=$(MIDDLEWARE_OBJ)/%.o) \
	$(patsubst middleware/%.c,$(MIDDLEWARE_OBJ)/%.o,$(wildcard middleware/module/*.c middleware/wsgi/*.c))
EXT_SUFFIX := $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
EXTENSION := $(BUILD)/python/_flameprof$(EXT_SUFFIX)
PACKAGE := $(patsubst middleware/python/%,$(BUILD)/python/%,$(shell find middleware/python \
	-type f -not -name '*.pyc')) $(BUILD)/python/flameprof/_version.py

$(MIDDLEWARE_OBJ)/%.o: middleware/%.c $(wildcard middleware/*.h middleware/*/*.h) \
		$(wildcard sampler/*.h renderer/*.h renderer/*/*.h) VERSION
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -fPIC -D_GNU_SOURCE -DFLAME_VERSION='"$(VERSION)"' -I. -I$(MIDDLEWARE_OBJ) $(PY_CFLAGS) -c -o $@ $<

$(MIDDLEWARE_OBJ)/badge_assets.h: middleware/badge/embed.py middleware/badge/badge.js \
		renderer/picture/embed.py
	@mkdir -p $(@D)
	$(PYTHON) -B middleware/badge/embed.py $@

$(MIDDLEWARE_OBJ)/listing_assets.h: middleware/archive/listing/embed.py middleware/archive/listing/listing.css \
		renderer/picture/embed.py
	@mkdir -p $(@D)
	$(PYTHON) -B middleware/archive/listing/embed.py $@

$(MIDDLEWARE_OBJ)/archive/listing.o: $(MIDDLEWARE_OBJ)/listing_assets.h

$(MIDDLEWARE_OBJ)/badge/badge.o: $(MIDDLEWARE_OBJ)/badge_assets.h

# The program: what draws is the renderer's.
PROGRAM_OBJS := $(COMMANDS_OBJS) $(patsubst %,$(MIDDLEWARE_OBJ)/%.o,command/main seconds access/token access/private)

$(BUILD)/flameprof: $(PROGRAM_OBJS) $(COMMAND_OBJS) $(READER_OBJS) $(RENDERER_OBJS)
	$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(READER_LIBS) $(RENDERER_LIBS) $(MIDDLEWARE_LIBS)

# Unresolved on purpose: CPython's own symbols come from the interpreter.
$(EXTENSION): $(MODULE_OBJS) $(MIDDLEWARE_OBJS) $(SAMPLER_OBJS) $(RENDERER_OBJS) $(READER_OBJS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -o $@ $^ -lpthread $(RENDERER_LIBS) $(READER_LIBS) $(MIDDLEWARE_LIBS)

$(BUILD)/python/flameprof/%: middleware/python/flameprof/%
	@mkdir -p $(@D)
	cp $< $@

# Compared with the version of _flameprof, which may be the uWSGI plugin's.
$(BUILD)/python/flameprof/_version.py: VERSION
	@mkdir -p $(@D)
	echo 'VERSION = "$(VERSION)"' >$@

.PHONY: $(BUILD)/python
$(BUILD)/python: $(EXTENSION) $(PACKAGE)
