"""Damage done to a file, every cut and every flipped bit, each of which must be refused."""

import os

from charlm.errors import ModelFileError


def assert_every_damage_is_refused(path, read):
    """Flip each bit of a file and cut it to each length; `read` must accept the whole file and refuse all others.

    Raises AssertionError naming the bit or the length that was accepted.
    """
    read()
    with open(path, "rb") as file:
        whole = file.read()
    descriptor = os.open(path, os.O_RDWR)
    try:
        for position, byte in enumerate(whole):
            for bit in range(8):
                os.pwrite(descriptor, bytes([byte ^ 1 << bit]), position)
                assert _is_refused(read), f"bit {bit} of byte {position}"
            os.pwrite(descriptor, whole[position:position + 1], position)
        read()                                              # the file is whole again
        for length in reversed(range(len(whole))):
            os.ftruncate(descriptor, length)
            assert _is_refused(read), f"cut after {length} bytes"
    finally:
        os.close(descriptor)


def _is_refused(read):
    try:
        read()
    except ModelFileError:
        return True
    return False
