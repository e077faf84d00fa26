"""Test configuration: endpoint, key, realm and permission, tried with one page. In a sentence what is wrong."""

from dataclasses import dataclass

from shared.errors import DeskbridgeError, NotFoundError, TryLaterError
from shared.imports.plan.sample import refuse_all_errors
from shared.users.mapping import UserMapper
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


def check_realm(name: str, realms: Realms) -> RealmCheck:
    """Never raises what is a finding. Raises NotFoundError."""
    realm = endpoint_url = ""
    try:
        document = realms.document(name, fresh=True)
        realm, endpoint_url = document.realm, document.endpoint_url
        api = realms.api(name, document, seconds=ANSWER_SECONDS, page_size=_PAGE)
        users = api.first_users()
        refuse_all_errors([UserMapper(document).map_record(user, ()) for user in users])
        listed = f"{len(users)} on a page of {_PAGE}"
        if document.organisations:
            listed += f"; organisations can be read: {api.count_orgs()} on a page"
    except NotFoundError:
        raise
    except DeskbridgeError as error:
        return RealmCheck(
            ok=False,
            realm=realm,
            endpoint_url=endpoint_url,
            message=error.message,
            reason=str(error.reason),
            remedy=error.remedy,
            may_pass=isinstance(error, TryLaterError),
        )
    return RealmCheck(True, document.realm, document.endpoint_url, f"Users can be read: {listed}.")
