"""Every environment variable that the product reads: typed, with its help text. Nothing else reads the environment."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.errors import Fault, MisconfiguredError
from shared.hosts import HOST_SETTINGS, Service, parse_host_patterns
from shared.reasons import Reason

# The app settings that may hold a client secret: whoever writes a document must not choose among all variables.
CLIENT_SECRET_SETTING = "AzureClientSecret"  # noqa: S105 - the name of an app setting
CLIENT_SECRET_PREFIX = "DESKBRIDGE_CLIENT_SECRET_"  # noqa: S105 - the beginning of such names
_CLIENT_SECRET_NAME = re.compile(rf"{CLIENT_SECRET_SETTING}|{CLIENT_SECRET_PREFIX}[A-Za-z0-9_]+")

# A Key Vault reference that the platform could not resolve arrives as its own text: that is a missing value.
UNRESOLVED_REFERENCE = re.compile(r"^\s*@Microsoft\.(KeyVault|AppConfiguration)\(", re.IGNORECASE)

# Dedicated and Premium plans set the first, which Flex Consumption does not: it sets the next three.
_SET_IN_AZURE = (
    "WEBSITE_INSTANCE_ID",
    "WEBSITE_SKU",
    "WEBSITE_POD_NAME",
    "LEGION_SERVICE_HOST",
    "WEBSITE_HOME_STAMPNAME",
)


def _text(value: str) -> str:
    return value


def _boolean(value: str) -> bool:
    folded = value.casefold()
    if folded in {"true", "1", "yes"}:
        return True
    if folded in {"false", "0", "no"}:
        return False
    raise ValueError("must be true or false")


def _whole_number(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError("must be 1 or more")
    return number


def _hosts(value: str) -> frozenset[str]:
    hosts = [host.casefold().rstrip(".") for host in re.split(r"[\s,]+", value) if host]
    for host in hosts:
        if not re.fullmatch(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?", host):
            raise ValueError(f"has {host}, which is neither a host nor host:port")
    return frozenset(hosts)


@dataclass(frozen=True)
class Variable:
    """One environment variable. `default` None means that it is needed only by what `help` names."""

    name: str
    help: str
    default: str | None = None
    parse: Callable[[str], Any] = _text
    secret: bool = False


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "AzureWebJobsStorage",
        "Connection string of the storage account that holds the tables and queues; `UseDevelopmentStorage=true` for a "
        "local Azurite. In Azure leave it out and set `AzureWebJobsStorage__tableServiceUri` instead.",
        secret=True,
    ),
    Variable("AzureWebJobsStorage__tableServiceUri", "Address of the table service, for access by managed identity."),
    Variable("AzureWebJobsStorage__queueServiceUri", "Address of the queue service, for access by managed identity."),
    Variable("AzureWebJobsStorage__blobServiceUri", "Address of the blob service, for access by managed identity."),
    Variable(
        "AzureWebJobsStorage__clientId",
        "Client id of the user-assigned identity that reaches storage; without it the system-assigned identity does.",
    ),
    Variable(
        "AzureWebJobsStorage__credential",
        "`managedidentity` when storage is reached by identity. Read by the Functions host.",
    ),
    Variable(
        "DESKBRIDGE_EC2_SCHEDULE",
        "When the EC2 import of every tenant starts: NCRONTAB with six fields, in UTC.",
        default="0 0 2 * * *",
    ),
    Variable(
        "DESKBRIDGE_AUTHROCKET_SCHEDULE",
        "When the AuthRocket import of every realm starts: NCRONTAB with six fields, in UTC.",
        default="0 30 2 * * *",
    ),
    Variable(
        "DESKBRIDGE_SWEEP_SCHEDULE",
        "When the properties of all objects of the allowed vaults are read: NCRONTAB with six fields, in UTC.",
        default="0 0 3 * * *",
    ),
    Variable(
        "DESKBRIDGE_HOUSEKEEPING_SCHEDULE",
        "When stalled runs are taken up again and old rows are removed: NCRONTAB with six fields, in UTC.",
        default="0 */15 * * * *",
    ),
    Variable(
        "DESKBRIDGE_OUTBOX_SCHEDULE",
        "When lists, searches and counts follow what was changed: NCRONTAB with six fields, in UTC.",
        default="0 * * * * *",
    ),
    Variable(
        "DESKBRIDGE_RUNS_KEPT_DAYS",
        "How many days the records of import runs are kept. Previews are kept for one day.",
        default="90",
        parse=_whole_number,
    ),
    Variable(
        "DESKBRIDGE_AUDIT_KEPT_DAYS",
        "How many days the entries of the audit trail are kept.",
        default="400",
        parse=_whole_number,
    ),
    Variable(
        "DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE",
        "Whether a vault's challenge must name the vault's own domain. `false` only for a vault stand-in on loopback.",
        default="true",
        parse=_boolean,
    ),
    Variable(
        "DESKBRIDGE_ALLOWED_PRIVATE_HOSTS",
        "Hosts that settings documents may name although their addresses are private, apart by spaces: `host`, or "
        "`host:port`. Others must have public addresses. Hosts of vaults and of storage are not meant.",
        default="",
        parse=_hosts,
    ),
    Variable(
        HOST_SETTINGS[Service.VAULT],
        "Further hosts that a credential store may name as `vault_url`, or as `resource` without their first label: "
        "`vault.example.com *.vault.example.com`. Vaults of Microsoft's clouds need no entry.",
        default="",
        parse=parse_host_patterns,
    ),
    Variable(
        HOST_SETTINGS[Service.SIGN_IN],
        "Further hosts that a credential store may name as `authority`. They get client secrets.",
        default="",
        parse=parse_host_patterns,
    ),
    Variable(
        HOST_SETTINGS[Service.RESOURCE_MANAGER],
        "Further hosts that a credential store may name as `resource_manager`. They get tokens of its identity.",
        default="",
        parse=parse_host_patterns,
    ),
    Variable(
        HOST_SETTINGS[Service.AUTHROCKET],
        "Further hosts that a realm may name as `endpoint_url`. They get API keys. `*.authrocket.com` needs no entry.",
        default="",
        parse=parse_host_patterns,
    ),
    Variable(
        "DESKBRIDGE_EVENT_BODY_LIMIT",
        "Largest body of one event delivery, in bytes. Event Grid sends at most 1 MB.",
        default="1572864",
        parse=_whole_number,
    ),
    Variable(
        "DESKBRIDGE_OPENTELEMETRY",
        "Whether spans are made for deliveries, parts, pages and transactions. It needs the package "
        "`opentelemetry-api`, and a distribution of OpenTelemetry that takes them somewhere.",
        default="false",
        parse=_boolean,
    ),
    Variable(
        "PYDANTIC_DISABLE_PLUGINS",
        "`__all__` starts a worker faster: pydantic then searches no installed package for plugins. Read by pydantic.",
    ),
    Variable("AzureTenantId", "Tenant of the app registration, for stores of the method `client_secret`."),
    Variable("AzureClientId", "Client id of the app registration, for stores of the method `client_secret`."),
    Variable(
        "AzureClientSecret",
        "Client secret of the app registration, for stores of the method `client_secret`.",
        secret=True,
    ),
)


@dataclass(frozen=True)
class Environment:
    """The parsed environment; `get` gives a variable of the table above, `app_setting` any app setting by name."""

    # Both hold secrets, and a traceback with its variables or a log may show any object.
    _values: Mapping[str, Any] = field(repr=False)
    _raw: Mapping[str, str] = field(repr=False)

    def get(self, name: str) -> Any:
        """The parsed value, or the default, or None."""
        return self._values[name]

    def text(self, name: str) -> str | None:
        """The parsed value as text, or None."""
        value = self._values[name]
        return None if value is None else str(value)

    def flag(self, name: str) -> bool:
        """Whether the variable is true."""
        return bool(self._values[name])

    def hosts(self, name: str) -> frozenset[str]:
        """The value of a variable that lists hosts."""
        return frozenset(self._values[name])

    def number(self, name: str) -> int:
        """The value of a variable that is a number."""
        return int(self._values[name])

    def app_setting(self, name: str) -> str | None:
        """The text of an app setting that a settings document names; None when absent, empty or unresolved."""
        return _present(self._raw.get(name))

    def client_secret(self, name: str) -> str | None:
        """The client secret in the app setting of this name; None when absent, or when no client secret is there."""
        return self.app_setting(name) if is_client_secret_setting(name) else None

    def further_hosts(self) -> Mapping[Service, tuple[str, ...]]:
        """The hosts that the deployer allows beyond the known ones."""
        return {service: self._values[setting] for service, setting in HOST_SETTINGS.items()}

    @property
    def deployed(self) -> bool:
        """Whether this worker runs in Azure: the platform sets one of these variables, the local hosts none."""
        return any(_present(self._raw.get(name)) is not None for name in _SET_IN_AZURE)


def is_client_secret_setting(name: str) -> bool:
    """Whether a credential store may name this app setting."""
    return _CLIENT_SECRET_NAME.fullmatch(name) is not None


def platform_signs_in(environ: Mapping[str, str]) -> bool:
    """Whether the platform's own authentication stands in front: it then says so in a variable of its own."""
    return (_present(environ.get("WEBSITE_AUTH_ENABLED")) or "").casefold() == "true"


