"""How an endpoint is declared: beside its function, with all that the OpenAPI document and its requests' checks need.

Declaring costs next to nothing at import: models are named by their place (`settings:SettingPage` is `SettingPage` of
`functions.schemas.settings`) and loaded only when the document is made; and what is declared is a tuple, because every
worker makes these classes before its first answer, and a dataclass takes five times as long to make.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import azure.functions as func

from functions.http.access import REFUSED, REFUSED_AT_CALENDAR, REFUSED_BY_HOST, Access, Door, admitted
from functions.http.answers import check_body_arrived, problem, status_of, stranger_problem
from functions.http.bodies import check_no_members
from functions.http.query import Query, check
from shared.access.actor import Origin, acting
from shared.access.roles import Role
from shared.access.strangers import REFUSALS, bare
from shared.errors import DeskbridgeError, MisconfiguredError, NotFoundError, TryLaterError
from shared.reasons import Reason

logger = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

Refusals = Mapping[int, Sequence[Reason]]

# What every endpoint that is not open can answer: it needs its app settings, and the storage account.
STORAGE: Refusals = {
    503: (
        Reason.STORAGE_UNAVAILABLE,
        Reason.STORAGE_DENIED,
        Reason.SETTING_MISSING,
        Reason.SETTING_INVALID,
        # What it is of these to whoever has shown no token yet.
        Reason.NOT_READY,
    )
}
PAGED: Refusals = {400: (Reason.CONTINUATION_INVALID,)}
BODY: Refusals = {400: (Reason.BODY_NOT_READABLE, Reason.BODY_INVALID), 413: (Reason.BODY_TOO_LARGE,)}
# The body is, or holds, settings documents.
DOCUMENTS: Refusals = {400: (Reason.BODY_NOT_READABLE, Reason.DOCUMENT_INVALID), 413: (Reason.BODY_TOO_LARGE,)}
MOVED: Refusals = {412: (Reason.CHANGED_MEANWHILE,)}
UNKNOWN: Refusals = {404: (Reason.NOT_FOUND,)}
# A stored settings document that a later release refuses: somebody has to write it anew.
STORED: Refusals = {503: (Reason.DOCUMENT_INVALID,)}
# What is sent becomes a row, and a row has limits.
STORABLE: Refusals = {400: (Reason.STORAGE_LIMIT,)}
_LONGEST_ID = 400
_LENGTH: Refusals = {411: (Reason.BODY_NOT_ARRIVED,)}
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_VERSION: Refusals = {400: (Reason.VERSION_INVALID,)}
_PARAMETERS: Refusals = {400: (Reason.PARAMETER_UNKNOWN, Reason.PARAMETER_INVALID)}


_SITE: Refusals = {403: (Reason.SITE_OF_ANOTHER_CUSTOMER,)}
_REFUSED_AT: Mapping[Door, Refusals] = {
    Door.OPEN: {},
    Door.HOST_KEY: REFUSED_BY_HOST,
    Door.CALENDAR_TOKEN: REFUSED_AT_CALENDAR,
}


class Content(NamedTuple):
    """A body or an answer: the place of its model, or a media type of its own without one; with an example."""

    model: str = ""
    media_type: str = "application/json"
    about: str = ""
    example: Any = None
    headers: Mapping[str, str] = MappingProxyType({})


class Endpoint(NamedTuple):
    """One function that answers HTTP.

    `access` is the role that is needed, or what opens it instead of one. `by_customer` says that it knows whose
    everything is, so that whoever is limited to customers may call it; `by_kind` that the kind of settings says the
    role. `query` None takes any parameter: a webhook must not refuse what its sender adds. `hidden_methods` reach the
    function too, and are no part of the interface. `if_match` says what the header is for, `path` what a parameter of
    the route is, with an example. `basic` says that a Basic credential is asked for.
    """

    function: str
    methods: tuple[str, ...]
    hidden_methods: tuple[str, ...]
    route: str
    tag: str
    summary: str
    description: str
    access: Access
    by_customer: bool
    by_kind: bool
    query: tuple[Query[Any], ...] | None
    bodies: tuple[Content, ...]
    answers: Mapping[int, tuple[Content, ...]]
    refusals: Mapping[int, tuple[Reason, ...]]
    if_match: str
    path: Mapping[str, tuple[str, str]]
    basic: bool

    @property
    def path_parameters(self) -> tuple[str, ...]:
        return tuple(re.findall(r"\{([a-z_]+)", self.route))


_declared: dict[str, Endpoint] = {}


def declared_endpoints() -> Mapping[str, Endpoint]:
    """All endpoints whose modules are imported, by the name of their function."""
    return _declared


def endpoint(
    blueprint: func.Blueprint,
    method: str | Sequence[str],
    route: str,
    *,
    tag: str,
    summary: str,
    answers: Mapping[int, str | Content | Sequence[Content]],
    access: Access = Role.ADMINISTRATOR,
    by_customer: bool = False,
    by_kind: bool = False,
    query: Sequence[Query[Any]] | None = (),
    hidden_methods: Sequence[str] = (),
    basic: bool = False,
    body: str | Content | Sequence[Content] = (),
    refusals: Sequence[Refusals] = (),
    if_match: str = "",
    path: Mapping[str, tuple[str, str]] | None = None,
) -> Callable[[Callable[..., func.HttpResponse]], Any]:
    """Make a function of `blueprint` out of the decorated one, and remember what it says of itself.

    The fields of `Endpoint` say what each means. Query parameters are checked, and errors of `shared.errors` become
    problem documents. Other bindings (queue outputs) stand above this decorator.
    """
    methods = (method,) if isinstance(method, str) else tuple(method)
    declared = Endpoint(
        function="",
        methods=methods,
        hidden_methods=tuple(hidden_methods),
        route=route,
        tag=tag,
        summary=summary,
        description="",
        access=access,
        by_customer=by_customer,
        by_kind=by_kind,
        query=None if query is None else tuple(query),
        bodies=_contents(body),
        answers={status: _contents(content) for status, content in answers.items()},
        refusals=_merged(refusals),
        if_match=if_match,
        path=dict(path or {}),
        basic=basic,
    )
    return lambda handle: _register(blueprint, declared, handle)


def _register(blueprint: func.Blueprint, declared: Endpoint, handle: Callable[..., func.HttpResponse]) -> Any:
    name = handle.__name__
    if name in _declared and _declared[name].route != declared.route:
        raise ValueError(f"two endpoints are named {name}")
    of_its_own = (
        () if declared.query is None else (_PARAMETERS,),
        (_VERSION,) if declared.if_match else (),
        () if _READING.issuperset(declared.methods) else (_LENGTH,),
        () if _READING.issuperset(declared.methods) or declared.bodies else (BODY,),
        (REFUSED if isinstance(declared.access, Role) else _REFUSED_AT[declared.access],),
        (_SITE,) if declared.by_customer and declared.methods != ("GET",) else (),
        () if declared.access is Door.OPEN else (STORAGE,),
    )
    _declared[name] = declared._replace(
        function=name,
        description=" ".join((handle.__doc__ or "").split()),
        refusals=_merged([*(each for some in of_its_own for each in some), declared.refusals]),
    )
    level = func.AuthLevel.FUNCTION if declared.access is Door.HOST_KEY else func.AuthLevel.ANONYMOUS
    methods = [*declared.methods, *declared.hidden_methods]
    return blueprint.route(declared.route, methods=methods, auth_level=level)(_guarded(handle, _declared[name]))


def named(name: str, about: str = "") -> Callable[[F], F]:
    """Name a function that is made by another: the portal and the OpenAPI document show it, and the description."""

    def name_it(handle: F) -> F:
        handle.__name__ = handle.__qualname__ = name
        handle.__doc__ = about
        return handle

    return name_it


def report_undeclared(declared: Endpoint, error: DeskbridgeError) -> None:
    """A refusal that the document does not know: a fault of the declaration, and no reason to refuse in another way."""
    logger.error("%s does not declare its refusal %s %s", declared.function, status_of(error), error.reason)


def _guarded(handle: Callable[..., func.HttpResponse], declared: Endpoint) -> Callable[..., func.HttpResponse]:
    @wraps(handle)
    def guarded(*args: Any, **kwargs: Any) -> func.HttpResponse:
        # The worker gives the request by its name, a test as it likes.
        request: func.HttpRequest = kwargs["req"] if "req" in kwargs else args[0]
        is_stranger = True
        try:
            with (
                admitted(request, declared.access, by_customer=declared.by_customer, by_kind=declared.by_kind) as who,
                acting("" if who is None else str(who.role), origin_of(request)),
            ):
                is_stranger = declared.access in {Door.OPEN, Door.CALENDAR_TOKEN}
                if declared.query is not None:
                    check(request, declared.query, key_in_query=declared.access is Door.HOST_KEY)
                if request.method not in _READING:
                    check_body_arrived(request)
                    if not declared.bodies:
                        check_no_members(request)
                _check_findable(request, declared)
                answer = handle(*args, **kwargs)
        except DeskbridgeError as error:
            REFUSALS.note(f"{declared.function} is refused", error, logging.INFO)
            # Why a token is not accepted is told; what is wrong with the desk, or at an open door, is for the log.
            is_stranger = is_stranger and (
                declared.access in {Door.OPEN, Door.CALENDAR_TOKEN}
                or isinstance(error, TryLaterError | MisconfiguredError)
            )
            if is_stranger:
                error = bare(error)
            if error.reason not in declared.refusals.get(status_of(error), ()):
                report_undeclared(declared, error)
            return stranger_problem(error) if is_stranger else problem(error)
        if who is not None and declared.methods != ("GET",):
            what = "/".join(str(value) for value in request.route_params.values())
            logger.info("%s %s by %s: %s", declared.function, what, who.shown, answer.status_code)
        return answer

    return guarded


def origin_of(request: func.HttpRequest) -> Origin:
    """Whether a page of this desk sent it, as a browser says. It is told in the audit trail, and opens nothing."""
    same = request.headers.get("Sec-Fetch-Site", "") == "same-origin"
    return Origin.CONSOLE if same else Origin.REQUEST


def _check_findable(request: func.HttpRequest, declared: Endpoint) -> None:
    """Raise NotFoundError for an address that no row can have: storage would refuse to look."""
    if Reason.NOT_FOUND not in declared.refusals.get(404, ()) or "PUT" in declared.methods:
        return
    from shared.text import KEY_FORBIDDEN

    for name, value in request.route_params.items():
        if len(value) > _LONGEST_ID or KEY_FORBIDDEN.search(value):
            raise NotFoundError(Reason.NOT_FOUND, f"There is no such {name}.")


def _contents(content: str | Content | Sequence[Content]) -> tuple[Content, ...]:
    if isinstance(content, str):
        return (Content(content),) if content else ()
    return (content,) if isinstance(content, Content) else tuple(content)


def _merged(refusals: Sequence[Refusals]) -> dict[int, tuple[Reason, ...]]:
    merged: dict[int, tuple[Reason, ...]] = {}
    for each in refusals:
        for status, reasons in each.items():
            merged[status] = tuple(dict.fromkeys((*merged.get(status, ()), *reasons)))
    return merged
