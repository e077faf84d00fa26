"""When a timer fires next: NCRONTAB with six fields, or five without seconds, in UTC. The host alone fires it."""

import re
from datetime import UTC, datetime, timedelta

_NAMES = {
    name: number
    for names, first in (("jan feb mar apr may jun jul aug sep oct nov dec", 1), ("sun mon tue wed thu fri sat", 0))
    for number, name in enumerate(names.split(), first)
}
# Second, minute, hour, day, month, day of the week.
_RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_PIECE = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")
# A 29th of February comes within eight years.
_DAYS_LOOKED_AT = 366 * 8 + 1


def next_after(expression: str, moment: datetime) -> datetime | None:
    """The first time after the moment; None for what is no such expression, or never comes."""
    texts = expression.lower().split()
    fields = [_values(text, *bounds) for text, bounds in zip(["0"] * (6 - len(texts)) + texts, _RANGES, strict=False)]
    if len(texts) not in {5, 6} or not all(fields):
        return None
    seconds, minutes, hours, days, months, weekdays = fields
    start = moment.astimezone(UTC)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    for day in (midnight + timedelta(days=number) for number in range(_DAYS_LOOKED_AT)):
        if day.month not in months or day.day not in days or day.isoweekday() % 7 not in weekdays:
            continue
        times = (day.replace(hour=h, minute=m, second=s) for h in hours for m in minutes for s in seconds)
        found = next((time for time in times if time > start), None)
        if found is not None:
            return found
    return None


def _values(text: str, least: int, most: int) -> list[int]:
    """The numbers of one field in order; none for what cannot be read."""
    found: set[int] = set()
    for piece in text.split(","):
        match = _PIECE.fullmatch(piece)
        if match is None:
            return []
        first, last, step = match.groups()
        try:
            begin = least if first is None else _NAMES.get(first, -1) if first.isalpha() else int(first)
            end = _NAMES.get(last, -1) if last and last.isalpha() else int(last or begin)
        except ValueError:
            return []
        end = most if first is None or (step and last is None) else end
        if not least <= begin <= end <= most or step == "0":
            return []
        found.update(range(begin, end + 1, int(step or 1)))
    return sorted(found)
