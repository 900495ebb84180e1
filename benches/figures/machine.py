"""What the scripts of benches ask of the machine: processor time, memory, foreign load."""

import os
import time

TICKS = os.sysconf("SC_CLK_TCK")
# The share of the machine that others may use in a round that counts.
FOREIGN_MAX = 0.05


def processes():
    """Parent and processor time of each process, that of its ended children included. Seconds."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        found[int(name)] = (int(fields[1]), sum(map(int, fields[11:15])) / TICKS)
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
        return busy() - sum(seconds for pid, (_, seconds) in snapshot.items() if is_below(pid, self.roots, snapshot))

    def __enter__(self):
        self.before, self.began = self.used_by_others(), time.monotonic()
        self.share = None
        return self

    def __exit__(self, *_):
        foreign, wall = self.used_by_others() - self.before, time.monotonic() - self.began
        # The kernel counts all time by ticks and a process's own exactly: of a quiet machine the difference may be below 0.
        self.share = max(0.0, foreign / (wall * os.cpu_count()))


def cpu_seconds(pid):
    """Processor time of all threads of a process that live."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def resident(pid):
    """Resident memory. Octets."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
