#!/usr/bin/env python3
"""Restores a snapshot with nothing but age, zstd and docs/formats/backup.md.

usage: restore-by-hand.py STORE SNAPSHOT IDENTITY TARGET
  STORE     folder with the repository's objects (a copy of the bucket)
  SNAPSHOT  the snapshot's object, such as s/praxis-1/20261123T020000Z-3f9a…
  IDENTITY  age identity file
  TARGET    new folder

It trusts the store: signatures and digests are what practicectl checks.
"""
import functools, json, os, struct, subprocess, sys

store, snapshot, identity, target = sys.argv[1:]


def run(argv, data):
    return subprocess.run(argv, input=data, stdout=subprocess.PIPE, check=True).stdout


def unage(data):
    return run(["age", "--decrypt", "--identity", identity], data)


def unzstd(data):
    return run(["zstd", "--decompress", "--stdout", "--quiet", "--no-progress"], data)


def read(key):
    with open(os.path.join(store, *key.split("/")), "rb") as f:
        return f.read()


@functools.lru_cache(maxsize=8)
def pack(name):
    """The plaintext of a pack and where each of its frames begins in it."""
    packed = unage(read("p/" + name))
    frames, _, magic = struct.unpack("<IBI", packed[-9:])
    assert magic == 0x8F92EAB1, "not a seekable zstd file"
    table = packed[-9 - 8 * frames:-9]
    starts, at = [], 0
    for i in range(frames):
        starts.append(at)
        at += struct.unpack("<II", table[8 * i:8 * i + 8])[1]
    return unzstd(packed), starts


def chunk(packs, ref):
    plain, starts = pack(packs[ref[0]])
    at = starts[ref[1]] + ref[2]
    return plain[at:at + ref[3]]


def pages(packs, runs):
    for number, frame, slot, count in runs:
        if number == -1:
            yield bytes(8192 * count)
        else:
            yield chunk(packs, [number, frame, 8192 * slot, 8192 * count])


def content(packs, entry):
    yield from pages(packs, entry.get("runs", []))
    for ref in entry.get("maps", []):
        page_map = json.loads(chunk(packs, ref))
        yield from pages(page_map["packs"], page_map["runs"])
    for ref in entry.get("chunks", []):
        yield chunk(packs, ref)


raw = read(snapshot)
header, _, sealed = raw.split(b"\n", 2)
header, body = json.loads(header), json.loads(unzstd(unage(sealed)))
for tree in body["trees"]:
    for ref in tree["blocks"]:
        block = json.loads(chunk(body["packs"], ref))
        for entry in block["entries"]:
            path = os.path.join(target, tree["name"], entry["path"])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if entry["kind"] == "dir":
                os.makedirs(path, exist_ok=True)
            elif entry["kind"] == "link":
                os.symlink(entry["target"], path)
            else:
                with open(path, "wb") as f:
                    f.writelines(content(block["packs"], entry))
                os.chmod(path, entry["mode"])

database = body.get("database")
if database:
    data = os.path.join(target, "pg")
    os.chmod(data, 0o700)
    with open(os.path.join(data, "backup_label"), "w") as f:
        f.write(database["backup_label"])
    size = database["wal_segment_size"]
    for piece in database["wal"]:
        high, low = (int(part, 16) for part in piece["start"].split("/"))
        at = high << 32 | low
        name = "%08X%08X%08X" % (header["database"]["timeline"], at // size * size >> 32, at // size % (2**32 // size))
        path = os.path.join(data, "pg_wal", name)
        with open(path, "r+b" if os.path.exists(path) else "wb") as f:
            f.truncate(size)
            f.seek(at % size)
            f.write(unzstd(unage(read(piece["key"]))))
        os.chmod(path, 0o600)
