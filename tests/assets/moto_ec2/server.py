"""moto's EC2 and STS: start, stop, where it is, which keys open it, and how to change what it holds."""

import functools
import threading
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from lab.emulators.ec2.accounts import (
    ACCESS_KEY_ID,
    ACCOUNTS,
    ACORN,
    NOT_OPTED_IN,
    REGIONS,
    SECRET_ACCESS_KEY,
    USER_ID,
    Credentials,
    directory,
)
from lab.emulators.ec2.fleet import RefusalCode
from lab.emulators.ec2.identity import AccessKey
from lab.emulators.ec2.machines import MACHINES, Machine
from lab.emulators.ec2.refusals import RefusalError, auth_failure, opt_in_required, throttled, unauthorized_operation
from lab.emulators.ports import LOOPBACK
from lab.emulators.startable import ServingThread, Startable
from tests.assets.moto_ec2.guard import Call, Guard
from tests.assets.moto_ec2.instances import add, prepare_region, set_state


class MotoFleet(Startable):
    """EC2 and STS of two accounts on one loopback port.

    moto keeps its state in the process, so a process holds one running fleet at a time.
    `port` 0 takes any free one. The fleet is in memory and, being the same at every start, needs no folder.
    """

    _running: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, port: int = 0, machines: tuple[Machine, ...] = MACHINES) -> None:
        self._wanted_port = port
        self._machines = machines
        self._serving: ServingThread | None = None
        self._guard: Guard | None = None
        self._subnets: dict[tuple[str, str], dict[str, Any]] = {}
        self._ids: dict[tuple[str, str], str] = {}
        self._places: dict[str, tuple[str, str]] = {}
        self.directory = directory()

    def start(self) -> Self:
        if not self._running.acquire(blocking=False):
            raise RuntimeError("another fleet is running in this process: moto holds one")
        try:
            moto_api_backend.reset()
            self._grant()
            for account in ACCOUNTS:
                for region in REGIONS:
                    self._subnets[account, region] = prepare_region(account, region)
            for machine in self._machines:
                self.add(machine)
            self._guard = Guard(DomainDispatcherApplication(create_backend_app), self.directory, REGIONS, NOT_OPTED_IN)
            self._serving = ServingThread(
                make_server(LOOPBACK, self._wanted_port, self._guard, threaded=True, request_handler=_QuietHandler)
            )
        except BaseException:
            self._running.release()
            raise
        return self

    def stop(self) -> None:
        """Stop serving and forget every instance. Safe to call twice."""
        serving, self._serving = self._serving, None
        if serving is None:
            return
        serving.stop()
        self._subnets.clear()
        self._ids.clear()
        self._places.clear()
        moto_api_backend.reset()
        self._running.release()

    @property
    def port(self) -> int:
        assert self._serving is not None, "the fleet is not started"
        return self._serving.port

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def environment(self) -> dict[str, str]:
        """The settings that lead an unchanged boto3 here."""
        services = {f"AWS_ENDPOINT_URL_{service}": self.url for service in ("EC2", "STS", "ORGANIZATIONS")}
        return {**services, "AWS_EC2_METADATA_DISABLED": "true"}

    def credentials(self) -> Credentials:
        return Credentials()

    @property
    def journal(self) -> list[Call]:
        """Every request since the start, in order."""
        assert self._guard is not None, "the fleet is not started"
        return self._guard.journal

    def instance_id(self, account: str, label: str) -> str:
        return self._ids[account, label]

    def add(self, machine: Machine) -> str:
        """Run one more machine; returns its instance id, which follows from account, region and label."""
        if (machine.account, machine.label) in self._ids:
            raise ValueError(f"account {machine.account} already has a machine labelled {machine.label!r}")
        instance_id = add(machine, self._subnets[machine.account, machine.region][machine.vpc])
        self._ids[machine.account, machine.label] = instance_id
        self._places[instance_id] = (machine.account, machine.region)
        return instance_id

    def tag(self, instance_id: str, **tags: str | None) -> None:
        """Set tags; None takes one away. For keys that are no Python names pass `**{"a:b": "c"}`."""
        account, region = self._places[instance_id]
        backend: Any = ec2_backends[account][region]
        backend.create_tags([instance_id], {key: value for key, value in tags.items() if value is not None})
        backend.delete_tag_keys([instance_id], [key for key, value in tags.items() if value is None])

    def set_state(self, instance_id: str, state: str) -> None:
        """Any of pending, running, stopping, stopped, shutting-down, terminated."""
        set_state(self._instance(instance_id), state, datetime.now(UTC))

    def stop_instance(self, instance_id: str) -> None:
        self.set_state(instance_id, "stopped")

    def start_instance(self, instance_id: str) -> None:
        self.set_state(instance_id, "running")

    def terminate(self, instance_id: str) -> None:
        """Terminated, and still listed, as EC2 does for about an hour."""
        self.set_state(instance_id, "terminated")

    def forget(self, instance_id: str) -> None:
        """Not listed any more, as an hour after its termination."""
        account, region = self._places.pop(instance_id)
        backend: Any = ec2_backends[account][region]
        for reservation in list(backend.reservations.values()):
            if any(instance.id == instance_id for instance in reservation.instances):
                del backend.reservations[reservation.id]
        self._ids = {key: value for key, value in self._ids.items() if value != instance_id}

    def refuse(self, account: str, region: str, code: RefusalCode | None) -> None:
        """From now on EC2 in this account and region answers so; None ends it."""
        assert self._guard is not None, "the fleet is not started"
        if code is None:
            self._guard.refusals.pop((account, region), None)
        else:
            self._guard.refusals[account, region] = functools.partial(_refusal, code)

    def _instance(self, instance_id: str) -> Any:
        account, region = self._places[instance_id]
        backend: Any = ec2_backends[account][region]
        return backend.get_instance(instance_id)

    def _grant(self) -> None:
        """The lab's user and key, for moto to know whom GetCallerIdentity speaks of."""
        iam: Any = iam_backends[ACORN]["aws"]
        user = iam.create_user(region_name="us-east-1", user_name="deskbridge")
        user.id = USER_ID
        key = iam.create_access_key(user.name)
        del iam.access_keys[key.access_key_id]
        key.access_key_id, key.secret_access_key = ACCESS_KEY_ID, SECRET_ACCESS_KEY
        iam.access_keys[ACCESS_KEY_ID] = key


def _refusal(code: RefusalCode, caller: AccessKey, action: str) -> RefusalError:
    match code:
        case "UnauthorizedOperation":
            return unauthorized_operation(caller.arn, action, encoded="ZW5jb2RlZCBieSB0aGUgbGFi")
        case "OptInRequired":
            return opt_in_required()
        case "RequestLimitExceeded":
            return throttled()
        case "AuthFailure":
            return auth_failure()
        case "InternalError":
            return RefusalError("InternalError", "An internal error has occurred")


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Nothing: the journal has it."""
