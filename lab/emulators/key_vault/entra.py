"""Entra ID: tokens for applications by client secret or client assertion, and the tenant's OpenID document."""

import hmac
import uuid
from datetime import UTC, datetime
from typing import Any

from lab.emulators.key_vault.documents import ApplicationDocument, TenantDocument
from lab.emulators.key_vault.exchange import Received, Reply
from lab.emulators.key_vault.faults import Faults, reply_for
from lab.emulators.key_vault.journal import Journal
from lab.emulators.key_vault.moments import epoch, resolve
from lab.emulators.key_vault.state import LabState
from lab.emulators.key_vault.tokens import TokenError, Tokens, issuer, unverified_claims

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Denial(Exception):  # noqa: N818 - an answer of Entra, not a fault of the lab
    """Entra's error answer, with its AADSTS number."""

    def __init__(self, status: int, error: str, number: int, sentence: str) -> None:
        super().__init__(sentence)
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        trace, correlation = uuid.uuid4(), uuid.uuid4()
        self.reply = Reply(
            status,
            {
                "error": error,
                "error_description": f"AADSTS{number}: {sentence} Trace ID: {trace} Correlation ID: {correlation} "
                f"Timestamp: {now}",
                "error_codes": [number],
                "timestamp": now,
                "trace_id": str(trace),
                "correlation_id": str(correlation),
                "error_uri": f"https://login.microsoftonline.com/error?code={number}",
            },
        )


