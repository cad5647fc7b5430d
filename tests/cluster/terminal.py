# SPDX-License-Identifier: Apache-2.0
"""Programs that tests talk to while they run: behind a real terminal, or behind pipes."""
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

DEADLINE = 30


class Reader:
    """Waits for text from a descriptor; shows all of it when the text does not come."""

    def __init__(self, fd):
        self.fd = fd
        self.seen = ""

    def until(self, text):
        """All up to and with the text; what follows is kept for the next call."""
        end = time.monotonic() + DEADLINE
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            try:
                data = os.read(self.fd, 65536) if ready else b""
            except OSError:     # a terminal whose other side is closed
                data = b""
            assert data, f"did not say {text!r} but\n{self.seen}"
            self.seen += data.decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before + text


class Terminal(Reader):
    """A program with a terminal of its own, of a size that the test says."""

    def __init__(self, words, rows, columns):
        self.pid, fd = pty.fork()
        if self.pid == 0:
            # kubectl asks for the size when it starts: it has to be there first.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvp(words[0], words)
        super().__init__(fd)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def code(self):
        """Its exit code, once it has ended."""
        end = time.monotonic() + DEADLINE
        while True:
            # What it still writes is read, or it would not end.
            ready, _, _ = select.select([self.fd], [], [], 0.05)
            try:
                if ready:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                pass
            pid, how = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(how)
            assert time.monotonic() < end, f"does not end; it said\n{self.seen}"

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


class Follower(Reader):
    """A program whose output is read as it comes."""

    def __init__(self, machine, words):
        self.process = machine.start(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        super().__init__(self.process.stdout.fileno())

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def code(self):
        self.process.stdin.close()
        return self.process.wait(timeout=DEADLINE)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
