#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the Debian packages of a build and looks into them: test_package.py BUILD

Every file that is installed is in exactly one package, programs and libraries have what they need among the dependencies,
libraries show what their headers declare, and an installed tree serves wherever it is put.  That the packages install, start,
decode and go away is tried in a fresh root by fresh_root.sh, which takes minutes and a mirror.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = os.path.abspath(sys.argv.pop(1))
SOURCE = os.environ.get("TRAJ_SOURCE_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
PROGRAM = """
#include <stdio.h>
#include <traj/client.h>
#include <traj/decoder.h>
int main(void)
{
    struct traj_settings settings;
    struct traj_control *control = NULL;
    traj_settings_default(&settings);
    if (traj_control_open("ipc:///nonexistent/trajd", &control) == 0) {
        traj_control_close(&control);
    }
    return settings.newton_steps > 0 ? 0 : 1;
}
"""


def output(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def cached(name):
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        return re.search(rf"^{name}:\w+=(.*)$", file.read(), re.M).group(1)


def version():
    with open(os.path.join(SOURCE, "clients/package/changelog"), encoding="utf-8") as file:
        return re.match(r"trajd \(([\d.]+)\)", file.readline()).group(1)


class Package:
    def __init__(self, path, work):
        self.path, self.name = path, output("dpkg-deb", "-f", path, "Package").strip()
        self.tree, self.scripts = os.path.join(work, self.name), os.path.join(work, self.name + ".control")
        output("dpkg-deb", "-x", path, self.tree)
        output("dpkg-deb", "-e", path, self.scripts)
        self.files = {os.path.relpath(os.path.join(folder, name), self.tree)
                      for folder, _, names in os.walk(self.tree) for name in names}

    def field(self, name):
        return output("dpkg-deb", "-f", self.path, name).strip()

    def read(self, path):
        with open(os.path.join(self.tree, path), encoding="utf-8") as file:
            return file.read()

    def binaries(self):
        for path in self.files:
            whole = os.path.join(self.tree, path)
            if not os.path.islink(whole):
                with open(whole, "rb") as file:
                    elf = file.read(4) == b"\x7fELF"
                if elf:
                    yield whole


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="trajd-package-")
        cls.work = cls.folder.name
        output("cpack", "--config", os.path.join(BUILD, "CPackConfig.cmake"), "-B", cls.work, cwd=BUILD)
        cls.packages = [Package(path, cls.work) for path in sorted(glob.glob(os.path.join(cls.work, "*.deb")))]
        cls.by_name = {package.name: package for package in cls.packages}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_one_version(self):
        """The changelog's first line is what every package, program and client says."""
        self.assertEqual(set(self.by_name), {"trajd", "trajd-tools", "libtraj0", "libtrajclient0", "libtraj-dev",
                                             "python3-trajd"})
        self.assertEqual({package.field("Version") for package in self.packages}, {version()})
        for program in ("trajd/usr/bin/trajd", "trajd-tools/usr/bin/trajctl"):
            self.assertIn(version(), output(os.path.join(self.work, program), "--version"))
        with open(os.path.join(SOURCE, "clients/python/pyproject.toml"), encoding="utf-8") as file:
            self.assertIn(f'version = "{version()}"', file.read())

    def test_every_file_in_one_package(self):
        root = os.path.join(self.work, "root")
        output("cmake", "--install", BUILD, env={**os.environ, "DESTDIR": root})
        installed = {os.path.relpath(os.path.join(folder, name), root)
                     for folder, _, names in os.walk(root) for name in names}
        packed = [re.sub(r"(/man/.*|/changelog)\.gz$", r"\1", path) for package in self.packages for path in package.files]
        self.assertEqual(sorted(packed), sorted(set(packed)), "a file is in two packages")
        self.assertEqual(set(packed), installed)

    def test_documented(self):
        for package in self.packages:
            doc = "usr/share/doc/" + package.name
            self.assertIn(doc + "/copyright", package.files)
            self.assertIn(doc + "/changelog.gz", package.files)
            for path in package.files:
                if re.match(r"usr/s?bin/", path):
                    page = os.path.basename(path)
                    self.assertTrue({f"usr/share/man/man{s}/{page}.{s}.gz" for s in (1, 8)} & package.files, path)
        for page in ("man5/trajd-intent.5", "man5/trajd-session.5", "man7/trajd-dashboard.7"):
            self.assertIn(f"usr/share/man/{page}.gz", self.by_name["trajd-tools"].files)
        for page in ("libtraj", "libtrajclient", "traj_model"):
            self.assertIn(f"usr/share/man/man3/{page}.3.gz", self.by_name["libtraj-dev"].files)

    def test_pages_are_legible(self):
        """No page makes man complain, and each is found by its name and what it is about."""
        pages = glob.glob(os.path.join(self.work, "*/usr/share/man/man*/*.gz"))
        self.assertGreater(len(pages), 10)
        for page in pages:
            self.assertRegex(output("zcat", page), r"(?m)^\.SH NAME\n\S+ \\- \S.*$", page)
        if not shutil.which("man"):
            self.skipTest("man-db is not installed")
        for page in pages:
            said = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True,
                                  env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80"})
            self.assertEqual((said.returncode, said.stderr), (0, ""), page)

    def test_dependencies(self):
        """Each library that a program needs is in a package that it depends on, or in its own."""
        for package in self.packages:
            depends = re.findall(r"(?:^|[,|]) *([\w.+-]+)", package.field("Depends"))
            for binary in package.binaries():
                for library in re.findall(r"NEEDED +(\S+)", output("objdump", "-p", binary)):
                    path = output("sh", "-c", f"ldconfig -p | awk '$1 == \"{library}\" {{ print $NF; exit }}'").strip()
                    owner = subprocess.run(["dpkg", "-S", path, os.path.realpath(path)], capture_output=True, text=True)
                    owners = {line.split(":")[0] for line in owner.stdout.splitlines()}
                    self.assertTrue(owners & set(depends), f"{binary} needs {library} of {owners}, not in {depends}")

    def test_shown_symbols(self):
        """libtraj shows the functions that its headers declare, and none of another name."""
        declared = set()
        for header in ("decoder", "model"):
            text = self.by_name["libtraj-dev"].read(f"usr/include/traj/{header}.h")
            declared |= set(re.findall(r"\b(traj_\w+)\(", re.sub(r"/\*.*?\*/", "", text, flags=re.S)))
        library = next(self.by_name["libtraj0"].binaries())
        shown = {line.split()[-1].split("@")[0] for line in output("nm", "-D", "--defined-only", library).splitlines()
                 if " T " in line}
        self.assertEqual(declared - shown, set())
        self.assertEqual({name for name in shown - declared if not name.startswith("traj_decoder_")}, set())

    def test_prefix(self):
        """Installed into any folder, the libraries are found by pkg-config and a program is built and runs."""
        prefix = os.path.join(self.work, "prefix")
        output("cmake", "--install", BUILD, "--prefix", prefix)
        output(os.path.join(prefix, "bin/trajctl"), "version")
        libraries = os.path.dirname(glob.glob(os.path.join(prefix, "lib/**/pkgconfig"), recursive=True)[0])
        env = {**os.environ, "PKG_CONFIG_PATH": os.path.join(libraries, "pkgconfig")}
        flags = output("pkg-config", "--cflags", "--libs", "traj", "trajclient", env=env).split()
        source, program = os.path.join(self.work, "program.c"), os.path.join(self.work, "program")
        with open(source, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        output("cc", source, "-o", program, *flags)
        output(program, env={**os.environ, "LD_LIBRARY_PATH": libraries})
        needed = output("objdump", "-p", program)
        self.assertIn("libtraj.so.0", needed)
        self.assertIn("libtrajclient.so.0", needed)

    def test_maintainer_scripts(self):
        for package in self.packages:
            for script in ("postinst", "prerm", "postrm"):
                path = os.path.join(package.scripts, script)
                if os.path.exists(path):
                    output("sh", "-n", path)
                    self.assertTrue(os.access(path, os.X_OK), path)
                    with open(path, encoding="utf-8") as file:
                        self.assertIn("set -e", file.read())
        self.assertIn("ExecStart=/usr/bin/trajd", self.by_name["trajd"].read("usr/lib/systemd/system/trajd.service"))

    def test_policy(self):
        if not shutil.which("lintian"):
            self.skipTest("lintian is not installed")
        # CPack writes scripts that call ldconfig, whether there is a trigger for it or not.
        said = subprocess.run(["lintian", "--fail-on", "error,warning", "--suppress-tags", "maintscript-calls-ldconfig",
                               *(package.path for package in self.packages)], capture_output=True, text=True)
        self.assertEqual(said.returncode, 0, said.stdout)


if __name__ == "__main__":
    if not shutil.which("dpkg-deb"):
        print("this is not a Debian system: no packages are made")
        sys.exit(77)
    if cached("CMAKE_INSTALL_PREFIX") != "/usr":
        print("packages are made from a build for /usr: cmake --preset release -DCMAKE_INSTALL_PREFIX=/usr")
        sys.exit(77)
    unittest.main()
