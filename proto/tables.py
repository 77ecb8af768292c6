#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints tables.c: the constants of number.c and crc32c.c, from exact integer arithmetic.

    python3 proto/tables.py > proto/tables.c
"""

POWER_MIN, POWER_MAX = -342, 324
CRC32C = 0x82F63B78  # Castagnoli's polynomial, bits reversed


def power(exponent):
    """The leading 128 bits of 10^exponent, rounded towards zero."""
    if exponent >= 0:
        value = 10**exponent
        excess = value.bit_length() - 128
        return value >> excess if excess > 0 else value << -excess
    divisor = 10**-exponent
    shift = divisor.bit_length() + 127
    value = (1 << shift) // divisor
    return value >> (value.bit_length() - 128)


def crc_tables():
    tables = [[]]
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (CRC32C if crc & 1 else 0)
        tables[0].append(crc)
    for slice_ in range(1, 8):
        last = tables[slice_ - 1]
        tables.append([(crc >> 8) ^ tables[0][crc & 255] for crc in last])
    return tables


def main():
    print("/* SPDX-License-Identifier: GPL-3.0-or-later */")
    print("/* Constants, printed by tables.py; a test holds the two together. */")
    print('#include "proto/tables.h"')
    print()
    print("const struct traj_power traj_powers[TRAJ_POWER_MAX - TRAJ_POWER_MIN + 1] = {")
    for exponent in range(POWER_MIN, POWER_MAX + 1):
        bits = power(exponent)
        high, low = bits >> 64, bits & (2**64 - 1)
        print(f"    {{0x{high:016x}, 0x{low:016x}}}, /* 10^{exponent} */")
    print("};")
    print()
    print("const uint32_t traj_crc32c_table[8][256] = {")
    for table in crc_tables():
        print("    {")
        for start in range(0, 256, 6):
            row = ", ".join(f"0x{crc:08x}" for crc in table[start : start + 6])
            print(f"        {row},")
        print("    },")
    print("};")


if __name__ == "__main__":
    main()
