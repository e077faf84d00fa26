"""AuthRocket as the composition root lists it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from shared.imports.registration import RegisteredSource

if TYPE_CHECKING:
    from shared.settings.base import SettingsDocument
    from shared.users.source import RealmSourceType


class _Services(Protocol):
    # The webhook works with it too.
    def realm_source(self) -> "RealmSourceType": ...


def _documents() -> "Sequence[type[SettingsDocument]]":
    from shared.users.documents import AuthRocketRealmDocument

    return (AuthRocketRealmDocument,)


def _build(services: _Services) -> "RealmSourceType":
    return services.realm_source()


AUTHROCKET = RegisteredSource(
    name="authrocket",
    records="users",
    kind="authrocket-realms",
    document="an AuthRocket realm",
    schedule="DESKBRIDGE_AUTHROCKET_SCHEDULE",
    documents=_documents,
    build=_build,
)
