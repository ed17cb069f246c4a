"""Parts of a page that scripts write: what stands between two marks of their name."""

from __future__ import annotations

MARKS = ("<!-- {}: begin -->", "<!-- {}: end -->")  # of a part's name


def with_part(text: str, name: str, part: str) -> str:
    """A page's text with another part of this name.

    Raises:
        ValueError: The page has no such marks.
    """
    begin, end = (mark.format(name) for mark in MARKS)
    before, mark, rest = text.partition(begin)
    _, other, after = rest.partition(end)
    if not mark or not other:
        raise ValueError(f"expected the marks {begin} and {end}, got none.")
    return f"{before}{mark}\n{part}\n{other}{after}"
