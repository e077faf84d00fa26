"""What a vault's refusal means for the operator: one sentence, and the command that fixes it."""

from dataclasses import dataclass, field

from shared.environment import Environment
from shared.errors import DeskbridgeError, MisconfiguredError, TryLaterError
from shared.network_faults import NetworkFault, network_fault
from shared.reasons import Reason
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.vault_addresses import SecretAddress
from shared.vaults.remediation import SECRETS_USER, RemediationCommands

_STATUSES_WITH_A_CODE = frozenset({401, 403, 404})
_TIMED_OUT = 408
_SERVER_ERRORS = 500


@dataclass(frozen=True)
class VaultRefusal:
    """An answer that is no secret. `message` is the vault's own text: it is read for ids, and never repeated."""

    status: int
    code: str = ""
    inner_code: str = ""
    message: str = field(default="", repr=False)
    retry_after: float | None = None


class VaultRefusals:
    """The sentences for one read: which store, which secret."""

    def __init__(
        self, store_name: str, store: CredentialStore, address: SecretAddress, environment: Environment
    ) -> None:
        self._store_name = store_name
        self._store = store
        self._address = address
        self._fix = RemediationCommands(store_name, store, environment)

    def explain(self, refusal: VaultRefusal) -> DeskbridgeError:
        """The error for an answer of the vault."""
        if refusal.status in _STATUSES_WITH_A_CODE and not refusal.code:
            # A vault gives these a code; a proxy or a web site does not.
            return self.no_vault(ValueError())
        match refusal.status:
            case 401:
                return token_refused(self._vault, self._store, self._fix)
            case 403:
                return self._forbidden(refusal)
            case 404:
                return self._not_found()
            case 429:
                return TryLaterError(
                    Reason.VAULT_THROTTLED,
                    f"{self._vault} has too many requests at the moment and did not give the {self._secret}.",
                    remedy="It passes; if it happens often, raise cache_seconds of the store.",
                    retry_after=refusal.retry_after,
                )
        if refusal.status == _TIMED_OUT or refusal.status >= _SERVER_ERRORS:
            return TryLaterError(
                Reason.VAULT_FAILED,
                f"{self._vault} answered with status {refusal.status} for the {self._secret}.",
                remedy="It usually passes within minutes: https://azure.status.microsoft",
                retry_after=refusal.retry_after,
            )
        return MisconfiguredError(
            Reason.VAULT_ADDRESS_WRONG,
            f"{self._vault} answered the read of the {self._secret} with status {refusal.status}"
            f"{f' ({refusal.code})' if refusal.code.isalnum() else ''}, as no vault does.",
            remedy=f"Check vault_url ({self._fix.show_vault()}) and leave api_version out.",
        )

    def no_answer(self, error: BaseException) -> DeskbridgeError:
        """The error when the vault gave no answer."""
        match network_fault(error):
            case NetworkFault.NAME:
                return TryLaterError(
                    Reason.VAULT_HOST_UNKNOWN,
                    f"There is no host {self._store.host}: vault_url of the credential store {self._store_name} is "
                    "wrong, the vault is gone, or this host cannot look names up.",
                    remedy=f"Check it: {self._fix.show_vault()}",
                )
            case NetworkFault.CERTIFICATE:
                return MisconfiguredError(
                    Reason.VAULT_CERTIFICATE_UNTRUSTED,
                    f"{self._vault} shows a certificate that this host does not trust, so nothing was sent.",
                    remedy=f"See who issued it: {self._fix.show_certificate()}. If a proxy opens the traffic, name "
                    "a bundle that holds its authority in the app setting REQUESTS_CA_BUNDLE; otherwise correct "
                    "vault_url.",
                )
            case NetworkFault.REACH:
                return TryLaterError(
                    Reason.VAULT_UNREACHABLE,
                    f"{self._vault} did not answer the read of the {self._secret}.",
                    remedy="If it stays, check the way to it: a firewall or a route of the virtual network, or a "
                    f"private endpoint without its DNS zone. {self._fix.show_vault()}",
                )

    def no_vault(self, error: BaseException) -> MisconfiguredError:
        """The error when what answered is no Key Vault, or one of another cloud."""
        if "challenge" in str(error):
            return MisconfiguredError(
                Reason.VAULT_ADDRESS_WRONG,
                f"{self._vault} asks for tokens of another cloud than its address says, so none was sent.",
                remedy=f"Check vault_url and resource of the store: {self._fix.show_vault()}",
            )
        return MisconfiguredError(
            Reason.VAULT_ADDRESS_WRONG,
            f"What answers at {self._store.vault_url} for the credential store {self._store_name} is no Key Vault.",
            remedy=f"Check vault_url: {self._fix.show_vault()}",
        )

    @property
    def _vault(self) -> str:
        return f"The vault {self._store.name_of_vault} of the credential store {self._store_name}"

    @property
    def _secret(self) -> str:
        version = f", version {self._address.version}" if self._address.version else ""
        return f"secret {self._address.name}{version}"

    def _forbidden(self, refusal: VaultRefusal) -> DeskbridgeError:
        closed = closed_to_this_host(self._vault, refusal.inner_code, self._fix)
        if closed is not None:
            return closed
        match refusal.inner_code:
            case "SecretDisabled":
                return MisconfiguredError(
                    Reason.SECRET_DISABLED,
                    f"The {self._secret} in the vault {self._store.name_of_vault} is disabled.",
                    remedy=f"Enable it: {self._fix.enable_secret(self._address)}",
                )
            case "SecretNotYetValid":
                return MisconfiguredError(
                    Reason.SECRET_NOT_YET_VALID,
                    f"The {self._secret} in the vault {self._store.name_of_vault} is not valid yet: its not-before "
                    "date lies ahead.",
                    remedy=f"Name the version that is valid now: {self._fix.list_versions(self._address)}",
                )
            case "ForbiddenByRbac":
                return MisconfiguredError(
                    Reason.VAULT_PERMISSION_MISSING,
                    f"The identity of the credential store {self._store_name} may not read the {self._secret} in the "
                    f"vault {self._store.name_of_vault}, which uses Azure role-based access control.",
                    remedy=f"Give it the role {SECRETS_USER}, which takes up to ten minutes to work: "
                    f"{self._fix.grant_by_role(refusal.message)}",
                )
        return MisconfiguredError(
            Reason.VAULT_PERMISSION_MISSING,
            f"The identity of the credential store {self._store_name} may not read the {self._secret} in the vault "
            f"{self._store.name_of_vault}, which uses access policies.",
            remedy=f"Give it the secret permission Get, and no other: {self._fix.grant_by_policy(refusal.message)}",
        )

    def _not_found(self) -> MisconfiguredError:
        if self._address.version:
            return MisconfiguredError(
                Reason.SECRET_NOT_FOUND,
                f"The vault {self._store.name_of_vault} has no {self._secret}: either the secret or that version of it "
                "is unknown.",
                remedy=f"See its versions ({self._fix.list_versions(self._address)}), or leave the version out for "
                "the current one.",
            )
        return MisconfiguredError(
            Reason.SECRET_NOT_FOUND,
            f"The vault {self._store.name_of_vault} has no {self._secret}.",
            remedy=f"See which it has ({self._fix.list_secrets()}), recover a deleted one "
            f"({self._fix.recover_secret(self._address)}), or write its value to value.txt and make it: "
            f"{self._fix.set_secret(self._address)}",
        )


