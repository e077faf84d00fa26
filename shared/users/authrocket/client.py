"""AuthRocket's API v2: users, organisations, memberships and events, page by page. Alone in knowing its field names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from shared.errors import MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.users.authrocket.http import AuthRocketCalls
from shared.users.model import Membership, SourceUser, iso

LARGEST_PAGE = 1000
# A page that does not lead on is asked for once more: caches and hiccups pass, a broken paging does not.
_TRIES_OF_A_PAGE = 2
_EVENT_TYPES_OF_PEOPLE = ("user.", "membership.", "org.")
PING = "ping"


@dataclass(frozen=True)
class Event:
    """An event as AuthRocket's API gives it. `user_id` is empty when it concerns none."""

    id: str
    type: str
    user_id: str

    @property
    def concerns_people(self) -> bool:
        return self.type.startswith(_EVENT_TYPES_OF_PEOPLE)


class AuthRocket:
    """Reads one realm. Every method raises MisconfiguredError with what to do, and TryLaterError for what passes."""

    def __init__(self, calls: AuthRocketCalls, realm: str, page_size: int = LARGEST_PAGE) -> None:
        self._calls = calls
        self._realm = realm
        self._page_size = page_size

    def users(self) -> Iterator[list[SourceUser]]:
        """The realm's users, active and inactive, with their custom attributes; a page at a time.

        Raises MisconfiguredError at the end when all that was listed is of other realms.
        """
        own = others = 0
        for page in self._pages("users", {"expand": "custom"}):
            found = [_user(one) for one in page if _belongs(one, self._realm)]
            own, others = own + len(found), others + len(page) - len(found)
            yield found
        self._check_realm(own, others)

    def first_users(self) -> list[SourceUser]:
        """One page of users: what a check reads. Raises MisconfiguredError when all of it is of other realms."""
        page, _ = self._page("users", {"expand": "custom", "max_results": str(self._page_size)})
        found = [_user(one) for one in page if _belongs(one, self._realm)]
        self._check_realm(len(found), len(page) - len(found))
        return found

    def count_orgs(self) -> int:
        """How many organisations a page has: what a check reads."""
        page, _ = self._page("orgs", {"max_results": str(self._page_size)})
        return len(page)

    def find_user(self, user_id: str) -> SourceUser | None:
        """One user of this realm, with custom attributes; None when the realm has no such user."""
        found = self._find("users", user_id, {"expand": "custom"})
        return None if found is None or not _belongs(found, self._realm) else _user(found)

    def find_event(self, event_id: str) -> Event | None:
        """One event; None when AuthRocket does not know it, not any more, or for another realm."""
        found = self._find("events", event_id, {})
        if found is None or not _belongs(found, self._realm):
            return None
        return Event(_id(found), _text(found.get("event_type")), _text(found.get("user_id")))

    def memberships(self) -> Iterator[list[tuple[str, Membership]]]:
        """All memberships of the realm with their users' ids, a page at a time.

        The API lists them by organisation (or by user) only, so it is asked for each organisation.
        """
        for orgs in self._pages("orgs", {}):
            for org in orgs:
                for page in self._pages("memberships", {"org_id": _id(org)}):
                    yield [(_text(one.get("user_id")), _membership(one, org)) for one in page]

    def memberships_of(self, user_id: str) -> tuple[Membership, ...]:
        """The memberships of one user."""
        found: list[Membership] = []
        for page in self._pages("memberships", {"user_id": user_id}):
            for one in page:
                org = one.get("org")
                if not isinstance(org, dict):
                    org = self._find("orgs", _text(one.get("org_id")), {}) or {"id": one.get("org_id")}
                found.append(_membership(one, org))
        return in_order(found)

    def _check_realm(self, own: int, others: int) -> None:
        if others and not own:
            raise MisconfiguredError(
                Reason.AUTHROCKET_REALM_DIFFERS,
                f"AuthRocket lists {others} users, and none of the realm {self._realm}.",
                remedy="The API key is of another realm, or the document names another: take both from one page of "
                "AuthRocket's portal.",
            )

    # Pages

    def _pages(self, collection: str, parameters: Mapping[str, str]) -> Iterator[list[dict[str, Any]]]:
        """The pages of a list. Raises TryLaterError when a page does not lead on: then the list has no known end."""
        after = last = ""
        page: list[dict[str, Any]] = []
        more = True
        seen: set[str] = set()
        while True:
            for left in reversed(range(_TRIES_OF_A_PAGE)):
                asked = {**parameters, "max_results": str(self._page_size), "sort": "id", "direction": "asc"}
                page, more = self._page(collection, {**asked, "after": after} if after else asked)
                last = next((_id(one) for one in reversed(page) if one.get("id")), "")
                if (last and last not in seen) or not more:
                    break
                if not left:
                    raise _stuck(collection, after, empty=not page)
            if last in seen:
                # The end of the list, repeated: what it says of the end is not to be believed.
                raise _stuck(collection, after, empty=False)
            if page:
                yield page
            if not more:
                return
            seen.add(last)
            after = last

    def _page(self, collection: str, parameters: Mapping[str, str]) -> tuple[list[dict[str, Any]], bool]:
        answer = self._calls.get(collection, parameters)
        page = answer.get("collection") if isinstance(answer, dict) else None
        odd = [one for one in page if not isinstance(one, dict) or not one.get("id")] if isinstance(page, list) else []
        # One odd user is one error. Whose an odd membership is, nobody can tell.
        if not isinstance(page, list) or (odd and (collection != "users" or len(odd) == len(page))):
            raise _unexpected(f"the list of {collection}")
        page = [one if isinstance(one, dict) else {} for one in page]
        more = answer.get("more_results")
        # Without its word on it, only an empty page is the end: a page too many costs less than users taken for gone.
        return page, more if isinstance(more, bool) else bool(page)

    def _find(self, collection: str, item_id: str, parameters: Mapping[str, str]) -> dict[str, Any] | None:
        try:
            found = self._calls.get(f"{collection}/{quote(item_id, safe='')}", parameters)
        except MisconfiguredError as error:
            if error.reason is Reason.AUTHROCKET_NOT_FOUND:
                return None
            raise
        if not isinstance(found, dict) or not found.get("id"):
            raise _unexpected(f"one of the {collection}")
        return found


