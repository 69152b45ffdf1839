"""Ends of processes that are the kernel's affair: by its timer, and with their parent.

Neither needs any code of ours to run when the time comes: SIGKILL reaches a process that is
stopped, too. One in a frozen control group of version 1 dies when it is thawed, before it goes on.
"""

import ctypes
import functools
import os
import signal

CLOCK_BOOTTIME = 7
_SIGEV_SIGNAL = 0
_TIMER_ABSTIME = 1
_PR_SET_PDEATHSIG = 1
_NANOS = 1_000_000_000


class _SigEvent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * 48),  # 64 bytes in all (asm-generic/siginfo.h)
    )


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanos", ctypes.c_long))


class _ITimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)


class DoomTimer:
    """Kills this process at a moment of CLOCK_BOOTTIME, which goes on while a host is suspended.

    A child that is forked has no timer.
    """

    def __init__(self) -> None:
        self._timer = ctypes.c_void_p()
        event = _SigEvent(None, signal.SIGKILL, _SIGEV_SIGNAL, b"")
        made = _libc().timer_create(CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(self._timer))
        if made != 0:
            raise _failed("timer_create")

    def set(self, at: float | None) -> None:
        """Seconds of CLOCK_BOOTTIME, at once if they are over; None: never."""
        nanos = 0 if at is None else max(1, int(at * _NANOS))  # zero would disarm it
        wanted = _ITimerspec(_Timespec(0, 0), _Timespec(*divmod(nanos, _NANOS)))
        if _libc().timer_settime(self._timer, _TIMER_ABSTIME, ctypes.byref(wanted), None) != 0:
            raise _failed("timer_settime")


def die_with_parent(parent: int) -> None:
    """In a child, before it executes a program: SIGKILL once the thread that forked it is gone.

    It outlasts the execution of any program that is not setuid. `parent`: its pid, in case that
    died before this was said.
    """
    if _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise _failed("prctl")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
