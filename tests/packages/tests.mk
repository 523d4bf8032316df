# What is installed: the wheel in a virtual environment, one version in a process. The
# Debian packages are tried by tests/matrix/debs, on fresh systems.

.PHONY: test-packages

test-packages: all ## the wheel in a virtual environment; plugin and package of two versions
	BUILD=$(BUILD) UWSGI=$(UWSGI) $(PYTHON) -B tests/run.py tests/packages 2
