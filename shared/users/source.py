"""AuthRocket realms as a source of the import engine."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial

from shared.errors import MisconfiguredError
from shared.hosts import AllowedHosts, Service
from shared.imports.part_rows import PartRows
from shared.imports.plan.model import MatchOn, Policy, Trigger
from shared.imports.plan.safety import Brake
from shared.imports.runs.repository import RunRepository
from shared.imports.sources import Expansion
from shared.outbound import Outbound
from shared.reasons import Reason
from shared.records.documents.sites import customers_by_site
from shared.records.model import column_of
from shared.settings.store import SettingsStore
from shared.users.authrocket.client import AuthRocket, in_order
from shared.users.authrocket.http import AuthRocketCalls, Deadline, EndpointAccess, SecretProvider
from shared.users.documents import AuthRocketRealmDocument
from shared.users.mapping import MappedUser, UserMapper
from shared.users.model import Membership, SourceUser, partition_of
from shared.vaults.model import Credentials, CredentialUser

KIND = AuthRocketRealmDocument.kind
# In seconds. A part must end within the host's functionTimeout; a check and a webhook have somebody who waits.
PART_SECONDS = 25 * 60
ANSWER_SECONDS = 20


@dataclass(frozen=True)
class Clock:
    """Time for the calls: seconds that never run backwards, and waiting."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Realms:
    """Opens realms: their documents, and their APIs with the key read at the moment of use."""

    def __init__(
        self,
        settings: SettingsStore,
        credentials: Credentials,
        outbound: Outbound,
        clock: Clock | None = None,
        hosts: AllowedHosts | None = None,
    ) -> None:
        """`hosts` are those that an API key may be sent to; without them AuthRocket's own."""
        self._settings = settings
        self._credentials = credentials
        self._outbound = outbound
        self._clock = clock or Clock()
        self._hosts = hosts or AllowedHosts()

    def document(self, name: str, *, fresh: bool = False) -> AuthRocketRealmDocument:
        """Raises NotFoundError; MisconfiguredError when another document names the same realm."""
        document = self._settings.get(AuthRocketRealmDocument, name, fresh=fresh).document
        for other in self._settings.list(AuthRocketRealmDocument):
            if other.name != name and other.document.realm == document.realm:
                raise MisconfiguredError(
                    Reason.DOCUMENT_INVALID,
                    f"{KIND}/{name} and {KIND}/{other.name} both name the realm {document.realm}: they would undo each "
                    "other's work.",
                    remedy="Remove one of them.",
                )
        return document

    def api(
        self, name: str, document: AuthRocketRealmDocument, *, seconds: float, page_size: int | None = None
    ) -> AuthRocket:
        """The realm's API, for `seconds` in all. Calls nobody yet. `name` is the document's, which uses the key."""
        reference, user = document.api_key, CredentialUser(KIND, name, document.host)

        def read() -> str:
            self._hosts.check(str(user), document.host_uses())
            return self._credentials.read(reference, user).text

        keys = SecretProvider(read, lambda: self._credentials.invalidate(reference))
        access = EndpointAccess(document.endpoint_url, document.realm, document.key_header == "authorization_bearer")
        session = self._outbound.session(self._hosts.names(Service.AUTHROCKET))
        deadline = Deadline(seconds, self._clock.monotonic)
        calls = AuthRocketCalls(access, keys, deadline, session=session, sleep=self._clock.sleep)
        return AuthRocket(calls, document.realm, page_size or document.page_size)


