"""Patterns as people write them for names: `*` stands for any characters, `?` for one. Capitals do not matter."""


def fits(pattern: str, text: str) -> bool:
    """Whether the whole text fits. In time of both lengths multiplied at most, whatever the pattern."""
    pattern, text = pattern.casefold(), text.casefold()
    at = place = 0
    star, after = -1, 0
    while place < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, after = at, place
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            # The last star takes one character more.
            after += 1
            at, place = star + 1, after
        else:
            return False
    return not pattern[at:].strip("*")
