"""What is kept of requests: bounded, in order, and harmless in a spreadsheet."""

import csv
import io
import threading
import unittest

from flameprof.flask import times


def rows(kept):
    return list(csv.reader(io.StringIO(kept.csv(), newline="")))


class Times(unittest.TestCase):
    def test_bounded(self):
        kept = times.Times()
        for number in range(times.RECORDS + 5):
            kept.add("", f"route{number % (times.ROUTES + 50)}", number, 1.0)
        self.assertEqual(len(rows(kept)), times.RECORDS + 1)
        self.assertIn("1970-01-01 00:00:05.000000", rows(kept)[1])  # the first five are gone
        self.assertEqual(len(kept.routes()), times.ROUTES + 1)
        self.assertEqual(sum(route.hits for route in kept.routes()), times.RECORDS + 5)

    def test_orders(self):
        kept = times.Times()
        for endpoint, seconds in (("a", 1), ("b", 4), ("c", 2), ("c", 2), ("c", 2)):
            kept.add("", endpoint, 0, seconds)
        for order, names in {"mean": "bca", "hits": "cab", "total": "cba", "route": "abc"}.items():
            self.assertEqual("".join(route.endpoint for route in kept.routes(order)), names)

    def test_what_people_call_themselves(self):
        kept = times.Times()
        formulas = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "＝1", "\x01=1", "\ufeff=1"]
        names = formulas + ['a"b', "a;=1", "a\n=b", "é,", "", " a"]
        for name in names:
            kept.add(name, "route", 0, 0)
        read = [row[0] for row in rows(kept)[1:]]
        self.assertEqual(read, ["'" + name for name in formulas] + names[10:])
        kept.add("a\0b", "route", 0, 0)
        self.assertEqual(rows(kept)[-1][0], "a\ufffdb")
        for cell in read:
            self.assertNotIn(cell.strip("\x01\ufeff \t\r")[:1], list("=+-@＝"))
        # Where ; parts columns, a quoted one is whole.
        self.assertEqual(kept.csv().count('"a;=1"'), 1)

    def test_threads(self):
        kept = times.Times()

        def add():
            for _ in range(2000):
                kept.add("", "route", 0, 1)

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(kept.routes(), [times.Route("route", 8000, 8000.0)])


if __name__ == "__main__":
    unittest.main()
