"""An application of quick, slow and failing requests."""

import os
import subprocess
import time

PLAIN = [("Content-Type", "text/plain")]


def busy(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def quick(start_response):
    start_response("200 OK", PLAIN)
    return [b"quick"]


def slow(start_response):
    busy(0.4)
    start_response("200 OK", PLAIN)
    return [b"slow"]


def sleeps(start_response):
    time.sleep(0.4)
    start_response("200 OK", PLAIN)
    return [b"slept"]


def endless(start_response):
    time.sleep(60)


def parts():
    for _ in range(4):
        busy(0.1)
        yield b"part"


def streams(start_response):
    start_response("200 OK", PLAIN)
    return parts()


def fails(start_response):
    start_response("503 Service Unavailable", PLAIN)
    return [b"failed"]


def raises(start_response):
    raise LookupError("nothing there")


def forks(start_response):
    """The child goes on as a request of nobody's, and ends."""
    child = os.fork()
    if not child:
        busy(0.4)
        os._exit(len(os.listdir("/proc/self/task")))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    subprocess.run(["true"], check=True)
    busy(0.1)
    start_response("200 OK", PLAIN)
    return [b"forked"]


def pid(start_response):
    start_response("200 OK", PLAIN)
    return [str(os.getpid()).encode()]


def threads(start_response):
    """Names of the process's threads, and how often each had the CPU."""
    found = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/comm") as comm:
            with open(f"/proc/self/task/{task}/schedstat") as schedstat:
                found.append(f"{comm.read().strip()} {schedstat.read().split()[2]}")
    start_response("200 OK", PLAIN)
    return ["\n".join(found).encode()]


def application(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/")](start_response)
