#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The C client library as it is installed: found by pkg-config, its symbols those of the list and versioned,
and the example, built against it alone, moves a cursor by what a daemon decodes.

Environment: TRAJD, MAKE_MODEL, TRAJ_BUILD_DIR, TRAJ_SOURCE_DIR, TRAJ_CC.
"""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import daemon

BUILD, SOURCE = os.environ["TRAJ_BUILD_DIR"], os.environ["TRAJ_SOURCE_DIR"]


def run(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, **more).stdout


def setting(name):
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        found = re.search(rf"^{name}:\w+=(.*)$", file.read(), re.MULTILINE)
    return found.group(1) if found else ""


def install():
    """The library as it is installed, in a folder of its own: the folder, and an environment that finds it."""
    prefix = tempfile.mkdtemp(prefix="trajd-prefix-")
    # Those parts alone: what the whole build would install may not have been built.
    for part in ("clients/lib", "proto"):
        run("cmake", "--install", os.path.join(BUILD, part), "--prefix", prefix)
    shutil.copytree(os.path.join(SOURCE, "include", "traj"), os.path.join(prefix, "include", "traj"),
                    ignore=shutil.ignore_patterns("*.in"))
    libraries = os.path.dirname(run("find", prefix, "-name", "libtrajclient.so").strip())
    # Where it will lie was told at configuration; here it lies elsewhere.
    written = os.path.join(libraries, "pkgconfig", "trajclient.pc")
    with open(written, encoding="utf-8") as file:
        text = file.read()
    with open(written, "w", encoding="utf-8") as file:
        file.write(re.sub("^prefix=.*$", "prefix=" + prefix, text, flags=re.MULTILINE))
    return prefix, libraries, {**os.environ, "PKG_CONFIG_PATH": os.path.dirname(written),
                               "LD_LIBRARY_PATH": libraries}


class Library(daemon.DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.prefix, cls.libraries, cls.environment = install()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.prefix)

    def flags(self, *words):
        return run("pkg-config", *words, "trajclient", env=self.environment).split()

    def build(self, out, *flags):
        sanitize = setting("TRAJ_SANITIZE")
        run(os.environ.get("TRAJ_CC", "cc"), "-std=c11", "-Wall", "-Wextra", "-Werror",
            *([f"-fsanitize={sanitize}"] if sanitize else []),
            os.path.join(SOURCE, "clients", "lib", "examples", "cursor.c"), *flags, "-lm", "-o", out)

    def example(self, out):
        d = self.start()
        ends = [d.endpoints[name] for name in ("frames", "intents", "control")]
        said = run(out, *ends, str(daemon.UNITS), "50", env=self.environment)
        self.assertIn("50 intents, cursor at", said)
        self.assertEqual(d.status()["frames"]["decoded"], 50)

    def test_symbols_are_versioned_and_no_others_show(self):
        table = run("nm", "-D", "--defined-only", os.path.join(self.libraries, "libtrajclient.so"))
        names = [line.split()[-1] for line in table.splitlines()]
        shown = {name for name in names if name.startswith("traj")}
        bare = {name.split("@")[0] for name in shown}
        self.assertTrue(all(name.endswith("@@TRAJCLIENT_0.1") for name in shown), shown)
        with open(os.path.join(SOURCE, "include", "traj", "client.h"), encoding="utf-8") as file:
            promised = set(re.findall(r"\b(traj_\w+)\(", file.read()))
        self.assertLessEqual(promised, bare)
        self.assertIn("traj_intent_parse_binary", bare)
        strangers = {name for name in bare if not re.match(
            r"traj_(keys_read$|source_|sink_|control_|frame_|event_|intent_|stale_|refusal_)", name)}
        self.assertEqual(strangers, set())
        print(f"{len(bare)} symbols of version TRAJCLIENT_0.1")

    def test_example_by_the_shared_library(self):
        out = os.path.join(self.prefix, "cursor")
        self.build(out, *self.flags("--cflags", "--libs"))
        self.example(out)

    def test_example_by_the_archives(self):
        out = os.path.join(self.prefix, "cursor-static")
        flags = self.flags("--cflags") + ["-L" + self.libraries, "-l:libtrajclient.a", "-l:libtrajproto.a", "-lzmq"]
        self.build(out, *flags)
        self.example(out)


if __name__ == "__main__":
    daemon.main()
