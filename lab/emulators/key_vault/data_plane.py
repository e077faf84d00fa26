"""The data plane of one vault: the order of its checks, and what each operation does."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from lab.emulators.key_vault import access, bundles
from lab.emulators.key_vault.access import Caller, Refusal
from lab.emulators.key_vault.calls import Call, SecretBody, parse_call
from lab.emulators.key_vault.documents import SecretDocument
from lab.emulators.key_vault.exchange import Received, Reply
from lab.emulators.key_vault.faults import Faults, reply_for
from lab.emulators.key_vault.journal import Journal
from lab.emulators.key_vault.state import LabState, ObjectVersion, StoredObject, Vault
from lab.emulators.key_vault.tokens import Tokens

PAGE = 25
VALUE_LIMIT_BYTES = 25_600
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_SINGULAR = {"secrets": "secret", "keys": "key", "certificates": "certificate"}


class DataPlane:
    """Answers for one vault, and writes down every request."""

    def __init__(self, vault: Vault, state: LabState, tokens: Tokens, faults: Faults, journal: Journal) -> None:
        self._vault = vault
        self._state = state
        self._tokens = tokens
        self._faults = faults
        self._journal = journal
        self.authority = ""

    def answer(self, request: Received) -> Reply:
        call = parse_call(request)
        caller: Caller | None = None
        fault = None
        try:
            with self._state.lock:
                caller, refusal = self._authenticate(request)
                fault = self._faults.take(
                    "vault",
                    authenticated=caller is not None,
                    vault=self._vault.name,
                    operation=call.operation if call else None,
                    object_name=call.name if call else None,
                    principal=caller.name if caller else None,
                )
                reply = reply_for(fault) if fault else None
                if reply is None:
                    if refusal:
                        raise refusal
                    assert caller is not None  # no refusal means that the token was honoured
                    reply = self._perform(request, call, caller)
        except Refusal as refused:
            reply = refused.reply
        if fault and fault.kind == "slow":
            reply = reply.delayed(fault.seconds)
        self._write_down(request, call, caller, reply, fault.kind if fault else None)
        return replace(reply, headers={**access.service_headers(self._vault), **reply.headers})

    def _authenticate(self, request: Received) -> tuple[Caller | None, Refusal | None]:
        try:
            caller = access.authenticate(self._vault, request, self._tokens, self.authority)
        except Refusal as refusal:
            return None, refusal
        known = self._state.principal_by_id(caller.principal_id)
        return replace(caller, name=known.name if known else None), None

    def _perform(self, request: Received, call: Call | None, caller: Caller) -> Reply:
        access.check_network(self._vault, caller, request)
        _check_api_version(self._vault, request)
        if call is None:
            raise Refusal(404, "NotFound", f"No operation of this vault answers {request.method} {request.path}.")
        if call.name is not None and not _NAME.fullmatch(call.name):
            raise Refusal(400, "BadParameter", f"The request URI contains an invalid name: {call.name}")
        access.check_permission(self._vault, caller, call.permission, call.name)
        performed: Reply = getattr(self, f"_{call.operation.split('/')[1]}")(call)
        return performed

    def _write_down(
        self, request: Received, call: Call | None, caller: Caller | None, reply: Reply, fault: str | None
    ) -> None:
        self._journal.add(
            at=datetime.now(UTC).isoformat(),
            service="vault",
            vault=self._vault.name,
            method=request.method,
            path=request.path,
            operation=call.operation if call else None,
            object_name=call.name if call else None,
            object_version=(call.version or None) if call else None,
            principal=(caller.name or caller.principal_id) if caller else None,
            api_version=request.query.get("api-version"),
            status=None if reply.abort else reply.status,
            fault=fault,
        )

    # What each operation does, by the name that parse_call gives it.

    def _get(self, call: Call) -> Reply:
        stored, held = self._find(call)
        if call.object_type == "secrets":
            if not held.enabled:
                raise Refusal(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
            early = held.not_before is not None and held.not_before > self._state.clock.now()
            if early and self._vault.settings.not_yet_valid == "refused":
                message = "Operation get is not allowed on a secret that is not yet valid."
                raise Refusal(403, "Forbidden", message, "SecretNotYetValid")
        return Reply(200, bundles.bundle(self._vault, stored, held))

    def _list(self, call: Call) -> Reply:
        entries = [
            bundles.item(self._vault, stored, stored.current, with_version=False)
            for stored in self._vault.listed(call.object_type)
        ]
        return _page(self._vault, entries, call.request)

    def _list_versions(self, call: Call) -> Reply:
        stored = self._vault.find(call.object_type, call.name or "")
        # Azure answers an empty list for a name that it has never seen, and so does this.
        # And it lists them in no order of theirs: here by their ids, which say nothing of when each was made.
        versions = sorted(stored.versions, key=lambda held: held.version) if stored else []
        entries = [bundles.item(self._vault, stored, held, with_version=True) for held in versions] if stored else []
        return _page(self._vault, entries, call.request)

    def _set(self, call: Call) -> Reply:
        assert call.name is not None  # the route has a name
        body = _body(call.request)
        if body.value is None:
            raise Refusal(400, "BadParameter", "The parameter value is missing.")
        if len(body.value.encode()) > VALUE_LIMIT_BYTES:
            raise Refusal(400, "BadParameter", "The secret value length is greater than the 25600 bytes allowed.")
        if ("secrets", call.name.casefold()) in self._vault.deleted:
            raise Refusal(
                409,
                "Conflict",
                f"Secret {call.name} is currently in a deleted but recoverable state, and its name cannot be reused; "
                "in this state, the secret can only be recovered or purged.",
                "ObjectIsDeletedButRecoverable",
            )
        _refuse_managed(self._vault.find("secrets", call.name))
        held = self._state.add_version(
            self._vault,
            SecretDocument(
                name=call.name,
                value=body.value,
                enabled=body.attributes.enabled is not False,
                not_before=_time(body.attributes.nbf),
                expires_at=_time(body.attributes.exp),
                content_type=body.content_type,
                tags=body.tags or {},
            ),
        )
        stored = self._vault.find("secrets", call.name)
        assert stored is not None  # just added
        return Reply(200, bundles.bundle(self._vault, stored, held))

    def _update(self, call: Call) -> Reply:
        stored, held = self._find(call)
        _refuse_managed(stored)
        body = _body(call.request)
        if body.attributes.enabled is not None:
            held.enabled = body.attributes.enabled
        if body.attributes.nbf is not None:
            held.not_before = _time(body.attributes.nbf)
        if body.attributes.exp is not None:
            held.expires_at = _time(body.attributes.exp)
        if body.content_type is not None:
            held.content_type = body.content_type
        if body.tags is not None:
            held.tags = body.tags
        held.updated_at = self._state.clock.now()
        return Reply(200, bundles.properties(self._vault, stored, held))

    def _delete(self, call: Call) -> Reply:
        stored, _ = self._find(call)
        _refuse_managed(stored)
        key = (call.object_type, stored.name.casefold())
        self._vault.deleted[key] = (self._vault.objects.pop(key), self._state.clock.now())
        return Reply(200, bundles.deleted(self._vault, stored))

    def _list_deleted(self, call: Call) -> Reply:
        entries = [
            bundles.deleted(self._vault, stored)
            for (kind, _), (stored, _) in sorted(self._vault.deleted.items(), key=lambda pair: pair[0])
            if kind == call.object_type
        ]
        return _page(self._vault, entries, call.request)

    def _get_deleted(self, call: Call) -> Reply:
        return Reply(200, bundles.deleted(self._vault, self._find_deleted(call)))

    def _recover(self, call: Call) -> Reply:
        stored = self._find_deleted(call)
        key = (call.object_type, stored.name.casefold())
        self._vault.objects[key], _ = self._vault.deleted.pop(key)
        return Reply(200, bundles.properties(self._vault, stored, stored.current))

    def _purge(self, call: Call) -> Reply:
        self._vault.deleted.pop((call.object_type, self._find_deleted(call).name.casefold()))
        return Reply(204)

    def _find(self, call: Call) -> tuple[StoredObject, ObjectVersion]:
        stored = self._vault.find(call.object_type, call.name or "")
        held = stored.find(call.version) if stored else None
        if stored is None or held is None:
            raise _not_found(call, call.name if not call.version else f"{call.name}/{call.version}")
        return stored, held

    def _find_deleted(self, call: Call) -> StoredObject:
        found = self._vault.deleted.get((call.object_type, (call.name or "").casefold()))
        if found is None:
            raise Refusal(404, "SecretNotFound", f"Deleted Secret not found: {call.name}")
        return found[0]


def _page(vault: Vault, entries: Sequence[dict[str, Any]], request: Received) -> Reply:
    try:
        size = int(request.query.get("maxresults", PAGE))
        start = int(base64.urlsafe_b64decode(request.query.get("$skiptoken", "")) or 0)
    except (ValueError, binascii.Error) as error:
        raise Refusal(400, "BadParameter", "Invalid maxresults or $skiptoken in the request URI.") from error
    if not 1 <= size <= PAGE:
        raise Refusal(400, "BadParameter", f"maxresults must be between 1 and {PAGE}.")
    next_link = None
    if start + size < len(entries):
        token = base64.urlsafe_b64encode(str(start + size).encode()).decode()
        version = request.query["api-version"]
        next_link = f"{vault.url}{request.path}?api-version={version}&$skiptoken={token}&maxresults={size}"
    return Reply(200, {"value": list(entries[start : start + size]), "nextLink": next_link})


def _not_found(call: Call, name: str | None) -> Refusal:
    kind = _SINGULAR[call.object_type]
    return Refusal(
        404,
        f"{kind.capitalize()}NotFound",
        f"A {kind} with (name/id) {name} was not found in this key vault. If you recently deleted this {kind} you may "
        "be able to recover it using the correct recovery command. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125182",
    )


def _refuse_managed(stored: StoredObject | None) -> None:
    if stored is not None and stored.managed:
        raise Refusal(403, "Forbidden", "Operation is not allowed on a secret that is managed by a certificate.")


def _check_api_version(vault: Vault, request: Received) -> None:
    asked = request.query.get("api-version")
    if asked is None:
        raise Refusal(400, "BadParameter", "The request URI must contain the api-version query parameter.")
    supported = vault.settings.api_versions
    if asked not in supported:
        raise Refusal(
            400,
            "BadParameter",
            f"The specified version ({asked}) is not recognized. Consider using the latest supported version "
            f"({supported[-1]}).",
        )


def _body(request: Received) -> SecretBody:
    try:
        return SecretBody.model_validate_json(request.body or b"{}")
    except ValidationError as error:
        # Where it is wrong and never what it says: the body holds the value.
        where = ", ".join(".".join(map(str, fault["loc"])) or "body" for fault in error.errors(include_input=False))
        raise Refusal(400, "BadParameter", f"The request body is not valid: {where}.") from None


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
