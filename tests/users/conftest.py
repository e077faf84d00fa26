"""AuthRocket's stand-in over TLS, and a realm's API on it."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from lab.emulators.authrocket import READ_KEY, AuthRocketLab
from lab.emulators.key_vault.authority import CertificateAuthority
from shared.users.authrocket.client import AuthRocket
from shared.users.authrocket.http import AuthRocketCalls, Deadline, EndpointAccess, SecretProvider
from tests.users.desk import ON_LOOPBACK


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    """As operators give a private authority."""
    # The authority alone: the public ones beside it would be read again for every connection.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.certificate))


@pytest.fixture
def new_lab(authority: CertificateAuthority, trusted: None) -> Iterator[Callable[..., AuthRocketLab]]:
    """Starts stand-ins; each is stopped with the test."""
    started: list[AuthRocketLab] = []

    def new(user_count: int = 250) -> AuthRocketLab:
        started.append(AuthRocketLab(tls=authority.server_context(), user_count=user_count).start())
        return started[-1]

    yield new
    for lab in started:
        lab.stop()


@pytest.fixture
def lab(new_lab: Callable[..., AuthRocketLab]) -> AuthRocketLab:
    return new_lab()


@dataclass
class Time:
    """A clock that only waiting moves."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@dataclass
class Vault:
    """An API key that may change; `values` are what it is after each refusal."""

    values: list[str]
    refusals: int = 0

    def read(self) -> str:
        return self.values[min(self.refusals, len(self.values) - 1)]

    def invalidate(self) -> None:
        self.refusals += 1


@pytest.fixture
def clock() -> Time:
    return Time()


Connect = Callable[..., AuthRocket]


@pytest.fixture
def connect(lab: AuthRocketLab, clock: Time) -> Connect:
    """The API of the stand-in's realm, as the product opens it."""

    def new(
        *,
        key: str | Vault = READ_KEY,
        realm: str | None = None,
        page_size: int = 100,
        bearer: bool = False,
        url: str = "",
        seconds: float = 1500,
        on: AuthRocketLab | None = None,
    ) -> AuthRocket:
        at = on or lab
        vault = key if isinstance(key, Vault) else Vault([key])
        name = realm or at.realm_id
        calls = AuthRocketCalls(
            EndpointAccess(url or at.url, name, bearer),
            SecretProvider(vault.read, vault.invalidate),
            Deadline(seconds, clock),
            session=ON_LOOPBACK.session(()),
            sleep=clock.sleep,
        )
        return AuthRocket(calls, name, page_size)

    return new


@pytest.fixture(autouse=True)
def quiet_servers() -> None:
    logging.getLogger("urllib3").setLevel(logging.ERROR)
