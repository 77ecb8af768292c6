# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is let in, and to which socket; what those who are not let in can do: nothing."""
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.environ["TRAJ_SOURCE_DIR"], "tests", "system"))
sys.path.insert(0, os.path.join(os.environ["TRAJ_SOURCE_DIR"], "clients", "python"))
import daemon  # noqa: E402
from daemon import bare, event, frame, run_alone, wait_for, zmq  # noqa: E402
import trajd  # noqa: E402
from trajd.sockets import read_key  # noqa: E402

SOCKETS = ("frames", "intents", "control")
# For so long nothing may come where nothing must come; everything that may come is waited for.
QUIET_S = 0.3


def trajctl(*arguments, status=0, cwd=None):
    done = subprocess.run([os.environ["TRAJCTL"], *arguments], capture_output=True, text=True,
                          timeout=daemon.PATIENCE, cwd=cwd)
    if done.returncode != status:
        raise AssertionError(f"{arguments}: {done.returncode}: {done.stderr}")
    return done


if not zmq.has("curve"):
    print("this libzmq was built without CURVE")
    sys.exit(77)


class Keys:
    """A folder with the daemon's keys, a list of clients, and keys of clients by name."""

    def __init__(self, folder, **rights):
        self.folder = folder
        self.lines = []
        trajctl("keygen", "trajd", cwd=folder)
        for name, allowed in rights.items():
            self.add(name, allowed)
        trajctl("keygen", "stranger", cwd=folder)
        self.write()

    def path(self, name):
        return os.path.join(self.folder, name)

    def add(self, name, rights):
        self.lines.append(trajctl("keygen", name, "--rights", rights, cwd=self.folder).stdout)

    def write(self):
        with open(self.path("clients.list"), "w") as file:
            file.write("# rights key name\n\n" + "".join(self.lines))

    def config(self):
        return {"curve": {"secret_key": self.path("trajd.key_secret"),
                          "clients": self.path("clients.list")}}

    def options(self, name):
        """What a zmq socket of this client is set to."""
        return {"CURVE_SERVERKEY": read_key(self.path("trajd.key"), "public-key"),
                "CURVE_PUBLICKEY": read_key(self.path(name + ".key"), "public-key"),
                "CURVE_SECRETKEY": read_key(self.path(name + ".key_secret"), "secret-key")}

    def files(self, name):
        """What the Python client takes."""
        return {"key": self.path(name + ".key_secret"), "server_key": self.path("trajd.key")}


class Guarded(daemon.DaemonTest):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.TemporaryDirectory(prefix="trajd-keys-")
        self.addCleanup(self.folder.cleanup)
        self.keys = Keys(self.folder.name, rig="frames", task="frames,control", screen="intents",
                         desk="control", all="frames,intents,control")

    def guarded(self, config=None, **more):
        """A daemon on tcp ports of the system's choice that asks for keys."""
        d = self.start(config={**self.keys.config(), **(config or {})}, wait=False,
                       endpoints={name: "tcp://127.0.0.1:*" for name in SOCKETS}, **more)
        self.find(d)
        d.control = d.socket(zmq.REQ, "control", connect=True, **self.keys.options("desk"))
        d.must(cmd="ping")
        return d

    def find(self, d):
        """The addresses, from the log: nobody can be asked who does not know them."""
        wait_for(lambda: "ready:" in d.said() or d.process.poll() is not None)
        words = d.said().split("ready:")[1].replace(",", " ").split()
        for name in SOCKETS:
            d.endpoints[name] = words[words.index(name) + 1]

    def keyed_sink(self, d, name="screen"):
        before = d.status()["subscribers"]
        sink = d.socket(zmq.SUB, "intents", RCVHWM=0, **self.keys.options(name))
        sink.subscribe("intent")
        wait_for(lambda: d.status()["subscribers"] > before)
        return sink

    def keyed_source(self, d, name="rig"):
        return d.source(**self.keys.options(name))


