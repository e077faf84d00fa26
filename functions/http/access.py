"""Who may call what: the one place where it is checked. To the host all endpoints but one are anonymous."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import TYPE_CHECKING

import azure.functions as func

from shared import bootstrap
from shared.access.principals import Principal, PrincipalKind
from shared.access.roles import Role
from shared.access.strangers import bare, before_authorisation
from shared.errors import DeskbridgeError, ForbiddenError, NotAuthorisedError, TryLaterError
from shared.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

TOKEN_HEADER = "X-Api-Key"  # noqa: S105 - the name of a header
CONSOLE_HEADER = "X-Deskbridge-Console"
TOKEN_PARAMETER = "token"  # noqa: S105 - the name of a parameter


class Door(StrEnum):
    """What opens an endpoint that no role opens."""

    OPEN = "open"
    HOST_KEY = "host_key"
    CALENDAR_TOKEN = "calendar_token"  # noqa: S105 - a word, and no token


Access = Role | Door

# What every endpoint that needs a role can answer, before it does anything.
REFUSED: "Mapping[int, tuple[Reason, ...]]" = {
    401: (
        Reason.ACCESS_TOKEN_MISSING,
        Reason.ACCESS_TOKEN_MALFORMED,
        Reason.ACCESS_TOKEN_UNKNOWN,
        Reason.ACCESS_TOKEN_EXPIRED,
        Reason.ACCESS_TOKEN_REVOKED,
        Reason.ACCESS_TOKENS_OFF,
    ),
    403: (
        Reason.ACCESS_TOKEN_KIND,
        Reason.ROLE_MISSING,
        Reason.ROLE_TOO_LOW,
        Reason.CUSTOMERS_ONLY,
        Reason.OTHER_SITE,
    ),
    503: (Reason.SIGN_IN_EXPECTED, Reason.NOT_READY),
}
REFUSED_BY_HOST: "Mapping[int, tuple[Reason, ...]]" = {401: (Reason.ACCESS_TOKENS_OFF,)}
REFUSED_AT_CALENDAR: "Mapping[int, tuple[Reason, ...]]" = {
    401: (Reason.CREDENTIAL_REFUSED,),
    503: (Reason.NOT_READY,),
}

_HOST_KEY_HOLDER = Principal("the host's key", PrincipalKind.HOST_KEY, Role.ADMINISTRATOR)
_present: ContextVar[Principal | None] = ContextVar("principal", default=None)


@contextmanager
def admitted(
    request: func.HttpRequest, access: Access, *, by_customer: bool, by_kind: bool
) -> Iterator[Principal | None]:
    """Within it `principal()` is who calls, which it gives too; None where nobody has to say so.

    Raises NotAuthorisedError, ForbiddenError or TryLaterError.
    """
    who = _authenticated(request, access)
    if isinstance(access, Role) and who is not None:
        # A set names its kinds in the body: `check_kinds` looks at them.
        kind = request.route_params.get("kind") if by_kind else None
        needed = access if kind is None else _role_for_kind(kind)
        _check(who, needed, by_customer=by_customer)
    before = _present.set(who)
    try:
        yield who
    finally:
        _present.reset(before)


def principal() -> Principal:
    """Who calls the endpoint at work. An endpoint that is open to all has nobody to name."""
    who = _present.get()
    if who is None:
        raise RuntimeError("nobody was admitted here")
    return who


def caller() -> str:
    """Who calls, for the histories."""
    return principal().shown


def check_kinds(kinds: Iterable[str]) -> None:
    """Raise ForbiddenError unless who calls may write settings of all these kinds."""
    for kind in sorted(set(kinds)):
        _check(principal(), _role_for_kind(kind), by_customer=False)


def _authenticated(request: func.HttpRequest, access: Access) -> Principal | None:
    if access is Door.OPEN:
        return None
    if access is Door.CALENDAR_TOKEN:
        # Anybody can call it: a stranger learns a bare reason, and the words are for the log.
        with before_authorisation("show_calendar is refused"):
            return _holder(request.params.get(TOKEN_PARAMETER, ""), PrincipalKind.CALENDAR)
    signs_in = bootstrap.callers_are_signed_in()
    token = request.headers.get(TOKEN_HEADER, "")
    if signs_in and (token or access is Door.HOST_KEY):
        raise NotAuthorisedError(
            Reason.ACCESS_TOKENS_OFF,
            "Callers sign in with Entra here, and access tokens are off.",
            remedy=f"Leave {TOKEN_HEADER} away and send Authorization: Bearer with a token of Entra.",
        )
    if access is Door.HOST_KEY:
        return _HOST_KEY_HOLDER
    if not signs_in:
        return _holder(token, PrincipalKind.TOKEN)
    from shared.access.sign_in import ID_HEADER, NAME_HEADER, PRINCIPAL_HEADER, signed_in_principal

    headers = (request.headers.get(name, "") for name in (PRINCIPAL_HEADER, NAME_HEADER, ID_HEADER))
    who = signed_in_principal(*headers)
    _check_own_page(request)
    return who


def _check_own_page(request: func.HttpRequest) -> None:
    """Raise ForbiddenError for a write that a browser brings by its cookie alone, from another page than the desk's.

    The platform takes its cookie from whatever page asks. No other page can set the console's header, or say that it
    is of this origin; and what sends its token itself has no cookie to abuse.
    """
    if request.method in {"GET", "HEAD", "OPTIONS"} or request.headers.get("Authorization", "").startswith("Bearer "):
        return
    own = request.headers.get("Sec-Fetch-Site") == "same-origin" and request.headers.get(CONSOLE_HEADER) == "1"
    if not own:
        raise ForbiddenError(
            Reason.OTHER_SITE,
            "A browser sent this, and no page of this desk.",
            remedy="Do it in the console, or send Authorization: Bearer with a token of Entra.",
        )


def _holder(token: str, kind: PrincipalKind) -> Principal:
    """Who holds the token, which must be of that kind."""
    if not token:
        raise NotAuthorisedError(
            Reason.ACCESS_TOKEN_MISSING,
            "There is no access token.",
            remedy=(
                "Make the calendar's address as docs/api.md says."
                if kind is PrincipalKind.CALENDAR
                else f"Send it as the header {TOKEN_HEADER}."
            ),
        )
    from shared.access.token_format import is_token
    from shared.access.tokens import token_malformed

    if not is_token(token):
        # Before anything is built or read: a stranger's text costs nothing.
        raise token_malformed(kind)
    try:
        who = bootstrap.access_tokens().authenticate(token)
    except NotAuthorisedError:
        raise
    except DeskbridgeError as error:
        # A stranger learns no names of settings and no address of the storage account.
        logger.warning("Access cannot be checked: %s", error)
        raise TryLaterError(
            bare(error).reason, "Access cannot be checked at the moment.", remedy="Try later; the log says why."
        ) from error
    if who.kind is not kind:
        refusal = NotAuthorisedError if kind is PrincipalKind.CALENDAR else ForbiddenError
        raise refusal(
            Reason.ACCESS_TOKEN_KIND,
            "This token is not for this.",
            remedy="A calendar's token opens the calendar alone, and the calendar opens with no other.",
        )
    return who


def _check(who: Principal, needed: Role, *, by_customer: bool) -> None:
    if not who.role.covers(needed):
        raise ForbiddenError(
            Reason.ROLE_TOO_LOW,
            f"{who.shown} is {_with_article(who.role)}, and this needs {_with_article(needed)}.",
            remedy=f"Ask {_with_article(Role.ADMINISTRATOR)} of this desk.",
        )
    if who.customers is not None and not by_customer:
        raise ForbiddenError(
            Reason.CUSTOMERS_ONLY,
            f"{who.shown} is limited to some customers, and this is of all of them.",
            remedy="Use a token that is not limited to customers.",
        )


def _with_article(role: Role) -> str:
    return f"an {role}" if role[0] in "aeiou" else f"a {role}"


def _role_for_kind(kind: str) -> Role:
    """Who may write settings of that kind; for a kind that there is not, an administrator."""
    from shared.bootstrap.kinds import KINDS

    return next((cls.writable_by for cls in KINDS if cls.kind == kind), Role.ADMINISTRATOR)
