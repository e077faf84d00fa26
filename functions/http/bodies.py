"""Bodies that come in: read once, and checked by the model that describes them in the OpenAPI document."""

from typing import TYPE_CHECKING, TypeVar

import azure.functions as func

from functions.http.answers import body_of, json_body

if TYPE_CHECKING:
    from functions.schemas.shapes import Body

B = TypeVar("B", bound="Body")
_MOST_TOLD = 100


def has_body(request: func.HttpRequest) -> bool:
    """Whether anything but blanks was sent."""
    return bool(body_of(request).strip())


def read_body(request: func.HttpRequest, model: "type[B]") -> B:
    """The checked body.

    Raises InvalidInputError with every fault and its path, or TooLargeError.
    """
    # Not at the top: a cold worker loads no model before it needs one.
    from pydantic import ValidationError

    from shared.settings.validation import body_invalid, faults_of

    content = json_body(request)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise body_invalid(faults_of(error)) from None


def check_no_members(request: func.HttpRequest) -> None:
    """Raise InvalidInputError for a body with members where none is read: what it asks for would not be done."""
    content = json_body(request) if has_body(request) else {}
    if content != {}:
        from shared.errors import Fault
        from shared.settings.validation import body_invalid

        names = list(content) if isinstance(content, dict) else []
        faults = [Fault(name, "there is no such field") for name in names[:_MOST_TOLD]]
        raise body_invalid(faults or [Fault("", "must be left out, or an empty object")])