class LetIn(Guarded):
    def test_with_the_right_key_all_is_as_ever(self):
        messages = [(b"event", event("session", run="a", marks=True))] + \
            [(b"frame", frame(seq)) for seq in range(30)]
        expected, _ = self.run_through(messages, 30)
        d = self.guarded()
        sink, source = self.keyed_sink(d), self.keyed_source(d)
        for topic, body in messages:
            source.send_multipart([topic, body])
        self.assertEqual([bare(i) for i in d.intents(sink, 30)], expected)
        security = d.status()["security"]
        self.assertIs(security["curve"], True)
        self.assertEqual(security["clients"], 5)
        self.assertEqual(security["admitted"], {"frames": 1, "intents": 1, "control": 1})
        self.assertEqual(security["refused"], {"frames": 0, "intents": 0, "control": 0})

    def test_the_clients(self):
        """The Python client and trajctl, which is the C one, by key files."""
        d = self.guarded()
        with trajd.Control(d.endpoints["control"], **self.keys.files("desk")) as control:
            self.assertEqual(control.ping()["frame"], 0)
        with trajd.Source(d.endpoints["frames"], **self.keys.files("rig")) as source, \
                trajd.Intents(d.endpoints["intents"], **self.keys.files("screen")) as intents:
            source.wait(daemon.PATIENCE)
            wait_for(lambda: d.status()["subscribers"] == 1)
            source.frame([1] * daemon.UNITS, t=0.02, dt=0.02)
            self.assertEqual(intents.receive(daemon.PATIENCE).seq, 0)
        ask = ["status", "--control", d.endpoints["control"]]
        own = ["--key", self.keys.path("desk.key_secret"), "--server-key",
               self.keys.path("trajd.key")]
        self.assertIn("keys        5 clients may come; frames, intents, control: 1, 1, 3 let in",
                      trajctl(*ask, *own).stdout)
        self.assertIn("go together", trajctl(*ask, *own[:2], status=2).stderr)
        os.chmod(self.keys.path("desk.key_secret"), 0o640)
        self.assertIn("chmod 600", trajctl(*ask, *own, status=1).stderr)
        with self.assertRaises(PermissionError):
            trajd.Control(d.endpoints["control"], **self.keys.files("desk"))
        said = trajctl(*ask, status=1).stderr
        self.assertIn("no trajd answers", said)
        self.assertIn("if it asks for keys", said)
        self.assertIn("--key and --server-key", said)

    def test_a_wrong_key_is_thought_of(self):
        """The daemon tells nobody whose key it refuses: the client says what it may be."""
        d = self.guarded()
        ask = ["status", "--control", d.endpoints["control"]]
        server = ["--server-key", self.keys.path("trajd.key")]
        for key, at in (("rig", server), ("desk", ["--server-key", self.keys.path("rig.key")])):
            said = trajctl(*ask, "--key", self.keys.path(key + ".key_secret"), *at, status=1).stderr
            self.assertIn("may not allow the key of --key", said)
            self.assertIn("--server-key may not be its public key", said)
        said = trajctl("status", "--control", "ipc:///tmp/nobody-is-here", "--key",
                       self.keys.path("desk.key_secret"), *server, status=1).stderr
        self.assertIn("at tcp:// alone", said)
        self.assertNotIn("key", trajctl("status", "--control", "ipc:///tmp/nobody-is-here", status=1).stderr)

    def test_a_public_key_is_no_secret_one(self):
        """It may be anybody's to read: another mode would not make it one."""
        d = self.guarded()
        files = {"key": self.keys.path("desk.key"), "server_key": self.keys.path("trajd.key")}
        os.chmod(files["key"], 0o644)
        said = trajctl("status", "--control", d.endpoints["control"], "--key", files["key"],
                       "--server-key", files["server_key"], status=1).stderr
        self.assertIn("desk.key: holds no secret key", said)
        self.assertNotIn("chmod", said)
        with self.assertRaisesRegex(ValueError, "desk.key: holds no line secret-key"):
            trajd.Control(d.endpoints["control"], **files)

    def test_ipc_needs_no_key(self):
        d = self.start(config=self.keys.config())
        sink, source = d.sink("intent"), d.source()
        source.send_multipart([b"frame", frame(0)])
        d.intents(sink, 1)

    def test_beyond_this_machine(self):
        """Bound to every address, with keys: refused without them (trajd_process tests that)."""
        config = self.keys.path("c.json")
        with open(config, "w") as file:
            json.dump(self.keys.config(), file)
        for endpoint in ("@tcp://*:5601", "tcp://0.0.0.0:*", "tcp://[::]:5601", "tcp://eth0:5601"):
            status, _, err = run_alone("--check-config", "--config", config, "--frames", endpoint)
            self.assertEqual((status, err), (0, ""))
        status, _, err = run_alone("--check-config", "--config", config, "--frames", ">tcp://rig:5601")
        self.assertEqual(status, 1)
        self.assertIn("curve.servers", err)
        d = self.start(config=self.keys.config(), wait=False,
                       endpoints={name: "tcp://0.0.0.0:*" for name in SOCKETS})
        self.find(d)
        d.endpoints = {n: e.replace("0.0.0.0", "127.0.0.1") for n, e in d.endpoints.items()}
        d.control = d.socket(zmq.REQ, "control", **self.keys.options("desk"))
        self.assertTrue(d.must(cmd="ping")["ok"])

    def test_the_daemon_connects_with_its_key(self):
        trajctl("keygen", "server", cwd=self.folder.name)
        rig = zmq.Context.instance().socket(zmq.XPUB)
        rig.linger = 0
        rig.curve_server = True
        rig.curve_secretkey = read_key(self.keys.path("server.key_secret"), "secret-key")
        port = rig.bind_to_random_port("tcp://127.0.0.1")
        config = self.keys.config()
        config["curve"]["servers"] = {"frames": self.keys.path("server.key")}
        d = self.start(config=config, arguments=("--frames", f">tcp://127.0.0.1:{port}"))
        sink = d.sink("intent")
        topics = set()
        while len(topics) < 2:
            self.assertTrue(rig.poll(daemon.PATIENCE * 1000))
            topics.add(rig.recv())
        rig.send_multipart([b"frame", frame(0)])
        d.intents(sink, 1)
        rig.close(0)


