"""The virtual machine whose power is cut: Debian's kernel, an initramfs with the server in it, qemu.

All of it is made under one folder. Where qemu, the kernel or busybox is not there, Debian's packages are downloaded and
unpacked into that folder; nothing is installed. The guest mounts the disk, repairs it only where it can't be mounted
otherwise, starts the server and says on its console how far it is.
"""

import lzma
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import time

KERNEL = "linux-image-amd64"
# What the guest loads, beside what these depend on.
DRIVERS = ["virtio_pci", "virtio_blk", "virtio_net"]
CHECKSUMS = ["crc32c_generic", "crc32c_intel"]
MEMORY = "1024M"
PROCESSORS = 2
# Under emulation on a busy machine.
START_SECONDS_MAX = 180
SERVICES = {"imap": 143, "pop3": 110, "smtp": 25, "lmtp": 24}

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs devtmpfs /dev
for module in $(cat /modules); do insmod $module || echo "power-cut: no $module"; done
ip link set lo up; ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up
read -r type < /type
if ! mount -t $type $(cat /options) /dev/vda /mail; then
    echo "power-cut: repaired"
    case $type in
        ext4) e2fsck -fy /dev/vda;;
        xfs) xfs_repair -L /dev/vda;;
    esac
    mount -t $type /dev/vda /mail || { echo "power-cut: can't be mounted"; poweroff -f; }
fi
if [ ! -e /mail/data ]; then
    cp -a /seed /mail/new && sync && mv /mail/new /mail/data && sync
fi
ulimit -n 65536
ringpost serve --config /ringpost.toml
echo "power-cut: the server ended with $?"
poweroff -f
"""

CONFIGURATION = """data = "/mail/data"
hostname = "mail.example"
default_domain = "localhost"
"""


class Trouble(Exception):
    """The test can't be run, or the guest does not do what it must."""


def run(command, **more):
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **more)
    if ended.returncode != 0:
        raise Trouble(f"{' '.join(map(str, command))}: {ended.stderr.strip() or ended.stdout.strip()}")
    return ended.stdout


class Tools:
    """The programs and the kernel, those of the machine or those of packages that are unpacked."""

    def __init__(self, folder, told):
        self.folder, self.root = folder, folder / "root"
        self.environment = dict(os.environ)
        paths = [self.root / place for place in ("usr/bin", "usr/sbin", "bin", "sbin")]
        self.environment["PATH"] = ":".join([os.environ["PATH"], "/usr/sbin", "/sbin", *map(str, paths)])
        libraries = [self.root / place / "x86_64-linux-gnu" for place in ("usr/lib", "lib")]
        self.libraries = ":".join(map(str, libraries))
        wanted = [package for package, program in [
            ("qemu-system-x86", "qemu-system-x86_64"), ("busybox-static", "busybox"), ("xfsprogs", "mkfs.xfs"),
            ("e2fsprogs", "mkfs.ext4")] if not self.find(program)]
        if not list(self.root.glob("boot/vmlinuz-*")):
            wanted.append(KERNEL)
        if wanted:
            told(f"unpacking Debian's {', '.join(wanted)} into {folder}")
            self.unpack(wanted)
        kernels = sorted(self.root.glob("boot/vmlinuz-*"))
        self.kernel = kernels[-1]
        self.modules = self.root / "lib/modules" / self.kernel.name.removeprefix("vmlinuz-")

    def find(self, program):
        return shutil.which(program, path=self.environment["PATH"])

    def unpack(self, packages):
        """Downloads the packages with what they depend on and the machine does not have."""
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise Trouble(f"missing: {', '.join(packages)}; they are downloaded by themselves on Debian only")
        store = self.folder / "packages"
        store.mkdir(parents=True, exist_ok=True)
        kernels = [package for package in packages if package == KERNEL]
        others = [package for package in packages if package != KERNEL]
        names = []
        if others:
            planned = run(["apt-get", "--simulate", "--no-install-recommends", "install", *others])
            names += [line.split()[1] for line in planned.splitlines() if line.startswith("Inst ")]
        if kernels:
            depends = run(["apt-cache", "depends", KERNEL])
            names.append(re.findall(r"Depends: (linux-image-\S+)", depends)[-1])
        run(["apt-get", "--quiet", "download", *names], cwd=store)
        for package in sorted(store.glob("*.deb")):
            run(["dpkg-deb", "--extract", package, self.root])

    def run(self, command):
        """Runs one of the programs; an unpacked one finds its libraries."""
        return run(self.command(command), env=self.environment_of(command[0]))

    def command(self, command):
        return [self.find(command[0]), *command[1:]]

    def environment_of(self, program):
        if not self.find(program).startswith(str(self.root)):
            return self.environment
        return {**self.environment, "LD_LIBRARY_PATH": self.libraries}


def module_files(tools, names):
    """The files of these modules and of those that they depend on, in the order in which they are loaded."""
    files = {path.name.split(".")[0].replace("-", "_"): path for path in tools.modules.rglob("*.ko*")}
    ordered = []

    def add(name):
        path = files.get(name)
        if path is None or path in ordered:
            return
        for needed in re.findall(rb"\0depends=([^\0]*)\0", module(path))[:1]:
            for one in filter(None, needed.decode().replace("-", "_").split(",")):
                add(one)
        ordered.append(path)

    for name in names:
        add(name)
    return ordered


def module(path):
    octets = path.read_bytes()
    return lzma.decompress(octets) if path.suffix == ".xz" else octets


