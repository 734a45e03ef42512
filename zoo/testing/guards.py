"""Watches what code does beside its work: the network, files that it writes, and what it prints."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import re
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NONE = 99
_CHANGING = {
    **dict.fromkeys(("os.remove", "os.rmdir"), ((0, 1),)),
    **dict.fromkeys(("os.mkdir", "os.chmod"), ((0, 2),)),
    **dict.fromkeys(("os.rename", "os.link"), ((0, 2), (1, 3))),
    "os.symlink": ((1, 2),),
    **dict.fromkeys(("os.truncate", "sqlite3.connect"), ((0, _NONE),)),
}
"""Audit event to the places, among its arguments, of paths that are changed or made, each with that of the open folder
to which it is relative."""

_HERE = ("localhost", "", "127.0.0.1", "::1", "0.0.0.0")


@dataclass
class Watched:
    """What was seen.

    Attributes:
        network: Addresses that were asked for, with the line that did.
        writes: Paths outside the allowed folders that were written, with the line that did.
        printed: What went to stdout and stderr.
    """

    network: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    printed: str = ""


@dataclass
class _Watch:
    """One time of watching."""

    allowed: tuple[str, ...] | None
    package: str
    found: Watched = field(default_factory=Watched)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Notes an audit event; forbids the network."""
        if event.startswith("socket."):
            self._hear_network(event, arguments)
        elif self.allowed is None:
            return
        elif event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING:
                self._note_write(path)
        elif event in _CHANGING:
            for path, folder in _CHANGING[event]:
                opened = arguments[folder] if folder < len(arguments) else -1
                self._note_write(_within(arguments[path], opened))

    def _hear_network(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            address = arguments[1]
            if not isinstance(address, tuple):  # a socket in the file system
                return
            host = address[0]
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            host = arguments[0]
        else:
            return
        host = host.decode() if isinstance(host, bytes) else str(host or "")
        if host in _HERE or host.startswith("127.") or host == socket.gethostname():
            return
        self.found.network.append(f"{host}{self._line()}")
        raise OSError(errno.ENETUNREACH, f"the conformance kit has switched the network off ({host} was asked for)")

    def _note_write(self, path: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        full = os.path.abspath(os.fsdecode(path))
        if full.startswith(("/dev/", "/proc/")) or full == ":memory:" or os.path.basename(full) == ":memory:":
            return
        if any(full == root or full.startswith(root + os.sep) for root in self.allowed or ()):
            return
        frame = self._own_frame()
        if frame is _IMPORT:
            return
        where = f" ({frame.f_code.co_filename}, line {frame.f_lineno})" if isinstance(frame, FrameType) else ""
        self.found.writes.append(f"{full}{where}")

    def _line(self) -> str:
        frame = self._own_frame()
        return f" ({frame.f_code.co_filename}, line {frame.f_lineno})" if isinstance(frame, FrameType) else ""

    def _own_frame(self) -> FrameType | object | None:
        """The innermost frame of the component's package; `_IMPORT` where a library is being imported below it.

        What a library writes when it is imported first (compiled modules, lists of fonts) is its own affair.
        """
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            name = str(frame.f_globals.get("__name__", ""))
            if name.startswith("importlib._bootstrap") or frame.f_code.co_filename.startswith("<frozen importlib"):
                return _IMPORT
            package = name.partition(".")[0]
            if package == self.package and not name.startswith("zoo.testing"):
                return frame
            frame = frame.f_back
        return None


_IMPORT = object()


def _within(path: Any, opened: Any) -> Any:
    """A path that may be relative to an open folder, as a whole one; None where that cannot be told."""
    if not isinstance(path, str | bytes) or not isinstance(opened, int) or opened < 0:
        return path
    try:
        return os.path.join(os.readlink(f"/proc/self/fd/{opened}"), os.fsdecode(path))
    except OSError:
        return None


class _Hook:
    """The process's audit hook: it cannot be taken out again, so it is switched."""

    def __init__(self) -> None:
        self.watch: _Watch | None = None
        self._installed = False

    @contextlib.contextmanager
    def listening(self, watch: _Watch) -> Iterator[None]:
        """Inside, this watch hears; then again the one before it, where there was one."""
        if not self._installed:
            sys.addaudithook(self._heard)
            self._installed = True
        before, self.watch = self.watch, watch
        try:
            yield
        finally:
            self.watch = before

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watch is not None:
            self.watch.hear(event, arguments)


_HOOK = _Hook()


@contextlib.contextmanager
def offline(package: str) -> Iterator[None]:
    """Inside, only this machine can be reached.

    Args:
        package: The component's, whose lines are named.
    """
    with _HOOK.listening(_Watch(None, package)):
        yield


@contextlib.contextmanager
def watching(*, allowed: tuple[Path, ...], temporary: Path, elsewhere: Path, package: str) -> Iterator[Watched]:
    """Watches all that happens inside, in an empty current folder and without the network.

    Args:
        allowed: Folders that may be written into.
        temporary: Where the module tempfile puts its files; allowed as well.
        elsewhere: An empty folder that becomes the current one. What is in it afterwards was written there, by
            whatever means.
        package: The component's, whose lines are named.
    """
    watch = _Watch((*map(str, allowed), str(temporary)), package)
    before, tempdir, variable = os.getcwd(), tempfile.tempdir, os.environ.get("TMPDIR")
    with contextlib.ExitStack() as stack:
        stack.callback(os.chdir, before)
        os.chdir(elsewhere)
        tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
        try:
            with captured(watch.found), _HOOK.listening(watch):
                yield watch.found
        finally:
            tempfile.tempdir = tempdir
            os.environ.pop("TMPDIR")
            if variable is not None:
                os.environ["TMPDIR"] = variable
            known = "\n".join(watch.found.writes)
            watch.found.writes += [str(p) for p in sorted(elsewhere.iterdir()) if str(p) not in known]


@contextlib.contextmanager
def captured(found: Watched) -> Iterator[None]:
    """Takes what is printed inside, by Python and below it, into `found.printed`. Warnings and logs are none of it."""
    silent = logging.NullHandler()
    with tempfile.TemporaryFile() as file, contextlib.ExitStack() as stack:
        text = io.StringIO()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number in (1, 2):
            kept = os.dup(number)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, number)
            os.dup2(file.fileno(), number)
        logging.getLogger().addHandler(silent)
        stack.callback(logging.getLogger().removeHandler, silent)
        try:
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            file.seek(0)
            found.printed += _without_warnings(text.getvalue() + file.read().decode(errors="replace"))


def _without_warnings(text: str) -> str:
    """Without what torch's own code in C++ says once a process (`[W1129 12:00:00 NNPACK.cpp:64] Warning: ...`)."""
    return "".join(line for line in text.splitlines(keepends=True) if not re.match(r"\[W\S* .*\.cpp", line))
