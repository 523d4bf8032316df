"""Filters that people type, and that cannot keep a worker busy for ever."""

import math
import re
import time

LONGEST = 200  # of a filter, and of what is looked at of a name
STEPS = 20_000_000  # of one search: a tenth of a second
SECONDS = 1.0  # for all of them


def compiled(text):
    """The pattern. ValueError, with a sentence: it is none, or could take too long.

    Python's search holds the GIL and has no time limit, so what it could do is
    counted before: how many ways there are to lay k repeats over a text, times two for
    each choice. A repeat of a group could multiply inside itself, and is refused.
    """
    if len(text) > LONGEST:
        raise ValueError(f"re_filter has at most {LONGEST} letters")
    text = re.sub(r"^\^?(\.\*)+(?![?+*{])|(?<!\\)(\.\*)+\$?$", "", text)  # a search needs none
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"re_filter is no regular expression: {error}") from None
    if re.search(r"\)\s*[*+{]|\(\?[a-zA-Z-]*x", text):
        raise ValueError("re_filter could take too long: it repeats a group, or is verbose")
    repeats = len(re.findall(r"[*+{]|\\[1-9]|\(\?P=", text))
    choices = len(re.findall(r"[?|]", text))
    if math.comb(LONGEST + repeats + 1, repeats + 1) << choices > STEPS:
        raise ValueError("re_filter could take too long: use fewer of * + { ? and |")
    return pattern


def matching(records, text):
    """The records whose name has the pattern. ValueError as of compiled()."""
    pattern = compiled(text)
    if not pattern.pattern:
        return records
    ends = time.monotonic() + SECONDS
    found = []
    for record in records:
        if pattern.search(record.name[:LONGEST]):
            found.append(record)
        if time.monotonic() > ends:
            raise ValueError("re_filter took too long: use a simpler one")
    return found
