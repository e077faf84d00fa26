"""What tests/conftest.py promises to every test."""

import os
import socket

import hypothesis
import pytest
from pytest_socket import SocketConnectBlockedError


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_nothing_but_loopback_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        socket.create_connection(("localhost", listener.getsockname()[1]), timeout=5).close()
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=5).close()
    # An address reserved for documentation: nobody answers there if the guard should fail.
    with pytest.raises(SocketConnectBlockedError):
        socket.create_connection(("192.0.2.1", 443), timeout=0.1)


def test_no_credential_or_certificate_setting_of_the_machine_is_seen() -> None:
    left = {name for name in os.environ if name.startswith(("AWS_", "AZURE_", "IDENTITY_"))}
    assert left == {"AWS_CONFIG_FILE", "AWS_EC2_METADATA_DISABLED", "AWS_SHARED_CREDENTIALS_FILE"}
    assert "REQUESTS_CA_BUNDLE" not in os.environ


def test_property_tests_have_no_deadline() -> None:
    assert hypothesis.settings().deadline is None
