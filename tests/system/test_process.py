# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon as a process: command line, configuration, start, signals, end."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import daemon
from daemon import bare, event, frame, run_alone, wait_for, zmq

HERE = os.path.dirname(os.path.abspath(__file__))


def frames(first, count):
    return [(b"frame", frame(seq)) for seq in range(first, first + count)]


class CommandLine(unittest.TestCase):
    def test_help_and_version(self):
        status, out, err = run_alone("--help")
        self.assertEqual((status, err), (0, ""))
        for option in ("--model", "--config", "--frames", "--intents", "--control", "--check-config",
                       "--version"):
            self.assertIn(option, out)
        self.assertLessEqual(max(map(len, out.splitlines())), 80)
        status, out, err = run_alone("--version")
        self.assertEqual((status, out.split()[0], err), (0, "trajd", ""))

    def test_refused(self):
        for arguments, words in (([], "no model is named"), (["--modell", "x"], "--modell"),
                                 (["--model"], "needs a value"), (["model"], '"model"'),
                                 (["--model", "/nowhere.tjm"], "/nowhere.tjm"),
                                 (["--config", "/nowhere.json"], "/nowhere.json"),
                                 (["--frames", "5601"], "frames"),
                                 (["--check-config", "--model", "/nowhere.tjm"], "/nowhere.tjm")):
            status, _, err = run_alone(*arguments)
            self.assertEqual(status, 1, arguments)
            self.assertIn(words, err)
            self.assertEqual(err.count("\n"), 1, err)


