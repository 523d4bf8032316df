"""Our own JSON is as docs/profile.schema.json says, and that says something."""

import json
import os
import unittest

import profiles

SCHEMA = profiles.ROOT / "docs" / "profile.schema.json"


def validate(schema, *paths):
    environ = {**os.environ, "NODE_PATH": str(profiles.npm())}
    profiles.run("node", str(profiles.ROOT / "tests/consumers/validate.js"), str(schema),
                 *map(str, paths), env=environ)  # fmt: skip


class Json(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        profiles.npm()

    def test_schema(self):
        everything = profiles.everything()
        validate(SCHEMA, *(profile.path for profile in everything))
        validate(SCHEMA, *(profile.render("json") for profile in everything))

    def test_columns_are_of_equal_length(self):
        """What a schema cannot say."""
        for profile in profiles.everything():
            for table in ("places", "stretches"):
                columns = profile.document.get(table, {}).values()
                self.assertLessEqual(len(set(map(len, columns))), 1, profile.name)

    def test_what_the_request_knows(self):
        """Otherwise half the schema would not have been looked at."""
        document = profiles.request().document
        self.assertIn("quality", document)
        self.assertIn("stretches", document)
        self.assertIn("cpu_ns", document["places"])
        self.assertIn("before_total", profiles.difference().document["places"])
        self.assertIn("9007199254740993", profiles.huge().document["places"]["self"])

    def test_wrong_ones_are_refused(self):
        path = profiles.CACHE / "wrong.json"
        for change in (
            lambda document: document.pop("places"),
            lambda document: document.update(version=2),
            lambda document: document.update(unit="hours"),
            lambda document: document["places"]["self"].append(-1),
            lambda document: document["places"]["self"].append(2**53 + 2),
            lambda document: document["places"]["self"].append("12"),
            lambda document: document["places"]["parent"].append(0.5),
            lambda document: document["functions"].append({"name": "f"}),
            lambda document: document["quality"].pop("missed"),
        ):
            document = json.loads(profiles.request().path.read_text())
            change(document)
            path.write_text(json.dumps(document))
            with self.assertRaises(AssertionError):
                validate(SCHEMA, path)


if __name__ == "__main__":
    unittest.main()
