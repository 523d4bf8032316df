# The uWSGI plugin. Everything is linked into one relocatable object first:
# `uwsgi --build-plugin plugin` takes the same one (see uwsgiplugin.py).
#
# UWSGI_H, UWSGI_CFLAGS: of the uWSGI to build for; asked from $(UWSGI) unless
# given. Compiled for another one, the plugin would refuse to run.

PLUGIN_OBJ := $(BUILD)/obj/plugin
UWSGI_H ?= $(PLUGIN_OBJ)/uwsgi.h
ifndef UWSGI_CFLAGS
UWSGI_CFLAGS := $(shell $(UWSGI) --cflags 2>/dev/null)
endif

# What shapes uWSGI's structures and finds its headers; its warnings are its own.
UWSGI_DEFINES = $(filter -D%,$(UWSGI_CFLAGS)) \
	$(patsubst -I%,-isystem %,$(filter -I/%,$(UWSGI_CFLAGS)))

PLUGIN_SOURCES := $(wildcard plugin/*.c)
PLUGIN_OBJS := $(PLUGIN_SOURCES:plugin/%.c=$(PLUGIN_OBJ)/%.o)
PLUGIN_CFLAGS = -D_GNU_SOURCE $(UWSGI_DEFINES) -isystem $(PLUGIN_OBJ) $(PY_CFLAGS)

# What the plugin needs loaded first. Debian's python plugin is a file of its
# own; one built into the binary is there anyway, and asking for it does nothing.
PLUGIN_REQUIRES ?= $(if $(wildcard $(UWSGI_PLUGIN_DIR)/python3_plugin.so),python3,python)

PLUGIN_LIBS := -lpthread $(RENDERER_LIBS) $(READER_LIBS) $(MIDDLEWARE_LIBS)

shell-quote = '$(subst ','\'',$(1))'

# Both are rewritten only when they change, so that a make that has nothing to
# do does nothing, and another uWSGI rebuilds what depends on it.
.PHONY: uwsgi-headers
uwsgi-headers:
	@mkdir -p $(PLUGIN_OBJ)
	@$(if $(filter $(PLUGIN_OBJ)/uwsgi.h,$(UWSGI_H)),$(UWSGI) --dot-h,cat '$(UWSGI_H)') \
		>$(PLUGIN_OBJ)/uwsgi.h.new
	@printf '#define FLAME_HOST_CFLAGS "%s"\n' \
		$(call shell-quote,$(subst ",\",$(subst \,\\,$(UWSGI_CFLAGS)))) \
		>$(PLUGIN_OBJ)/host_cflags.h.new
	@for header in uwsgi.h host_cflags.h; do \
		cmp -s $(PLUGIN_OBJ)/$$header.new $(PLUGIN_OBJ)/$$header || \
		cp $(PLUGIN_OBJ)/$$header.new $(PLUGIN_OBJ)/$$header; \
		rm $(PLUGIN_OBJ)/$$header.new; done

$(PLUGIN_OBJ)/uwsgi.h $(PLUGIN_OBJ)/host_cflags.h: uwsgi-headers ;

$(PLUGIN_OBJ)/%.o: plugin/%.c $(PLUGIN_OBJ)/uwsgi.h $(PLUGIN_OBJ)/host_cflags.h
	$(CC) $(CPPFLAGS) $(CFLAGS) -fno-lto $(PLUGIN_CFLAGS) -MMD -MP -c -o $@ $<

# One symbol stays global: the plugin is loaded RTLD_GLOBAL, and ours must not
# take the place of the extension module's, nor of an application's library.
# What CPython and uWSGI lack becomes NULL instead of a failed load: then
# host.c refuses with a sentence.
$(PLUGIN_OBJ)/flameprof_plugin.all.o: $(PLUGIN_OBJS) $(MODULE_OBJS) $(MIDDLEWARE_OBJS) $(SAMPLER_OBJS) \
		$(RENDERER_OBJS) $(READER_OBJS)
	$(LD) -r -o $@.new $(sort $^)
	objcopy --wildcard --keep-global-symbol=flameprof_plugin --weaken-symbol='Py*' \
		--weaken-symbol='_Py*' --weaken-symbol='uwsgi_*' $@.new $@
	@! nm -u $@ | grep flame_ || { rm $@; false; }
	@rm $@.new

$(BUILD)/flameprof_plugin.so: $(PLUGIN_OBJ)/flameprof_plugin.all.o
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -o $@.new $< $(PLUGIN_LIBS)
	@printf 'requires=%s\n' $(PLUGIN_REQUIRES) >$@.requires
	objcopy --add-section uwsgi=$@.requires $@.new $@
	@rm $@.new $@.requires
