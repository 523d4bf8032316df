# The sampler's own tests: C units under sanitizers, then real Python.

SANITIZE ?= -fsanitize=address,undefined -fno-sanitize-recover=undefined
SAMPLER_UNITS := store guard position charge

$(BUILD)/tests/sampler/test_%: tests/sampler/test_%.c sampler/%_sigsafe.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SANITIZE) -D_GNU_SOURCE -I. -o $@ $(filter %.c,$^) -lcmocka -lpthread

# It charges into a store.
$(BUILD)/tests/sampler/test_charge: sampler/store_sigsafe.c sampler/pots.c sampler/session.h

# Beside $(BUILD)/python, where test_faults.py looks for it.
FAULTS := $(BUILD)/tests/sampler/faults.so

$(FAULTS): tests/sampler/faults.c $(SAMPLER_OBJS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -fPIC -D_GNU_SOURCE $(PY_CFLAGS) -shared -Wl,--wrap=siglongjmp \
		-o $@ $^ -lpthread -lm

# The same for test_lookout.py.
LOOKOUT := $(BUILD)/tests/sampler/lookout.so

$(LOOKOUT): tests/sampler/lookout.c $(SAMPLER_OBJS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -fPIC -D_GNU_SOURCE $(PY_CFLAGS) -shared -o $@ $^ -lpthread -lm

.PHONY: test-sampler soak
# The guard's faults are meant: AddressSanitizer must leave SIGSEGV to us.
test-sampler: $(SAMPLER_UNITS:%=$(BUILD)/tests/sampler/test_%) $(FAULTS) $(LOOKOUT) $(BUILD)/python ## the sampler: store, guard, real Python under it
	for unit in $(SAMPLER_UNITS); do \
		ASAN_OPTIONS=handle_segv=0:handle_sigbus=0 $(BUILD)/tests/sampler/test_$$unit || exit 1; \
	done
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -m unittest discover -v -s tests/sampler
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B tests/sampler/soak.py --seconds 10

soak: $(BUILD)/python ## minutes of an adversarial workload at 10 kHz
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B tests/sampler/soak.py --seconds 180

# Everything of ours that runs in Python's process, built anew with a sanitizer under
# $(BUILD)/sanitize-*, and real CPython over it. With gcc: the runtime to load is its.
SANITIZE_CC ?= gcc
SANITIZE_thread := -fsanitize=thread -include tests/sampler/sanitize/thread.h
SANITIZE_address := -fsanitize=address,undefined -fsanitize-recover=address,undefined

.PHONY: sanitize sanitize-thread sanitize-address
sanitize: sanitize-thread sanitize-address ## real Python over our code under ThreadSanitizer, AddressSanitizer, UBSan

sanitize-thread sanitize-address: sanitize-%:
	@mkdir -p $(BUILD)/$@
	rm -f $(BUILD)/$@/python/*.so
	$(SANITIZE_CC) -O1 -g -fPIC $(SANITIZE_$*) -c -o $(BUILD)/$@/planted.o tests/sampler/sanitize/planted.c
	$(MAKE) BUILD=$(BUILD)/$@ CC=$(SANITIZE_CC) CFLAGS='-O1 -g -fno-omit-frame-pointer $(SANITIZE_$*)' \
		LDFLAGS='$(filter-out -include %.h,$(SANITIZE_$*)) $(BUILD)/$@/planted.o' $(BUILD)/$@/python
	CC=$(SANITIZE_CC) $(PYTHON) -B tests/sampler/sanitize/run.py $* $(BUILD)/$@/python
