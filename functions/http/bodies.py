"""Bodies that come in: read once, and checked by the model that describes them in the OpenAPI document."""

from typing import TYPE_CHECKING, TypeVar

import azure.functions as func

from functions.http.answers import body_of, json_body

if TYPE_CHECKING:
    from functions.schemas.shapes import Body

B = TypeVar("B", bound="Body")


def has_body(request: func.HttpRequest) -> bool:
    """Whether anything but blanks was sent."""
    return bool(body_of(request).strip())


def read_body(request: func.HttpRequest, model: "type[B]", *, needed: bool = True) -> B:
    """The checked body; without one, and where none is needed, the model's defaults.

    Raises InvalidInputError with every fault and its path, or TooLargeError.
    """
    # Not at the top: a cold worker loads no model before it needs one.
    from pydantic import ValidationError

    from shared.settings.validation import body_invalid, faults_of

    content = json_body(request) if needed or has_body(request) else {}
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise body_invalid(faults_of(error)) from None
