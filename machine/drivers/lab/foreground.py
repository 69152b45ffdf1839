"""Makes a command the foreground job of the terminal that it was given, then becomes it.

    foreground.py COMMAND ARGUMENT...

Run inside a host, in whose pid namespace the job of the operator's shell cannot be seen: a shell
that took the terminal from it could not give it back at its end, and would fail.
"""

import os
import signal
import sys


def main() -> None:
    """The whole program; see the module."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # sent to whoever is not yet in the foreground
    os.tcsetpgrp(sys.stdin.fileno(), os.getpgrp())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    try:
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - an argument list
    except OSError as error:
        sys.stderr.write(f"{sys.argv[1]}: {error.strerror}\n")
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


if __name__ == "__main__":
    main()