def moment(value: object) -> datetime | None:
    """AuthRocket's times are seconds since 1970, with decimals; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        # Rounded to the millisecond that AuthRocket gives: a float has no exact microseconds.
        return datetime.fromtimestamp(round(value, 3), UTC)
    except (ValueError, OverflowError, OSError):
        return None


_TIMES = ("created_at", "last_login_at")


def _user(found: Mapping[str, Any]) -> SourceUser:
    fields = {name: value for name, value in found.items() if value is not None}
    for name in _TIMES:
        at = moment(fields.get(name))
        if at is not None:
            fields[name] = iso(at)
    custom = fields.get("custom")
    fields["custom"] = custom if isinstance(custom, dict) else {}
    email = _text(found.get("email")).strip()
    if email:
        # Addresses from before AuthRocket normalised them have capitals; the domain is what site rules ask for.
        fields["email"] = email.lower()
        fields["email_domain"] = email.lower().rpartition("@")[2]
    else:
        fields.pop("email", None)
    if not _text(fields.get("name")).strip():
        fields["name"] = _name(fields)
    return SourceUser(_id(found), _text(found.get("state")) != "inactive", fields)


def _name(fields: Mapping[str, Any]) -> str:
    """AuthRocket always gives a name; should it not, what it is made of there."""
    full = " ".join(part for part in (_text(fields.get("first_name")), _text(fields.get("last_name"))) if part)
    return full or _text(fields.get("username")) or _text(fields.get("email")) or _id(fields)


def _membership(found: Mapping[str, Any], org: Mapping[str, Any]) -> Membership:
    granted = found.get("permissions")
    permissions = granted if isinstance(granted, list) else [granted] if isinstance(granted, str) else []
    return Membership(
        id=_id(found),
        org_id=_id(org),
        org_name=_text(org.get("name")) or _id(org),
        org_reference=_text(org.get("reference")),
        permissions=tuple(sorted({one for one in permissions if isinstance(one, str)})),
        expires_at=moment(found.get("expires_at")),
    )


def in_order(memberships: Sequence[Membership]) -> tuple[Membership, ...]:
    """Memberships as they are stored."""
    # In an order of their own, so that the order of an answer is no change.
    return tuple(sorted(memberships, key=lambda one: (one.org_name, one.org_id, one.id)))


def _belongs(found: Mapping[str, Any], realm: str) -> bool:
    """Whether it is of this realm. A key that sees several realms must not bring a stranger's users in."""
    return found.get("realm_id") in (None, realm)


def _id(found: Mapping[str, Any]) -> str:
    return _text(found.get("id"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _stuck(collection: str, after: str, *, empty: bool) -> TryLaterError:
    where = f"after {after}" if after else "at its beginning"
    what = "an empty page that says that there is more" if empty else "a page that it gave before"
    return TryLaterError(
        Reason.AUTHROCKET_PAGING_STUCK,
        f"The list of {collection} does not go on {where}: AuthRocket gave {what}.",
        remedy="It is tried again by itself, and nothing is deactivated meanwhile. If it lasts, try another page_size "
        "and tell AuthRocket's support.",
    )


def _unexpected(what: str) -> MisconfiguredError:
    return MisconfiguredError(
        Reason.AUTHROCKET_ANSWER_UNREADABLE,
        f"What was answered is not {what} as AuthRocket's API v2 gives it.",
        remedy="Look at the endpoint URL: it is shown beside the API key, and ends with /v2.",
    )
