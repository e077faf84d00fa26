"""Test configuration: endpoint, key, realm and permission, tried with one page. In a sentence what is wrong."""

from dataclasses import dataclass

from shared.errors import DeskbridgeError, TryLaterError
from shared.users.documents import AuthRocketRealmDocument
from shared.users.source import ANSWER_SECONDS, Realms

_PAGE = 5


@dataclass(frozen=True)
class RealmCheck:
    """What the check found. `may_pass` says that the same check later may succeed without a change."""

    ok: bool
    realm: str
    endpoint_url: str
    message: str
    reason: str = ""
    remedy: str = ""
    may_pass: bool = False


def check_realm(name: str, document: AuthRocketRealmDocument, realms: Realms) -> RealmCheck:
    """Never raises what is a finding."""
    api = realms.api(name, document, seconds=ANSWER_SECONDS, page_size=_PAGE)
    try:
        users = api.first_users()
        listed = f"{len(users)} on a page of {_PAGE}"
        if document.organisations:
            listed += f"; organisations can be read: {api.count_orgs()} on a page"
    except DeskbridgeError as error:
        return RealmCheck(
            ok=False,
            realm=document.realm,
            endpoint_url=document.endpoint_url,
            message=error.message,
            reason=str(error.reason),
            remedy=error.remedy,
            may_pass=isinstance(error, TryLaterError),
        )
    return RealmCheck(True, document.realm, document.endpoint_url, f"Users can be read: {listed}.")
