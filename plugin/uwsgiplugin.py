"""The recipe for `uwsgi --build-plugin plugin`.

The sampler, the renderer and the request handling come from the folders beside
this one, some of it generated: make builds one object of all, for the uWSGI
that runs this, and uWSGI only links it.
"""
import os
import subprocess
import sys

BUILDER = os.path.abspath('.uwsgi_plugins_builder')
TOP = os.path.dirname(os.path.abspath(os.environ.get('FLAMEPROF_PLUGIN', 'plugin')))
BUILD = os.path.join('build', 'builder')
OBJECT = os.path.join(BUILD, 'obj', 'plugin', 'flameprof_plugin.all.o')

environment = dict(os.environ, UWSGI_H=os.path.join(BUILDER, 'uwsgi.h'),
                   UWSGI_CFLAGS=os.environ['UWSGI_PLUGINS_BUILDER_CFLAGS'])
subprocess.check_call(['make', '-C', TOP, 'BUILD=' + BUILD, 'PYTHON=' + sys.executable,
                       OBJECT], env=environment)

NAME = 'flameprof'
CFLAGS = []
LDFLAGS = []
LIBS = ['-lpthread', '-ldl', '-lm']
GCC_LIST = [os.path.relpath(os.path.join(TOP, OBJECT), os.path.join(TOP, 'plugin'))]
REQUIRES = ['python3']
