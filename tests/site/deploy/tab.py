"""Types each line, then Tab, into a real shell on a terminal of its own, and prints what the line has become.

tab.py SHELL SETUP LINE... : one line of output for each LINE, in `<<` and `>>`.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

DEADLINE_S = 30
SHELLS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}


def read_until(terminal, pattern):
    seen, end = b"", time.monotonic() + DEADLINE_S
    while not (found := re.search(pattern, seen)):
        if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            sys.exit(f"nothing more comes after {seen!r}")
        seen += os.read(terminal, 4096)
    return found


def main(shell, setup, *lines):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(shell, SHELLS[shell])
    # Wide, so that no line is broken.
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 400, 0, 0))
    # Quoted in two parts, so that the line that is typed is not taken for its output.
    os.write(terminal, f"{setup}; echo set'ting'up is done\n".encode())
    read_until(terminal, rb"settingup is done")
    for line in lines:
        # After Tab: to the beginning, `echo "<<`, to the end, `>>"`, Enter. The shell takes keys one after the other.
        os.write(terminal, line.encode() + b'\t\x01echo "<<\x05>>"\n')
        print(read_until(terminal, rb"\n\r?(<<[^\r\n]*>>)\r?\n")[1].decode())
    os.close(terminal)
    os.waitpid(pid, 0)


main(*sys.argv[1:])
