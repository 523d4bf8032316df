# flameprof: a flame graph of one web request. `make help` lists the targets.

VERSION := $(shell cat VERSION)

PYTHON ?= /usr/bin/python3
UWSGI ?= uwsgi
BUILD ?= build
PREFIX ?= /usr/local
# Debian's uWSGI looks for plugins in one fixed directory and says which.
UWSGI_PLUGIN_DIR ?= $(or $(shell $(UWSGI) --cflags 2>/dev/null | \
	sed -n 's/.*-DUWSGI_PLUGIN_DIR="\\"\([^"\\]*\).*/\1/p'),/usr/lib/uwsgi/plugins)

CFLAGS ?= -O2 -g
# WERROR=-Werror is what .ci/run adds: a warning of next year's compiler should
# not keep anybody from building.
WERROR ?=
override CFLAGS += -std=gnu11 -fPIC -fvisibility=hidden -I. \
	-Wall -Wextra -Wshadow -Wconversion $(WERROR) -DFLAMEPROF_VERSION='"$(VERSION)"'

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

# What is missing of packages.txt is installed before anything else is read:
# the fragments below ask pkg-config and uwsgi for their flags.
GOALS := $(or $(MAKECMDGOALS),all)
NEEDS := $(if $(filter-out help clean install uninstall check-format,$(GOALS)),build)
NEEDS += $(if $(filter test test-% soak sanitize sanitize-% bench,$(GOALS)),test)
NEEDS += $(if $(filter bench,$(GOALS)),bench)
NEEDS += $(if $(filter fuzz,$(GOALS)),fuzz)
NEEDS += $(if $(filter matrix,$(GOALS)),matrix)
ifeq ($(MAKELEVEL),0)
ifneq ($(strip $(NEEDS)),)
$(shell ./packages.sh $(NEEDS) >&2)
ifneq ($(.SHELLSTATUS),0)
$(error packages are missing, see above)
endif
endif
endif

-include sampler/sampler.mk
-include renderer/renderer.mk
-include middleware/middleware.mk
-include plugin/plugin.mk
-include tests/sampler/tests.mk
-include tests/renderer/tests.mk
-include tests/middleware/tests.mk
-include tests/django/tests.mk
-include tests/flask/tests.mk
-include tests/plugin/tests.mk
-include tests/consumers/tests.mk
-include bench/bench.mk
include tests/house/tests.mk

# A part that is not there yet is left out, with what needs it.
PARTS := $(patsubst %/,%,$(dir $(wildcard sampler/sampler.mk renderer/renderer.mk \
	middleware/middleware.mk plugin/plugin.mk)))
with = $(if $(filter-out $(PARTS),$1),,$2)
PRODUCTS := $(call with,renderer,$(BUILD)/flameprof $(BUILD)/libflameprof.a) \
	$(call with,sampler renderer middleware,$(BUILD)/python) \
	$(call with,sampler renderer middleware plugin,$(BUILD)/flameprof_plugin.so)
TESTS := test-house \
	$(if $(wildcard tests/renderer/tests.mk),$(call with,renderer,test-renderer)) \
	$(if $(wildcard tests/sampler/tests.mk),$(call with,middleware,test-sampler)) \
	$(if $(wildcard tests/middleware/tests.mk),$(call with,middleware,test-request test-wsgi test-panel test-badge test-code test-launcher test-servers)) \
	$(if $(wildcard tests/django/tests.mk),$(call with,middleware,test-django)) \
	$(if $(wildcard tests/flask/tests.mk),$(call with,middleware,test-flask)) \
	$(if $(wildcard tests/plugin/tests.mk),$(call with,middleware plugin,test-plugin))

.PHONY: all demo serve test soak bench matrix install uninstall clean help check-format

all: $(PRODUCTS) ## build the uWSGI plugin, the command and the Python package (default)

demo: all ## profile one real request of the example, write its picture, exit
	UWSGI=$(UWSGI) BUILD=$(BUILD) $(PYTHON) -B examples/demo.py once

serve: all ## keep the example running on 127.0.0.1 until Ctrl-C
	UWSGI=$(UWSGI) BUILD=$(BUILD) $(PYTHON) -B examples/demo.py serve

test: all $(TESTS) ## build and run every test

matrix: ## demo and test in fresh Debian 12, 13 and forky, and on other Pythons
	tests/matrix/run

install: $(BUILD)/flameprof.pc ## install what was built (DESTDIR, PREFIX, UWSGI_PLUGIN_DIR)
	install -D -m 644 $(BUILD)/flameprof_plugin.so $(DESTDIR)$(UWSGI_PLUGIN_DIR)/flameprof_plugin.so
	install -D -m 755 $(BUILD)/flameprof $(DESTDIR)$(PREFIX)/bin/flameprof
	install -D -m 644 docs/flameprof.1 $(DESTDIR)$(PREFIX)/share/man/man1/flameprof.1
	install -D -m 644 docs/flameprof.3 $(DESTDIR)$(PREFIX)/share/man/man3/flameprof.3
	install -D -m 644 $(BUILD)/libflameprof.a $(DESTDIR)$(PREFIX)/lib/libflameprof.a
	install -D -m 644 $(BUILD)/flameprof.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/flameprof.pc
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include/flameprof/renderer renderer/renderer.h
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include/flameprof/sampler sampler/profile.h

uninstall: ## remove what `make install` put there
	rm -f $(DESTDIR)$(UWSGI_PLUGIN_DIR)/flameprof_plugin.so $(DESTDIR)$(PREFIX)/bin/flameprof \
		$(DESTDIR)$(PREFIX)/share/man/man1/flameprof.1 $(DESTDIR)$(PREFIX)/share/man/man3/flameprof.3 \
		$(DESTDIR)$(PREFIX)/lib/libflameprof.a $(DESTDIR)$(PREFIX)/lib/pkgconfig/flameprof.pc
	rm -rf $(DESTDIR)$(PREFIX)/include/flameprof

clean: ## remove the build directory
	rm -rf $(BUILD)

check-format: ## fail if a C file is not as clang-format writes it
	git ls-files -z '*.c' '*.h' | xargs -0 --no-run-if-empty clang-format --dry-run -Werror

help: ## this list
	@echo 'flameprof $(VERSION): a flame graph of one web request'
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
