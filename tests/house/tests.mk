# Tests of the tree itself: who includes whom, what signal context may call.

.PHONY: test-house

test-house: all $(SAMPLER_OBJS)
	BUILD=$(BUILD) $(PYTHON) -B tests/run.py tests/house
