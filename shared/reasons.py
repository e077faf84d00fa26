"""Every reason code that a refusal, a quarantined event or a failed row can carry. Stable: systems match on them."""

from enum import StrEnum


class Reason(StrEnum):
    """One code each; what it means and what mends it stands in docs/errors.md, which a test compares with this list."""

    # Requests
    BODY_NOT_READABLE = "body_not_readable"
    BODY_TOO_LARGE = "body_too_large"
    CHANGED_MEANWHILE = "changed_meanwhile"
    CREDENTIAL_REFUSED = "credential_refused"
    DOCUMENT_INVALID = "document_invalid"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    IN_USE = "in_use"
    VERSION_NEEDED = "version_needed"
    PARAMETER_UNKNOWN = "parameter_unknown"
    PARAMETER_INVALID = "parameter_invalid"
    INTERNAL = "internal"

    # Storage
    STORAGE_UNAVAILABLE = "storage_unavailable"
    STORAGE_DENIED = "storage_denied"
    STORAGE_LIMIT = "storage_limit"
    CONTINUATION_INVALID = "continuation_invalid"
    CONTENDED = "contended"

    # Set-up
    SETTING_MISSING = "setting_missing"
    SETTING_INVALID = "setting_invalid"

    # Credential stores
    CREDENTIAL_UNKNOWN = "credential_unknown"
    CREDENTIAL_STORE_UNKNOWN = "credential_store_unknown"
    VAULT_ADDRESS_WRONG = "vault_address_wrong"
    VAULT_HOST_UNKNOWN = "vault_host_unknown"
    VAULT_UNREACHABLE = "vault_unreachable"
    VAULT_CERTIFICATE_UNTRUSTED = "vault_certificate_untrusted"
    VAULT_THROTTLED = "vault_throttled"
    VAULT_FAILED = "vault_failed"
    VAULT_FIREWALL = "vault_firewall"
    VAULT_PERMISSION_MISSING = "vault_permission_missing"
    VAULT_TOKEN_REFUSED = "vault_token_refused"
    SECRET_NOT_FOUND = "secret_not_found"
    SECRET_DISABLED = "secret_disabled"
    SECRET_EXPIRED = "secret_expired"
    SECRET_NOT_YET_VALID = "secret_not_yet_valid"
    SECRET_EMPTY = "secret_empty"
    SECRET_NOT_JSON = "secret_not_json"
    SECRET_FIELD_MISSING = "secret_field_missing"
    IDENTITY_MISSING = "identity_missing"
    IDENTITY_UNKNOWN = "identity_unknown"
    IDENTITY_UNAVAILABLE = "identity_unavailable"
    SIGN_IN_REFUSED = "sign_in_refused"
    CLIENT_SECRET_WRONG = "client_secret_wrong"
    CLIENT_SECRET_EXPIRED = "client_secret_expired"
    APP_REGISTRATION_UNKNOWN = "app_registration_unknown"
    TENANT_UNKNOWN = "tenant_unknown"
    DEVELOPER_NOT_SIGNED_IN = "developer_not_signed_in"
    DEVELOPER_WHEN_DEPLOYED = "developer_when_deployed"

    # Key Vault events
    EVENT_NOT_READABLE = "event_not_readable"
    EVENT_TYPE_UNKNOWN = "event_type_unknown"
    EVENT_TOO_LARGE = "event_too_large"
    VAULT_NOT_ALLOWED = "vault_not_allowed"
    WEBHOOK_PASSWORD_UNREADABLE = "webhook_password_unreadable"  # noqa: S105 - a code's name
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    SUBSCRIPTION_NOT_ALLOWED = "subscription_not_allowed"

    # Imports
    IMPORT_RUNNING = "import_running"
    IMPORT_SOURCE_UNKNOWN = "import_source_unknown"
    PREVIEW_UNUSABLE = "preview_unusable"
    PART_ABANDONED = "part_abandoned"
    PART_FAILED = "part_failed"
    RUN_SUPERSEDED = "run_superseded"
    RECORD_INVALID = "record_invalid"
    VALUE_TOO_LONG = "value_too_long"
    VALUE_UNREADABLE = "value_unreadable"

    # AWS
    AWS_ACCESS_KEY_UNKNOWN = "aws_access_key_unknown"
    AWS_SECRET_KEY_WRONG = "aws_secret_key_wrong"
    AWS_TOKEN_EXPIRED = "aws_token_expired"
    AWS_CLOCK_SKEWED = "aws_clock_skewed"
    AWS_PERMISSION_MISSING = "aws_permission_missing"
    AWS_REGION_DISABLED = "aws_region_disabled"
    AWS_REGION_SHARED = "aws_region_shared"
    AWS_ROLE_REFUSED = "aws_role_refused"
    AWS_WEB_IDENTITY_REFUSED = "aws_web_identity_refused"
    AWS_ACCOUNT_DIFFERS = "aws_account_differs"
    AWS_ACCOUNT_BLOCKED = "aws_account_blocked"
    AWS_FILTER_REFUSED = "aws_filter_refused"
    AWS_THROTTLED = "aws_throttled"
    AWS_UNREACHABLE = "aws_unreachable"
    AWS_FAILED = "aws_failed"

    # AuthRocket
    AUTHROCKET_UNREACHABLE = "authrocket_unreachable"
    AUTHROCKET_HOST_UNKNOWN = "authrocket_host_unknown"
    AUTHROCKET_CERTIFICATE_UNTRUSTED = "authrocket_certificate_untrusted"
    AUTHROCKET_REDIRECTED = "authrocket_redirected"
    AUTHROCKET_ANSWER_UNREADABLE = "authrocket_answer_unreadable"
    AUTHROCKET_SUBSCRIPTION_INACTIVE = "authrocket_subscription_inactive"
    AUTHROCKET_KEY_REFUSED = "authrocket_key_refused"
    AUTHROCKET_NOT_FOUND = "authrocket_not_found"
    AUTHROCKET_REQUEST_REFUSED = "authrocket_request_refused"
    AUTHROCKET_THROTTLED = "authrocket_throttled"
    AUTHROCKET_FAILED = "authrocket_failed"
    AUTHROCKET_PAGING_STUCK = "authrocket_paging_stuck"
