#!/usr/bin/env python3
"""Makes one needed symbol version of a 64-bit ELF library weak, and removes this version from the symbols that use it.

    weaken_symbol_version.py LIBRARY VERSION
"""

import struct
import sys

VERSION_NEEDED = 0x6FFFFFFE
VERSION_OF_SYMBOL = 0x6FFFFFFF
WEAK = 2
GLOBAL = 1


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    path, version = sys.argv[1:]
    with open(path, "rb") as file:
        data = bytearray(file.read())
    (table,) = struct.unpack_from("<Q", data, 40)
    size, number, _ = struct.unpack_from("<HHH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + size * index) for index in range(number)]
    by_type = {section[1]: section for section in sections}
    needed, of_symbol = by_type[VERSION_NEEDED], by_type[VERSION_OF_SYMBOL]
    strings = sections[needed[6]]

    def name(offset):
        start = strings[4] + offset
        return bytes(data[start : data.index(0, start)]).decode()

    weakened = None
    entry = needed[4]
    for _ in range(needed[7]):
        _, count, _, auxiliary, following = struct.unpack_from("<HHIII", data, entry)
        at = entry + auxiliary
        for _ in range(count):
            _, flags, other, text, next_auxiliary = struct.unpack_from("<IHHII", data, at)
            if name(text) == version:
                struct.pack_into("<H", data, at + 4, flags | WEAK)
                weakened = other
            at += next_auxiliary
        entry += following
    for index in range(of_symbol[5] // 2):
        at = of_symbol[4] + 2 * index
        if struct.unpack_from("<H", data, at)[0] & 0x7FFF == weakened:
            struct.pack_into("<H", data, at, GLOBAL)
    with open(path, "wb") as file:
        file.write(data)


main()
