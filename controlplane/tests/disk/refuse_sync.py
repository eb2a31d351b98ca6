"""Runs a program whose disk takes nothing: msync(2) is an input/output error, by a seccomp filter that all of its children have.
Usage: refuse_sync.py PROGRAM [ARGUMENT ...]
"""

import ctypes
import errno
import os
import platform
import struct
import sys

MSYNC = {"x86_64": 26, "aarch64": 227}[platform.machine()]
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K
ALLOW, ERROR = 0x7fff0000, 0x00050000


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def main():
    # The number of the call is the first word of what a filter sees.
    steps = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, MSYNC), (RETURN, 0, 0, ERROR | errno.EIO), (RETURN, 0, 0, ALLOW)]
    program = Program(len(steps), b"".join(struct.pack("HBBI", *step) for step in steps))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "no filter")
    os.execv(sys.argv[1], sys.argv[1:])


main()
