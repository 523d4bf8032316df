"""A worker with one thread more, which sleeps in C and never has the GIL.

glibc's calls that could be cancelled (read, write, accept ...) and some of malloc take a
longer way as soon as a process has a second thread, whatever that does.
"""

import ctypes

libc = ctypes.CDLL(None)
thread = ctypes.c_ulong()
if libc.pthread_create(ctypes.byref(thread), None, libc.pause, None) != 0:
    raise SystemExit("no thread can be made")
