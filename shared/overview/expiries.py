"""When the objects of all vaults expire, as the index has it, and the calendar that shows it (RFC 5545)."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.index.index import Index, Stream
from shared.storage.tables import ROWS_PER_PAGE
from shared.text import ascending
from shared.tickets.domain.decide import Expiry
from shared.tickets.store.index_rows import AFTER_ALL, BY_EXPIRY, NEVER, SHARDS, object_in, object_partition

# What expired longer ago is no appointment any more.
SHOWN_AFTER_EXPIRY = timedelta(days=30)
_OCTETS_PER_LINE = 75


@dataclass(frozen=True)
class Shown:
    """Which objects are shown: of these sites, of this team; None is all. `site_of` is the site of a vault."""

    sites: frozenset[str] | None
    team: str | None
    site_of: Callable[[str], str | None]

    def includes(self, expiry: Expiry) -> bool:
        """The vault's site stands for an object without."""
        if self.sites is not None:
            of_vault = None if expiry.sites else self.site_of(expiry.vault)
            if not self.sites & ({of_vault} if of_vault else set(expiry.sites)):
                return False
        return self.team is None or self.team.casefold() in {team.casefold() for team in expiry.teams}


def expiries(index: Index, shown: Shown | None = None, since: datetime | None = None) -> Iterator[Expiry]:
    """Every object that is known and not gone, soonest first; those that never expire come last. With `since` only
    those that expire, and did not before: nothing else is read.

    A certificate's own key and secret expire with it.
    """
    begin, end = (" ", AFTER_ALL) if since is None else (ascending(since), NEVER)
    streams = [Stream(object_partition(BY_EXPIRY, shard), begin, end) for shard in SHARDS]
    for row in index.merged(streams, ROWS_PER_PAGE):
        expiry = object_in(row)
        if not expiry.managed and (shown is None or shown.includes(expiry)):
            yield expiry


def calendar(found: Iterable[Expiry], now: datetime) -> str:
    """The calendar of those that expire, or did so within the last 30 days: one whole-day entry each, in UTC."""
    dated = [
        (expiry.expires_at, expiry)
        for expiry in found
        if expiry.expires_at is not None and expiry.expires_at > now - SHOWN_AFTER_EXPIRY
    ]
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Deskbridge//Expiries//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        "X-WR-CALNAME:Expiries in Key Vault",
        "REFRESH-INTERVAL;VALUE=DURATION:PT6H",
        "X-PUBLISHED-TTL:PT6H",
    ]
    for expires_at, expiry in sorted(dated, key=lambda pair: (pair[0], pair[1].vault, pair[1].object_name)):
        lines += _entry(expires_at, expiry, now)
    lines.append("END:VCALENDAR")
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _entry(expires_at: datetime, expiry: Expiry, now: datetime) -> Sequence[str]:
    what = f"{expiry.object_type} {expiry.object_name}"
    moment = expires_at.astimezone(UTC)
    try:
        after = f"{moment + timedelta(days=1):%Y%m%d}"
    except OverflowError:
        after = f"{moment:%Y%m%d}"
    description = (
        f"The {what} in the vault {expiry.vault} expires at {moment:%Y-%m-%d %H:%M} UTC (version {expiry.version})."
    )
    return (
        "BEGIN:VEVENT",
        f"UID:{_uid(expiry)}",
        f"DTSTAMP:{now.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        f"DTSTART;VALUE=DATE:{moment:%Y%m%d}",
        f"DTEND;VALUE=DATE:{after}",
        f"SUMMARY:{_escaped(f'{expiry.vault}: {what} expires')}",
        f"DESCRIPTION:{_escaped(description)}",
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
    )


def _uid(expiry: Expiry) -> str:
    # Without the version: a renewed object moves its entry and does not leave the old one behind.
    identity = f"{expiry.vault}\x1f{expiry.object_type}\x1f{expiry.object_name.casefold()}"
    return f"{hashlib.sha256(identity.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}@deskbridge"


def _escaped(text: str) -> str:
    shown = "".join(character for character in text if character.isprintable())
    return shown.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")


def _folded(line: str) -> str:
    """At most 75 octets a line; what goes on begins with a space, and no character is cut in two."""
    parts: list[str] = []
    part, octets = "", 0
    for character in line:
        size = len(character.encode("utf-8", "replace"))
        if octets + size > _OCTETS_PER_LINE:
            parts.append(part)
            part, octets = " ", 1
        part += character
        octets += size
    return "\r\n".join([*parts, part])
