"""Desk users over HTTP: list, show, add by hand, edit, release, history, explain; start and test imports of realms."""

from dataclasses import asdict

import azure.functions as func

from functions.http.answers import answer
from functions.http.endpoints import STORED, UNKNOWN, endpoint
from functions.http.query import FIELD, VALUE, text
from functions.http.record_endpoints import Records, declare_records
from shared import bootstrap
from shared.access.roles import Role

users_api = func.Blueprint()

list_users, add_user, show_user, edit_user, list_user_history, explain_user = declare_records(
    users_api,
    Records(
        one="user",
        many="users",
        article="a",
        model="User",
        desk=bootstrap.user_desk,
        filters=(
            text("realm", "Only those of this realm, by its id in AuthRocket.", example="rl_0v1zUreYgzlPDH4BMjVpQ4"),
            text("site", "Only those of these sites, by name.", example="london-hq"),
            text("email", "Only those of this e-mail address.", example="jim@acorn.example"),
            FIELD,
            VALUE,
        ),
        id=(
            "The user's id: `authrocket:<realm>:<user>`, or `manual:<id>`.",
            "authrocket:rl_0v1zUreYgzlPDH4BMjVpQ4:usr_0v1zUreYgzlPDH4BMjVpQ5",
        ),
        new={"id": "reception", "fields": {"name": "Reception desk", "email": "reception@acorn.example"}},
        edit={"fields": {"name": "Jim Shorts"}, "release": []},
        about_list=(
            "By realm and id; what `q` finds by the words found. A page may be short, even empty, while `next` "
            "says that there is more. What changed after `as_of` may be missing."
        ),
        about_add="An import may find it by e-mail address or reference, and then keeps it.",
        about_history="From, to, when, by which run, event or person; newest first.",
        about_explain=(
            "Why it is as it is: the user as last read, each value with its expression, what gave the site, and the "
            "newest changes."
        ),
    ),
)


@endpoint(
    users_api,
    "POST",
    "v1/authrocket-realms/{name}/check",
    tag="runs",
    access=Role.OPERATOR,
    summary="Try the configuration of an AuthRocket realm",
    answers={200: "runs:RealmCheckAnswer"},
    refusals=[UNKNOWN, STORED],
)
def check_authrocket_realm(req: func.HttpRequest) -> func.HttpResponse:
    """Endpoint, key, realm and permission, with one page; says in a sentence what is wrong."""
    from shared.users.checks import check_realm

    check = check_realm(req.route_params["name"], bootstrap.realms())
    return answer(200, asdict(check))
