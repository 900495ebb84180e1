"""What the scripts of this folder ask of the machine: processes, processor time, memory, foreign load."""

import os
import time

TICKS = os.sysconf("SC_CLK_TCK")


def processes():
    """Parent and processor time of each process. Seconds."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        found[int(name)] = (int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS)
    return found


def steal():
    with open("/proc/stat") as file:
        return int(file.readline().split()[8]) / TICKS


def is_below(pid, root, snapshot):
    while pid in snapshot:
        if pid == root:
            return True
        pid = snapshot[pid][0]
    return False


class Foreign:
    """Processor time that others than this process and its children used, as a share of the whole machine."""

    def __enter__(self):
        self.before, self.stolen, self.began = processes(), steal(), time.monotonic()
        self.share = None
        return self

    def __exit__(self, *_):
        after, wall = processes(), time.monotonic() - self.began
        foreign = steal() - self.stolen
        for pid, (_, seconds) in after.items():
            if not is_below(pid, os.getpid(), after):
                foreign += seconds - self.before.get(pid, (0, 0.0))[1]
        self.share = foreign / (wall * os.cpu_count())


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
