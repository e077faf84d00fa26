"""What every test stands on: loopback only, nothing of the developer's environment, one hypothesis profile."""

import os

import hypothesis
import pytest

from shared.access.strangers import REFUSALS
from shared.storage.queues import Queues
from tests.storage_emulator import azurite, new_storage, storage

__all__ = ["azurite", "new_storage", "storage"]

# Credentials, proxies and certificate settings of the machine must neither leak into a test nor decide it.
_FOREIGN = ("AWS_", "AZURE_", "IDENTITY_", "MSI_", "DESKBRIDGE_", "MOTO_")
_FOREIGN_NAMES = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"}
_FOREIGN_NAMES |= {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Before pytest-socket reads them. Set here so that no way of starting pytest goes without.
    config.option.allow_hosts = "127.0.0.1,::1,localhost"
    config.option.allow_unix_socket = True
    for name in list(os.environ):
        if name.upper() in _FOREIGN_NAMES or name.startswith(_FOREIGN):
            del os.environ[name]
    # Without these, boto3 looks for credentials and a region in the developer's home and at 169.254.169.254.
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.environ["AWS_CONFIG_FILE"] = os.devnull


@pytest.fixture(autouse=True)
def no_message_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service's message would go to whatever storage emulator listens on the usual port of this machine."""
    monkeypatch.setattr(Queues, "send", lambda _self, _queue, _text: None)


@pytest.fixture(autouse=True)
def _a_log_of_its_own() -> None:
    """What an earlier test was refused must not be what silences a later one's line."""
    REFUSALS.forget()
