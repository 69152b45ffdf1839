"""A daemon for labs that stand without swarmd: `lab_daemon.py STATE_DIR RUN_DIR`.

Listens on RUN_DIR/swarmd.sock and echoes on TCP port 2377, as swarmd's places are. Notes each
start and each orderly stop in STATE_DIR/journal, and leaves a child behind as containers are left.
"""

import os
import selectors
import signal
import socket
import sys

PORT = 2377


def main() -> None:
    state, run = sys.argv[1:]

    def note(word: str) -> None:
        with open(f"{state}/journal", "a") as journal:
            journal.write(f"{word}\n")

    def stop(number: int, frame: object) -> None:
        note("stopped")
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    if not os.path.exists(f"{run}/child"):
        child = os.posix_spawn("/bin/sleep", ["sleep", "1000"], os.environ, setsid=True)
        with open(f"{run}/child", "w") as file:
            file.write(str(child))
    path = f"{run}/swarmd.sock"
    if os.path.exists(path):
        os.unlink(path)
    waiting = selectors.DefaultSelector()
    tcp = socket.create_server(("0.0.0.0", PORT))  # noqa: S104 - inside a host of a lab
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(path)
    note("started")  # whoever gets through to it finds that written
    unix.listen()
    waiting.register(tcp, selectors.EVENT_READ, "accept")
    waiting.register(unix, selectors.EVENT_READ, "accept")
    while True:
        for key, _ in waiting.select():
            ready = key.fileobj
            assert isinstance(ready, socket.socket)
            if key.data == "accept":
                waiting.register(ready.accept()[0], selectors.EVENT_READ, "echo")
            elif data := ready.recv(4096):
                ready.sendall(data)
            else:
                waiting.unregister(ready)
                ready.close()


if __name__ == "__main__":
    main()
