#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The MATLAB and Octave client, in Octave: built by its own script against an installed libtrajclient, its example
moves a cursor, and what it sends, receives and refuses is what its pages say.

Environment: TRAJD, MAKE_MODEL, TRAJ_BUILD_DIR, TRAJ_SOURCE_DIR.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import daemon
from test_library import SOURCE, install

CLIENT = os.path.join(SOURCE, "clients", "matlab")

PROBE = r"""
rig = trajd.Source('{frames}'); sink = trajd.Intents('{intents}'); ask = trajd.Control('{control}');
rig.wait(60);
while ask.status().subscribers == 0, pause(0.01); end
rig.session('probe', true);
rig.trial_start(0); rig.go(0.01); rig.target_prior(0, [0.7 0.1 0.1 0.1]);
counts = zeros(1, {units}); counts(3) = NaN;
rig.frame(counts, 0.02, 0.02);
first = sink.receive(60);
rig.frame(counts, 0.06, 0.02);
second = sink.receive(60);
printf('%d %d %g %d %s %dx%d %dx%d %d %s\n', second.seq, second.frame, second.t, second.valid, second.flags{{1}}, ...
       size(second.position), size(second.position_cov), numel(second.target_prob), second.model);
printf('%.17g ', second.position_cov); printf('\n');
rig.kinematics(0.06, [1 2]); rig.trial_stop(0.06); rig.trial_label(0.06, 2, true);
function says(what)
    try, what(); catch oops, disp(oops.message); end
end
says(@() rig.frame(0.5 * ones(1, {units}), 0.08, 0.02));
says(@() ask.prior([1 2]));
says(@() trajd_mex('frame', 1000, 0, 0, 0, 1));
says(@() trajd_mex('nothing'));
disp(isempty(sink.receive(0.01)));
silent = sink.receive(60); printf('%d %d\n', silent.valid, silent.silent > 0);
rig.close(); sink.close(); ask.close();
says(@() rig.frame(1, 1, 1));
"""


class Octave(daemon.DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.prefix, _, cls.environment = install()
        cls.octave(f"addpath('{CLIENT}'); build('{cls.prefix}')")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.prefix)

    @classmethod
    def octave(cls, text):
        with tempfile.NamedTemporaryFile("w", suffix=".m", dir=cls.prefix, delete=False) as file:
            file.write("1;\n" + text + "\n")
        done = subprocess.run(["octave", "--no-gui", "--quiet", "--norc", file.name], capture_output=True, text=True,
                              env=cls.environment, cwd=cls.prefix)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        return done.stdout

    def paths(self):
        return f"addpath('{CLIENT}', '{self.prefix}', '{CLIENT}/examples');"

    def test_example_moves_a_cursor(self):
        d = self.start()
        ends = "','".join(d.endpoints[name] for name in ("frames", "intents", "control"))
        said = self.octave(self.paths() + f"cursor('{ends}', 40)")
        self.assertRegex(said, rf"40 intents, 0 lost, cursor at \S+, \S+, target_prob 1 x {daemon.TARGETS}\n")
        status = d.status()
        self.assertEqual((status["frames"]["decoded"], status["session"]), (40, "matlab example"))
        self.assertEqual(sum(status["events"]["refused"].values()), 0)
        self.assertEqual(status["events"]["accepted"]["kinematics"], 40)

    def test_every_word(self):
        d = self.start(config={"stale_ms": 400})
        sink = d.sink("intent", "binary")
        said = self.octave(self.paths() + PROBE.format(units=daemon.UNITS, **d.endpoints)).splitlines()
        second = [body for topic, body in self.json_only(sink)][1]
        self.assertEqual(said[0], f"1 1 0.06 1 gap 1x2 2x2 {daemon.TARGETS} {second['model']}")
        # Column by column in Octave, row by row on the wire; symmetric but for rounding.
        got = [float(x) for x in said[1].split()]
        a, b, c, e = second["position_cov"]
        self.assertEqual(got, [a, c, b, e])
        for line, reason in zip(said[2:6], ("count 1 is no whole number", "outside [0, 1]", "no open connection",
                                            "unknown word")):
            self.assertIn(reason, line)
        self.assertEqual(said[-3:-1], ["1", "0 1"])
        status = d.status()
        for kind in ("trial_start", "go", "target_prior", "kinematics", "trial_stop", "trial_label"):
            self.assertEqual(status["events"]["accepted"][kind], 1, kind)

    def json_only(self, sink):
        while sink.poll(200):
            topic, body = sink.recv_multipart()
            if topic == b"intent":
                yield topic, json.loads(body)


if __name__ == "__main__":
    if not shutil.which("octave") or not shutil.which("mkoctfile"):
        print("octave and mkoctfile are not installed (Debian: octave-dev): the MATLAB client was not tested")
        sys.exit(77)
    daemon.main()