class Configuration(unittest.TestCase):
    """Each folder of config/ holds config.json and what is said of it: error, or effective.json."""

    def test_table(self):
        names = sorted(os.listdir(os.path.join(HERE, "config")))
        self.assertGreater(len(names), 30)
        for name in names:
            with self.subTest(name):
                folder = os.path.join(HERE, "config", name)
                path = os.path.join(folder, "config.json")
                status, out, err = run_alone("--check-config", "--config", path)
                if os.path.exists(os.path.join(folder, "error")):
                    with open(os.path.join(folder, "error")) as file:
                        expected = file.read().strip()
                    self.assertEqual((status, out), (1, ""))
                    self.assertEqual(err.strip(), f"trajd: error: {expected}".replace("FILE", path))
                else:
                    with open(os.path.join(folder, "effective.json")) as file:
                        expected = json.load(file)
                    self.assertEqual((status, err), (0, ""))
                    effective = json.loads(out)
                    self.assertEqual({key: effective[key] for key in expected}, expected)

    def test_what_is_printed_is_a_configuration_that_says_the_same(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "c.json")
            given = {"stale_ms": 123, "workspace": {"low": [-0.1, -2], "high": [1e-3, 7.25]},
                     "publish": "newest", "gap_reset_s": 0.3, "log_level": "debug"}
            with open(path, "w") as file:
                json.dump(given, file)
            _, first, _ = run_alone("--check-config", "--config", path)
            with open(path, "w") as file:
                file.write(first)
            status, second, _ = run_alone("--check-config", "--config", path)
            self.assertEqual((status, second), (0, first))
            self.assertEqual({key: json.loads(first)[key] for key in given}, given)

    def test_what_leaves_without_a_key_is_warned_of(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "c.json")
            with open(path, "w") as file:
                json.dump({"lsl_outlet": "decoded"}, file)
            status, _, err = run_alone("--check-config", "--config", path)
            self.assertEqual(status, 0)
            self.assertRegex(err, "^trajd: warning: lsl_outlet: .* without a key\n$")

    def test_the_command_line_goes_before_the_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "c.json")
            with open(path, "w") as file:
                json.dump({"frames": "ipc://a", "intents": "ipc://b"}, file)
            _, out, _ = run_alone("--check-config", "--config", path, "--frames", ">ipc://c")
            effective = json.loads(out)
            self.assertEqual(effective["frames"], ">ipc://c")
            self.assertEqual(effective["intents"], "ipc://b")

    def test_the_model_is_checked_with_the_configuration(self):
        with tempfile.TemporaryDirectory() as folder:
            model = daemon.make_model(os.path.join(folder, "m.tjm"))
            path = os.path.join(folder, "c.json")
            status, _, err = run_alone("--check-config", "--model", model)
            self.assertEqual((status, err), (0, ""))
            with open(path, "w") as file:
                json.dump({"model": model, "workspace": {"low": [0], "high": [1]}}, file)
            status, _, err = run_alone("--check-config", "--config", path)
            self.assertEqual(status, 1)
            self.assertIn("workspace", err)

    def test_all_that_a_start_needs_is_checked(self):
        """What ends a start with a sentence ends --check-config with the same one, and leaves nothing."""
        with tempfile.TemporaryDirectory() as folder:
            model = daemon.make_model(os.path.join(folder, "m.tjm"))
            path, plain, wide = (os.path.join(folder, name) for name in ("c.json", "plain", "wide"))
            open(plain, "w").close()
            os.mkdir(wide)
            os.chmod(wide, 0o777)
            there = sorted(os.listdir(folder) + ["c.json"])
            for config, words in (
                    ({"shadow": os.path.join(folder, "none.tjm")}, "none.tjm"),
                    ({"shadow": plain}, plain),
                    ({"recalibrate": {}}, "no tables that could be recalibrated"),
                    ({"record": {"directory": plain}}, "is no directory"),
                    ({"record": {"directory": wide}}, "chmod o-w"),
                    ({"record": {"directory": os.path.join(folder, "none", "r")}}, "cannot be made")):
                with open(path, "w") as file:
                    json.dump({"model": model, **config}, file)
                checked = run_alone("--check-config", "--config", path)
                started = run_alone("--config", path, *(word for name in ("frames", "intents", "control")
                                    for word in ("--" + name, "@inproc://" + name)))
                self.assertEqual((checked[0], started[0]), (1, 1), config)
                self.assertIn(words, checked[2])
                self.assertEqual(checked[2].splitlines()[-1], started[2].splitlines()[-1])
                self.assertEqual(sorted(os.listdir(folder)), there)
            with open(path, "w") as file:
                json.dump({"model": model, "shadow": model,
                           "record": {"directory": os.path.join(folder, "r")}}, file)
            status, _, err = run_alone("--check-config", "--config", path)
            self.assertEqual((status, err), (0, ""))
            self.assertEqual(sorted(os.listdir(folder)), there)

    def test_beyond_loopback_is_refused(self):
        beyond = ["tcp://*:5601", "tcp://0.0.0.0:5601", "tcp://192.168.1.4:5601", "tcp://[::]:5601",
                  "tcp://example.org:5601", "tcp://127.0.0.1.example.org:5601", "tcp://eth0:5601",
                  "tcp://127.0.0:5601", "tcp://127.0.0.256:5601", "tcp://localhost.org:5601",
                  "tcp://10.0.0.1;127.0.0.1:5601", "tcp://127.0.0.1:99999", "tcp://127.0.0.1",
                  "tcp://127.0.0.1:", "tcp://127.0.0.1:56x", "tcp://:5601", "udp://127.0.0.1:5601",
                  "pgm://127.0.0.1;239.192.1.1:5555", "127.0.0.1:5601", "", "ipc://", "inproc://",
                  "tcp://[::1]x:5601", "@@tcp://127.0.0.1:1", "tcp://127.0.0.1:-1"]
        within = ["tcp://127.0.0.1:5611", "tcp://127.1.2.3:0", "tcp://[::1]:5611", "ipc://path",
                  "tcp://localhost:5611", "tcp://localhost:*", "inproc://name", "ipc://@abstract"]
        for name in ("frames", "intents", "control"):
            for prefix in ("", "@", ">"):
                for endpoint in beyond:
                    status, _, err = run_alone("--check-config", "--" + name, prefix + endpoint)
                    self.assertEqual(status, 1, prefix + endpoint)
                    self.assertIn(name, err)
                    self.assertEqual(err.count("\n"), 1, err)
                for endpoint in within:
                    status, _, err = run_alone("--check-config", "--" + name, prefix + endpoint)
                    self.assertEqual((status, err), (0, ""), prefix + endpoint)


