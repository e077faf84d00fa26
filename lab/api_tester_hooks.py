"""What schemathesis has to be told of this API."""

from collections.abc import Mapping
from typing import Any

import schemathesis
import yaml
from schemathesis.core import deserialization


def _read_documents(stream: Any) -> Any:
    return list(yaml.safe_load_all(stream))


# Its own reader ends the whole worker at a stream of several documents, and comes before any that is registered.
deserialization.deserialize_yaml = _read_documents


@schemathesis.hook
def filter_query(context: Any, query: Any) -> bool:
    """The Functions host drops empty parameters before the app sees them: they are neither accepted nor refused."""
    del context
    return not isinstance(query, Mapping) or not any(value in ("", None, [], [""]) for value in query.values())


@schemathesis.hook
def filter_path_parameters(context: Any, path_parameters: Any) -> bool:
    """The host's own routing knows no address with control characters: its 404 is not the app's."""
    del context
    values = path_parameters.values() if isinstance(path_parameters, Mapping) else ()
    return all(str(value).isprintable() for value in values)
