"""A secret that an operator wants to try before any document names it."""

from typing import Any

from pydantic import ValidationError

from shared.errors import Fault
from shared.settings.validation import document_invalid, faults_of
from shared.vaults.documents.credentials import InPlaceCredential


def parse_trial(store: str, content: Any) -> InPlaceCredential:
    """`{"secret": …}` and the names of fields, for a store; raises InvalidInputError with every fault."""
    if not isinstance(content, dict):
        raise document_invalid("trial", [Fault("", 'must be an object such as {"secret": "ec2-key"}')])
    try:
        return InPlaceCredential.model_validate({**content, "store": store})
    except ValidationError as error:
        raise document_invalid("trial", faults_of(error)) from None
