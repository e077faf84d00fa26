"""A realm's user becomes a desk user: fields by the mappings, site by the rules. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.imports.documents import RAW
from shared.imports.plan.model import DesiredRecord
from shared.reasons import Reason
from shared.records.model import SITE, column_of
from shared.records.values import RawRecord, ValueFaultError, storable
from shared.rules.documents import to_criteria
from shared.rules.expressions import ExpressionError, Read, compile_expression
from shared.rules.model import Rule
from shared.rules.rule_set import RuleSet, compile_rules
from shared.storage.rows import CHARACTERS_PER_TEXT, Value
from shared.users.documents import (
    EMAIL_DOMAIN,
    ORGANISATION,
    ORGANISATION_REFERENCE,
    AuthRocketRealmDocument,
    UserFieldMappingDocument,
)
from shared.users.model import MEMBERSHIP_COLUMNS, Membership, SourceUser, membership_values

# What a person sees of the memberships; the whole of them stands in MEMBERSHIP_COLUMNS.
ORGANISATIONS = "organisations"


@dataclass(frozen=True)
class MappedUser(DesiredRecord):
    """A desired user. `grants` says whether admin permissions that are new to the user's row are to be noted, `settled`
    that the realm was imported before, so that they are new on a new user too."""

    grants: bool = False
    settled: bool = False


class UserMapper:
    """The mappings and rules of one realm's document, compiled. `settled` as in MappedUser."""

    def __init__(self, document: AuthRocketRealmDocument, *, settled: bool = False) -> None:
        self._document = document
        self._settled = settled
        self._fields: list[tuple[UserFieldMappingDocument, str, Read]] = [
            (mapping, column_of(mapping.target), _reader(mapping)) for mapping in document.field_mappings
        ]
        self._order = {_name(index, rule.name): index for index, rule in enumerate(document.site_rules)}
        self._rules: RuleSet[str] = compile_rules(
            [
                Rule(_name(index, rule.name), to_criteria(rule.criteria), rule.site)
                for index, rule in enumerate(document.site_rules)
            ]
        )
        self._raw = {
            name: compile_expression(name.removeprefix(RAW)) for name in self._rules.fields if name.startswith(RAW)
        }

    def only_on_create(self) -> frozenset[str]:
        """Columns that an import sets on new users alone."""
        columns = {column_of(one.target) for one in self._document.field_mappings if one.only_on_create}
        return frozenset(columns | (set() if self._document.update_user_site else {SITE}))

    def columns(self) -> frozenset[str]:
        """Columns that users may have from here."""
        mapped = frozenset(column for _, column, _ in self._fields)
        memberships = (*MEMBERSHIP_COLUMNS, column_of(ORGANISATIONS)) if self._document.organisations else ()
        return mapped | {SITE, *memberships}

    def may_blank(self) -> frozenset[str]:
        """Columns that become empty when the source has nothing there."""
        columns = {column_of(one.target) for one in self._document.field_mappings if not one.keep_when_empty}
        return frozenset(columns | {*MEMBERSHIP_COLUMNS, column_of(ORGANISATIONS)})

    def map_record(self, user: SourceUser, memberships: Sequence[Membership] | None) -> MappedUser:
        """What the desk should have of the user; `memberships` None when they are not read."""
        if not user.id:
            error = "AuthRocket gives a user without an id. Nobody who is missing is deactivated in this run."
            return MappedUser("", label="?", error=error, error_reason=Reason.RECORD_INVALID)
        label = str(user.fields.get("name") or user.id)
        source = source_of(user, memberships)
        if not user.active:
            return MappedUser(user.id, label=label, gone="inactive", source=source)
        values: dict[str, Value | None] = {}
        record: dict[str, object] = {EMAIL_DOMAIN: user.fields.get("email_domain")}
        try:
            for mapping, column, read in self._fields:
                values[column] = record[mapping.target] = _value(mapping, read, user)
            if memberships is not None:
                values |= membership_values(memberships)
                values[column_of(ORGANISATIONS)] = _cut(", ".join(one.org_name for one in memberships)) or None
        except ValueFaultError as error:
            return MappedUser(user.id, label=label, error=error.message, error_reason=error.reason, source=source)
        rule, tried = self._site_rule(RawRecord(record, user.fields, self._raw), memberships or ())
        values[SITE] = (rule.outcome if rule is not None else None) or self._document.default_site
        return MappedUser(
            user.id,
            values,
            label=label,
            source=source,
            unproven=self._unproven(user),
            explain=lambda: tuple(self._reasons(tried)),
            grants=self._document.ticket_on_admin_grant,
            settled=self._settled,
        )

    def _unproven(self, user: SourceUser) -> Mapping[str, str]:
        """The address, while its owner has not answered a message to it: anybody can type another's."""
        found = user.fields.get("email_verification")
        if self._document.match_unverified_email or found in (None, "verified"):
            return {}
        return {column_of("email"): f"AuthRocket says that the e-mail address is not verified ({found})."}

    def explain_fields(self, user: SourceUser) -> Iterator[dict[str, Any]]:
        """Each mapping with what it reads from the user."""
        for mapping, _, read in self._fields:
            shown: dict[str, Any] = {"field": mapping.target, "source": mapping.source, "fixed": mapping.fixed}
            try:
                shown["value"] = _value(mapping, read, user)
            except ValueFaultError as error:
                shown |= {"value": None, "problem": error.message}
            yield shown

    def _site_rule(
        self, record: RawRecord, memberships: Sequence[Membership]
    ) -> tuple[Rule[str] | None, Mapping[str, object]]:
        """The first rule that matches, and what it matched: the user with one of their organisations, if any."""
        if not memberships or not self._rules.fields & {ORGANISATION, ORGANISATION_REFERENCE}:
            return self._rules.first_match(record), record
        found: list[tuple[Rule[str] | None, Mapping[str, object]]] = []
        for one in memberships:
            tried = record.with_values({ORGANISATION: one.org_name, ORGANISATION_REFERENCE: one.org_reference})
            found.append((self._rules.first_match(tried), tried))
        last = len(self._order)
        return min(found, key=lambda match: last if match[0] is None else self._order[match[0].name])

    def _reasons(self, record: Mapping[str, object]) -> Iterator[str]:
        for reason in self._rules.explain(record):
            yield f"Site: {reason}"
        if self._rules.first_match(record) is None:
            yield f"Site: {self._document.default_site}, the default."


def source_of(user: SourceUser, memberships: Sequence[Membership] | None) -> dict[str, Any]:
    """The user as read, for `explain`."""
    listed = {} if memberships is None else {"memberships": [one.as_json() for one in memberships]}
    return {"id": user.id, **user.fields, **listed}


def _name(index: int, name: str | None) -> str:
    """A rule's name; its place stands in it, so that two of one name are told apart."""
    return f"{index + 1}: {name}" if name else f"{index + 1}"


def _reader(mapping: UserFieldMappingDocument) -> Read:
    if mapping.source is not None:
        return compile_expression(mapping.source)
    return lambda _: mapping.fixed


def _value(mapping: UserFieldMappingDocument, read: Read, user: SourceUser) -> Value | None:
    try:
        return storable(mapping.target, read(user.fields))
    except ExpressionError as error:
        raise ValueFaultError(Reason.VALUE_UNREADABLE, f"{mapping.target}: {error}.") from error


def _cut(text: str) -> str:
    return text if len(text) <= CHARACTERS_PER_TEXT // 2 else f"{text[: CHARACTERS_PER_TEXT // 2 - 1]}…"
