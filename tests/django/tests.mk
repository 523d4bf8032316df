# The Django middleware and the panel of Django Debug Toolbar, on a real site.

.PHONY: test-django
test-django: $(BUILD)/python $(BUILD)/flameprof ## Django: the middleware, and the toolbar's panel in a browser
	BUILD=$(BUILD) $(PYTHON) -B tests/run.py tests/django 2