def initramfs(tools, folder, server, seed, kind, options):
    """Makes the initramfs of a guest whose disk is of this kind; its path."""
    tree = folder / f"tree-{kind}"
    shutil.rmtree(tree, ignore_errors=True)
    for name in ("bin", "dev", "proc", "sys", "mail", "tmp", "etc", "lib/modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy(tools.find("busybox"), tree / "bin/busybox")
    with_libraries(tools, server, tree, "ringpost")
    # Debug information would be most of it.
    if strip := shutil.which("strip"):
        run([strip, "--strip-debug", tree / "bin/ringpost"])
    for program in {"ext4": ["e2fsck"], "xfs": ["xfs_repair"]}.get(kind, []):
        if found := tools.find(program):
            with_libraries(tools, found, tree, program)
    shutil.copytree(seed, tree / "seed")
    listed = []
    for path in module_files(tools, CHECKSUMS + DRIVERS + [kind]):
        place = f"lib/modules/{path.name.removesuffix('.xz')}"
        (tree / place).write_bytes(module(path))
        listed.append(f"/{place}")
    (tree / "modules").write_text("\n".join(listed) + "\n")
    (tree / "type").write_text(f"{kind}\n")
    (tree / "options").write_text(f"{options}\n")
    (tree / "ringpost.toml").write_text(configuration())
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    image = folder / f"initramfs-{kind}"
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    busybox = tools.find("busybox")
    with open(image, "wb") as output:
        made = subprocess.run([busybox, "cpio", "-o", "-H", "newc"], cwd=tree, input=names.encode(), stdout=output,
                              stderr=subprocess.PIPE)
    if made.returncode != 0:
        raise Trouble(f"cpio: {made.stderr.decode().strip()}")
    return image


def configuration():
    text = CONFIGURATION
    for service in SERVICES:
        text += f"[{service}]\nallow_plaintext_auth = true\n" if service in ("imap", "pop3") else ""
    for service, port in SERVICES.items():
        access = "anonymous = true" if service in ("smtp", "lmtp") else "password = true"
        text += f'[[{service}.listener]]\naddress = ["0.0.0.0"]\nport = {port}\n{access}\n'
    return text


def with_libraries(tools, program, tree, name):
    """Copies a program and the libraries that it is linked with."""
    shutil.copy(program, tree / "bin" / name)
    listed = run(["ldd", program], env={**os.environ, "LD_LIBRARY_PATH": tools.libraries})
    for path in re.findall(r"(/\S+) \(0x", listed):
        # Unpacked ones are found where the machine's own would be.
        place = path.removeprefix(str(tools.root))
        (tree / place.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tree / place.lstrip("/"))


def accelerator():
    """KVM where the processor has what it needs: a device that is there all the same may run no guest."""
    flags = set(re.findall(r"\b(?:vmx|svm)\b", pathlib.Path("/proc/cpuinfo").read_text()))
    return "kvm" if flags and os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg,thread=multi"


class Guest:
    """A machine that runs, from `start` until its power is cut."""

    def __init__(self, tools, folder, initramfs, disk_socket):
        self.tools, self.folder, self.initramfs, self.disk_socket = tools, folder, initramfs, disk_socket
        self.console = folder / "console"
        self.process = None
        self.ports = {}

    def start(self):
        """Boots, and returns when the server answers; how many seconds that took."""
        self.ports = free_ports(list(SERVICES))
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{self.ports[name]}-10.0.2.15:{port}"
                           for name, port in SERVICES.items())
        command = ["qemu-system-x86_64", "-machine", "pc", "-accel", accelerator(), "-cpu", "max",
                   "-m", MEMORY, "-smp", str(PROCESSORS), "-display", "none", "-monitor", "none", "-no-reboot",
                   "-kernel", self.tools.kernel, "-initrd", self.initramfs, "-append", "console=ttyS0 quiet panic=-1",
                   "-serial", f"file:{self.console}", "-netdev", f"user,id=net,restrict=on{forwards}",
                   "-device", "virtio-net-pci,netdev=net,romfile=",
                   "-drive", f"file=nbd+unix:///?socket={self.disk_socket},format=raw,if=virtio,cache=writeback"]
        for place in ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"):
            if (self.tools.root / place).is_dir():
                command += ["-L", self.tools.root / place]
        self.console.unlink(missing_ok=True)
        errors = open(self.folder / "qemu.log", "w")
        self.process = subprocess.Popen(self.tools.command(command), stdin=subprocess.DEVNULL, stdout=errors,
                                        stderr=errors, env=self.tools.environment_of(command[0]))
        began = time.monotonic()
        while time.monotonic() < began + START_SECONDS_MAX:
            said = self.said()
            if "ringpost ready" in said:
                return time.monotonic() - began
            if self.process.poll() is not None or "power-cut: the server ended" in said:
                break
            time.sleep(0.1)
        self.kill()
        raise Trouble(f"the server is not ready: {self.tail()}")

    def said(self):
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def was_repaired(self):
        return "power-cut: repaired" in self.said()

    def tail(self):
        errors = (self.folder / "qemu.log").read_text(errors="replace")
        return "\n".join((errors + self.said()).splitlines()[-20:])

    def is_running(self):
        return self.process.poll() is None and "power-cut: the server ended" not in self.said()

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def free_ports(names):
    """Ports that nobody listens on. They are outside of the range that outgoing connections take theirs from."""
    ports = {}
    for name in names:
        while True:
            port = random.randrange(24_100, 32_000)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            if port not in ports.values():
                ports[name] = port
                break
    return ports
