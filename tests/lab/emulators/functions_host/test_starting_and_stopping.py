"""The host refuses a faulty app with a plain sentence, and leaves in good order."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.emulators.functions_host.command_line import parse_arguments
from lab.emulators.functions_host.process import PORT_TAKEN, REFUSED, WORKER_LOST, HostError, HostProcess
from tests.lab.emulators.functions_host.conftest import APPS, WORKERS, Start, wait_until


def refusal(app: str | Path, worker: str = WORKERS[-1], port: int = 0) -> HostError:
    with pytest.raises(HostError) as caught, HostProcess(APPS / app, worker=worker, port=port):
        pass
    return caught.value


@pytest.mark.parametrize("worker", WORKERS)
@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("bad_cron", ["function never_right", "0 61 * * * *"]),
        ("duplicate_routes", ["function second_thing", "duplicate of that of first_thing", "PUT"]),
        ("unresolved_name", ["function unset", "%NOBODY_SET_THIS%", "not set"]),
        ("duplicate_names", ["twin", "unique function name"]),
        ("bad_queue_name", ["function misnamed", "not--a_queue"]),
        (
            "import_error",
            ["a_module_that_is_not_installed", "Traceback", "function_app.py", "would simply show no functions"],
        ),
    ],
)
def test_a_faulty_app_is_refused_by_name(worker: str, app: str, said: list[str]) -> None:
    error = refusal(app, worker)
    assert error.status == REFUSED
    for words in said:
        assert words in str(error)
    assert "third_thing" not in str(error)


@pytest.mark.parametrize("worker", WORKERS)
def test_a_list_of_str_that_the_cloud_would_refuse_is_refused_here(worker: str, tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text(
        "import azure.functions as func\n"
        "app = func.FunctionApp()\n"
        "@app.timer_trigger(arg_name='timer', schedule='0 0 * * * *')\n"
        "@app.queue_output(arg_name='out', queue_name='some', connection='AzureWebJobsStorage')\n"
        "def modern(timer: func.TimerRequest, out: func.Out[list[str]]) -> None: ...\n"
    )
    error = refusal(tmp_path, worker)
    assert "cannot load the modern function" in str(error)
    assert "invalid non-type annotation" in str(error)


def test_a_directory_that_is_no_app_is_refused(tmp_path: Path) -> None:
    assert "there is no host.json" in str(refusal(tmp_path))
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    assert "no functions were found" in str(refusal(tmp_path))


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = refusal("whole", port=port)
    assert error.status == PORT_TAKEN
    assert f"Port {port} is already in use" in str(error)


def test_settings_come_from_the_file_unless_the_environment_has_them(start_default: Start, tmp_path: Path) -> None:
    settings = tmp_path / "local.settings.json"
    values = {
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "SEEN": str(tmp_path),
        "WORK_QUEUE": "of-the-file",
        "EACH_SECOND": "0 0 3 1 1 *",
        "ADMIN_ROUTE": "of-the-file",
    }
    settings.write_text(json.dumps({"IsEncrypted": False, "Values": values, "Host": {"LocalHttpPort": 1}}))
    environment = {**os.environ, "ADMIN_ROUTE": "of-the-environment"}
    with HostProcess(APPS / "whole", worker=start_default.worker, settings=settings, environment=environment) as host:
        said = [line.strip() for line in host.lines]
        assert "work: queueTrigger (of-the-file)" in said
        assert f"for_admins: [GET] {host.url}/api/of-the-environment" in said


def test_a_running_request_is_answered_before_the_host_stops(start: Start) -> None:
    with start() as running, concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(running.call, "GET", "/api/slow?seconds=1.5")
        running.wait_for("slow", 1)
        assert running.host.stop() == 0
        assert answer.result().body == b"slept"


def test_a_running_message_is_finished_before_the_host_stops(start: Start) -> None:
    with start() as running:
        running.send(one="sleep 1")
        running.wait_for("work", 1)
        assert running.host.stop() == 0
        assert len(running.notes("slept")) == 1
        assert running.texts("work") == []


def test_what_takes_too_long_is_cut_off_and_its_message_stays_hidden(start: Start) -> None:
    with start(stop_seconds=0.5) as running:
        running.send(one="sleep 60")
        running.wait_for("work", 1)
        began = time.monotonic()
        assert running.host.stop() == 0
        assert time.monotonic() - began < 5
        assert running.texts("work") == []
        with running.queue("work") as queue:
            assert queue.get_queue_properties().approximate_message_count == 1


def test_a_request_that_is_cut_off_at_a_stop_gets_no_answer(start_default: Start) -> None:
    with start_default(stop_seconds=0.5) as running, concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(running.call, "GET", "/api/slow?seconds=60")
        running.wait_for("slow", 1)
        running.host.stop()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            answer.result()


def test_thirty_seconds_are_waited_for_at_a_stop() -> None:
    assert parse_arguments(["--root", "."]).stop_seconds == 30


def test_messages_are_taken_while_the_host_waits_for_what_runs(start_default: Start) -> None:
    with start_default() as running, concurrent.futures.ThreadPoolExecutor() as pool:
        running.send(one="sleep 4")
        running.wait_for("work", 1)
        stopping = pool.submit(running.host.stop)
        running.wait_for_line("Stopping:")
        with running.queue("work") as queue:
            queue.send_message("late")
        assert running.work_on("late")
        assert stopping.result() == 0


def test_a_worker_that_dies_answers_500_to_all_inside_and_is_back(start: Start) -> None:
    with start() as running, concurrent.futures.ThreadPoolExecutor() as pool:
        inside = pool.submit(running.call, "GET", "/api/slow?seconds=60")
        running.wait_for("slow", 1)
        assert (running.call("POST", "/api/die").status, inside.result().status) == (500, 500)
        assert inside.result().body == b""
        assert running.call("GET", "/api/any").body == b"GET"


def test_a_worker_that_dies_twice_takes_the_host_with_it(start_default: Start) -> None:
    with start_default() as running:
        running.call("POST", "/api/die")
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            running.call("POST", "/api/die")
        running.wait_for_line("ended again within a short while")
        wait_until(lambda: running.host.exit_status == WORKER_LOST)


def test_a_run_beyond_the_function_timeout_is_reported(start_default: Start) -> None:
    with start_default(AzureFunctionsJobHost__functionTimeout="00:00:01") as running:
        assert running.call("GET", "/api/slow?seconds=1.5").body == b"slept"
        running.wait_for_line("Timeout value of 0:00:01 was exceeded by function 'Functions.slow'")


def test_the_host_ends_when_its_owner_is_killed(start_default: Start, tmp_path: Path) -> None:
    owner = (
        "import time, sys; from pathlib import Path; from lab.emulators.functions_host.process import HostProcess\n"
        f"host = HostProcess(Path({str(APPS / 'whole')!r}), worker={start_default.worker!r},\n"
        f"    keys=Path({str(tmp_path / 'keys')!r}), data=Path({str(tmp_path / 'data')!r})).start()\n"
        "print(host.process_id, flush=True); time.sleep(60)\n"
    )
    environment = {
        **os.environ,
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "SEEN": str(tmp_path),
        "WORK_QUEUE": "work",
        "EACH_SECOND": "0 0 3 1 1 *",
        "ADMIN_ROUTE": "boss",
    }
    command = [sys.executable, "-c", owner]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        host_id = int(parent.stdout.readline())
        os.kill(host_id, 0)
        parent.kill()
    wait_until(lambda: not is_running(host_id), 30)


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    # Ended, but not yet waited for by whoever inherited it.
    stat = Path(f"/proc/{process_id}/stat")
    return not (stat.is_file() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")
