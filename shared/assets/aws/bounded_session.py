"""AWS's answers are read up to a size. botocore reads whatever is sent, and keeps it."""

from typing import Any

from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import ReadTimeoutError as Silence

_PIECE_BYTES = 64 * 1024


class BoundedSession:
    """The HTTP session of a client, which refuses an answer of more than `largest` bytes on the wire.

    Nothing is unpacked here: the parser does that.
    """

    def __init__(self, session: Any, largest: int) -> None:
        self._session = session
        self._largest = largest

    def send(self, request: Any) -> Any:
        """The answer, read whole. Raises botocore's own errors."""
        # Else botocore reads it to its end, wherever that is.
        request.stream_output = True
        response = self._session.send(request)
        pieces: list[bytes] = []
        size = 0
        try:
            for piece in response.raw.stream(_PIECE_BYTES, decode_content=False):
                size += len(piece)
                if size > self._largest:
                    response.raw.close()
                    raise ResponseParserError(f"The answer has more than {self._largest} bytes.")
                pieces.append(piece)
        except Silence as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
        except ProtocolError as error:
            raise ConnectionClosedError(error=error, request=request, endpoint_url=request.url) from error
        # Where botocore keeps what it read.
        response._content = b"".join(pieces)  # noqa: SLF001
        return response

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
