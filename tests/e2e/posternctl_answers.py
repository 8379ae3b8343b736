#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""posternctl before a master that is not as it expects: one that refuses, one of another version, one that leaves figures out, one that says
nothing or nonsense. Each time a person is told so, a program gets {"error"} and the right exit status, and nothing is made up."""
from postern_testing import *

directory = tempfile.mkdtemp(prefix="postern-test-")
atexit.register(shutil.rmtree, directory, True)
os.mkdir(os.path.join(directory, "run"))
configuration = os.path.join(directory, "postern.conf")
with open(configuration, "w") as file:
    file.write('format = 1;\nhost_name = "mail.example.com";\nbase_directory = "%s";\nlisteners = { };\n' % directory)


class Master:
    """Answers every question with `answer`: an object, bytes as they are, or None (it hangs up)."""

    def __init__(self, path):
        self.answer, self.asked = {}, []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(10)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.socket.accept()
            with connection:
                head = connection.recv(4, socket.MSG_WAITALL)
                if len(head) < 4:
                    continue
                self.asked.append(json.loads(connection.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL)))
                answer = self.answer
                if isinstance(answer, dict):
                    text = json.dumps(answer).encode()
                    answer = struct.pack(">I", len(text)) + text
                if answer:
                    connection.sendall(answer)


MASTER = Master(os.path.join(directory, "run", "control.sock"))
QUESTIONS = [("status",), ("sessions",), ("reload",), ("upgrade",), ("listener", "show"), ("listener", "check"), ("limits", "192.0.2.1"), ("address", "192.0.2.1"),
             ("block", "192.0.2.1"), ("unblock", "192.0.2.1"), ("blocked",), ("throttle", "list")]


def ctl(answer, *arguments, expect):
    MASTER.answer = answer
    return run(program("posternctl"), "--config", configuration, *arguments, expect=expect)


@cases_of([(" ".join(question), question) for question in QUESTIONS])
def an_error_of_the_master_is_told_as_it_is(question):
    """Of an older master, which does not know the order; for wrong arguments with the status of wrong usage."""
    for more, status in (({}, 1), ({"wrong_argument": True}, 2)):
        answer = dict({"error": "unknown command"}, **more)
        told = ctl(answer, *question, expect=status)
        equal((told.stdout, told.stderr), ("", "posternctl: posternd: unknown command\n"))
        told = ctl(answer, "--json", *question, expect=status)
        equal(json.loads(told.stdout), {"error": "posternd: unknown command"})


@cases_of([("hangs up", None), ("half a frame", b"\0\0\0\x50{\"a\":"), ("no JSON", b"\0\0\0\x04nope"), ("a list", b"\0\0\0\x02[]"), ("too long", b"\x7f\xff\xff\xff{")])
def a_master_that_says_nothing_or_nonsense(answer):
    contains(ctl(answer, "status", expect=1).stderr, "posternd does not answer: is it running with this configuration?")
    contains(json.loads(ctl(answer, "--json", "reload", expect=1).stdout)["error"], "does not answer")


@case
def what_was_tried_and_failed_is_no_error_of_the_question():
    contains(ctl({"done": False, "mistakes": ["postern.conf:7: format: no"]}, "reload", expect=1).stderr, "not reloaded, the old configuration stays in force:\n  postern.conf:7")
    contains(ctl({"done": False, "needs_restart": True, "mistakes": []}, "reload", expect=3).stderr, "not reloaded")
    contains(ctl({"done": False, "version": "1.2", "error": "it is another one's"}, "upgrade", expect=1).stderr, "not upgraded, version 1.2 goes on: it is another one's")
    contains(ctl({"accepted": False, "needs_restart": True, "file": "f", "mistakes": ["m"], "kept": 3}, "listener", "check", expect=3).stdout, "f: a reload would be refused")
    contains(ctl({"done": False, "ended": 0}, "unblock", "192.0.2.1", expect=1).stderr, "there is no block of 192.0.2.1")
    equal(MASTER.asked[-1], {"command": "unblock", "network": "192.0.2.1"})


def cells(text, first):
    """The cells of the row that begins with `first`, columns are two blanks apart."""
    return next(re.split(r"  +", line.strip()) for line in text.splitlines() if line.strip().startswith(first + " "))


@case
def figures_that_are_not_kept_are_dashes():
    """Not zero, which would be a figure, and not an empty cell, which moves the others."""
    limit = {"what": "connections over all listeners", "counted_as": "192.0.2.1/32", "limit": 0, "setting": "gate.connections_per_address_all"}
    told = ctl({"address": "192.0.2.1", "listeners": [{"module": "smtp", "limits": [limit]}]}, "limits", "192.0.2.1", expect=0).stdout
    equal(cells(told, "smtp"), ["smtp", "connections over all listeners", "192.0.2.1/32", "none", "-", "default", "gate.connections_per_address_all"])
    # Of places 0 is a figure: nobody who is no client finds one.
    places = dict(limit, what="connections of the listener", counted_as="everybody", count=3, setting="listeners.smtp.reserve_for_clients")
    told = ctl({"address": "192.0.2.1", "listeners": [{"module": "smtp", "limits": [places]}]}, "limits", "192.0.2.1", expect=0).stdout
    equal(cells(told, "smtp")[1:5], ["connections of the listener", "everybody", "0", "3"])
    equal(cells(ctl({"address": "192.0.2.1", "connections": [{"module": "pop3", "counted_as": "192.0.2.1/32"}]}, "address", "192.0.2.1", expect=0).stdout, "pop3"),
          ["pop3", "192.0.2.1/32", "-"])
    told = ctl({"listeners": [{"module": "smtp", "maximum": 5}], "children": [{"role": "smtp", "pid": 7, "own_bytes": "?"}]}, "status", expect=0).stdout
    equal(cells(told, "smtp"), ["smtp", "5", "-", "-", "-", "-", "-", "-"])
    contains(told, "posternd -, pid -, - for -\n")
    equal([line for line in told.splitlines() if line.startswith("smtp") and "  7  " in line][0].split(), ["smtp", "7", "-", "-", "-", "-", "-", "-"])
    equal(cells(ctl({"sessions": [{"module": "pop3", "remote": "192.0.2.1:5"}]}, "sessions", expect=0).stdout, "pop3"), ["pop3", "192.0.2.1:5", "-", "no", "no", "-", "-", "-"])
    equal(cells(ctl({"tables": [{"name": "t", "quota": 3}]}, "throttle", "list", expect=0).stdout, "t"), ["t", "3", "-", "-", "-/-", "-", "-", "-"])


@case
def refusals_that_are_only_tried_are_shown_with_the_listener():
    told = ctl({"listeners": [{"module": "smtp", "refused": {"full": 2}, "would_refuse": {"per-address": 5}}]}, "listener", "show", expect=0).stdout
    contains(told, "refused: full 2, would be per-address 5\n")


@case
def a_listener_over_udp_shows_sockets_and_no_connections():
    udp = {"module": "snmp", "transport": "udp", "open": True, "settings": [{"name": "dry_run", "value": "[]"}],
           "rows": [{"port": 161, "row": "all", "settings": [{"name": "list", "value": "192.0.2.9", "file": "/etc/postern/postern.conf", "line": 7}],
                     "sockets": [{"address": "192.0.2.1", "state": "failed", "error": "Address already in use"}]}]}
    told = ctl({"listeners": [udp]}, "listener", "show", expect=0).stdout
    equal(told.splitlines()[0], "snmp (default)")
    contains(told, "socket 161: list  192.0.2.9  postern.conf:7")
    equal(cells(told, "161"), ["161", "all", "192.0.2.1", "failed", "Address already in use"])
    check("maximum" not in told and "admitted" not in told, "figures of connections: " + told)
    told = ctl({"listeners": [dict(udp, datagrams={"received": 5, "answered": 3, "restricted": 2})]}, "listener", "show", expect=0).stdout
    contains(told, "datagrams 5, answered 3; dropped: restricted 2\n")
    told = ctl({"listeners": [dict(udp, datagrams={"received": 5, "answered": 3, "restricted": 2})]}, "status", expect=0).stdout
    equal(cells(told, "snmp"), ["snmp", "5", "3", "restricted 2"])


@case
def the_help_of_a_command_names_its_manual_page():
    def page(name):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "doc", "man", name)) as file:
            text = file.read()
        other = re.search(r"^\.so man\d/(\S+)", text, re.MULTILINE)
        return page(other.group(1)) if other else text

    listed = run(program("posternctl"), "help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    commands = [line.split()[0] for line in listed.splitlines() if re.match(r"  \S", line) and line.split()[0] != "help"]
    check(len(commands) > 30, "commands: %s" % commands)
    for command in commands:
        told = run(program("posternctl"), "help", command).stdout.splitlines()[-1]
        named = re.fullmatch(r"More: (\S+)\(8\)", told)
        check(named, "%s: %s" % (command, told))
        text = page(named.group(1) + ".8")
        check(re.search(r"\b%s\b" % command, text), "%s does not tell of %s" % (named.group(1), command))


run_cases()
