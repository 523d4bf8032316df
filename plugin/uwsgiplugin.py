"""The recipe for `uwsgi --build-plugin plugin`, run in the repository or beside it.

The sampler, the renderer and the request handling come from the folders next to
this one, some of it generated: make builds one object of all, for the uWSGI
that runs this, and uWSGI only links it.
"""
import os
import re
import subprocess
import sys

# uWSGI executes this text without telling where it stands.
HERE = os.path.abspath(sys.argv[sys.argv.index('--extra-plugin') + 1])
TOP = os.path.dirname(HERE)
OBJECT = 'build/obj/plugin/flameprof_plugin.all.o'

FLAGS = os.environ['UWSGI_PLUGINS_BUILDER_CFLAGS']

subprocess.check_call(
    ['make', '-C', TOP, 'PYTHON=' + sys.executable, OBJECT],
    env=dict(os.environ, UWSGI_CFLAGS=FLAGS,
             UWSGI_H=os.path.abspath('.uwsgi_plugins_builder/uwsgi.h')))

NAME = 'flameprof'
CFLAGS = []
LDFLAGS = []
LIBS = ['-lpthread', '-ldl', '-lm'] + subprocess.check_output(
    ['pkg-config', '--libs', 'libprotobuf-c', 'zlib', 'jansson', 'libsodium']).decode().split()
GCC_LIST = ['../' + OBJECT]
# Debian's python plugin is a file of its own; one that is built in, or has its
# plain name, is called python.
PLUGIN_DIR = re.search(r'-DUWSGI_PLUGIN_DIR="\\"([^"\\]*)', FLAGS)
DEBIAN = PLUGIN_DIR and os.path.exists(PLUGIN_DIR.group(1) + '/python3_plugin.so')
REQUIRES = ['python3' if DEBIAN else 'python']
