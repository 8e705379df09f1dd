"""Debian's packages: installed by root, or unpacked into .deps/debian without root.

What is needed is found out by looking for a file or a command, not for a package, so that
a compiler from elsewhere counts and nothing is asked of the network when all is there.
"""

import os
import pathlib
import re
import shutil
import subprocess

from progress import SetupError, Step

INCOMPLETE = ".incomplete"  # there while packages are being unpacked

# Never unpacked beside the system's own: a second C library cannot serve the first one's programs.
SYSTEM_ONLY = re.compile(
    r"^(libc6|libc-|libc\d|libcrypt|libgcc|libstdc\+\+|gcc|g\+\+|cpp|binutils|linux-libc|"
    r"gfortran|libgfortran-|base-|dpkg|apt|debconf|"
    r"perl|python3|systemd|libsystemd|libudev|manpages)"
)


def missing(packages, unpacked, environment=os.environ):
    """The entries of dependencies.json that neither the system nor `unpacked` has."""
    triple = f"{os.uname().machine}-linux-gnu"

    def is_there(package):
        if environment.get(package.get("unless", "")):
            return True
        if "command" in package:
            name = package["command"]
            return bool(shutil.which(name)) or (unpacked / "usr/bin" / name).exists()
        files = package["file"].format(arch=triple).split("|")
        return any(
            (root / file).exists() for root in (pathlib.Path("/"), unpacked) for file in files
        )

    return [package for package in packages if not is_there(package)]


