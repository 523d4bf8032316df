# flameprof: a flame graph of one web request. `make help` lists the targets.

VERSION := $(shell cat VERSION)

PYTHON ?= /usr/bin/python3
UWSGI ?= uwsgi
BUILD ?= build
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
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
# the fragments below ask pkg-config and uwsgi for their flags. `make NEEDS=`
# installs nothing.
GOALS := $(or $(MAKECMDGOALS),all)
BUILDS := $(filter-out help clean install uninstall check-format,$(GOALS))
NEEDS := $(if $(BUILDS),build)
NEEDS += $(if $(filter test test-% soak sanitize sanitize-% bench,$(GOALS)),test)
NEEDS += $(if $(filter bench,$(GOALS)),bench)
NEEDS += $(if $(filter fuzz,$(GOALS)),fuzz)
NEEDS += $(if $(filter matrix,$(GOALS)),matrix)
NEEDS += $(if $(filter wheel,$(GOALS)),wheel)
NEEDS += $(if $(filter deb,$(GOALS)),deb)
ifeq ($(MAKELEVEL),0)
ifneq ($(strip $(NEEDS)),)
$(shell ./packages.sh $(NEEDS) >&2)
ifneq ($(.SHELLSTATUS),0)
$(error packages are missing, see above)
endif
endif
ifneq ($(BUILDS),)
$(shell CC='$(CC)' PYTHON=$(PYTHON) ./needed.sh >&2)
ifneq ($(.SHELLSTATUS),0)
$(error something is missing, see above)
endif
endif
endif

# As pkg-config finds them, wherever they are installed; Debian's libcurl names
# a folder that every compiler searches by itself.
libs_of = $(shell pkg-config --libs $1)
override CFLAGS += $(patsubst -I%,-isystem %,$(filter-out -I/usr/include/%-linux-gnu,\
	$(shell pkg-config --cflags jansson libsodium libprotobuf-c zlib libcurl)))

-include sampler/sampler.mk
-include renderer/renderer.mk
-include middleware/middleware.mk
-include plugin/plugin.mk
-include tests/sampler/tests.mk
-include tests/renderer/tests.mk
-include tests/middleware/tests.mk
-include tests/django/tests.mk
-include tests/flask/tests.mk
-include tests/servers/tests.mk
-include tests/pytest/tests.mk
-include tests/ipython/tests.mk
-include tests/plugin/tests.mk
-include tests/packages/tests.mk
-include tests/consumers/tests.mk
-include tests/faults/tests.mk
-include tests/fuzz/tests.mk
-include bench/bench.mk
-include tests/house/tests.mk

# A part that is not there yet is left out, with what needs it.
PARTS := $(patsubst %/,%,$(dir $(wildcard sampler/sampler.mk renderer/renderer.mk \
	middleware/middleware.mk plugin/plugin.mk)))
with = $(if $(filter-out $(PARTS),$1),,$2)
PRODUCTS := $(call with,renderer,$(BUILD)/libflameprof.a) \
	$(call with,sampler renderer middleware,$(BUILD)/flameprof) \
	$(call with,sampler renderer middleware,$(BUILD)/python) \
	$(call with,sampler renderer middleware plugin,$(BUILD)/flameprof_plugin.so)
TESTS := test-house \
	$(if $(wildcard tests/renderer/tests.mk),$(call with,renderer,test-renderer)) \
	$(if $(wildcard tests/sampler/tests.mk),$(call with,middleware,test-sampler)) \
	$(if $(wildcard tests/middleware/tests.mk),$(call with,middleware,test-request test-common test-wsgi test-sign test-archive test-slow test-limits test-names test-push test-panel test-badge test-code test-launcher test-run test-terminal test-servers)) \
	$(if $(wildcard tests/django/tests.mk),$(call with,middleware,test-django)) \
	$(if $(wildcard tests/flask/tests.mk),$(call with,middleware,test-flask)) \
	$(if $(wildcard tests/servers/tests.mk),$(call with,middleware plugin,test-served)) \
	$(if $(wildcard tests/pytest/tests.mk),$(call with,middleware,test-pytest)) \
	$(if $(wildcard tests/ipython/tests.mk),$(call with,middleware,test-ipython)) \
	$(if $(wildcard tests/plugin/tests.mk),$(call with,middleware plugin,test-plugin)) \
	$(if $(wildcard tests/packages/tests.mk),$(call with,middleware plugin,test-packages)) \
	$(if $(wildcard tests/faults/tests.mk),$(call with,middleware plugin,test-faults))

