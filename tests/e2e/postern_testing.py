# SPDX-License-Identifier: Apache-2.0
"""What end-to-end tests are made of: a scratch site, the installed server, raw sockets, and the count at the end.

A test is one small program:

    from postern_testing import *
    site = Site()
    @case
    def mail_for_a_local_account_is_delivered():
        ...
    with site.running():
        run_cases()

Site() makes a directory that only its owner may enter (as a clone under /root is), a configuration on free ports of
127.0.0.1, tables, domains and accounts. running() starts `posternd -f` in it, waits until it serves, and at the end stops
it and checks that no child of it is left. The programs are searched in $POSTERN_PROGRAMS (directories with colons between them;
run_all sets it), else in the PATH.

Only loopback addresses are used; the client list holds 127.0.0.1 alone, so 127.0.0.2 and so on are strangers.
"""
import atexit
import collections
import contextlib
import hashlib
import json
import os
import poplib
import random
import re
import shutil
import signal
import smtplib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

CRLF = b"\r\n"
_cases = []


# ---- cases and checks ------------------------------------------------------------------------------------------------------

class Skip(Exception):
    """Raised by a case that cannot run here; says why. Counts neither as passed nor as failed."""


def case(function):
    """Marks a function as a test case; its name states the fact that it tests."""
    _cases.append(function)
    return function


def cases_of(rows):
    """Makes a case of each row: @cases_of([(name, arguments…), …]). A row that fails prints its name."""
    def wrap(function):
        for name, *arguments in rows:
            def one(arguments=arguments):
                function(*arguments)
            one.__name__ = "%s: %s" % (function.__name__, name)
            _cases.append(one)
        return function
    return wrap


def run_cases(only=""):
    """Runs the cases in order (those with `only` in their name), prints one line each; the program's exit status follows."""
    passed = failed = skipped = 0
    for one in _cases:
        if only not in one.__name__:
            continue
        name = one.__name__.replace("_", " ")
        began = time.monotonic()
        try:
            one()
            passed += 1
            print("  ok   %s (%.1f s)" % (name, time.monotonic() - began), flush=True)
        except Skip as reason:
            skipped += 1
            print("  skip %s: %s" % (name, reason), flush=True)
        except Exception:  # whatever a case raises is its failure, never ours
            failed += 1
            print("  FAIL %s" % name)
            print("       " + traceback.format_exc().strip().replace("\n", "\n       "), flush=True)
            for site in [site for site in _sites if os.path.exists(site.log_file)][-2:]:
                troubles = [line for line in site.log().splitlines() if re.search(r"\] (warning|error|critical): ", line)]
                print("       the server said: " + "\n         ".join([""] + troubles[-15:]), flush=True)
    _cases.clear()
    _count(passed, failed)


_total = [0, 0]
_sites = []  # all that this program made, for the log of a case that failed


def _count(passed, failed):
    _total[0] += passed
    _total[1] += failed


def _finish():
    """At the end of the program: the plain count. A program that ends early has failed."""
    print("%d passed, %d failed" % tuple(_total), flush=True)
    if _total[1] or not _total[0]:
        os._exit(1)


def no_cases_here(reason):
    """Ends a program none of whose cases can run here."""
    print("  skip %s: %s" % (os.path.basename(sys.argv[0]), reason))
    print("0 passed, 0 failed", flush=True)
    os._exit(0)


atexit.register(_finish)
# Ended from outside, for instance by the time limit of run_all: the server goes too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def _hook(kind, value, trace):
    _count(0, 1)
    sys.__excepthook__(kind, value, trace)


sys.excepthook = _hook


def equal(got, want, what=""):
    if got != want:
        raise AssertionError("%s: expected %r, got %r" % (what or "value", want, got))


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def contains(text, part, what=""):
    if part not in text:
        raise AssertionError("%s: %r is not in %r" % (what or "text", part, text))


