# The sampler's objects; CPython's headers come in as system headers.

PY_INCLUDE := $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')
PY_CFLAGS := -isystem $(PY_INCLUDE) -isystem $(PY_INCLUDE)/internal

SAMPLER_SOURCES := $(wildcard sampler/*.c)
SAMPLER_OBJS := $(SAMPLER_SOURCES:%.c=$(BUILD)/obj/%.o)

# Plain objects even in a build with LTO: a test reads their symbols.
$(BUILD)/obj/sampler/%.o: sampler/%.c $(wildcard sampler/*.h)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -fno-lto -fPIC -D_GNU_SOURCE -I. $(PY_CFLAGS) -c -o $@ $<