def _present(value: str | None) -> str | None:
    if value is None or not value.strip() or UNRESOLVED_REFERENCE.match(value):
        return None
    return value.strip()


def load_environment(environ: Mapping[str, str]) -> Environment:
    """Parse all of `environ` that the product knows.

    Raises MisconfiguredError with every missing and every unreadable variable in one message.
    """
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for variable in VARIABLES:
        text = _present(environ.get(variable.name))
        if text is None:
            text = variable.default
        if text is None:
            values[variable.name] = None
            continue
        try:
            values[variable.name] = variable.parse(text)
        except ValueError as error:
            shown = "its value" if variable.secret else repr(text)
            faults.append(Fault(variable.name, f"{shown} {error}"))
    if values.get("AzureWebJobsStorage") is None and values.get("AzureWebJobsStorage__tableServiceUri") is None:
        faults.append(
            Fault("AzureWebJobsStorage", "is missing, and so is AzureWebJobsStorage__tableServiceUri: set one of them")
        )
    if faults:
        listed = "; ".join(f"{fault.path}: {fault.message}" for fault in faults)
        missing = any("missing" in fault.message for fault in faults)
        raise MisconfiguredError(
            Reason.SETTING_MISSING if missing else Reason.SETTING_INVALID,
            f"The app settings are not complete: {listed}.",
            remedy="Set them in the function app's configuration (locally in local.settings.json) and restart.",
            faults=faults,
        )
    return Environment(values, dict(environ))