class RealmSource:
    """One realm's document as the engine sees it. One part: the realm."""

    def __init__(
        self,
        name: str,
        document: AuthRocketRealmDocument,
        realms: Realms,
        deliver: Callable[[str], object],
        *,
        settled: bool,
        customers: Callable[[], Mapping[str, str]],
        others: frozenset[str],
    ) -> None:
        self.name = name
        self.document = document
        self.mapper = UserMapper(document, settled=settled)
        self._realms = realms
        self._deliver = deliver
        self._customers = customers
        self._others = others
        self._memberships: dict[str, list[Membership]] | None = None

    @property
    def version(self) -> str:
        return self.document.realm

    def parts(self) -> Sequence[str]:
        return (self.document.realm,)

    def expand(self, part: str, after: str = "", most: int | None = None) -> Expansion | None:  # noqa: ARG002 - a realm has one part
        return None

    def partition_key(self, part: str) -> str:
        return partition_of(part)

    def policy(self, trigger: Trigger) -> Policy:  # noqa: ARG002 - run by hand, the import is the scheduled one
        document = self.document
        return Policy(
            document=self.name,
            create=document.create_new_users,
            update=document.update_users,
            reactivate=document.reactivate,
            deactivate_listed=document.deactivate_inactive,
            deactivate_vanished=document.deactivate_vanished,
            deactivate_unread=document.deactivate_unread,
            clear_unmapped=document.clear_unmapped,
            why_not_deactivated="The realm's settings say not to deactivate it.",
            grace=timedelta(days=document.grace_days),
            brake=Brake(document.brake.share, document.brake.at_least),
            believe_empty_answers=document.believe_empty_answers,
            only_on_create=self.mapper.only_on_create(),
            may_blank=self.mapper.may_blank(),
            columns=self.mapper.columns(),
            matching=tuple(
                MatchOn(column_of(one.field), one.ignore_case, (column_of("reference"),))
                for one in document.match_order
            ),
            merge=document.merge_matches,
            customers=self._customers,
            others=frozenset() if document.match_other_realms else self._others,
            never_match=document.never_match,
        )

    def read(self, part: str) -> Iterator[Sequence[SourceUser]]:  # noqa: ARG002 - a realm has one part
        api = self._realms.api(self.name, self.document, seconds=PART_SECONDS)
        if self.document.organisations:
            # Before the users: a membership that is new in between is found tomorrow, one of a user unknown is nothing.
            found: dict[str, list[Membership]] = {}
            for page in api.memberships():
                for user_id, membership in page:
                    found.setdefault(user_id, []).append(membership)
                # No users yet, but a sign of life for the run.
                yield ()
            self._memberships = found
        yield from api.users()

    def map_record(self, part: str, raw: SourceUser) -> MappedUser:  # noqa: ARG002 - a realm has one part
        memberships = None if self._memberships is None else in_order(self._memberships.get(raw.id, ()))
        return self.mapper.map_record(raw, memberships)

    def create_prerequisites(self, prerequisites: Collection[str], by: str) -> None:
        """Users need nothing that an import would have to create."""

    def finish(self, part: str, counts: Mapping[str, int]) -> None:  # noqa: ARG002 - whatever was read
        """The tickets of newly granted permissions, also those that an earlier attempt could not open."""
        self._deliver(partition_of(part))


class RealmSourceType:
    """AuthRocket, for the engine."""

    kind = KIND

    def __init__(
        self,
        realms: Realms,
        settings: SettingsStore,
        rows: PartRows,
        runs: RunRepository,
        deliver: Callable[[str], object],
    ) -> None:
        """`deliver` opens the tickets of a partition's notes."""
        self.rows = rows
        self._deliver = deliver
        self._realms = realms
        self._settings = settings
        self._runs = runs

    def scheduled(self) -> Sequence[tuple[str, datetime]]:
        realms, unreadable = self._settings.list_with_unreadable(AuthRocketRealmDocument, fresh=True)
        # An unreadable one is tried too: its failure then stands among the runs, where an operator looks.
        due = [(stored.name, stored.changed_at) for stored in realms if stored.document.syncing]
        return due + [(stored.name, stored.changed_at) for stored in unreadable]

    def documents(self) -> Collection[str]:
        realms, unreadable = self._settings.list_with_unreadable(AuthRocketRealmDocument)
        return [*(stored.name for stored in realms), *(stored.name for stored in unreadable)]

    def reader(self, partition_key: str, likely: str, *, fresh: bool = False) -> str:
        realms, unreadable = self._settings.list_with_unreadable(AuthRocketRealmDocument, fresh=fresh)
        found = [stored.name for stored in realms if partition_of(stored.document.realm) == partition_key]
        # What an unreadable one reads cannot be told.
        found += [stored.name for stored in unreadable]
        return likely if likely in found else found[0] if found else ""

    def source(self, name: str) -> RealmSource:
        document = self._realms.document(name, fresh=True)
        outcome = self._runs.find_outcome(KIND, name)
        settled = outcome is not None and outcome.success_at is not None
        realms = frozenset(one.name for one in self._settings.list(AuthRocketRealmDocument))
        return RealmSource(
            name,
            document,
            self._realms,
            self._deliver,
            settled=settled,
            customers=cache(partial(customers_by_site, self._settings)),
            others=realms - {name},
        )