def wait_until(condition, seconds=10.0, what="condition", step=0.02):
    """Waits until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("after %.0f s: %s" % (seconds, what))
        time.sleep(step)


def slow_build():
    """How much longer things may take: sanitizers make everything slower."""
    return float(os.environ.get("POSTERN_TEST_SLOWER", "1"))


# ---- programs --------------------------------------------------------------------------------------------------------------

def program(name, required=True):
    """The full path of one of our programs, or of a foreign one."""
    for directory in os.environ.get("POSTERN_PROGRAMS", "").split(":") + os.environ.get("PATH", "").split(":") + ["/usr/sbin", "/sbin"]:
        path = os.path.join(directory, name)
        if directory and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    if required:
        raise FileNotFoundError("%s: not in POSTERN_PROGRAMS nor PATH" % name)
    return None


def foreign(name):
    """A mail program of somebody else; the case is skipped where it is not installed."""
    path = program(name, required=False)
    if not path:
        raise Skip("%s is not installed" % name)
    return path


def run(*arguments, input=None, expect=0, timeout=60, env=None):
    """Runs a program to its end and returns its CompletedProcess (text). `expect`: exit status, None for any."""
    done = subprocess.run([str(a) for a in arguments], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout * slow_build(), env=env, errors="surrogateescape")
    if expect is not None and done.returncode != expect:
        raise AssertionError("%s: exit status %d instead of %d\n%s%s" % (" ".join(map(str, arguments)), done.returncode, expect, done.stdout, done.stderr))
    return done


# ---- ports and configuration -----------------------------------------------------------------------------------------------

_given_ports = set()


def free_port():
    """A port of loopback that nobody uses now and that this program has not given out yet; below the range of client ports."""
    first, last = os.environ.get("POSTERN_TEST_PORTS", "12000-31000").split("-")
    while True:
        port = random.randint(int(first), int(last))
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port


def to_libconfig(value, indent=0):
    """A Python value as libconfig text: dict → group, list or tuple → list, str, bool, int, float."""
    pad = "  " * indent
    if isinstance(value, dict):
        lines = ["%s  %s = %s;\n" % (pad, key, to_libconfig(item, indent + 1)) for key, item in value.items()]
        return "{\n" + "".join(lines) + pad + "}"
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(to_libconfig(item, indent + 1) for item in value) + ")"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return "%d%s" % (value, "L" if abs(value) > 2**31 - 1 else "")
    if isinstance(value, float):
        return repr(value)
    return '"%s"' % str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def merged(base, changes):
    """`base` with the groups and values of `changes` in it; a value None takes a setting out."""
    result = dict(base)
    for key, value in (changes or {}).items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


# The tables of a site that relays for nobody but its clients: access-control.md 2.2, 2.3 and 3.4.
MAPPINGS = """\
PORT_ACCESS

  *|*|*|*|*   $C$|INTERNAL_IP;$3|$Y$E
  *           $YEXTERNAL

INTERNAL_IP

  *   $C$[postern:client,$0]$Y$E
  *   $N

ORIG_SEND_ACCESS

  tcp_local|*|tcp_local|*   $NRelaying$ not$ permitted
  tcp_*|*|ims-ms|*          $N
  tcp_*|*|hold|*            $N