def root_command(environment=os.environ):
    """[] as root, ["sudo", "-n"] where sudo asks no password, None without root (or with
    LOCKSTEP_ROOT=0)."""
    if environment.get("LOCKSTEP_ROOT") == "0":
        return None
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if (
        sudo
        and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return [sudo, "-n"]
    return None


def bring(packages, unpacked, cache, log):
    """Brings what is missing of `packages`; True if something was done. Throws SetupError."""
    if (unpacked / INCOMPLETE).exists():
        shutil.rmtree(unpacked)
    wanted = missing(packages, unpacked)
    if not wanted:
        return False
    names = [package["package"] for package in wanted]
    if not shutil.which("apt-get"):
        raise SetupError(
            "this is neither Debian nor Ubuntu. Please install what these Debian packages hold:\n  "
            + "\n  ".join(f"{package['package']} ({package['why']})" for package in wanted)
        )
    prefix = root_command()
    apt = Apt(prefix, log)
    listed = names[0] if len(names) == 1 else f"{len(names)} packages"
    if prefix is not None:
        with Step(f"Debian: installing {listed}"):
            apt.install(names)
    else:
        if "g++" in names:
            raise SetupError(
                "there is no C++ compiler, and without root none can be unpacked.\n"
                "Please ask for the package g++ to be installed, or set CXX and PATH to another "
                "compiler."
            )
        with Step(f"Debian: unpacking {listed} into .deps (no root)") as step:
            step.note = apt.unpack(names, unpacked, cache)
    left = [package["package"] for package in missing(packages, unpacked)]
    if left:
        raise SetupError(
            f"apt-get brought everything, but not what {', '.join(left)} should hold; see {log}"
        )
    return True


class Apt:
    """Runs apt-get; all it says goes to the log, its last lines into the error."""

    def __init__(self, prefix, log):
        self.prefix, self.log, self.options = prefix, log, []

    def run(self, arguments, folder=None):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", *self.options, *arguments]
        if self.prefix:
            kept = [
                f"{name}={value}"
                for name, value in environment.items()
                if name in ("DEBIAN_FRONTEND", "LC_ALL") or name.lower().endswith("_proxy")
            ]
            command = [*self.prefix, "env", *kept, *command]  # sudo drops the environment
        result = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n{result.stdout}\n")
        if result.returncode:
            last = "\n    ".join(result.stdout.strip().splitlines()[-4:])
            raise SetupError(f"apt-get {arguments[0]} failed (all of it: {self.log}):\n    {last}")
        return result.stdout

    def install(self, names):
        install = ["install", "-y", "--no-install-recommends", *names]
        try:
            self.run(install)
        except SetupError:  # the package lists may be missing or old
            self.run(["update"])
            self.run(install)

    def unpack(self, names, unpacked, cache):
        """Unpacks packages and what they depend on, as far as the system lacks it. Says how
        much."""
        cache.mkdir(parents=True, exist_ok=True)
        unpacked.mkdir(exist_ok=True)
        (unpacked / INCOMPLETE).touch()
        try:
            closure = self._download(names, cache)
        except SetupError:  # lists of our own need no root
            lists = unpacked.parent / "apt"
            (lists / "lists/partial").mkdir(parents=True, exist_ok=True)
            (lists / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
            self.options = [
                "-o",
                f"Dir::State::Lists={lists}/lists",
                "-o",
                f"Dir::Cache={lists}/cache",
                "-o",
                "APT::Sandbox::User=",
            ]
            self.run(["update"])
            closure = self._download(names, cache)
        for folder in ("bin", "sbin", "lib", "lib64"):  # as on a Debian of today: /lib is /usr/lib
            (unpacked / "usr" / folder).mkdir(parents=True, exist_ok=True)
            if not (unpacked / folder).exists():
                (unpacked / folder).symlink_to(f"usr/{folder}")
        for name, version in closure:
            files = sorted(cache.glob(f"{name}_{version.replace(':', '%3a')}_*.deb"))
            if not files:
                raise SetupError(f"apt-get download did not leave {name} {version} in {cache}")
            unpack_archive(files[-1], unpacked)
        mend_links(unpacked)
        (unpacked / INCOMPLETE).unlink()
        shutil.rmtree(unpacked.parent / "apt", ignore_errors=True)
        return f"{len(closure)} with dependencies"

    def _download(self, names, cache):
        """apt-get itself works out the dependencies, in a simulation that needs no root."""
        plan = self.run(
            ["install", "--simulate", "--no-install-recommends", "-o", "Debug::NoLocking=1", *names]
        )
        closure = [
            (name, version)
            for name, version in re.findall(
                r"^Inst (\S+) (?:\[[^\]]*\] )?\((\S+) ", plan, re.MULTILINE
            )
            if not SYSTEM_ONLY.match(name)
        ]
        if closure:
            self.run(
                ["download", *(f"{name}={version}" for name, version in closure)], folder=cache
            )
        return closure


def unpack_archive(archive, folder):
    """Like `dpkg -x`, but a link such as /lib -> usr/lib stays one."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as files:
        subprocess.run(
            ["tar", "-x", "--keep-directory-symlink", "-C", folder], stdin=files.stdout, check=True
        )
    if files.returncode:
        raise SetupError(f"{archive} is damaged; remove it and run scripts/setup again")


def mend_links(unpacked):
    """Links that expect their target in /: led to the unpacked file, else to the system's."""
    for path in unpacked.rglob("*"):
        if not path.is_symlink():
            continue
        target = os.readlink(path)
        if os.path.isabs(target):
            inside = unpacked / target.lstrip("/")
        elif path.exists():
            continue
        else:  # relative, its target belongs to an installed package
            inside = pathlib.Path(os.path.normpath(path.parent / target))
        outside = "/" / inside.relative_to(unpacked) if inside.is_relative_to(unpacked) else None
        real = inside if inside.exists() else outside
        if real and real.exists() and str(real) != target:
            path.unlink()
            path.symlink_to(real)
    # `update-alternatives` did not run: give Open MPI's launcher its usual name.
    mpirun = unpacked / "usr/bin/mpirun"
    if (unpacked / "usr/bin/mpirun.openmpi").exists() and not mpirun.exists():
        mpirun.symlink_to("mpirun.openmpi")
