# SPDX-License-Identifier: Apache-2.0
"""What bench/registry and bench/api share: options, programs, the machine, running the generator."""
import argparse
import json
import os
import shutil
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MIB = 1024 * 1024
OURS = "gsq"
STATUS_LACKING = 3


class Failed(Exception):
    pass


class Lacking(Failed):
    """The server does not have what is to be measured."""


def add_options(parser, generator):
    parser.add_argument("--dir", type=Path, help="a folder on the disk to use (the build folder)")
    parser.add_argument("--build", type=Path, default=ROOT / "build-release", help="folder of the release build")
    parser.add_argument("--gsq", type=Path, help="a gsq in place of that of the build")
    parser.add_argument("--load", type=Path, help=f"a {generator} likewise")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every round as a line of JSON")


def parse_peer(text):
    name, separator, url = text.partition("=")
    if not separator or not url.startswith("http://") or name in (OURS, "distribution", "nginx", ""):
        raise argparse.ArgumentTypeError("write NAME=http://ADDRESS:PORT, with a name of its own")
    return name, url.rstrip("/")


# ---- what must be there ----

def programs(options, generator):
    """gsq and the load generator; built where they are not given."""
    given = [path for path in (options.gsq, options.load) if path]
    for path in given:
        if not os.access(path, os.X_OK):
            raise Failed(f"{path} is no program")
    if len(given) < 2:
        build(options.build, generator)
    return (options.gsq or options.build / "gsq").resolve(), \
        (options.load or options.build / "bench" / generator).resolve()


def build(folder, *generators):
    for tool in ("meson", "ninja"):
        if not shutil.which(tool):
            raise Failed(f"{tool} is missing: run scripts/packages build")
    if not (folder / "build.ninja").exists():
        execute(["meson", "setup", folder, ROOT, "--buildtype=release", "-Db_lto=true"])
    execute(["ninja", "-C", folder, "gsq", *(f"bench/{generator}" for generator in generators)])


def execute(command):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))} has failed:\n{result.stdout[-4000:]}{result.stderr[-4000:]}")


def check_disk(options, free_space):
    folder = (options.dir or options.build).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if file_system(folder) in ("tmpfs", "ramfs"):
        raise Failed(f"{folder} is in memory: name a folder on a disk with --dir")
    if shutil.disk_usage(folder).free < free_space:
        raise Failed(f"{folder} needs {free_space // MIB // 1024} GiB of free space: name another with --dir")
    return folder


# ---- the machine ----

def file_system(folder):
    """Of the mount whose path is the longest before the folder."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    fits = [(len(m[1]), m[2]) for m in mounts if folder == Path(m[1]) or Path(m[1]) in folder.parents]
    return max(fits)[1]


def disk_kind(folder):
    device = os.stat(folder).st_dev
    block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    for queue in (block / "queue", block / ".." / "queue"):
        if (queue / "rotational").exists():
            return "rotating" if (queue / "rotational").read_text().strip() == "1" else "not rotating"
    return "of an unknown kind"


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "an unknown processor"


def load_average():
    return "{:.2f}".format(os.getloadavg()[0])


def print_machine(folder):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(f"Machine: {os.cpu_count()} cores ({processor()}), {memory:.0f} GiB, Linux {os.uname().release}; disk "
          f"{disk_kind(folder)}, {file_system(folder)}. Load average at the start: {load_average()}.\n", flush=True)


# ---- the work ----

def run_generator(program, command, env=None):
    """Its lines of JSON. env: variables beside those of this process."""
    result = subprocess.run([program, *map(str, command)], capture_output=True, text=True, check=False,
                            env={**os.environ, **(env or {})})
    if result.returncode != 0:
        kind = Lacking if result.returncode == STATUS_LACKING else Failed
        raise kind(f"{program.name} {' '.join(map(str, command))}:\n{result.stderr.strip() or result.stdout}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def clients_text(clients):
    return f"{clients} client{'s' if clients > 1 else ''}"


def median_round(rounds):
    middle = statistics.median_low([r["rate"] for r in rounds])
    return next(r for r in rounds if r["rate"] == middle)
