"""`make run` at the command line: what it takes, what it refuses kindly, and that it is there once a folder."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lab.__main__ import main, parse_arguments
from lab.desk import ROOT
from lab.running import AlreadyUpError, Running, running_in
from lab.summary import Paint

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("given", ["0", "65536", "99999999999", "-1", "abc", "7071.5", "٧٠٧١x"])
def test_a_port_that_is_none_is_one_kind_sentence(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_arguments([f"--port={given}"])
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith("is no port: choose a number from 1 to 65535, such as PORT=7072")


def test_colours_are_for_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Paint()("high", "x") == "x"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert Paint()("high", "x") == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Paint()("high", "x") == "x"


def test_a_claim_on_a_folder_ends_with_its_holder(tmp_path: Path) -> None:
    first, second = Running(tmp_path), Running(tmp_path)
    first.claim()
    with pytest.raises(AlreadyUpError, match="another start is under way"):
        second.claim()
    first.publish(url="http://127.0.0.1:1")
    with pytest.raises(AlreadyUpError, match=r"is up already at http://127\.0\.0\.1:1"):
        second.claim()
    assert running_in(tmp_path)["url"] == "http://127.0.0.1:1"
    first.release()
    assert running_in(tmp_path) == {}
    second.claim()
    second.release()


def test_a_second_start_says_where_the_first_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Running(tmp_path)
    other.claim()
    try:
        assert main([f"--folder={tmp_path}"]) == 1
        assert "wait for it" in capsys.readouterr().err
        other.publish(url="http://127.0.0.1:7099")
        assert main([f"--folder={tmp_path}"]) == 0
        assert capsys.readouterr().out.startswith("The desk is up already at http://127.0.0.1:7099 (process ")
        for otherwise in ("--fresh", "--port=7098"):
            assert main([f"--folder={tmp_path}", otherwise]) == 1
            assert "stop that one first" in capsys.readouterr().err
    finally:
        other.release()


def test_the_whole_screen_is_forty_lines_at_most_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "lab", f"--folder={tmp_path}", "--any-ports"]
    started = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    # It must not hang for ever when it never comes up.
    watchdog = threading.Timer(200, started.kill)
    watchdog.start()
    assert started.stdout is not None
    screen: list[str] = []
    try:
        for line in started.stdout:
            screen.append(line)
            if "everything that there is to do" in line:
                break
        known = running_in(tmp_path)
        again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (again.returncode, f"is up already at {known['url']}" in again.stdout) == (0, True)
        started.send_signal(signal.SIGINT)
        assert started.stdout.read() == "stopped\n"
        assert started.wait(60) == 0
    finally:
        watchdog.cancel()
        started.kill()
        started.wait()
        started.stdout.close()
    assert len(screen) <= 40, "".join(screen)
    assert "everything that there is to do" in screen[-1]
    assert "\x1b" not in "".join(screen)
    assert "Functions:" not in "".join(screen)
    assert "list_tickets" in (tmp_path / "host.log").read_text("utf-8")
    assert running_in(tmp_path) == {}


def test_keys_that_a_person_broke_are_named(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"master": 1', "utf-8")
    command = [sys.executable, "-m", "lab", f"--folder={tmp_path}", "--any-ports", "--once"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "keys.json is not valid JSON" in done.stderr
    assert "Traceback" not in done.stderr
