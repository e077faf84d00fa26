"""Objects of all vaults over HTTP: what an auditor asks for."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import azure.functions as func

from functions.http.answers import answer
from functions.http.customers import find_seen, next_shown, page_seen, sites_asked, sites_seen
from functions.http.endpoints import PAGED, UNKNOWN, endpoint
from functions.http.query import CUSTOMER, PAGE, SEARCH, moment, one_of, some_of, text
from shared import bootstrap
from shared.access.roles import Role

if TYPE_CHECKING:
    from shared.tickets.desk.objects import KnownObject

objects_api = func.Blueprint()

_STATES = some_of(
    "state",
    "In these states. Without it, all but those that are gone.",
    ("usable", "not_yet_valid", "expired", "disabled", "gone"),
)
_TYPES = some_of("object_type", "Of these types.", ("secret", "key", "certificate"))
_ORDER = one_of("order", "`expiry`: soonest first, those that never expire last. `name`: by name.", ("expiry", "name"))
_SCOPE = text("scope", "In this vault.", longest=200, example="acorn-vault")
_OWNER = text("owner", "Of vaults with this owner.", example="Platform")
_SITE = text("site", "At this site.", example="london-hq")
_BEFORE = moment("expires_before", "That expire before this moment.")
_AFTER = moment("expires_after", "That expire at this moment or later.")
_KEPT = ("object_type", "object_name", "managed", "changed_at", "not_before", "expires_at", "gone_at")


@endpoint(
    objects_api,
    "GET",
    "v1/objects",
    tag="tickets",
    access=Role.READER,
    by_customer=True,
    summary="List the objects of all vaults",
    query=(SEARCH, _STATES, _TYPES, _ORDER, _SCOPE, _OWNER, CUSTOMER, _SITE, _BEFORE, _AFTER, *PAGE),
    answers={200: "objects:ObjectsPage"},
    refusals=[PAGED],
)
def list_objects(req: func.HttpRequest) -> func.HttpResponse:
    """Every secret, key and certificate that a sweep read or an event told of: dates, state, owner, when it was last
    seen, and its open tickets. What changed after `as_of` may be missing; what is shown is as it is now."""
    from shared.tickets.desk import objects

    limit, after = page_seen(req)
    sites, site = sites_asked(CUSTOMER.read(req)), _SITE.read(req)
    if site is not None:
        sites = frozenset({site}) if sites is None else sites & {site}
    query = objects.query_of(
        order=_ORDER.read(req),
        states=_STATES.read(req) or (),
        object_types=_TYPES.read(req) or (),
        scope=_SCOPE.read(req),
        q=SEARCH.read(req),
        owner=_OWNER.read(req),
        sites=sites,
        expires_before=_BEFORE.read(req),
        expires_after=_AFTER.read(req),
        size=limit,
        after=after,
    )
    page = bootstrap.object_lists().page(query)
    seen = sites_seen()
    items = [_shown(one, seen) for one in page.items]
    return answer(200, {"items": items, "next": next_shown(page.next), "as_of": page.as_of})


@endpoint(
    objects_api,
    "GET",
    "v1/objects/{id}",
    tag="tickets",
    access=Role.READER,
    by_customer=True,
    path={"id": ("The object's id: vault, type and name.", "acorn-vault:secret:mail-password")},
    summary="Show an object",
    answers={200: "objects:ObjectDetailAnswer"},
    refusals=[UNKNOWN],
)
def show_object(req: func.HttpRequest) -> func.HttpResponse:
    """With the versions that the desk remembers, when it was not in its vault, and all its tickets."""
    seen = sites_seen()
    known, record = find_seen(
        lambda: bootstrap.object_lists().find(req.route_params["id"]),
        lambda found: next((site for site in found[0].sites if seen is None or site in seen), None),
        "object",
    )
    tickets = [
        {
            "id": one.ticket_id,
            "kind": key.partition(":")[0],
            "version": key.partition(":")[2],
            "open": (one.ticket_id, one.site or "") in known.shown.tickets,
        }
        for key, one in sorted(record.stored.items())
        if seen is None or one.site in seen
    ]
    absences = [{"gone_at": gone_at, "back_at": back_at} for gone_at, back_at in record.state.absences]
    details = {"versions": _versions(record.state), "absences": absences, "all_tickets": tickets}
    return answer(200, {**_shown(known, seen), **details})


def _versions(state: Any) -> list[dict[str, Any]]:
    newest_first = sorted(
        state.versions.items(), key=lambda one: (one[1].created_at or one[1].first_seen_at, one[0]), reverse=True
    )
    return [
        {
            "version": name,
            "created_at": one.created_at,
            "expires_at": one.expires_at,
            "enabled": None if one.listing is None else one.listing.enabled,
            "in_vault": None if one.listing is None else not one.absent,
        }
        for name, one in newest_first
    ]


def _shown(known: "KnownObject", seen: frozenset[str] | None) -> dict[str, Any]:
    """`seen` are the sites that the caller sees; an object may have tickets of several."""
    members = asdict(known.shown)
    return {
        "id": known.object_id,
        "scope": known.shown.vault,
        "version": known.shown.version or None,
        "state": known.state,
        "created_at": known.created_at,
        "last_seen_at": known.seen_at,
        "owner": known.owner,
        # Whose team each is, nobody keeps: whoever sees some customers alone is told of none.
        "teams": list(known.shown.teams) if seen is None else [],
        "sites": [site for site in known.sites if seen is None or site in seen],
        "tickets": [ticket_id for ticket_id, site in known.shown.tickets if seen is None or site in seen],
        **{name: members[name] for name in _KEPT},
    }