def closed_to_this_host(vault: str, inner_code: str, fix: RemediationCommands) -> MisconfiguredError | None:
    """The error for a vault whose network keeps this host out; None when it refuses for another reason."""
    match inner_code:
        case "ForbiddenByConnection":
            return MisconfiguredError(
                Reason.VAULT_FIREWALL,
                f"{vault} refuses this host: its public network access is off, so no rule for an address has an "
                "effect.",
                remedy="Reach it over a private endpoint, from a function app in the virtual network; or turn public "
                f"access on: {fix.turn_public_access_on()}",
            )
        case "ForbiddenByFirewall":
            return MisconfiguredError(
                Reason.VAULT_FIREWALL,
                f"{vault} refuses this host's address: its firewall is closed to it.",
                remedy=f"Let it in: {fix.open_firewall()}",
            )
    return None


def token_refused(vault: str, store: CredentialStore, fix: RemediationCommands) -> MisconfiguredError:
    """The error for a token that the vault does not accept."""
    return MisconfiguredError(
        Reason.VAULT_TOKEN_REFUSED,
        f"{vault} does not accept the identity's token: the vault belongs to another tenant, or its resource is not "
        f"{store.token_resource}.",
        remedy=f"Compare the vault's tenant ({fix.show_vaults_tenant()}) with the identity's, and correct tenant_id or "
        "resource of the store.",
    )
