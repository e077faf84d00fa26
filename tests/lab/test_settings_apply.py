"""A folder of settings from a shell, against a desk that answers as the real one does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lab.settings_apply import apply, main, read_folder


class _Desk(BaseHTTPRequestHandler):
    answers: ClassVar[list[tuple[int, bytes]]] = []
    seen: ClassVar[list[tuple[str, str, str]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.seen.append((self.path, self.headers["X-Api-Key"], body))
        status, said = self.answers.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Quiet."""


@pytest.fixture
def desk() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Desk)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    _Desk.seen.clear()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_all_documents_of_a_folder_go_in_one_call(desk: str, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.yml").write_text("kind: b")
    (tmp_path / "a.yaml").write_text("kind: a")
    (tmp_path / "notes.txt").write_text("no settings")
    _Desk.answers.append((200, json.dumps({"dry_run": True, "items": []}).encode()))
    assert apply(desk, "the-key", read_folder(tmp_path), dry_run=True)["dry_run"] is True
    assert _Desk.seen == [("/api/v1/settings?dry_run=true", "the-key", "kind: a\n---\nkind: b")]


def test_a_refusal_names_every_fault(desk: str) -> None:
    problem = {"detail": "The document has faults.", "faults": [{"path": "sites/a: title", "message": "is missing"}]}
    _Desk.answers.append((400, json.dumps(problem).encode()))
    with pytest.raises(ValueError, match="sites/a: title: is missing"):
        apply(desk, "", "kind: a")


def test_an_answer_that_is_no_problem_document_is_shown_as_it_is(desk: str) -> None:
    _Desk.answers.append((502, b"<html>"))
    with pytest.raises(ValueError, match="502: <html>"):
        apply(desk, "", "kind: a")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \.yaml or \.json file"):
        read_folder(tmp_path)


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("kind: a")
    (tmp_path / "typo.yaml").write_text("kind: [")
    with pytest.raises(ValueError, match=r"typo\.yaml is not YAML"):
        read_folder(tmp_path)


def test_a_wrong_key_and_a_desk_that_is_not_there_are_told_apart(desk: str) -> None:
    _Desk.answers.append((401, b""))
    with pytest.raises(ValueError, match="DESKBRIDGE_TOKEN is not set, or is no access token"):
        apply(desk, "", "kind: a")
    with pytest.raises(ValueError, match=r"no desk answers at http://127\.0\.0\.1:1"):
        apply("http://127.0.0.1:1", "", "kind: a")


@pytest.mark.parametrize(
    ("folder", "url", "words"),
    [("", "http://127.0.0.1:1", "say which folder"), ("somewhere", "", "say which desk")],
)
def test_a_folder_or_a_desk_left_out_is_refused_and_nothing_else_is_applied(
    folder: str, url: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["settings-apply", "--dir", folder, "--url", url])
    with pytest.raises(SystemExit):
        main()
    assert words in capsys.readouterr().err
