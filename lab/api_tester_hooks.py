"""What schemathesis has to be told of this API."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import schemathesis
import yaml
from schemathesis.core import deserialization


def _read_documents(stream: Any) -> Any:
    return list(yaml.safe_load_all(stream))


# Its own reader ends the whole worker at a stream of several documents, and comes before any that is registered.
deserialization.deserialize_yaml = _read_documents


def _reaches_the_app(query: Any, path: Any) -> bool:
    """Whether the host hands it on: empty query parameters it drops, so they are neither accepted nor refused; and no
    route of its knows an address with control characters."""
    values = query.values() if isinstance(query, Mapping) else ()
    if any(value in ("", None) or value in ([], [""], [None], {}) for value in values):
        return False
    names = path.values() if isinstance(path, Mapping) else ()
    return all(unquote(str(name)).isprintable() for name in names)


# Different phases ask different ones of these.


@schemathesis.hook
def filter_query(context: Any, query: Any) -> bool:
    del context
    return _reaches_the_app(query, None)


@schemathesis.hook
def filter_path_parameters(context: Any, path_parameters: Any) -> bool:
    del context
    return _reaches_the_app(None, path_parameters)


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    del context
    return _reaches_the_app(case.query, case.path_parameters)
