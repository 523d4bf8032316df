# The Flask blueprint: its pages, who may, its workers over HTTP, the browser's view.

.PHONY: test-flask
test-flask: $(BUILD)/python ## the Flask pages, with Flask-Login, real servers and a browser
	PYTHONPATH=$(BUILD)/python BUILD=$(BUILD) $(PYTHON) -B tests/run.py tests/flask 2
