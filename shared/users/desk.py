"""Desk users as people use them: lists, edits, and the explanation of one user."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.records.desk import NO_SUCH_FIELD, RecordDesk
from shared.records.documents.sites import site_fault
from shared.records.editor import record_as_json
from shared.records.model import ACTIVE, CUSTOM, SITE, TYPE, Key
from shared.settings.base import NAME_PATTERN
from shared.storage.rows import Row
from shared.text import escape_key
from shared.users.documents import STANDARD_FIELDS, AuthRocketRealmDocument
from shared.users.mapping import ORGANISATIONS, UserMapper
from shared.users.model import Membership, SourceUser, memberships_in, partition_of


def user_id_of(key: Key) -> str:
    """A user's id in addresses: `authrocket:rl_0v1z…:usr_0v1z…`, `manual:jim`."""
    return f"{key.partition}:{key.row}"


def parse_user_id(text: str) -> Key:
    """The other way. A partition of AuthRocket has a colon of its own."""
    parts = text.split(":", 2 if text.startswith("authrocket:") else 1)
    return Key(":".join(parts[:-1]), parts[-1])


class UserDesk(RecordDesk[AuthRocketRealmDocument]):
    """The desk of users."""

    imported_by = AuthRocketRealmDocument
    importer_word = "realm"

    def _partitions(self, texts: Mapping[str, str]) -> tuple[str, str]:
        return (partition_of(escape_key(texts["realm"])) if "realm" in texts else ""), ""

    def _explained(
        self, document: AuthRocketRealmDocument, source: dict[str, Any]
    ) -> tuple[Iterable[Mapping[str, Any]], Sequence[str]]:
        mapper = UserMapper(document)
        user = SourceUser(str(source["id"]), source.get("state") != "inactive", source)
        listed = source.get("memberships")
        memberships = None if listed is None else [Membership.from_json(one) for one in listed]
        desired = mapper.map_record(user, memberships)
        return mapper.explain_fields(user), desired.explain() or (desired.error, desired.gone)

    def _key_of(self, record_id: str) -> Key:
        return parse_user_id(record_id)

    def _shown(self, row: Row) -> dict[str, Any]:
        answer = {"id": user_id_of(Key(row.partition_key, row.row_key)), **record_as_json(row)}
        # Users have no type.
        answer.pop(TYPE, None)
        answer["imported_by"] = self._importer(row)
        return {**answer, "email": answer["fields"].get("email"), "memberships": memberships_in(row.values)}

    def _fault_of(self, field: str, value: object) -> str | None:
        if field == ACTIVE or field in STANDARD_FIELDS:
            return None
        if field == SITE:
            return site_fault(self._settings, value)
        if field == ORGANISATIONS:
            return "follows the memberships in AuthRocket"
        if field.startswith(CUSTOM) and NAME_PATTERN.fullmatch(field.removeprefix(CUSTOM)):
            return None
        return NO_SUCH_FIELD
