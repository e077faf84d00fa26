"""Which version of an object follows which, and when a later one had replaced it: one that could be used. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from shared.tickets.domain.listings import EXPIRED
from shared.tickets.domain.model import Note
from shared.tickets.domain.observations import AUTHORS, BY_EVENT, BY_SWEEP, ObjectState, Version, rank

# Clocks of two services may differ by so much.
_CLOCKS_DIFFER = timedelta(minutes=15)
# When all versions have expired, the last two keep their tickets: the one before it need not be told of too.
_OUTLIVED = 2


@dataclass(frozen=True)
class Story:
    """Whether a version is replaced at present, and the notes about each time that changed. The last one says so.

    `reopened_at` is when it ceased to be replaced, if it did last."""

    replaced: bool = False
    notes: tuple[Note, ...] = ()
    reopened_at: datetime | None = None


@dataclass(frozen=True)
class _Move:
    """At a moment a later version became fit for use, or ceased to be: `why`."""

    at: datetime
    version: str
    why: str = ""


class Succession:
    """The versions of one object in their order."""

    def __init__(self, state: ObjectState) -> None:
        self._state = state

    @cached_property
    def _order(self) -> list[str]:
        return sorted(self._state.versions, key=lambda name: rank(self._state, name))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self._order)}

    @cached_property
    def _moves(self) -> dict[str, tuple[_Move, ...]]:
        return {name: tuple(_moves(name, version)) for name, version in self._state.versions.items()}

    def next_created(self, name: str) -> Note | None:
        """Says which version was created next after this one, whether it can be used or not."""
        for other, version in self._later(name):
            created_at = _told_created_at(version)
            if created_at is not None and not version.absent:
                text = f"Resolved: version {other} was created after this one."
                return Note(created_at, _author_of(version), text)
        return None

    def story(self, name: str, since: datetime) -> Story:
        """When later versions replaced this one, and when they ceased to; told from a moment on.

        A later one replaces it while it can be used: enabled, valid by now, not expired.
        """
        own = self._state.versions[name].expires_at
        moves = [move for later, _ in self._later(name) for move in self._moves[later]]
        if not any(move.why for move in moves):
            # As nearly always: the first that came stays.
            moves = [min(moves, key=lambda move: move.at)] if moves else []
        moves.sort(key=lambda move: move.at)
        usable: set[str] = set()
        outlived: set[str] = set()
        replaced = False
        notes: list[Note] = []
        before: Note | None = None
        for move in moves:
            usable.discard(move.version)
            expires_at = self._state.versions[move.version].expires_at
            if not move.why:
                usable.add(move.version)
            elif move.why == EXPIRED and own is not None and expires_at is not None and expires_at >= own:
                outlived.add(move.version)
            now = bool(usable) or len(outlived) >= _OUTLIVED
            if now is replaced:
                continue
            replaced = now
            if replaced:
                text = f"Resolved: version {move.version} replaced this one."
                note = Note(max(move.at, since), _author_of(self._state.versions[move.version]), text)
            else:
                text = f"Opened again: version {move.version}, which had replaced this one, {move.why}."
                note = Note(max(move.at, since), AUTHORS[BY_SWEEP], text)
            if move.at <= since:
                before = note if replaced else None
            else:
                notes.append(note)
        reopened_at = notes[-1].at if notes and not replaced else None
        return Story(replaced, tuple(notes) if before is None else (before, *notes), reopened_at)

    def _later(self, name: str) -> Iterator[tuple[str, Version]]:
        for other in self._order[self._places[name] + 1 :]:
            yield other, self._state.versions[other]


def _author_of(version: Version) -> str:
    """Who told that it was created."""
    return AUTHORS[BY_SWEEP if version.creation is None else BY_EVENT]


def _told_created_at(version: Version) -> datetime | None:
    """For people: by the event, which has fractions of a second, if there was one."""
    return version.creation.at if version.creation is not None else version.created_at


def _moves(name: str, version: Version) -> Iterator[_Move]:
    created_at = _told_created_at(version)
    if created_at is None:
        return
    creation, spells = version.creation, version.spells
    if creation is not None and version.listing is None:
        # Until the vault is read, its event says whether it can be used.
        early = creation.not_before is not None and creation.not_before > creation.at + _CLOCKS_DIFFER
        late = creation.expires_at is not None and creation.expires_at <= creation.at
        if not early and not late:
            yield _Move(created_at, name)
        return
    if creation is not None or not spells or spells[0].since > created_at:
        yield _Move(created_at, name)
    for spell in spells:
        # Notes of one moment have no order of their own.
        yield _Move(max(created_at + timedelta(microseconds=1), spell.since), name, spell.why)
        if spell.until is not None:
            yield _Move(max(created_at, spell.until), name)
