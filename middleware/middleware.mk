# What both doors share (no Python in it), the extension module and the package.

MIDDLEWARE_OBJ := $(BUILD)/obj/middleware
MIDDLEWARE_OBJS := $(patsubst %,$(MIDDLEWARE_OBJ)/%.o,request params allow answer shelf badge)
# The module's objects: the plugin links them too, so that a process has one sampler.
MODULE_OBJS := $(patsubst %,$(MIDDLEWARE_OBJ)/%.o,module wsgi panel headers passing response reply session picture rows \
	kept web)
EXT_SUFFIX := $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
EXTENSION := $(BUILD)/python/_flameprof$(EXT_SUFFIX)
PACKAGE := $(patsubst middleware/python/%,$(BUILD)/python/%,$(shell find middleware/python \
	-type f -not -name '*.pyc'))

$(MIDDLEWARE_OBJ)/%.o: middleware/%.c $(wildcard middleware/*.h) renderer/renderer.h \
		sampler/sampler.h sampler/profile.h VERSION
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -fPIC -D_GNU_SOURCE -DFLAME_VERSION='"$(VERSION)"' -I. -I$(MIDDLEWARE_OBJ) $(PY_CFLAGS) -c -o $@ $<

$(MIDDLEWARE_OBJ)/badge_assets.h: middleware/badge/embed.py middleware/badge/badge.js \
		renderer/picture/embed.py
	@mkdir -p $(@D)
	$(PYTHON) -B middleware/badge/embed.py $@

$(MIDDLEWARE_OBJ)/badge.o: $(MIDDLEWARE_OBJ)/badge_assets.h

# Unresolved on purpose: CPython's own symbols come from the interpreter.
$(EXTENSION): $(MODULE_OBJS) $(MIDDLEWARE_OBJS) $(SAMPLER_OBJS) $(RENDERER_OBJS) $(READER_OBJS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -o $@ $^ -lpthread $(RENDERER_LIBS) $(READER_LIBS)

$(BUILD)/python/flameprof/%: middleware/python/flameprof/%
	@mkdir -p $(@D)
	cp $< $@

.PHONY: $(BUILD)/python
$(BUILD)/python: $(EXTENSION) $(PACKAGE)
