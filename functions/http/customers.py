"""What a caller that is limited to customers sees: things of their sites. What has no site is nobody's."""

from collections.abc import Callable
from typing import TypeVar

import azure.functions as func

from functions.http.access import principal
from functions.http.query import page_asked
from shared import bootstrap
from shared.errors import ForbiddenError, NotFoundError
from shared.reasons import Reason
from shared.storage.etags import ANY_VERSION

T = TypeVar("T")


def sites_seen() -> frozenset[str] | None:
    """The sites of the caller's customers; None for a caller that is not limited."""
    customers = principal().customers
    if customers is None:
        return None
    from shared.records.documents.sites import sites_of

    return sites_of(bootstrap.settings(), customers)


def sites_asked(customer: str | None) -> frozenset[str] | None:
    """Of the sites that the caller sees, those of the customer that is asked for; None for all."""
    seen = sites_seen()
    if customer is None:
        return seen
    from shared.records.documents.sites import sites_of

    sites = sites_of(bootstrap.settings(), [customer])
    return sites if seen is None else sites & seen


def documents_asked(customer: str | None) -> frozenset[tuple[str, str]] | None:
    """Kind and name of the imported documents that name a site of the customer that is asked for; None for all."""
    if customer is None:
        return None
    from shared.bootstrap.sources import SOURCES
    from shared.records.documents.sites import documents_at

    classes = [cls for source in SOURCES for cls in source.documents() if cls.kind == source.kind]
    return documents_at(bootstrap.settings(), classes, sites_asked(customer) or ())


def page_seen(request: func.HttpRequest) -> tuple[int, str | None]:
    """As `page_asked`. To a limited caller the place is told encrypted: it may be the key of another's thing."""
    limit, after = page_asked(request)
    if after is not None and principal().customers is not None:
        after = bootstrap.seals().open(after)
    return limit, after


def next_shown(following: str | None) -> str | None:
    """Where the list goes on, as `page_seen` takes it."""
    if following is None or principal().customers is None:
        return following
    return bootstrap.seals().seal(following)


def find_seen(find: Callable[[], T], site_of: Callable[[T], str | None], what: str) -> T:
    """What `find` gives, when the caller sees it. Raises NotFoundError, the same whether it is another's or nothing."""
    sites = sites_seen()
    if sites is None:
        return find()
    try:
        found: T | None = find()
    except NotFoundError:
        found = None
    if found is None or site_of(found) not in sites:
        raise NotFoundError(Reason.NOT_FOUND, f"There is no such {what}.")
    return found


def version_asked(if_match: str | None, seen: str) -> str | None:
    """The version to change. To a limited caller any version is that which was `seen` as theirs: by the next one it
    may be another customer's."""
    return seen if if_match == ANY_VERSION and principal().customers is not None else if_match


def check_site(site: object) -> None:
    """Raise ForbiddenError for a site that a limited caller may not put a thing at."""
    sites = sites_seen()
    if sites is not None and site not in sites:
        raise ForbiddenError(
            Reason.SITE_OF_ANOTHER_CUSTOMER,
            f"{principal().shown} is limited to some customers, and this site is none of theirs.",
            remedy=f"Name one of their sites: {', '.join(sorted(sites)) or 'there is none yet'}.",
        )
