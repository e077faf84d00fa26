"""Assets over HTTP: list, show, add by hand, edit, release, history, explain; what a mapping can take."""

import azure.functions as func

from functions.http.answers import answer
from functions.http.endpoints import PAGED, endpoint
from functions.http.query import FIELD, PAGE, VALUE, page_asked, text
from functions.http.record_endpoints import Records, declare_records
from shared import bootstrap
from shared.access.roles import Role

assets_api = func.Blueprint()

list_assets, add_asset, show_asset, edit_asset, list_asset_history, explain_asset = declare_records(
    assets_api,
    Records(
        one="asset",
        many="assets",
        article="an",
        model="Asset",
        desk=bootstrap.asset_desk,
        filters=(
            text("account", "Only those of this AWS account.", example="111122223333"),
            text("region", "With `account`: only those of this region.", example="eu-west-2"),
            text(
                "type",
                "Only those of these asset types, by name.",
                example="application-server",
            ),
            text("site", "Only those of these sites, by name.", example="london-hq"),
            text("tenant", "Only those that this tenant's imports made or follow.", example="acorn"),
            text("owner", "Only those with this text in the field `owner`.", example="platform"),
            FIELD,
            VALUE,
        ),
        id=(
            "The asset's id: `aws:<account>:<region>:<instance>`, or `manual:<id>`.",
            "aws:111122223333:eu-west-2:i-0123456789abcdef0",
        ),
        new={"id": "SERV-100", "fields": {"name": "Rack 4 switch", "type": "application-server"}},
        edit={"fields": {"name": "Web server 1"}, "release": []},
        about_list=(
            "By account, region and id; what `q` finds by the words found. A page may be short, even empty, while "
            "`next` says that there is more. What changed after `as_of` may be missing."
        ),
        about_add="An import may find it by the matching field, and then keeps it.",
        about_history="From, to, when, by which run or person; newest first.",
        about_explain=(
            "Why it is as it is: the instance as last read, each value with its expression, what gave type and site, "
            "and the newest changes."
        ),
    ),
)


@endpoint(
    assets_api,
    "GET",
    "v1/asset-sources",
    tag="assets",
    access=Role.READER,
    summary="List what a mapping can take from an instance",
    query=PAGE,
    answers={200: "records:AssetSourcePage"},
    refusals=[PAGED],
)
def list_asset_sources(req: func.HttpRequest) -> func.HttpResponse:
    """The usual expressions over an EC2 instance, each with what it gives. Any other JMESPath expression is fine
    too."""
    from shared.assets.model import STANDARD_SOURCES
    from shared.storage.cursors import page_of

    page, following = page_of(STANDARD_SOURCES.items(), lambda entry: entry[0], *page_asked(req))
    return answer(200, {"items": [{"source": source, "about": about} for source, about in page], "next": following})