class KeptOut(Guarded):
    def setUp(self):
        super().setUp()
        self.context = zmq.Context()
        self.addCleanup(self.context.term)

    def attempts(self, d, name, options):
        """Sockets of one who should not be there: each tries what it can."""
        made = []
        for kind, where in ((zmq.PUB, "frames"), (zmq.SUB, "intents"), (zmq.REQ, "control")):
            if where in self.allowed.get(name, ()):
                continue
            client = self.context.socket(kind)
            client.linger = 0
            self.addCleanup(client.close, 0)
            for option, value in options.items():
                client.setsockopt(getattr(zmq, option), value)
            client.connect(d.endpoints[where])
            made.append((where, client))
            if kind == zmq.SUB:
                client.subscribe(b"")
            elif kind == zmq.REQ:
                client.send(b'{"cmd":"pause","on":true}')
            else:
                client.send_multipart([b"event", event("session", run="x", marks=False)])
        return made

    allowed = {"rig": ("frames",), "task": ("frames", "control"), "screen": ("intents",),
               "desk": ("control",)}

    def test_nothing_is_got_and_nothing_disturbed(self):
        messages = [(b"frame", frame(seq)) for seq in range(60)]
        expected, _ = self.run_through(messages, 60)
        d = self.guarded()
        sink, source = self.keyed_sink(d), self.keyed_source(d)
        wrong_server = {**self.keys.options("all"),
                        "CURVE_SERVERKEY": self.keys.options("stranger")["CURVE_PUBLICKEY"]}
        who = {"keyless": {}, "stranger": self.keys.options("stranger"), "wrong": wrong_server,
               **{name: self.keys.options(name) for name in self.allowed}}
        before = d.status()
        intents, intruders = [], []
        for i, (name, options) in enumerate(who.items()):
            intruders += self.attempts(d, name, options)
            for topic, body in messages[6 * i:6 * i + 6]:
                source.send_multipart([topic, body])
            intents += d.intents(sink, 6)
        refused = {"frames": 3, "intents": 4, "control": 3}  # stranger, and those without the right
        wait_for(lambda: d.status()["security"]["refused"] == refused)
        rest = messages[6 * len(who):]
        for topic, body in rest:
            source.send_multipart([topic, body])
            for where, client in intruders:
                if where == "frames":
                    client.send_multipart([b"frame", frame(1000)])
        intents += d.intents(sink, len(rest))
        time.sleep(QUIET_S)
        for where, client in intruders:
            self.assertFalse(client.poll(0), where)
        self.assertEqual([bare(i) for i in intents], expected)
        after = d.status()
        self.assertEqual(after["frames"]["received"], 60)
        self.assertEqual(after["events"]["received"], 0)
        self.assertIs(after["paused"], False)
        self.assertEqual(after["subscribers"], 1)
        self.assertEqual(after["security"]["admitted"], before["security"]["admitted"])
        self.assertIn("not in the list of clients", d.said())
        self.assertIn("without that right, of rig", d.said())

    def test_however_many_are_refused_a_few_are_logged(self):
        """At most 5 in 10 s, and how many more there were."""
        d = self.guarded()
        began = time.monotonic()
        many = 40
        for _ in range(many):
            client = d.socket(zmq.REQ, "control", connect=True, **self.keys.options("stranger"))
            client.send(b'{"cmd":"ping"}')
        wait_for(lambda: d.status()["security"]["refused"]["control"] == many)
        logged = d.said().count(" is refused: its key ")
        self.assertGreaterEqual(logged, 5)
        self.assertLessEqual(logged, 5 * (1 + (time.monotonic() - began) // 10))

    def test_noise_on_the_wire(self):
        """Connections that speak no ZeroMQ, stop in the midst of the greeting, or say nothing."""
        expected, _ = self.run_through([(b"frame", frame(seq)) for seq in range(30)], 30)
        d = self.guarded()
        sink, source = self.keyed_sink(d), self.keyed_source(d)
        greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(15) + b"\0" + bytes(31)
        noise = [b"GET / HTTP/1.1\r\n\r\n", b"", os.urandom(5000), greeting[:20], greeting,
                 greeting + b"\x04\xc8\x05HELLO" + os.urandom(194),
                 greeting + b"\x06" + b"\xff" * 8 + b"x" * 100,
                 greeting.replace(b"CURVE", b"NULL\0") + b"\x04\x19\x05READY" + bytes(19)]
        lines = []
        for name in SOCKETS:
            port = int(d.endpoints[name].rsplit(":", 1)[1])
            for content in noise:
                line = socket.create_connection(("127.0.0.1", port))
                line.sendall(content)
                lines.append(line)
        for seq in range(30):
            source.send_multipart([b"frame", frame(seq)])
        self.assertEqual([bare(i) for i in d.intents(sink, 30)], expected)
        self.assertEqual(d.status()["subscribers"], 1)
        for line in lines:
            line.close()
        self.assertTrue(d.must(cmd="ping")["ok"])

    def test_connections_without_end(self):
        """More than the daemon has files for, from one who never says a word."""
        expected, _ = self.run_through([(b"frame", frame(seq)) for seq in range(30)], 30)
        d = self.guarded()
        sink, source = self.keyed_sink(d), self.keyed_source(d)
        open_now = len(os.listdir(f"/proc/{d.process.pid}/fd"))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, (open_now + 20, hard))
        port = int(d.endpoints["control"].rsplit(":", 1)[1])
        lines = []
        for _ in range(60):
            line = socket.socket()
            line.setblocking(False)
            line.connect_ex(("127.0.0.1", port))
            lines.append(line)
        time.sleep(QUIET_S)
        for seq in range(30):
            source.send_multipart([b"frame", frame(seq)])
        self.assertEqual([bare(i) for i in d.intents(sink, 30)], expected)
        self.assertTrue(d.must(cmd="ping")["ok"])
        for line in lines:
            line.close()
        again = d.socket(zmq.REQ, "control", **self.keys.options("desk"))
        again.send(b'{"cmd":"ping"}')
        self.assertTrue(again.poll(daemon.PATIENCE * 1000))

    def test_who_comes_while_a_disk_stands_still_waits(self):
        """The thread that waits for it is the one that lets in; whoever is there goes on."""
        d = self.guarded()
        sink, source = self.keyed_sink(d), self.keyed_source(d)
        disk = d.stand_still()
        late = d.socket(zmq.SUB, "intents", connect=False, **self.keys.options("all"))
        monitor = late.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        d.sockets.append(monitor)
        late.connect(d.endpoints["intents"])
        for seq in range(30):
            source.send_multipart([b"frame", frame(seq)])
            d.intents(sink, 1)
        self.assertFalse(monitor.poll(1000 * QUIET_S))
        d.go_on(disk)
        self.assertTrue(monitor.poll(1000 * daemon.PATIENCE))

    def test_who_says_nothing_is_sent_away(self):
        d = self.guarded()
        lines = [socket.create_connection(("127.0.0.1", int(d.endpoints[name].rsplit(":", 1)[1])))
                 for name in SOCKETS]
        for line in lines:
            line.settimeout(daemon.PATIENCE)
            while line.recv(1000):
                pass  # the greeting
            line.close()

    def test_the_list_is_read_again(self):
        d = self.guarded()
        late = d.socket(zmq.REQ, "control", **self.keys.options("stranger"))
        late.send(b'{"cmd":"ping"}')
        wait_for(lambda: d.status()["security"]["refused"]["control"] == 1)
        self.keys.lines = ["control " + self.keys.options("stranger")["CURVE_PUBLICKEY"].decode() +
                           " late comer\n"]
        self.keys.write()
        d.signal(signal.SIGHUP)
        wait_for(lambda: "reloaded" in d.said())
        again = d.socket(zmq.REQ, "control", **self.keys.options("stranger"))
        again.send(b'{"cmd":"ping"}')
        self.assertTrue(again.poll(daemon.PATIENCE * 1000))
        # Who is connected stays; who comes anew is asked anew.
        self.assertTrue(d.must(cmd="ping")["ok"])
        gone = d.socket(zmq.REQ, "control", **self.keys.options("all"))
        gone.send(b'{"cmd":"ping"}')
        wait_for(lambda: d.status()["security"]["refused"]["control"] == 2)
        self.assertFalse(gone.poll(0))
        self.keys.lines = ["control nonsense"]
        self.keys.write()
        d.signal(signal.SIGHUP)
        wait_for(lambda: "reload refused" in d.said())
        self.assertIn("clients.list:3: holds no key", d.said())
        self.assertEqual(d.status()["security"]["clients"], 1)
        # All of it or nothing: the list is good, the model is not.
        self.keys.lines = []
        self.keys.write()
        with open(d.model, "r+b") as file:
            file.truncate(1000)
        d.signal(signal.SIGHUP)
        wait_for(lambda: d.said().count("reload refused") == 2)
        self.assertEqual(d.status()["security"]["clients"], 1)


class Files(Guarded):
    def refused(self, words):
        config = self.keys.path("c.json")
        with open(config, "w") as file:
            json.dump({**self.keys.config(), "model": daemon.make_model(self.keys.path("m.tjm"))}, file)
        status, _, err = run_alone("--config", config,
                                   *(w for n in SOCKETS for w in ("--" + n, "ipc://" + self.keys.path(n))))
        self.assertEqual(status, 1)
        self.assertIn(words, err)
        self.assertEqual(err.count("\n"), 1, err)
        status, _, again = run_alone("--check-config", "--config", config)
        self.assertEqual((status, again), (1, err))

    def test_what_is_printed_says_the_same(self):
        config = self.keys.path("c.json")
        given = self.keys.config()
        given["curve"]["servers"] = {"frames": self.keys.path("stranger.key")}
        with open(config, "w") as file:
            json.dump(given, file)
        status, out, err = run_alone("--check-config", "--config", config)
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(json.loads(out)["curve"], given["curve"])
        given["curve"]["servers"]["frames"] = self.keys.path("nowhere.key")
        with open(config, "w") as file:
            json.dump(given, file)
        status, _, err = run_alone("--check-config", "--config", config)
        self.assertEqual(status, 1)
        self.assertIn("nowhere.key", err)

    def test_permissions_and_contents(self):
        secret, clients = self.keys.path("trajd.key_secret"), self.keys.path("clients.list")
        with open(secret) as file:
            good = file.read()
        self.assertEqual(os.stat(secret).st_mode & 0o777, 0o600)
        for mode in (0o640, 0o604, 0o620, 0o602):
            os.chmod(secret, mode)
            self.refused("a secret key that others may read or write is none; chmod 600")
        os.chmod(secret, 0o600)
        for mode in (0o660, 0o606):
            os.chmod(clients, mode)
            self.refused("clients.list: others may write it; chmod go-w")
        os.chmod(clients, 0o644)
        if os.geteuid() == 0:  # nobody else may give a file away
            nobody = 65534
            for path in (secret, clients):
                os.chown(path, nobody, -1)
                self.refused("belongs to another user; chown it to the user of trajd")
                os.chown(path, 0, -1)
        other = self.keys.options("stranger")["CURVE_PUBLICKEY"].decode()
        own = read_key(self.keys.path("trajd.key"), "public-key").decode()
        for text, words in (("", "public-key"), (good.replace("secret-key", "secret"), "secret-key"),
                            (good.replace(own, other), "do not belong together"),
                            (good.replace(own, own[:-1]), "40 characters"),
                            (good.replace(own, own[:-1] + "~"), "40 characters")):
            with open(secret, "w") as file:
                file.write(text)
            self.refused(words)
        with open(secret, "w") as file:
            file.write(good)
        for line, words in (("frames", "no key"), ("all " + own, "rights"), ("frames, " + own, "rights"),
                            (own, "rights"), ("frames " + own + " " + "x" * 64, "too long"),
                            ("frames " + own + "\nintents " + own, "twice")):
            with open(clients, "w") as file:
                file.write(line + "\n")
            self.refused(words)
        os.unlink(clients)
        self.refused("clients.list: No such file")
        os.mkdir(clients)
        self.refused("clients.list: not a file")

    def test_keygen(self):
        public, secret = self.keys.path("trajd.key"), self.keys.path("trajd.key_secret")
        with open(secret) as file:
            before = file.read()
        self.assertIn("exists", trajctl("keygen", "trajd", cwd=self.folder.name, status=1).stderr)
        with open(secret) as file:
            self.assertEqual(file.read(), before)
        self.assertEqual(os.stat(public).st_mode & 0o777, 0o644)
        with open(public) as file:
            self.assertNotIn("secret-key", file.read())
        self.assertIn("NAME", trajctl("keygen", status=2).stderr)
        self.assertIn("--rights", trajctl("keygen", "x", "--rights", "frame", status=2).stderr)
        # ZeroMQ's own tools read them.
        from zmq.auth import load_certificate
        self.assertEqual(load_certificate(secret)[0], load_certificate(public)[0])
        self.assertEqual(len(load_certificate(secret)[1]), 40)


class Limits(daemon.DaemonTest):
    def test_a_flood_of_requests_is_held(self):
        d = self.start(config={"request_rate": 50})
        dealer = d.socket(zmq.DEALER, "control")
        for _ in range(800):
            dealer.send_multipart([b"", b'{"cmd":"ping"}'])
        answers = []
        for i in range(800):
            self.assertTrue(dealer.poll(daemon.PATIENCE * 1000))
            answers.append(json.loads(dealer.recv_multipart()[-1]))
            if i >= 100 and i % 50 == 0:  # a pause gets through, in the midst of it
                d.must(cmd="pause", on=True)
        held = [a for a in answers if not a["ok"]]
        self.assertGreaterEqual(len(answers) - len(held), 49)
        self.assertGreater(len(held), 0)
        self.assertIn("request_rate", held[0]["error"])
        self.assertTrue(all(a["held"] is True for a in held))
        time.sleep(0.1)
        status = d.status()
        self.assertEqual(status["security"]["requests_held"], len(held))

    def test_nesting(self):
        d = self.start()
        for depth, words in ((5, "is not known"), (7, "is not known"), (8, "nested deeper"),
                             (100000, "nested deeper")):
            reply = d.ask_text('{"cmd":"x","more":' + "[" * depth + "]" * depth + "}")
            self.assertIn(words, reply["error"], depth)
        self.assertIn("is not known", d.ask_text('{"cmd":"' + "[\\\"" * 20 + '"}')["error"])


if __name__ == "__main__":
    daemon.main()
