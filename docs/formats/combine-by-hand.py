#!/usr/bin/env python3
"""Puts an identity together from its shares with nothing but Python.

usage: combine-by-hand.py SHARE SHARE...
  SHARE  the letters and digits of a share: of its QR code, or of the lines of its page without numbers, blanks and last groups

It prints the identity, which the age program takes as an identity file. docs/formats/backup.md says what a share holds.
"""
import base64, hashlib, sys


def multiply(a, b):  # in the field of AES
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(14, 7, -1):
        if product >> bit & 1:
            product ^= 0x11B << (bit - 8)
    return product


def divide(a, b):
    return next(q for q in range(256) if multiply(q, b) == a)


def at_zero(points):  # Lagrange
    total = 0
    for x, y in points:
        for other, _ in points:
            if other != x:
                y = multiply(y, divide(other, other ^ x))
        total ^= y
    return total


def bech32(prefix, data):
    letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    bits = "".join(format(b, "08b") for b in data)
    values = [int(bits[i:i + 5].ljust(5, "0"), 2) for i in range(0, len(bits), 5)]
    checksum = 1
    for v in [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + values + [0] * 6:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ v
        for i, g in enumerate([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]):
            checksum ^= g if top >> i & 1 else 0
    values += [(checksum ^ 1) >> 5 * (5 - i) & 31 for i in range(6)]
    return (prefix + "1" + "".join(letters[v] for v in values)).upper()


shares = [base64.b32decode(text.strip().upper()) for text in sys.argv[1:]]
for share in shares:
    if len(share) != 60 or hashlib.sha256(share[:56]).digest()[:4] != share[56:]:
        sys.exit("a share was mistyped")
    if share[:15] != shares[0][:15]:
        sys.exit("the shares do not belong together")
points = {share[15]: share[16:56] for share in shares}
if len(points) < shares[0][13]:
    sys.exit("%d shares are needed" % shares[0][13])
secret = bytes(at_zero([(x, y[i]) for x, y in list(points.items())[:shares[0][13]]]) for i in range(40))
kind, key, check = secret[0], secret[1:33], secret[33:]
if hashlib.sha256(b"practicectl escrow" + secret[:33]).digest()[:7] != check:
    sys.exit("the shares do not agree")
print(bech32({1: "age-secret-key-", 2: "age-secret-key-pq-"}[kind], key))
