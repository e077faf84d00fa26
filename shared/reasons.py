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
