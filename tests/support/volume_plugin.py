"""A Docker volume plugin in a process of its own, which tests can make fail, hang, lie and die.

    python -S tests/support/volume_plugin.py SOCKET FOLDER

It keeps its volumes below FOLDER, writes every call to FOLDER/calls, and obeys FOLDER/script.json:
for each verb one of {"hang": true}, {"crash": true}, {"status": N, "body": TEXT}, {"huge": BYTES},
{"drip": true}. It dies once its standard input ends. It has only the standard library, to start at
once.
"""

import json
import os
import shutil
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


class Plugin:
    """An honest one: a volume is a folder, and a file beside it names who mounted it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.volumes = folder / "volumes"
        self.users = folder / "users"
        self.volumes.mkdir(parents=True, exist_ok=True)
        self.users.mkdir(exist_ok=True)

    def answer(self, verb: str, asked: dict[str, Any]) -> dict[str, Any]:
        if verb == "Plugin.Activate":
            return {"Implements": ["VolumeDriver"]}
        if verb == "VolumeDriver.Capabilities":
            return {"Capabilities": {"Scope": "global"}}
        if verb == "VolumeDriver.List":
            return {"Volumes": [self.told(path.name) for path in sorted(self.volumes.iterdir())]}
        path = self.volumes / asked["Name"]
        if verb == "VolumeDriver.Create":
            path.mkdir(exist_ok=True)
            (self.folder / f"{path.name}.options").write_text(json.dumps(asked.get("Opts")))
            return {"Err": ""}
        if not path.is_dir():
            return {"Err": f"no such volume: {asked['Name']}"}
        return self.of_volume(verb, path, asked)

    def of_volume(self, verb: str, path: Path, asked: dict[str, Any]) -> dict[str, Any]:
        users = self.users / path.name
        users.mkdir(exist_ok=True)
        if verb == "VolumeDriver.Mount":
            (users / asked["ID"]).touch()
            return {"Mountpoint": str(path)}
        if verb == "VolumeDriver.Unmount":
            (users / asked["ID"]).unlink(missing_ok=True)
            return {}
        if verb == "VolumeDriver.Remove":
            if any(users.iterdir()):
                return {"Err": f"volume {path.name} is in use"}
            shutil.rmtree(path)
            return {}
        if verb == "VolumeDriver.Get":
            return {"Volume": self.told(path.name)}
        return {"Mountpoint": str(path)}

    def told(self, name: str) -> dict[str, Any]:
        return {"Name": name, "Mountpoint": str(self.volumes / name), "Status": {"free": 1}}


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    plugin: Plugin


class Handler(BaseHTTPRequestHandler):
    server: Server

    def address_string(self) -> str:
        return "local"

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        verb = self.path.removeprefix("/")
        plugin = self.server.plugin
        with (plugin.folder / "calls").open("a") as calls:
            calls.write(json.dumps([verb, asked]) + "\n")
        script = json.loads((plugin.folder / "script.json").read_text())
        self.obey(script.get(verb, {}), verb, asked)

    def obey(self, order: dict[str, Any], verb: str, asked: dict[str, Any]) -> None:
        if order.get("hang"):
            time.sleep(600)
        if order.get("crash"):
            os._exit(1)
        if "huge" in order:
            self.send(200, b'"' + b"x" * order["huge"])
        elif order.get("drip"):
            self.drip()
        elif "body" in order:
            self.send(order.get("status", 200), order["body"].encode())
        else:
            self.send(200, json.dumps(self.server.plugin.answer(verb, asked)).encode())

    def send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def drip(self) -> None:
        """A byte now and then, for ever: each read of it succeeds."""
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.01)


def die_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    listens, folder = Path(sys.argv[1]), Path(sys.argv[2])
    listens.parent.mkdir(parents=True, exist_ok=True)
    listens.unlink(missing_ok=True)
    threading.Thread(target=die_with_input, daemon=True).start()
    with Server(str(listens), Handler) as server:
        server.plugin = Plugin(folder)
        print("listening", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
