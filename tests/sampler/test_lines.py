"""lines=True: a function's lines are places of their own."""

import os
import tempfile
import time
import unittest

from watching import Measuring, blind, profiled, weights

WORK = '''
import time


def burn(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def twice():
    burn(0.1)  # 12

    burn(
        0.3  # 14: the line of the call
    )
'''


def work():
    """twice(), from a file as an application has it."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "lines.py")
        with open(path, "w") as file:
            file.write(WORK)
        names = {}
        exec(compile(WORK, path, "exec"), names)
        yield path, names["twice"]


def by_line(session, name):
    """{line: seconds} of the frames of one function."""
    found = {}
    for line in session.folded().splitlines():
        stack, weight = line.rsplit(" ", 1)
        for frame in stack.split(";"):
            if frame.startswith(name + " ("):
                number = int(frame.rsplit(":", 1)[1].rstrip(")"))
                found[number] = found.get(number, 0) + int(weight) / 1e6
    return found


class Lines(Measuring):
    def test_calls_on_different_lines_are_different_places(self):
        for _, twice in work():
            session = profiled(twice, lines=True)
        found = by_line(session, "twice")
        whole = sum(found.values())
        self.assertEqual(set(found), {12, 14})
        self.assertAlmostEqual(found[12] / whole, 0.25, delta=0.05 + blind(session))
        self.assertTrue(set(by_line(session, "burn")) <= {6, 7, 8})

    def test_without_it_a_function_is_one_place(self):
        for _, twice in work():
            session = profiled(twice)
        self.assertEqual(set(by_line(session, "twice")), {11})

    def test_generators_and_comprehensions(self):
        def parts():
            for _ in range(3):
                time.sleep(0.02)
                yield

        session = profiled(lambda: [list(parts()) for _ in range(2)], lines=True)
        first = parts.__code__.co_firstlineno
        lines = by_line(session, "Lines.test_generators_and_comprehensions.<locals>.parts")
        lines = lines or by_line(session, "parts")  # before 3.11
        self.assertIn(first + 2, lines)
        self.assertGreater(lines[first + 2], sum(lines.values()) * 0.9)

    def test_a_function_of_one_line_is_one_frame(self):
        call = lambda: sum(range(4000000))  # noqa: E731

        def numbers():
            return [sum(range(300000)) for _ in range(15)]

        session = profiled(lambda: (call(), numbers()), lines=True)
        for stack in session.folded().splitlines():
            frames = stack.rsplit(" ", 1)[0].split(";")
            self.assertEqual([a for a, b in zip(frames, frames[1:]) if a == b], [])

    def test_more_lines_than_there_is_room_for(self):
        source = "def f(wait):\n" + "    wait()\n" * 12000
        names = {}
        exec(compile(source, "long.py", "exec"), names)
        count = [0]

        def wait():
            count[0] += 1
            if count[0] % 40 == 0:
                time.sleep(0.0002)

        session = profiled(lambda: names["f"](wait), interval=0.00005, lines=True)
        self.assertGreater(sum(weights(session).values()), 0)


if __name__ == "__main__":
    unittest.main()