class Entra:
    """The authority of every tenant of the lab."""

    def __init__(self, state: LabState, tokens: Tokens, faults: Faults, journal: Journal) -> None:
        self._state = state
        self._tokens = tokens
        self._faults = faults
        self._journal = journal
        self.url = ""

    def answer(self, request: Received) -> Reply:
        application: ApplicationDocument | None = None
        form = request.form() if request.method == "POST" else {}
        operation = f"token/{form.get('grant_type', '')}" if request.method == "POST" else "openid-configuration"
        with self._state.lock:
            application = self._application(form.get("client_id", ""))
        name = application.name if application else None
        fault = self._faults.take("entra", operation=operation, principal=name)
        reply = reply_for(fault) if fault else None
        if reply is None:
            try:
                with self._state.lock:
                    reply = self._perform(request, form, application)
            except Denial as denial:
                reply = denial.reply
        if fault and fault.kind == "slow":
            reply = reply.delayed(fault.seconds)
        self._journal.add(
            at=datetime.now(UTC).isoformat(),
            service="entra",
            method=request.method,
            path=request.path,
            operation=operation,
            principal=name,
            status=None if reply.abort else reply.status,
            fault=fault.kind if fault else None,
        )
        return reply

    def _application(self, client_id: str) -> ApplicationDocument | None:
        found = (a for a in self._state.applications.values() if a.client_id.casefold() == client_id.casefold())
        return next(found, None)

    def _perform(self, request: Received, form: dict[str, str], application: ApplicationDocument | None) -> Reply:
        parts = [part for part in request.path.split("/") if part]
        tenant = self._tenant(parts[0] if parts else "")
        match request.method, parts[1:]:
            case "GET", ["v2.0", ".well-known", "openid-configuration"] | [".well-known", "openid-configuration"]:
                return Reply(200, self._openid_configuration(tenant))
            case "GET", ["discovery", "v2.0", "keys"]:
                # The lab signs with a symmetric key, so there is no public half to publish.
                return Reply(200, {"keys": []})
            case "POST", ["oauth2", "v2.0", "token"]:
                return self._token(form, tenant, application)
        return Reply(404, {"error": "not_found"})

    def _tenant(self, asked: str) -> TenantDocument:
        tenant = self._state.tenant(asked)
        if tenant is None:
            raise Denial(
                400,
                "invalid_tenant",
                90002,
                f"Tenant '{asked}' not found. Check to make sure you have the correct tenant ID and are signing into "
                "the correct cloud. Check with your subscription administrator, this may happen if there are no active "
                "subscriptions for the tenant.",
            )
        return tenant

    def _openid_configuration(self, tenant: TenantDocument) -> dict[str, Any]:
        base = f"{self.url}/{tenant.tenant_id}"
        return {
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        }

    def _token(self, form: dict[str, str], tenant: TenantDocument, application: ApplicationDocument | None) -> Reply:
        if not form.get("grant_type"):
            missing = "The request body must contain the following parameter: 'grant_type'."
            raise Denial(400, "invalid_request", 900144, missing)
        if form["grant_type"] != "client_credentials":
            unsupported = f"The app requested an unsupported grant type '{form['grant_type']}'."
            raise Denial(400, "unsupported_grant_type", 70003, unsupported)
        if application is None or self._state.principal(application).tenant_id != tenant.tenant_id:
            raise Denial(
                400,
                "unauthorized_client",
                700016,
                f"Application with identifier '{form.get('client_id', '')}' was not found in the directory "
                f"'{tenant.domain}'. This can happen if the application has not been installed by the administrator of "
                "the tenant or consented to by any user in the tenant. You may have sent your authentication request "
                "to the wrong tenant.",
            )
        if "client_assertion" in form:
            self._check_assertion(form, application)
        else:
            self._check_secret(form.get("client_secret", ""), application)
        scope = form.get("scope", "")
        if not scope.endswith("/.default"):
            raise Denial(
                400,
                "invalid_scope",
                1002012,
                f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value "
                "with /.default suffixed to the resource identifier (application ID URI).",
            )
        token, _ = self._tokens.issue(self._state.principal(application), scope.removesuffix("/.default"))
        lifetime = self._tokens.lifetime_seconds
        return Reply(
            200,
            {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token},
        )

    def _check_secret(self, given: str, application: ApplicationDocument) -> None:
        if not given:
            raise Denial(
                401,
                "invalid_client",
                7000218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            )
        matching = [
            secret
            for secret in application.client_secrets
            if hmac.compare_digest(secret.value.encode(), given.encode())
        ]
        if not matching:
            raise Denial(
                401,
                "invalid_client",
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{application.client_id}'.",
            )
        now = self._state.clock.now()
        ends = [resolve(secret.expires_at, self._state.anchor) for secret in matching]
        if all(end is not None and end <= now for end in ends):
            raise Denial(
                401,
                "invalid_client",
                7000222,
                f"The provided client secret keys for app '{application.client_id}' are expired. Visit the Azure "
                "portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate "
                "credentials for added security: https://aka.ms/certCreds.",
            )

    def _check_assertion(self, form: dict[str, str], application: ApplicationDocument) -> None:
        """Workload identity federation: a token of another issuer, for a subject that the application names."""
        if form.get("client_assertion_type") != JWT_BEARER:
            raise Denial(400, "invalid_request", 50027, "The client assertion type is not supported.")
        try:
            claims = unverified_claims(form["client_assertion"])
            if claims.get("iss") in {issuer(tenant.tenant_id) for tenant in self._state.tenants}:
                # The lab's own tokens can be checked in full; another issuer's keys are out of its reach.
                claims = self._tokens.claims(form["client_assertion"])
        except TokenError as error:
            raise Denial(401, "invalid_client", 50027, f"JWT token is invalid or malformed: {error}") from error
        if int(str(claims.get("exp", 0))) <= epoch(self._state.clock.now()):
            raise Denial(401, "invalid_client", 700024, "Client assertion is not within its valid time range.")
        trusted = application.federated_credentials
        for name, number, held in (
            ("issuer", 700211, [(c.issuer, "iss") for c in trusted]),
            ("subject", 700213, [(c.subject, "sub") for c in trusted]),
            ("audience", 700212, [(c.audience, "aud") for c in trusted]),
        ):
            if not any(claims.get(claim) == expected for expected, claim in held):
                found = claims.get({"issuer": "iss", "subject": "sub", "audience": "aud"}[name])
                raise Denial(
                    401,
                    "invalid_client",
                    number,
                    f"No matching federated identity record found for presented assertion {name} '{found}'.",
                )
        wanted = (claims.get("iss"), claims.get("sub"), claims.get("aud"))
        if wanted not in {(c.issuer, c.subject, c.audience) for c in trusted}:
            raise Denial(401, "invalid_client", 70021, "No matching federated identity record found for the assertion.")
