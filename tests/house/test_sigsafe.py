"""What may run in signal context calls nothing but this short list.

A comment that says "async-signal-safe" can be wrong; the undefined symbols of
an object cannot. Looks at the objects of every *_sigsafe.c.
"""

import re
import subprocess
import unittest

import tree

# Async-signal-safe by POSIX, by their definition (pure memory), or because they
# are bare system calls; __sigsetjmp and siglongjmp with no mask saved do none.
ALLOWED = {
    "__errno_location",
    "__sigsetjmp",
    "__stack_chk_fail",
    "_GLOBAL_OFFSET_TABLE_",
    "bcmp",
    "clock_gettime",
    "getpid",
    "gettid",
    "getuid",
    "madvise",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "mmap",
    "munmap",
    "pthread_self",
    "raise",
    "sigaction",
    "sigemptyset",
    "siglongjmp",
    "strlen",
    "syscall",
}
# Taking or giving up a reference in a handler corrupts the count of an object
# the interrupted code is counting. It is inline, so no symbol tells.
POISONED = ("Py_INCREF", "Py_DECREF", "Py_XINCREF", "Py_XDECREF", "Py_NewRef")


def command(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def symbols(path, *options):
    """Symbol names as nm prints them, without the versions."""
    lines = command("nm", "--format=posix", *options, str(path)).splitlines()
    return {line.split()[0].split("@")[0] for line in lines if line.strip()}


class SignalContext(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sources = [path for path in tree.sources("sampler", "middleware")
                       if path.name.endswith("_sigsafe.c")]
        cls.objects = [
            (tree.BUILD / "obj" / source.relative_to(tree.ROOT)).with_suffix(".o")
            for source in cls.sources
        ]

    def test_there_are_such_files_and_they_are_built(self):
        self.assertTrue(self.sources)
        for path in self.objects:
            with self.subTest(object=path.name):
                self.assertTrue(path.is_file(), f"{path} was not built")

    def test_they_call_only_what_is_allowed(self):
        ours = set().union(*(symbols(path, "--defined-only") for path in self.objects))
        for path in self.objects:
            foreign = symbols(path, "--undefined-only") - ours
            with self.subTest(object=path.name):
                self.assertEqual(sorted(foreign - ALLOWED), [])

    def test_thread_local_variables_are_reached_without_a_call(self):
        # A dynamic model may allocate at first use, in the handler.
        for path in self.objects:
            relocations = command("readelf", "--relocs", "--wide", str(path))
            with self.subTest(object=path.name):
                self.assertEqual(re.findall(r"R_\S*(?:TLSGD|TLSLD|TLSDESC)\S*", relocations), [])

    def test_they_are_real_objects(self):
        # With LTO an object holds intermediate code and its symbols say nothing.
        for path in self.objects:
            sections = command("readelf", "--sections", "--wide", str(path))
            with self.subTest(object=path.name):
                self.assertNotIn(".gnu.lto_", sections)
                self.assertIn(" .text", sections)

    def test_reference_counting_is_poisoned(self):
        for source in self.sources:
            text = source.read_text()
            for header in re.findall(r'#\s*include\s*"(sampler/[^"]+)"', text):
                text += (tree.ROOT / header).read_text()
            if "Python.h" not in text:
                continue
            poison = " ".join(re.findall(r"#\s*pragma\s+GCC\s+poison\s+(.*(?:\\\n.*)*)", text))
            with self.subTest(file=source.name):
                self.assertEqual([name for name in POISONED if name not in poison.split()], [])


if __name__ == "__main__":
    unittest.main()
