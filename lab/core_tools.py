"""`func start`: the Azure Functions Core Tools as the host of the desk."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from lab.emulators.functions_host.process import HostError
from lab.emulators.ports import LOOPBACK
from lab.emulators.startable import Startable

WAIT_SECONDS = 120


class CoreTools(Startable):
    """The real host of Microsoft's tools, with the settings of local.settings.json and an environment above them."""

    def __init__(self, root: Path, port: int, environment: Mapping[str, str], say: Callable[[str], object]) -> None:
        self._root = root
        self._port = port
        self._environment = environment
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://{LOOPBACK}:{port}"

    def start(self) -> Self:
        func = shutil.which("func")
        if func is None:
            raise HostError(
                "HOST=func needs the Azure Functions Core Tools and `func` was not found: install them "
                "(npm i -g azure-functions-core-tools@4), or leave HOST away to use the lab's own host.",
                None,
            )
        target = self._root / "local.settings.json"
        if not target.exists():
            self._say("writing local.settings.json from the example")
            shutil.copyfile(self._root / "local.settings.json.example", target)
        path = os.pathsep.join([str(Path(sys.executable).parent), self._environment.get("PATH", os.defpath)])
        self._process = subprocess.Popen(
            [func, "start", "--port", str(self._port)], cwd=self._root, env={**self._environment, "PATH": path}
        )
        try:
            self._wait_for_health(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _wait_for_health(self, process: "subprocess.Popen[bytes]") -> None:
        # An opener without proxies: the machine's settings must not lead away from loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise HostError(f"func start ended with status {process.returncode}: see its lines above.", None)
            try:
                opener.open(f"{self.url}/api/health", timeout=60).close()
            except OSError:
                time.sleep(0.5)
            else:
                return
        raise HostError("func start did not answer within two minutes.", None)
