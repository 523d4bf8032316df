"""Folded stacks as a large program leaves them, the same on every run: for render.py.

    python3 bench/stacks.py COUNT FILE

COUNT different stacks of 20 to 60 frames, about 1.5 kB a line. Each leaves one of
those before it at some frame, mostly near the leaf, and goes on to a few new ones:
beginnings are shared as in real profiles. They stand as they came, in no order. Prints
how many places they make in a call tree.
"""

import random
import sys

DEPTHS = 20, 60
FUNCTIONS = 20000
CALLEES = 8
ELSEWHERE = 0.01  # of all stacks leave the earlier one anywhere

WORDS = (
    "account basket cache config cookie cursor entry field filter form group header index "
    "invoice item language ledger manager message model order page parser payment price "
    "product query record request response route schema session signal stock table template "
    "token user value view"
).split()
VERBS = "add apply build check clean copy decode fetch find get iter load make push read".split()


class Source:
    """Numbers by chance: random() alone is promised to be the same in every Python."""

    def __init__(self):
        self.random = random.Random(1).random

    def below(self, limit):
        return int(self.random() * limit)

    def pick(self, choices):
        return choices[self.below(len(choices))]

    def more(self, chance):
        """How often in a row, at least once."""
        count = 1
        while self.random() < chance:
            count += 1
        return count


def function_name(source):
    """Of Python in two cases of three, else of C++."""
    one, two, three = (source.pick(WORDS) for _ in range(3))
    verb = source.pick(VERBS)
    if source.random() < 1 / 3:
        return f"{one}::{two.title()}<{source.pick(WORDS)}>::{verb}"
    line = 1 + source.below(2000)
    return f"{one.title()}.{verb}_{two} ({source.pick(WORDS)}/{three}.py:{line})"


class CallTree:
    """Places by number, the root is 0; a function calls only some others."""

    def __init__(self, source):
        self.source = source
        self.names = [function_name(source) for _ in range(FUNCTIONS)]
        self.callees = [source.below(FUNCTIONS) for _ in range(FUNCTIONS * CALLEES)]
        self.parents, self.functions, self.depths = [0], [0], [0]
        self.known = {}

    def call(self, place):
        """A callee's place, those that are called often more likely."""
        function = self.functions[place] * CALLEES + int(CALLEES * self.source.random() ** 2)
        key = place * FUNCTIONS * CALLEES + function
        found = self.known.setdefault(key, len(self.parents))
        if found == len(self.parents):
            self.parents.append(place)
            self.functions.append(self.callees[function])
            self.depths.append(self.depths[place] + 1)
        return found

    def above(self, place, levels):
        for _ in range(min(levels, self.depths[place] - 1)):
            place = self.parents[place]
        return place

    def stack(self, place):
        names = []
        while place:
            names.append(self.names[self.functions[place]])
            place = self.parents[place]
        return ";".join(reversed(names))


def next_leaf(tree, leaves):
    """Where a stack ends that leaves an earlier one."""
    source = tree.source
    least, most = DEPTHS
    wanted = least + source.below(most - least + 1)
    place = source.pick(leaves) if leaves else 0
    if leaves and source.random() < ELSEWHERE:
        place = tree.above(place, source.below(tree.depths[place]))
    elif leaves:
        # One that is deep is left earlier: else they would get deeper and deeper.
        deep = tree.depths[place] > wanted
        place = tree.above(place, source.more(0.4) + 2 * deep)
        wanted = max(least, min(most, tree.depths[place] + source.more(0.4)))
    while tree.depths[place] < wanted:
        place = tree.call(place)
    return place


def write(count, file):
    """Returns the number of places, with the root."""
    tree = CallTree(Source())
    leaves, seen = [], set()
    while len(leaves) < count:
        leaf = next_leaf(tree, leaves)
        if leaf not in seen:
            seen.add(leaf)
            leaves.append(leaf)
            file.write(f"{tree.stack(leaf)} {tree.source.more(0.7)}\n")
    return len(tree.parents)


if __name__ == "__main__":
    with open(sys.argv[2], "w", encoding="ascii") as output:
        print(write(int(sys.argv[1]), output))