"""

DOMAINS = ["example.com", "example.org"]
ACCOUNTS = {"anna@example.com": "anna's secret", "bert@example.com": "bert's secret", "carl@example.org": "carl's secret"}


class Site:
    """A scratch site. Attributes: directory, base (base directory), configuration (path), smtp, lmtp, pop3 (ports)."""

    def __init__(self, settings=None, mappings=MAPPINGS, domains=DOMAINS, accounts=ACCOUNTS, base=None, own_files=None):
        top = os.environ.get("POSTERN_TEST_DIRECTORY") or tempfile.gettempdir()
        os.makedirs(top, exist_ok=True)
        self.directory = tempfile.mkdtemp(prefix="postern-test-", dir=top)  # mode 0700, like /root
        self.base = base or os.path.join(self.directory, "state")
        self.etc = os.path.join(self.directory, "etc")
        self.configuration = os.path.join(self.etc, "postern.conf")
        self.mappings_file = os.path.join(self.etc, "mappings")
        self.log_file = os.path.join(self.directory, "log")
        self.smtp, self.lmtp, self.pop3 = free_port(), free_port(), free_port()
        self.accounts = dict(accounts)
        self.domains = list(domains)
        self.server = None
        self.extra_environment = {}
        _sites.append(self)
        os.makedirs(self.base, exist_ok=True)
        os.makedirs(self.etc, exist_ok=True)
        self.settings = merged(self.default_settings(), settings)
        self.write_configuration()
        self.write_mappings(mappings)
        self.add_accounts()
        if not os.environ.get("POSTERN_TEST_KEEP"):
            atexit.register(self.remove)

    def default_settings(self):
        def listener(port, **more):
            return dict({"maximum_connections": 200, "connections_per_address": 0, "reserve_for_clients": 0,
                         "sockets": [{"port": port, "address": "127.0.0.1"}]}, **more)
        return {
            "format": 1,
            "host_name": "mail.example.com",
            "base_directory": self.base,
            "client_addresses": "127.0.0.1",
            "listeners": {"smtp": listener(self.smtp), "lmtp": listener(self.lmtp), "pop3": listener(self.pop3)},
            "spool": {"segment_bytes": 4 * 1024 * 1024, "minimum_free_bytes": 1024 * 1024},
            "log": {"destination": "standard_error"},
        }

    def write_configuration(self, changes=None):
        """Writes the file, with `changes` on top of the settings so far (and remembers them)."""
        self.settings = merged(self.settings, changes)
        text = "".join("%s = %s;\n" % (key, to_libconfig(value)) for key, value in self.settings.items())
        with open(self.configuration, "w") as file:
            file.write(text)

    def place_of(self, setting):
        """The first place of `setting` in the file, as log lines name it."""
        with open(self.configuration) as file:
            number = 1 + next(i for i, line in enumerate(file) if line.strip().startswith(setting + " ="))
        return "file=%s line=%d " % (self.configuration, number)

    def write_mappings(self, text, compile=True, expect=0):
        with open(self.mappings_file, "w") as file:
            file.write(text)
        return self.compile(expect=expect) if compile else None

    def compile(self, expect=0):
        return run(program("postern-compile"), "--config", self.etc, expect=expect)

    def ctl(self, *arguments, **options):
        return run(program("posternctl"), "--config", self.configuration, *arguments, **options)

    def ctl_json(self, *arguments, **options):
        return json.loads(self.ctl("--json", *arguments, **options).stdout)

    def add_accounts(self):
        for domain in self.domains:
            self.ctl("domain", "add", domain)
        for name, password in self.accounts.items():
            self.add_account(name, password)

    def add_account(self, name, password):
        self.ctl("account", "add", name, "--password-file", "-", input=password + "\n")
        self.accounts[name] = password

    def account_directory(self, account):
        local, domain = account.split("@")
        return os.path.join(self.base, "mail", domain, local)

    def folder_directory(self, account, folder=""):
        return os.path.join(self.account_directory(account), "." + folder.replace("/", ".") if folder else "")

    def files(self, account, folder=""):
        found = []
        for part in ("new", "cur"):
            directory = os.path.join(self.folder_directory(account, folder), part)
            with contextlib.suppress(FileNotFoundError):
                found += [os.path.join(directory, name) for name in os.listdir(directory)]
        return sorted(found)

    def messages(self, account, folder=""):
        """The text of every message in the folder."""
        texts = []
        for path in self.files(account, folder):
            with open(path, "rb") as file:
                texts.append(file.read())
        return texts

    def wait_for_messages(self, account, number, folder="", seconds=10):
        wait_until(lambda: len(self.files(account, folder)) >= number, seconds * slow_build(),
                   "%d messages in %s %s, found %d" % (number, account, folder, len(self.files(account, folder))))
        return self.messages(account, folder)

    def find_message(self, account, message_id, folder="", seconds=10):
        """Waits for the message with this Message-ID and returns its text."""
        def look():
            return [text for text in self.messages(account, folder) if ("<%s>" % message_id).encode() in text.split(b"\n\n")[0]]
        found = wait_until(look, seconds * slow_build(), "message %s in %s %s" % (message_id, account, folder or "INBOX"))
        equal(len(found), 1, "copies of " + message_id)
        return found[0]

    # ---- the server

    @contextlib.contextmanager
    def running(self, **options):
        """The server runs inside the `with`; afterwards it is stopped and must leave no child."""
        server = self.start(**options)
        try:
            yield server
        finally:
            if self.server:
                self.server.stop()

    def start(self, **options):
        self.server = Server(self, **options)
        return self.server

    def log(self):
        with open(self.log_file, errors="replace") as file:
            return file.read()

    def log_lines(self, *parts):
        """The lines of the log that contain every one of `parts`."""
        return [line for line in self.log().splitlines() if all(part in line for part in parts)]

    def wait_for_log(self, *parts, seconds=5):
        return wait_until(lambda: self.log_lines(*parts), seconds * slow_build(), "a log line with %r in\n%s" % (parts, self.log()[-3000:]))

    def remove(self):
        if self.server and self.server.alive():
            self.server.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def second_master_is_refused(site):
    """Case 12 of the listeners: beside the server of `site` no other one starts, and it goes on."""
    done = run(program("posternd"), "-f", "--config", site.configuration, expect=None, timeout=20)
    check(done.returncode not in (0, -9), "its exit status: %d" % done.returncode)
    contains(done.stdout + done.stderr, str(site.server.pid), "it names the first one")
    check(greeted(site.smtp), "the first one goes on")


# ---- processes -------------------------------------------------------------------------------------------------------------

def process_table():
    """pid → (parent, start time, state, command line) of all processes."""
    table = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError):
            with open("/proc/%s/stat" % entry) as file:
                text = file.read()
            fields = text[text.rindex(")") + 2:].split()
            with open("/proc/%s/cmdline" % entry, "rb") as file:
                command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
            table[int(entry)] = (int(fields[1]), int(fields[19]), fields[0], command)
    return table


def descendants(pid, table=None):
    table = table or process_table()
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        for child, row in table.items():
            if row[0] == parent:
                found.append(child)
                todo.append(child)
    return found


def cpu_seconds(pids):
    """User and system time of the processes and of the children they have waited for."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            with open("/proc/%d/stat" % pid) as file:
                text = file.read()
            fields = text[text.rindex(")") + 2:].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def proportional_bytes(pids):
    """Sum of the proportional set sizes: shared memory is counted once in all."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            with open("/proc/%d/smaps_rollup" % pid) as file:
                for line in file:
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
    return total


class Server:
    """A running `posternd -f`."""

    def __init__(self, site, wait=True, user=None, environment=None, prefix=(), append_log=True):
        self.site = site
        self.log_handle = open(site.log_file, "ab" if append_log else "wb")
        env = dict(os.environ, **site.extra_environment)
        env.update(environment or {})
        command = list(prefix) + [program("posternd"), "-f", "--config", site.configuration]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log_handle, stderr=self.log_handle, env=env, start_new_session=True)
        self.pid = self.process.pid
        if prefix:  # something stands between us and the master
            wait_until(lambda: self._find_master(), 10 * slow_build(), "the master's process")
        if wait:
            self.wait_ready()

    def _find_master(self):
        # What stood between us and it may have become it.
        for pid in [self.process.pid] + descendants(self.process.pid):
            row = process_table().get(pid)
            if row and "posternd" in row[3].split(" ")[0]:
                self.pid = pid
                return True
        return False

    def wait_ready(self, seconds=20):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError("posternd ended with status %d\n%s" % (self.process.returncode, self.site.log()[-4000:]))
            done = subprocess.run([program("posternctl"), "--config", self.site.configuration, "--json", "status"], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
            return done.returncode == 0 and json.loads(done.stdout)["state"] == "running"
        wait_until(ready, seconds * slow_build(), "posternd is not ready\n" + self.site.log()[-4000:], step=0.05)

    def alive(self):
        return self.process.poll() is None

    def children(self, role=None):
        """The pids of the children, of one role or of all."""
        table = process_table()
        return [pid for pid in descendants(self.pid, table) if table[pid][2] != "Z" and (role is None or self.role_of(table[pid][3]) == role)]

    @staticmethod
    def role_of(command_line):
        match = re.match(r"posternd: (\w+)", command_line)
        return match.group(1) if match else ""

    def pids(self):
        return [self.pid] + self.children()

    def reload(self, expect=0):
        return self.site.ctl("reload", expect=expect)

    def stop(self, seconds=40):
        """SIGTERM, wait; then no process of the server may be left."""
        mine = self._snapshot()
        if self.alive():
            os.kill(self.pid, signal.SIGTERM)
            try:
                self.process.wait(seconds * slow_build())
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("posternd did not stop within %d s" % seconds)
        self.site.server = None
        self.log_handle.close()
        equal(self.process.returncode, 0, "exit status of posternd")
        found = self.site.log_lines("ERROR: AddressSanitizer") + self.site.log_lines("runtime error:") + self.site.log_lines("assertion-failed")
        check(not found, "the log has %s\n%s" % (found[:1], self.site.log()[-6000:]))
        wait_until(lambda: not self._left(mine), 2 * slow_build(), "processes left after the stop: %r" % self._left(mine))

    def _snapshot(self):
        """(pid, start time) of the server's processes: a pid alone may be somebody else's by the time one looks again."""
        table = process_table()
        return [(pid, table[pid][1]) for pid in [self.pid] + descendants(self.pid, table) if pid in table]

    @staticmethod
    def _left(mine):
        table = process_table()
        return [(pid, table[pid][3]) for pid, started in mine if pid in table and table[pid][1] == started and table[pid][2] != "Z"]

    def kill(self):
        """SIGKILL for the master and, once it is gone, whatever of the server is still there after two seconds."""
        mine = self._snapshot()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait()
        self.site.server = None
        self.log_handle.close()
        end = time.monotonic() + 2
        while self._left(mine) and time.monotonic() < end:
            time.sleep(0.02)
        for pid, _ in self._left(mine):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


# ---- clients ---------------------------------------------------------------------------------------------------------------

class Closed(Exception):
    """The server closed the connection (or reset it)."""


class Line:
    """A connection that speaks lines; the base of the raw clients."""

    def __init__(self, port, source="127.0.0.1", host="127.0.0.1", timeout=20):
        self.buffer = b""
        self.socket = socket.socket()
        self.socket.settimeout(timeout * slow_build())
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.bind((source, 0))
        try:
            self.socket.connect((host, port))
        except OSError:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        try:
            self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Closed(str(error))

    def line(self):
        """The next line without its CRLF; Closed at the end of the connection."""
        while CRLF not in self.buffer:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError as error:
                raise Closed(str(error))
            if not more:
                raise Closed("end of connection; %r left" % self.buffer)
            self.buffer += more
        line, self.buffer = self.buffer.split(CRLF, 1)
        return line.decode(errors="surrogateescape")

    def rest(self, seconds=5):
        """Everything until the server closes; an error if it doesn't."""
        self.socket.settimeout(seconds * slow_build())
        data = self.buffer
        while True:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                return data
            except socket.timeout:
                raise AssertionError("the server keeps the connection open; it sent %r" % data)
            if not more:
                return data
            data += more

    def is_open(self, seconds=0.2):
        """True if the server has not closed its end (and says nothing)."""
        self.socket.settimeout(seconds)
        try:
            more = self.socket.recv(65536)
            self.buffer += more
            return bool(more)
        except socket.timeout:
            return True
        except ConnectionResetError:
            return False
        finally:
            self.socket.settimeout(20 * slow_build())

    def reset(self):
        """Closes with a reset instead of an orderly end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


# What some server took for the end of a text, or let through to one that did (hardening.md 3).
WRONG_ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r.\n", b"\r\n\x00.\r\n", b"\r\n.\x00\r\n", b"\r\n.\r\r\n"]


class Smtp(Line):
    """A raw SMTP or LMTP session. Replies are (code, [texts])."""

    def __init__(self, port, source="127.0.0.1", greeting=True, **options):
        super().__init__(port, source, **options)
        self.greeting = self.reply() if greeting else None

    def reply(self):
        texts = []
        while True:
            line = self.line()
            if len(line) < 3 or not line[:3].isdigit() or (len(line) > 3 and line[3] not in " -"):
                raise AssertionError("not a reply: %r" % line)
            texts.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), texts

    def command(self, text, expect=None):
        self.send(text if isinstance(text, bytes) else text.encode() + CRLF)
        reply = self.reply()
        if expect is not None and reply[0] != expect:
            raise AssertionError("%r was answered %r instead of %d" % (text, reply, expect))
        return reply

    def hello(self, name="client.example.net", lmtp=False):
        return self.command(("LHLO " if lmtp else "EHLO ") + name, 250)

    def begin(self, sender, *recipients):
        self.command("MAIL FROM:<%s>" % sender, 250)
        for recipient in recipients:
            self.command("RCPT TO:<%s>" % recipient, 250)

    def data(self, text, expect=250):
        """Sends DATA and the message (bytes with CRLF, dot-stuffed here)."""
        self.command("DATA", 354)
        return self.command(stuffed(text) + b".\r\n", expect)

    def quit(self):
        self.command("QUIT", 221)
        self.close()


def stuffed(text):
    return re.sub(rb"(?m)^\.", b"..", text)


issued_ids = set()  # every Message-ID that this program has made


def new_id(domain="test.example"):
    message_id = "%d.%d.%d@%s" % (os.getpid(), time.time_ns(), random.getrandbits(64), domain)
    issued_ids.add(message_id)
    return message_id


def message(message_id=None, subject="test", to="anna@example.com", body="Hello.\r\n", sender="sender@sender.example", extra=""):
    """A small message as bytes; lines end in CRLF."""
    text = "Message-ID: <%s>\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\nFrom: <%s>\r\nTo: <%s>\r\nSubject: %s\r\n%s\r\n%s" % (
        message_id or new_id(), sender, to, subject, extra, body)
    return text.encode()


def deliver(site, recipient="anna@example.com", source="127.0.0.1", sender="sender@sender.example", **options):
    """Sends one message by SMTP and returns its Message-ID."""
    message_id = new_id()
    with Smtp(site.smtp, source) as session:
        session.hello()
        session.begin(sender, recipient)
        session.data(message(message_id, to=recipient, sender=sender, **options))
        session.quit()
    return message_id


def pop3(site, account, source="127.0.0.1"):
    """A logged-in poplib session."""
    session = poplib.POP3("127.0.0.1", site.pop3, timeout=20 * slow_build())
    session.user(account)
    session.pass_(site.accounts[account])
    return session


def refused_silently(port, source="127.0.0.1", first=b""):
    """Connects; True if the server closes without a single byte."""
    with Line(port, source) as line:
        if first:
            with contextlib.suppress(Closed):
                line.send(first)
        return line.rest() == b""


def greeted(port, source="127.0.0.1"):
    """True if a new connection gets the greeting 220."""
    with Smtp(port, source, greeting=False) as session:
        try:
            return session.reply()[0] == 220
        except Closed:
            return False


def hold(port, number, source="127.0.0.1"):
    """Opens `number` sessions, each greeted, and returns them."""
    sessions = []
    for i in range(number):
        session = Smtp(port, source)
        equal(session.greeting[0], 220, "greeting of session %d from %s: %r" % (i + 1, source, session.greeting))
        sessions.append(session)
    return sessions


def close_all(sessions):
    for session in sessions:
        session.close()
