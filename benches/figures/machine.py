"""What the scripts of benches ask of the machine: processor time, memory, foreign load."""

import os
import time

TICKS = os.sysconf("SC_CLK_TCK")
# The share of the machine that others may use in a round that counts.
FOREIGN_MAX = 0.05


def processes():
    """Parent, processor time and that of the ended children of each process. Seconds."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        own, ended = (sum(map(int, fields[at : at + 2])) / TICKS for at in (11, 13))
        found[int(name)] = (int(fields[1]), own, ended)
    return found


def busy():
    """Processor time of the whole machine that was not idle, what the hypervisor took included. Seconds."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def is_below(pid, roots, snapshot):
    while pid in snapshot:
        if pid in roots:
            return True
        pid = snapshot[pid][0]
    return False


class Foreign:
    """Processor time that others than this process, `roots` and the children of all of them used, as a share of the whole
    machine: all that was used less our own, so that a process which comes and goes between two looks is seen as well."""

    def __init__(self, *roots):
        self.roots = {os.getpid(), *roots}

    def used_by_others(self):
        snapshot = processes()
        ours = sum(own + ended for pid, (_, own, ended) in snapshot.items() if is_below(pid, self.roots, snapshot))
        return busy() - ours

    def __enter__(self):
        self.before, self.began = self.used_by_others(), time.monotonic()
        self.share = None
        return self

    def __exit__(self, *_):
        foreign, wall = self.used_by_others() - self.before, time.monotonic() - self.began
        # The kernel counts all time by ticks and a process's own exactly: of a quiet machine the difference may be below 0.
        self.share = max(0.0, foreign / (wall * os.cpu_count()))


def members(root, snapshot=None):
    """A process and all below it."""
    snapshot = snapshot or processes()
    return [pid for pid in snapshot if is_below(pid, {root}, snapshot)]


def cpu_seconds(root):
    """Processor time of a process and all below it, that of those that ended included."""
    snapshot = processes()
    total = 0.0
    for pid in members(root, snapshot):
        _, own, ended = snapshot[pid]
        total += max(precise(pid), own) + ended
    return total


def precise(pid):
    """Processor time of all threads of a process that live: the ticks of 10 ms are coarse for a short run."""
    total = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
    except OSError:
        pass  # it, or one of its threads, ended meanwhile: the ticks have it
    return total / 1e9


def memory(root):
    """Memory of a process and all below it, what several share counted once (Pss). Octets."""
    total = 0
    for pid in members(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
        except (ProcessLookupError, FileNotFoundError):
            pass  # it ended meanwhile
    return total