.PHONY: all demo serve test soak bench matrix install uninstall wheel deb clean help check-format

all: $(PRODUCTS) ## build the uWSGI plugin, the command and the Python package (default)

demo: all ## profile one real request of the example, write its picture, exit
	UWSGI=$(UWSGI) BUILD=$(BUILD) $(PYTHON) -B examples/demo.py once

serve: all ## keep the example running on 127.0.0.1 until Ctrl-C
	UWSGI=$(UWSGI) BUILD=$(BUILD) $(PYTHON) -B examples/demo.py serve

test: all $(TESTS) ## build and run every test

matrix: ## demo and test in fresh Debian 12, 13 and forky, and on other Pythons
	tests/matrix/run

install: $(BUILD)/flameprof.pc ## install what was built (DESTDIR, PREFIX, LIBDIR, UWSGI_PLUGIN_DIR)
	install -D -m 644 $(BUILD)/flameprof_plugin.so $(DESTDIR)$(UWSGI_PLUGIN_DIR)/flameprof_plugin.so
	install -D -m 755 $(BUILD)/flameprof $(DESTDIR)$(PREFIX)/bin/flameprof
	install -D -m 644 middleware/command/completion/flameprof.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/flameprof
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/zsh/site-functions middleware/command/completion/_flameprof
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d middleware/command/completion/flameprof.fish
	install -D -m 644 docs/flameprof.1 $(DESTDIR)$(PREFIX)/share/man/man1/flameprof.1
	install -D -m 644 docs/flameprof.3 $(DESTDIR)$(PREFIX)/share/man/man3/flameprof.3
	install -D -m 644 $(BUILD)/libflameprof.a $(DESTDIR)$(LIBDIR)/libflameprof.a
	install -D -m 644 $(BUILD)/flameprof.pc $(DESTDIR)$(LIBDIR)/pkgconfig/flameprof.pc
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include/flameprof/renderer renderer/renderer.h
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include/flameprof/sampler sampler/profile.h

uninstall: ## remove what `make install` put there
	rm -f $(DESTDIR)$(UWSGI_PLUGIN_DIR)/flameprof_plugin.so $(DESTDIR)$(PREFIX)/bin/flameprof \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/flameprof \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_flameprof \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/flameprof.fish \
		$(DESTDIR)$(PREFIX)/share/man/man1/flameprof.1 $(DESTDIR)$(PREFIX)/share/man/man3/flameprof.3 \
		$(DESTDIR)$(LIBDIR)/libflameprof.a $(DESTDIR)$(LIBDIR)/pkgconfig/flameprof.pc
	rm -rf $(DESTDIR)$(PREFIX)/include/flameprof

wheel: ## the sdist, and from that the wheel for $(PYTHON): build/dist
	$(PYTHON) -m build --no-isolation --outdir $(BUILD)/dist .

# In a copy, since dpkg-buildpackage writes beside the folder it is run in; with
# Debian's commands before all others.
DEB_COPY := $(BUILD)/debs/flameprof
DEB_OPTIONS ?= noautodbgsym parallel=$(shell nproc)
deb: ## the Debian packages, for this Debian: build/debs
	rm -rf $(BUILD)/debs
	mkdir -p $(DEB_COPY)
	tar -c --exclude=./build --exclude='./build-*' --exclude=./.git . | tar -x -C $(DEB_COPY)
	cd $(DEB_COPY) && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS DEB_BUILD_OPTIONS='$(DEB_OPTIONS)' \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg-buildpackage -b -us -uc
	rm -rf $(DEB_COPY)

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
