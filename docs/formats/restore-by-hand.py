#!/usr/bin/env python3
"""Restores a snapshot with nothing but age, zstd and docs/formats/backup.md.

usage: restore-by-hand.py STORE SNAPSHOT IDENTITY TARGET
  STORE     folder with the repository's objects (a copy of the bucket)
  SNAPSHOT  the snapshot's object, such as s/praxis-1/20261123T020000Z-3f9a…
  IDENTITY  age identity file
  TARGET    new folder

After a rotation of keys an identity may open only what was stored since. The keys of older objects are then taken from the keyring
(k/), and given to age by a plugin of a few lines, which this script writes into a temporary folder.

It trusts the store: signatures and digests are what practicectl checks.
"""
import base64, functools, json, os, stat, struct, subprocess, sys, tempfile

store, snapshot, identity, target = sys.argv[1:]


def run(argv, data, **more):
    return subprocess.run(argv, input=data, stdout=subprocess.PIPE, check=True, **more).stdout


def unage(key, data):
    if key in keyring:
        return unage_with_file_key(keyring[key], data)
    return run(["age", "--decrypt", "--identity", identity], data)


PLUGIN = """#!/usr/bin/env python3
import os, sys
def stanza():  # one of age: a line, and base64 in lines of 64, the last of which is shorter
    head = sys.stdin.readline().rstrip()
    while len(sys.stdin.readline().rstrip()) == 64:
        pass
    return head
while stanza() not in ("-> done", ""):  # the identity, the recipients of the file, and what age sends at random
    pass
sys.stdout.write("-> file-key 0\\n" + os.environ["FILE_KEY"] + "\\n")
sys.stdout.flush()
stanza()  # ok
sys.stdout.write("-> done\\n\\n")
"""


def unage_with_file_key(file_key, data):
    with tempfile.TemporaryDirectory() as folder:
        plugin, stub = os.path.join(folder, "age-plugin-filekey"), os.path.join(folder, "identity")
        with open(plugin, "w") as f:
            f.write(PLUGIN)
        os.chmod(plugin, stat.S_IRWXU)
        with open(stub, "w") as f:
            f.write("AGE-PLUGIN-FILEKEY-17W2674\n")  # says only which plugin to ask
        text = base64.b64encode(bytes.fromhex(file_key)).decode().rstrip("=")
        env = dict(os.environ, PATH=folder + os.pathsep + os.environ["PATH"], FILE_KEY=text)
        return run(["age", "--decrypt", "--identity", stub], data, env=env)


def unzstd(data):
    return run(["zstd", "--decompress", "--stdout", "--quiet", "--no-progress"], data)


def read(key):
    with open(os.path.join(store, *key.split("/")), "rb") as f:
        return f.read()


def read_keyring():
    """The keys that the newest settings hand on to this identity: of an object's name the 16 bytes that open its age file."""
    newest = max(os.listdir(os.path.join(store, "r")))
    out = {}
    for segment in json.loads(read("r/" + newest).split(b"\n")[0]).get("keyring", []):
        try:
            lines = unzstd(unage("", read("k/" + segment["name"]))).decode()
        except subprocess.CalledProcessError:
            continue  # it is for others, and this identity opens everything without it
        out.update(line.split(" ") for line in lines.splitlines())
    return out


@functools.lru_cache(maxsize=8)
def pack(name):
    """The plaintext of a pack and where each of its frames begins in it."""
    packed = unage("p/" + name, read("p/" + name))
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


keyring = {}
keyring = read_keyring()
raw = read(snapshot)
header, _, sealed = raw.split(b"\n", 2)
header, body = json.loads(header), json.loads(unzstd(unage(snapshot, sealed)))
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
            f.write(unzstd(unage(piece["key"], read(piece["key"]))))
        os.chmod(path, 0o600)
