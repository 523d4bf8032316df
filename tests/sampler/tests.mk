# The sampler's own tests: C units under sanitizers, then real Python.

SANITIZE ?= -fsanitize=address,undefined -fno-sanitize-recover=undefined
SAMPLER_UNITS := store guard position charge

$(BUILD)/tests/sampler/test_%: tests/sampler/test_%.c sampler/%_sigsafe.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SANITIZE) -D_GNU_SOURCE -I. -o $@ $(filter %.c,$^) -lcmocka -lpthread

# It charges into a store.
$(BUILD)/tests/sampler/test_charge: sampler/store_sigsafe.c sampler/session.h

.PHONY: test-sampler soak
# The guard's faults are meant: AddressSanitizer must leave SIGSEGV to us.
test-sampler: $(SAMPLER_UNITS:%=$(BUILD)/tests/sampler/test_%) $(BUILD)/python ## the sampler: store, guard, real Python under it
	for unit in $(SAMPLER_UNITS); do \
		ASAN_OPTIONS=handle_segv=0:handle_sigbus=0 $(BUILD)/tests/sampler/test_$$unit || exit 1; \
	done
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B -m unittest discover -v -s tests/sampler
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B tests/sampler/soak.py --seconds 10

soak: $(BUILD)/python ## minutes of an adversarial workload at 10 kHz
	PYTHONPATH=$(BUILD)/python $(PYTHON) -B tests/sampler/soak.py --seconds 180