class StartAndEnd(daemon.DaemonTest):
    def test_signals_end_it_well(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            d = self.start()
            sink, source = d.sink("intent"), d.source()
            for message in frames(0, 20):
                source.send_multipart(message)
            d.intents(sink, 20)
            d.signal(number)
            self.assertEqual(d.wait(), 0)

    def test_it_ends_in_the_midst_of_a_flood(self):
        d = self.start()
        source = d.source()
        slow = d.sink("intent", RCVHWM=1)
        for message in frames(0, 3000):
            source.send_multipart(message)
        d.signal(signal.SIGTERM)
        self.assertEqual(d.wait(), 0)
        self.assertTrue(slow)

    def test_ready_and_stopping_are_told_to_the_service_manager(self):
        for abstract in (False, True):
            with tempfile.TemporaryDirectory() as folder, \
                    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                name = f"@trajd-{os.getpid()}" if abstract else os.path.join(folder, "notify")
                manager.bind(name.replace("@", "\0") if abstract else name)
                manager.settimeout(daemon.PATIENCE)
                d = self.start(environment={"NOTIFY_SOCKET": name})
                self.assertEqual(manager.recv(100), b"READY=1")
                d.signal(signal.SIGTERM)
                self.assertEqual(manager.recv(100), b"STOPPING=1")
                self.assertEqual(d.wait(), 0)
        self.start(environment={"NOTIFY_SOCKET": "/nowhere/notify"})

    def refused_for_its_port(self, name, endpoint):
        second = self.start(endpoints={name: endpoint}, wait=False)
        self.assertEqual(second.wait(), 1)
        code, said = self.forget(second)
        self.assertEqual(code, 1)
        self.assertIn(endpoint, said)
        self.assertIn("in use by another program", said)
        self.assertEqual(said.count("\n"), 1, said)

    def test_two_daemons_on_one_port(self):
        for name in ("frames", "intents"):
            first = self.start(endpoints={name: "tcp://127.0.0.1:*"})
            self.refused_for_its_port(name, first.status()["endpoints"][name])
            self.assertTrue(first.ask(cmd="ping")["ok"])

    def test_a_port_of_another_program(self):
        for name in ("frames", "intents", "control"):
            with socket.socket() as program:
                program.bind(("127.0.0.1", 0))
                program.listen()
                self.refused_for_its_port(name, "tcp://127.0.0.1:%d" % program.getsockname()[1])

    def test_two_daemons_on_one_path(self):
        first = self.start()
        for name in ("frames", "intents", "control"):
            second = self.start(endpoints={name: first.endpoints[name]}, wait=False)
            self.assertEqual(second.wait(), 1)
            _, said = self.forget(second)
            self.assertIn("in use by another program", said)
            self.assertIn(first.endpoints[name], said)
        sink, source = first.sink("intent"), first.source()
        source.send_multipart(frames(0, 1)[0])
        first.intents(sink, 1)
        # A path left behind by one that was killed is no hindrance.
        first.process.kill()
        self.forget(first)
        left = self.start()
        left.process.kill()
        left.process.wait()
        again = self.start(endpoints=left.endpoints)
        self.assertTrue(again.ask(cmd="ping")["ok"])
        self.daemons.remove(left)
        again.signal(signal.SIGTERM)
        self.assertEqual(again.wait(), 0)
        left.close()

    def test_tcp_and_the_port_that_the_system_chose(self):
        d = self.start(endpoints={"frames": "tcp://127.0.0.1:*", "intents": "tcp://localhost:*"})
        d.endpoints.update(d.status()["endpoints"])
        self.assertNotIn("*", d.endpoints["frames"])
        sink, source = d.sink("intent"), d.source()
        source.send_multipart(frames(0, 1)[0])
        d.intents(sink, 1)

    def test_the_daemon_can_be_the_one_that_connects(self):
        # A rig's PUB socket that is bound, as most rigs have it.
        with tempfile.TemporaryDirectory() as folder:
            context = zmq.Context()
            rig = context.socket(zmq.PUB)
            rig.linger = 0
            rig.bind("ipc://" + os.path.join(folder, "rig"))
            d = self.start(arguments=("--frames", ">ipc://" + os.path.join(folder, "rig")))
            sink = d.sink("intent")
            seq = 0
            while not sink.poll(20):
                rig.send_multipart([b"frame", frame(seq)])
                seq += 1
                self.assertLess(seq, 5000)
            rig.close()
            context.term()

    def test_a_bad_model_ends_it_with_a_sentence(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "bad.tjm")
            with open(path, "wb") as file:
                file.write(b"nothing of the kind")
            status, out, err = run_alone("--model", path)
            self.assertEqual((status, out), (1, ""))
            self.assertIn(path, err)
            self.assertEqual(err.count("\n"), 1, err)


class Reload(daemon.DaemonTest):
    def hangup(self, d, words):
        """SIGHUP, and the sentence that must follow."""
        before = d.said().count(words)
        d.signal(signal.SIGHUP)
        wait_for(lambda: d.said().count(words) > before)

    def test_the_same_model_goes_on(self):
        expected, _ = self.run_through(frames(0, 40), 40)
        d = self.start()
        sink, source = d.sink("intent"), d.source()
        for message in frames(0, 20):
            source.send_multipart(message)
        got = d.intents(sink, 20)
        d.write_config({**d.config, "publish": "newest", "log_level": "debug"})
        self.hangup(d, "reloaded")
        self.assertEqual(d.status()["publish"], "newest")
        for message in frames(20, 20):
            source.send_multipart(message)
            got += d.intents(sink, 1)
        self.assertEqual([bare(i) for i in got], expected)

    def test_another_model_and_other_settings(self):
        d = self.start()
        sink, source = d.sink("intent", "stale"), d.source()
        source.send_multipart(frames(0, 1)[0])
        d.intents(sink, 1)
        before = d.status()["model"]["digest"]
        daemon.make_model(d.model, units=7, seed=9)
        d.write_config({**d.config, "stale_ms": 50, "count_max": 3})
        self.hangup(d, "reloaded")
        status = d.status()
        self.assertNotEqual(status["model"]["digest"], before)
        self.assertEqual(status["former"], before)
        self.assertEqual(d.receive(sink)[0][0], "stale")
        source.send_multipart([b"frame", frame(1, counts=[4] * 7)])
        self.assertEqual(d.settle(frames=2)["frames"]["refused"]["counts"], 1)
        source.send_multipart([b"frame", frame(2, counts=[3] * 7)])
        wait_for(lambda: d.receive(sink)[0][0] == "intent")

    def test_a_model_that_was_loaded_goes_on_while_the_configured_one_is_the_same(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        paths = {name: os.path.join(folder.name, name + ".tjm") for name in ("day", "today", "next")}
        for seed, path in enumerate(paths.values(), 1):
            daemon.make_model(path, family="course", seed=seed)
        d = self.start(config={"model": paths["day"]})
        day = d.status()["model"]["digest"]

        def running():
            model = d.status()["model"]
            return model["path"], model["digest"]
        d.must(cmd="model", action="load", path=paths["today"])
        d.must(cmd="recalibrate", action="apply", coefficients=[0.1] * (7 * daemon.UNITS))
        today = running()
        for change in {}, {"publish": "newest"}:
            d.write_config({**d.config, **change})
            before = d.said().count("reloaded: model " + paths["today"])
            self.hangup(d, f"model goes on as it was loaded: {paths['day']}, which the configuration names")
            wait_for(lambda: d.said().count("reloaded: model " + paths["today"]) > before)
            self.assertEqual(running(), today)
            self.assertIs(d.must(cmd="recalibrate", action="status")["recalibration"]["moved"], True)
        self.assertEqual(d.status()["publish"], "newest")
        # A setting that the running model does not fit is refused, whatever the configured one does.
        solid = daemon.make_model(d.path("solid.tjm"), dim=3)
        d.must(cmd="model", action="load", path=solid)
        d.write_config({**d.config, "workspace": {"low": [-1, -1], "high": [1, 1]}})
        self.hangup(d, "reload refused")
        self.assertIn("solid.tjm has 3", d.said())
        d.must(cmd="model", action="load", path=paths["today"])
        # Another file behind the name, or another name, is put in force.
        daemon.make_model(paths["day"], family="course", seed=9)
        self.hangup(d, "reloaded")
        self.assertEqual(running()[0], paths["day"])
        self.assertNotIn(running()[1], (day, today[1]))
        d.must(cmd="model", action="load", path=paths["today"])
        d.write_config({**d.config, "model": paths["next"]})
        self.hangup(d, "reloaded")
        self.assertEqual(running()[0], paths["next"])
        # The running one under another name: it goes on, and nothing of it begins anew.
        d.must(cmd="recalibrate", action="apply", coefficients=[0.1] * (7 * daemon.UNITS))
        d.write_config({**d.config, "model": shutil.copy(paths["next"], d.path("copy.tjm"))})
        said = d.said().count("goes on as it was loaded")
        self.hangup(d, "reloaded")
        self.assertIs(d.must(cmd="recalibrate", action="status")["recalibration"]["moved"], True)
        self.assertEqual(d.said().count("goes on as it was loaded"), said)

    def test_a_model_that_the_configuration_does_not_fit_is_not_rolled_back_to(self):
        d = self.start()
        solid = daemon.make_model(d.path("solid.tjm"), dim=3)
        d.must(cmd="model", action="load", path=solid)
        d.must(cmd="model", action="load", path=daemon.make_model(d.path("flat.tjm"), dim=2, seed=2))
        daemon.make_model(d.model, dim=2, seed=2)
        d.write_config({**d.config, "workspace": {"low": [-1, -1], "high": [1, 1]}})
        self.hangup(d, "reloaded")
        answer = d.ask(cmd="model", action="rollback")
        self.assertFalse(answer["ok"], answer)
        self.assertIn("has 2 dimensions, and the model", answer["error"])
        self.assertIn("solid.tjm has 3", answer["error"])
        sink, source = d.sink("intent"), d.source()
        source.send_multipart(frames(0, 1)[0])
        self.assertEqual(len(d.intents(sink, 1)[0]["position"]), 2)

    def test_paused_that_is_new_in_the_file_pauses(self):
        d = self.start()
        sink, source = d.sink("intent"), d.source()

        def valid(seq):
            source.send_multipart(frames(seq, 1)[0])
            return d.intents(sink, 1)[0]["valid"]
        self.assertTrue(valid(0))
        d.write_config({**d.config, "paused": True})
        self.hangup(d, "reloaded")
        self.assertIn("paused by the configuration", d.said())
        self.assertFalse(valid(1))
        # It stands there already: who let the output go is not overruled.
        d.must(cmd="pause", on=False)
        self.hangup(d, "reloaded")
        self.assertTrue(valid(2))
        # Taken out of it while the output runs it says nothing, for no pause goes on.
        d.write_config({**d.config, "paused": False})
        self.hangup(d, "reloaded")
        self.assertTrue(valid(3))
        self.assertNotIn("a pause goes on", d.said())
        d.write_config({**d.config, "paused": True})
        self.hangup(d, "paused by the configuration")
        d.write_config({**d.config, "paused": False})
        self.hangup(d, "a pause goes on")
        self.assertFalse(valid(4))

    def test_a_longer_stale_period_begins_where_the_last_one_ended(self):
        d = self.start(config={"stale_ms": 20})
        sink, source = d.sink("stale"), d.source()
        source.send_multipart(frames(0, 1)[0])
        d.receive(sink, 60)
        d.write_config({**d.config, "stale_ms": 100})
        self.hangup(d, "reloaded")
        while sink.poll(0):
            sink.recv_multipart()
        began = time.monotonic()
        d.receive(sink, 4)
        self.assertLess(time.monotonic() - began, 3.0)

    def test_a_bad_configuration_or_model_is_refused_and_the_old_goes_on(self):
        expected, _ = self.run_through(frames(0, 40), 40)
        d = self.start()
        sink, source = d.sink("intent"), d.source()
        for message in frames(0, 20):
            source.send_multipart(message)
        got = d.intents(sink, 20)
        before = d.status()
        d.write_config({**d.config, "publish": "some"})
        self.hangup(d, "reload refused")
        self.assertIn('field "publish"', d.said())
        with open(d.path("config.json"), "w") as file:
            file.write('{\n"publish": "all",\n}')
        self.hangup(d, "reload refused")
        self.assertIn("config.json:3:", d.said())
        d.write_config({**d.config, "publish": "newest"})
        with open(d.model, "r+b") as file:
            file.truncate(1000)
        self.hangup(d, "reload refused")
        self.assertIn(d.model, d.said())
        after = d.status()
        self.assertEqual(after["model"], before["model"])
        self.assertEqual(after["publish"], "all")
        self.assertIsNone(after["former"])
        for message in frames(20, 20):
            source.send_multipart(message)
        got += d.intents(sink, 20)
        self.assertEqual([bare(i) for i in got], expected)

    def rig(self, folder, port):
        """The address of a rig of 12 channels, which need not be there."""
        path = os.path.join(folder, "units.json")
        with open(path, "w") as file:
            json.dump({"type": "units", "v": 1, "source": "open-ephys", "stream": "probe", "rate": 30000,
                       "units": [{"name": f"u{n}", "channel": f"Electrode {n}", "unit": 1}
                                 for n in range(daemon.UNITS)]}, file)
        return f"open-ephys://127.0.0.1:{port}?units={path}"

    def test_what_changes_at_a_restart_alone(self):
        """Each is named, each time; and what is told is what is in force."""
        restart = "what these settings say now comes into force at a restart alone: "
        with tempfile.TemporaryDirectory() as folder:
            record = {"directory": folder, "rotate_mb": 1, "buffer_mb": 1, "sync_s": 0.5, "start": False}
            d = self.start(config={"source": self.rig(folder, 1), "record": record})
            other = {"source": self.rig(folder, 2), "lsl_outlet": "name", "receive_hwm": 5,
                     "send_hwm": 5, "message_max": 5000, "priority": 1, "cpu": 0, "io_cpu": 0,
                     "lock_memory": True, "wake_us": 100,
                     "curve": {"secret_key": "a", "clients": "b", "servers": {"control": "c"}}}
            changes = [{name: value} for name, value in other.items()]
            changes += [{"record": {**record, name: value}} for name, value in
                        (("directory", "x"), ("rotate_mb", 2), ("buffer_mb", 2), ("sync_s", 2),
                         ("start", True))]
            for change in changes + changes:
                d.write_config({**d.config, **change})
                self.hangup(d, restart + "".join(change) + "\n")
            d.write_config({**d.config, **other, "record": None})
            self.hangup(d, restart + "source, lsl_outlet, receive_hwm, send_hwm, message_max, curve, "
                        "record, priority, cpu, io_cpu, lock_memory, wake_us\n")
            status = d.status()
            self.assertEqual(status["source"]["address"], d.config["source"])
            self.assertIsNotNone(status["recording"])
            d.write_config(d.config)
            said = d.said().count("restart")
            self.hangup(d, "reloaded")
            self.assertEqual(d.said().count("restart"), said)

    def test_it_comes_however_much_there_is_to_be_told(self):
        """SIGHUP while housekeeping waits for the configuration and there is no room for a note more."""
        d = self.start()
        sink, source = d.sink("intent"), d.source()
        disk = d.stand_still()
        for _ in range(2000):
            source.send_multipart([b"frame", b"{"])
        for seq in range(3):
            source.send_multipart([b"frame", frame(seq)])
            d.intents(sink, 1)
            if seq == 0:
                d.signal(signal.SIGHUP)
        d.go_on(disk)
        wait_for(lambda: d.said().count("reloaded") == 2)
        self.assertGreater(d.status()["notes_lost"], 0)  # or it was no test

    def test_a_disk_that_stands_still(self):
        """Decoding and what it publishes go on; a pause waits, and so does the end of the process, but not
        that of decoding."""
        with tempfile.TemporaryDirectory() as folder, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(os.path.join(folder, "notify"))
            manager.settimeout(daemon.PATIENCE)
            d = self.start(config={"stale_ms": 50, "workspace": {"low": [0, 0], "high": [1, 1]}},
                           environment={"NOTIFY_SOCKET": os.path.join(folder, "notify")})
            sink, stale, source = d.sink("intent"), d.sink("stale"), d.source()
            disk = d.stand_still()
            pause = d.socket(zmq.DEALER, "control")
            pause.send_multipart([b"", b'{"cmd":"pause","on":true}'])
            for seq in range(40):
                source.send_multipart([b"frame", frame(seq)])
                intent = d.intents(sink, 1)[0]
                self.assertIs(intent["valid"], True)
                self.assertTrue(all(0 <= x <= 1 for x in intent["position"]))
            d.receive(stale, 2)
            d.signal(signal.SIGTERM)
            self.assertEqual([manager.recv(100) for _ in range(2)], [b"READY=1", b"STOPPING=1"])
            self.assertIsNone(d.process.poll())
            self.assertFalse(pause.poll(0))
            source.send_multipart([b"frame", frame(40)])
            d.go_on(disk)
            self.assertEqual(d.wait(), 0)
            self.assertFalse(sink.poll(0))

    def test_recalibration_begins_anew_with_a_model_that_is_back_at_once(self):
        """Another one is loaded and taken back before recalibration looks: its tables are the file's then."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        model, other = (daemon.make_model(os.path.join(folder.name, f"{seed}.tjm"), family="course", seed=seed)
                        for seed in (1, 2))
        d = self.start(model=model, config={"recalibrate": {}})
        sink, source = d.sink("intent"), d.source()

        def moved():
            state = d.must(cmd="recalibrate", action="status")["recalibration"]
            return state["channels"] > 0, state["moved"]
        self.assertEqual(moved(), (False, False))
        d.must(cmd="recalibrate", action="apply", coefficients=[0.1] * (7 * daemon.UNITS))
        wait_for(lambda: moved() == (True, True))
        both = d.socket(zmq.DEALER, "control")

        def ask(**request):
            both.send_multipart([b"", json.dumps(request).encode()])

        def answer():
            self.assertTrue(both.poll(daemon.PATIENCE * 1000))
            self.assertIs(json.loads(both.recv_multipart()[-1])["ok"], True)
        ask(cmd="ping")
        answer()
        disk = d.stand_still()
        ask(cmd="model", action="load", path=other)
        ask(cmd="model", action="rollback")
        for seq in range(20):
            source.send_multipart([b"frame", frame(seq)])
            d.intents(sink, 1)
        d.go_on(disk)
        answer()
        answer()
        # Recalibration takes the model up at a turn of its own.
        wait_for(lambda: moved() == (False, False))

    def test_observers_go_on_as_they_are(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        model = os.path.join(folder.name, "course.tjm")
        subprocess.run([os.environ["TRAJCTL"], "bench", "--write-model", model], check=True,
                       stdout=subprocess.DEVNULL)
        d = self.start(model=model)
        words = " goes on as it was: it changes at a restart, or by a request\n"
        d.write_config({**d.config, "shadow": d.model})
        self.hangup(d, "shadow" + words)
        self.assertIsNone(d.status()["shadow"])
        for options in ({}, {"half_life_s": 30}):
            d.write_config({**d.config, "recalibrate": options})
            self.hangup(d, "recalibrate" + words)
            self.assertFalse((d.status()["recalibration"] or {"on": False})["on"])
        # Once it is as the configuration has it there is nothing to say.
        d.write_config({**d.config, "shadow": d.model, "recalibrate": {}})
        d.must(cmd="model", action="shadow", path=d.model)
        d.must(cmd="recalibrate", action="on", options={"half_life_s": 60})
        said = d.said().count(words)
        self.hangup(d, "reloaded")
        self.assertEqual(d.said().count(words), said)
        for change in {"method": "smoothbatch"}, {"interval_s": 11}, {"labels": False}:
            d.write_config({**d.config, "shadow": d.model, "recalibrate": change})
            self.hangup(d, "recalibrate" + words)


class Log(daemon.DaemonTest):
    """Standard error as a pipe whose reader stands still."""

    def setUp(self):
        super().setUp()
        self.out, self.end = os.pipe()
        self.addCleanup(os.close, self.out)
        self.addCleanup(os.close, self.end)
        os.set_blocking(self.out, False)
        # Opened anew: the daemon's end must stay one that waits.
        self.filler = os.open(f"/proc/self/fd/{self.end}", os.O_WRONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, self.filler)

    def fill(self):
        for size in (4096, 1):
            try:
                while True:
                    os.write(self.filler, b"." * size)
            except BlockingIOError:
                pass

    def drain(self):
        read = b""
        try:
            while True:
                read += os.read(self.out, 1 << 16)
        except BlockingIOError:
            return read.decode().lstrip(".")

    def load(self, d):
        """Something that is logged."""
        d.must(cmd="model", action="load", path=d.model)

    def test_nobody_reads_it(self):
        d = self.start(stderr=self.end)
        self.assertIn("trajd: ready: ", self.drain())
        self.fill()
        for _ in range(3):
            self.load(d)
        self.assertTrue(d.must(cmd="pause", on=True)["ok"])
        sink, source = d.sink("intent"), d.source()
        source.send_multipart([b"frame", b"{"])
        source.send_multipart([b"frame", frame(0)])
        d.intents(sink, 1)
        lost = "trajd: warning: lines of the log that could not be written: "
        said = self.drain()
        while lost not in said:
            self.load(d)
            said += self.drain()
        first, *rest = said.splitlines()
        self.assertRegex(first, f"^{lost}([3-9]|1[0-9])$")
        for line in rest:  # whole ones; the frame's may come before or after
            self.assertRegex(line, "^trajd: (model loaded: |warning: frame refused )")
        self.fill()
        d.signal(signal.SIGHUP)
        self.load(d)
        d.signal(signal.SIGTERM)
        self.assertEqual(d.wait(), 0)

    def test_an_error_that_nobody_reads_ends_it_all_the_same(self):
        self.fill()
        d = self.start(stderr=self.end, endpoints={"frames": "tcp://192.168.1.4:5601"}, wait=False)
        self.assertEqual(d.wait(), 1)
        self.assertEqual(self.forget(d)[0], 1)

    def test_a_line_that_is_too_long_is_cut(self):
        """A pipe takes so much at once, and no more for certain."""
        d = self.start(stderr=self.end)
        self.drain()
        path = d.folder + "/." * ((4094 - len(d.folder) - len("/model.tjm")) // 2) + "/model.tjm"
        d.must(cmd="model", action="load", path=path)
        said = self.drain()
        self.assertEqual((len(said), said[-1], said.count("\n")), (4096, "\n", 1))


class Limits(daemon.DaemonTest):
    def test_configured_limits_are_those_of_the_pipeline(self):
        with_limits, d = self.run_through(frames(0, 30), 30, config={
            "speed_limit": 1.0, "workspace": {"low": [-1, -1], "high": [1, 1]}})
        free, _ = self.run_through(frames(0, 30), 30)
        limited = [i for i in with_limits if "limited" in i["flags"]]
        self.assertGreater(len(limited), 0)
        self.assertEqual(d.status()["frames"]["limited"], len(limited))
        for intent in with_limits:
            self.assertLessEqual(sum(v * v for v in intent["velocity"]), 1.0 + 1e-9)
            self.assertLessEqual(max(map(abs, intent["position"])), 1.0)
        self.assertGreater(max(max(map(abs, i["position"])) for i in free), 1.0)

    def test_gap_reset(self):
        messages = [frames(0, 10), frames(14, 10)]
        for limit, flags in ((1.0, ["gap"]), (0.05, ["gap", "reset"])):
            got, _ = self.run_through(messages[0] + messages[1], 20, config={"gap_reset_s": limit})
            self.assertEqual(got[10]["flags"], flags)


if __name__ == "__main__":
    daemon.main()
