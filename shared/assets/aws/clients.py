"""Clients of AWS: one session of boto3 for the process, few clients at a time, answers read up to a size."""

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import boto3
import botocore.session
from botocore.config import Config

from shared.assets.aws.bounded_session import BoundedSession
from shared.assets.aws.keys import AwsKeys
from shared.assets.aws.parser import LARGEST_PAGE, LARGEST_SMALL_ANSWER, EC2ParserFactory, ask_for_gzip

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_sts import STSClient

# With the waits of botocore's standard mode that is some two minutes of throttling for one page.
ATTEMPTS = 10
_PARSERS = "response_parser_factory"
# Each has some MB and is full of circles: more of them at a time, and many accounts would fill the memory.
_MOST_CLIENTS = 32


class AwsClients:
    """Clients by service, keys and region. Safe to share between threads."""

    def __init__(self, *, attempts: int = ATTEMPTS) -> None:
        self._config = Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=10,
            read_timeout=60,
            user_agent_extra="deskbridge",
        )
        # One session for the process: a second one costs some 37 MiB, another client of the same one 9 ms.
        self._core = botocore.session.get_session()
        self._session = boto3.session.Session(botocore_session=self._core)
        self._lock = threading.Lock()
        # By keys and region: keys are of one account. What is used least goes first.
        self._client: Callable[..., Any] = lru_cache(_MOST_CLIENTS)(self._make)

    def ec2(self, keys: AwsKeys, region: str, members: frozenset[str] = frozenset()) -> "EC2Client":
        """A client whose instances have these members."""
        return cast("EC2Client", self._client("ec2", keys, region, members))

    def sts(self, keys: AwsKeys, region: str) -> "STSClient":
        return cast("STSClient", self._client("sts", keys, region))

    def organizations(self, keys: AwsKeys, region: str) -> Any:
        return self._client("organizations", keys, region)

    def instance_shape(self) -> Any:
        """What EC2 says of an instance."""
        output: Any = self._core.get_service_model("ec2").operation_model("DescribeInstances").output_shape
        return output.members["Reservations"].member.members["Instances"].member

    def _make(self, service: Any, keys: AwsKeys, region: str, members: frozenset[str] = frozenset()) -> Any:
        # Making a client is not thread-safe in boto3; using one is.
        with self._lock:
            # A client takes the parsers that its session has when it is made.
            self._core.register_component(_PARSERS, EC2ParserFactory(members))
            client: Any = self._session.client(
                service,
                region_name=region,
                aws_access_key_id=keys.access_key_id,
                aws_secret_access_key=keys.secret_access_key,
                aws_session_token=keys.session_token,
                config=self._config,
            )
        largest = LARGEST_PAGE if service == "ec2" else LARGEST_SMALL_ANSWER
        # botocore makes the session itself, and lets nobody say which.
        client._endpoint.http_session = BoundedSession(client._endpoint.http_session, largest)  # noqa: SLF001
        if service == "ec2":
            ask_for_gzip(client)
        return client
