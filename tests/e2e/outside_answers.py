#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What templates ask of the world outside: counters over all children, site daemons, sequence files, URLs, domains."""
from postern_testing import *

# Where the server's own users can reach it; the site's directory lets nobody in.
REACHED = tempfile.mkdtemp(prefix="postern-outside-")
os.chmod(REACHED, 0o755)
atexit.register(shutil.rmtree, REACHED, True)
SOCKET, TEXT = REACHED + "/daemon", REACHED + "/text"
with open(TEXT, "w") as file:
    file.write("first line\nsecond line\n")
QUOTA = 7

RULES = """\
PORT_ACCESS

  TCP|*|*|127.0.1.*|*   $C$:A$[postern:throttle,exact,all]$N421$ try$ again$ later$E
  TCP|*|*|127.0.1.*|*   $Y
  TCP|*|*|127.0.2.*|*   $C$:A$[socket:%(socket)s,hang]$N421$ never$E
  TCP|*|*|127.0.3.*|*   $C$:A$N421$ $[socket:%(socket)s,client$ 127.0.3.$2]$E
  TCP|*|*|127.0.4.*|*   $C$:A$[postern:throttle,unknown,x]$N421$ unknown$E
  *                     $Y

FROM_ACCESS

  *|SMTP*|MAIL|*|sequence@*|*   $C$N$#tickets|16|4#$E
  *|SMTP*|MAIL|*|missing@*|*    $C$N$#no-such-file#$E
  *|SMTP*|MAIL|*|data@*|*       $C$N$]data:,hello%%20you[$E
  *|SMTP*|MAIL|*|file@*|*       $C$N$]file://%(text)s[$E
  *|SMTP*|MAIL|*|nofile@*|*     $C$N$]file:///no/such/file[$E
  *|SMTP*|MAIL|*|ldap@*|*       $C$N$]ldap:///dc=example?cn?base?(cn=x)[$E
  *|SMTP*|MAIL|*|domain@*|*     $C$N$}EXAMPLE.com,_canonical_name_{$E
  *|SMTP*|MAIL|*|nodomain@*|*   $C$N$}example.net,_domain_name_{$E
  *|SMTP*|MAIL|*|attribute@*|*  $C$N$}example.com,DEPARTMENT{$E
  *|SMTP*|MAIL|*|basedn@*|*     $C$N$}example.com,_base_dn_{$E
  *|SMTP*|MAIL|*|daemon-*@*|*   $C$N$[socket:%(socket)s,$3$ of$ $2]$E
  *|SMTP*|MAIL|*|often@*|*      $C$[postern:throttle_p,by-sender,often]$NToo$ much$E

""" % {"socket": SOCKET, "text": TEXT} + MAPPINGS.split("\n\n", 2)[2]
site = Site(mappings=RULES, settings={"children": {"smtp": 3}, "throttle": {
    "exact": {"quota": QUOTA, "period": "7 d"}, "by-sender": {"quota": 2, "period": "1 h", "count": "periods"}}})


class Daemon:
    """Answers each line by a rule; `hang` gets no answer."""

    def __init__(self):
        self.asked = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(SOCKET)
        os.chmod(SOCKET, 0o666)
        self.socket.listen(100)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        for line in connection.makefile("rb"):
            question = line.decode().rstrip("\n")
            self.asked.append(question)
            if question == "hang":
                continue
            bad = question.endswith(".66") or question.startswith("bad ")
            connection.sendall(b"OK said about %s\n" % question.encode() if bad else b"NO\n")


DAEMON = Daemon()


def greetings(number, source):
    """How many of so many connections at the same time are greeted and refused."""
    lines = [Line(site.smtp, source) for _ in range(number)]
    answers = collections.Counter(line.line()[:3] for line in lines)
    close_all(lines)
    return answers["220"], answers["421"]


def sender(local_part):
    """The answer to MAIL FROM."""
    with Smtp(site.smtp) as session:
        session.hello()
        code, lines = session.command("MAIL FROM:<%s@sender.example>" % local_part)[:2]
        return "%s %s" % (code, " ".join(lines) if isinstance(lines, list) else lines)


@case
def no_more_than_the_quota_get_in_over_all_children():
    equal(greetings(3 * QUOTA, "127.0.1.1"), (QUOTA, 2 * QUOTA))
    equal(greetings(3, "127.0.1.2"), (0, 3), "the key is all of them")
    equal(greetings(3, "127.0.0.1"), (3, 0), "others")


@case
def counts_outlive_children_that_are_killed():
    for pid in site.server.children("smtp"):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(site.server.children("smtp")) == 3 and greeted(site.smtp), 20, "new children")
    equal(greetings(5, "127.0.1.1"), (0, 5))


@case
def counts_outlive_a_reload_and_an_upgrade():
    site.write_configuration({"throttle": {"another": {"quota": 1}}})
    site.server.reload()
    equal(greetings(3, "127.0.1.1"), (0, 3), "after a reload")
    site.ctl("upgrade", timeout=120)
    wait_until(lambda: site.ctl_json("status")["state"] == "running", 60 * slow_build(), "the upgrade is complete")
    equal(greetings(3, "127.0.1.1"), (0, 3), "after an upgrade")


@case
def posternctl_shows_and_resets_counters():
    tables = {table["name"]: table for table in site.ctl_json("throttle", "list")["tables"]}
    # The server's own ones are among them.
    equal(sorted(name for name in tables if not name.startswith("submission.")), ["another", "by-sender", "exact"])
    equal((tables["exact"]["quota"], tables["exact"]["keys"], tables["exact"]["period_seconds"]), (QUOTA, 1, 7 * 86400))
    key, = site.ctl_json("throttle", "show", "exact")["keys"]
    equal((key["key"], key["exceeded"], key["uses"] - key["refused"]), ("all", True, QUOTA))
    contains(site.ctl("throttle", "show", "exact", "ALL").stdout, "yes, for")
    contains(site.ctl("throttle", "show", "exact", "nobody", expect=1).stderr, "nobody is not in the table exact")
    contains(site.ctl("throttle", "show", "none", expect=1).stderr, 'no table "none"')
    site.ctl("throttle", "show", expect=2)
    equal(site.ctl_json("throttle", "reset", "exact", "all")["forgotten"], 1)
    equal(greetings(QUOTA + 1, "127.0.1.1"), (QUOTA, 1))
    site.write_configuration({"throttle": {"exact": {"quota": QUOTA + 1}}})
    site.server.reload()
    equal(greetings(QUOTA + 2, "127.0.1.1"), (QUOTA + 1, 1), "a table whose settings changed begins anew")


@case
def a_sender_is_counted_too():
    equal([sender("often")[:3] for _ in range(4)], ["250", "250", "550", "550"])


@case
def a_table_that_is_not_there_is_said_once():
    equal(greetings(4, "127.0.4.1"), (4, 0))
    check(len(site.wait_for_log("throttle-unknown", "what=unknown")) <= len(site.server.children("smtp")), "once a child")


@case
def a_daemon_decides():
    with Line(site.smtp, "127.0.3.66") as line:
        equal(line.rest(), b"421 said about client 127.0.3.66\r\n")
    check(greeted(site.smtp, "127.0.3.67"), "others")
    contains(DAEMON.asked, "client 127.0.3.66")
    contains(sender("daemon-bad"), "said about bad of tcp_")
    contains(sender("daemon-good"), "250")


@case
def a_daemon_that_never_answers_keeps_nobody_else_waiting():
    waiting = [Line(site.smtp, "127.0.2.1") for _ in range(12)]
    wait_until(lambda: DAEMON.asked.count("hang") == len(waiting), 5 * slow_build(), "all of them ask")
    for _ in range(5):
        check(greeted(site.smtp), "others are served")
    contains(sender("data"), "hello you")
    for line in waiting:
        contains(line.line(), "220", "after its time is over")
    close_all(waiting)
    lines = site.wait_for_log("site-daemon", "no answer within 5000 ms")
    check(len(lines) <= len(site.server.children("smtp")), "said once a child, not for each connection: %d" % len(lines))


@case
def sequences_count_on():
    path = os.path.join(site.base, "sequences", "tickets")
    with open(path, "w") as file:
        file.write("41\n")
    os.chmod(path, 0o666)
    contains(sender("sequence"), "002A: sequence@")
    contains(sender("sequence"), "002B: sequence@")
    with open(path) as file:
        equal(file.read(), "43\n")
    contains(sender("missing"), "250")
    contains(site.wait_for_log("sequence-failed")[0], "what=no-such-file")


@case
def tools_ask_what_changes_nothing():
    """Without --ask they say that they did not."""
    def answer(table, probe, *options):
        told = site.ctl_json("probe", "--trace", "--flags", "A", "--table", table, *options, probe, expect=None)
        return told["output"], [line["reason"] for line in told["trace"] if line.get("reason")]
    bad = "TCP|192.0.2.1|25|127.0.3.66|4000"
    contains(answer("PORT_ACCESS", bad)[1], "not asked (needs the running server)")
    equal(answer("PORT_ACCESS", bad, "--ask"), ("421 said about client 127.0.3.66", []))
    sent = "tcp_local|SMTP*|MAIL|tcp_local|%s@x.example|x"
    equal(answer("FROM_ACCESS", sent % "data", "--ask")[0], "hello you")
    equal(answer("FROM_ACCESS", sent % "file", "--ask")[0], "first line")
    # A counter is looked at: however often, it stays as it was.
    uses = site.ctl_json("throttle", "show", "by-sender", "often")["keys"][0]["uses"]
    for _ in range(3):
        equal(answer("FROM_ACCESS", sent % "often", "--ask")[0], "Too much")
    equal(site.ctl_json("throttle", "show", "by-sender", "often")["keys"][0]["uses"], uses, "uses")
    # And so is a sequence: the number that comes next is nobody's yet.
    for _ in range(2):
        equal(answer("FROM_ACCESS", sent % "sequence", "--ask"), ("002C", []))
    with open(os.path.join(site.base, "sequences", "tickets")) as file:
        equal(file.read(), "43\n")
    contains(answer("FROM_ACCESS", sent % "missing", "--ask")[1], "nothing found outside")
    # What the directory knows.
    equal(answer("FROM_ACCESS", sent % "domain", "--ask")[0], "example.com")
    equal(answer("FROM_ACCESS", sent % "attribute", "--ask")[0], "Sales & more")
    for nothing in ("nodomain", "basedn", "ldap"):
        contains(answer("FROM_ACCESS", sent % nothing, "--ask")[1], "nothing found outside")
    # The whole decision.
    arguments = ("access", "--client", "198.51.100.7", "--from", "daemon-bad@x.example")
    equal(site.ctl_json(*arguments)["accepted"], True)
    told = site.ctl_json(*arguments, "--ask", expect=1)
    contains([step["reply"] for step in told["steps"] if "reply" in step][-1], "said about bad of tcp_local")


@cases_of([(name, name, wanted) for name, wanted in [("data", "hello you: data@"), ("file", "first line: file@"), ("nofile", "250"), ("ldap", "250"),
                                                     ("domain", "example.com: domain@"), ("attribute", "Sales & more: attribute@"), ("nodomain", "250"), ("basedn", "250")]])
def urls_and_domains(local_part, wanted):
    contains(sender(local_part), wanted)


@case
def attributes_are_set_shown_and_taken_away():
    shown = site.ctl_json("domain", "show", "example.com")["domain"]
    equal((shown["attributes"], shown["conversion_tags"]), ({"department": "Sales & more"}, ["scan", "pdf"]))
    contains(site.ctl("domain", "show", "example.com").stdout, "attribute        department Sales & more")
    dumped = site.ctl("directory", "dump").stdout
    contains(dumped, "  attribute department Sales & more\n")
    contains(dumped, "  tag scan\n  tag pdf\n")
    contains(site.ctl("domain", "set", "example.com", "_base_dn_", "x", expect=1).stderr, "a letter, then letters, digits and hyphens")
    contains(site.ctl("domain", "set", "none.example", "a", "x", expect=1).stderr, "there is no domain none.example")
    contains(site.ctl("domain", "tag", "example.com", "a b", expect=1).stderr, "conversion tag")
    site.ctl("domain", "set", "example.com", expect=2)
    site.ctl("domain", "set", "example.com", "Department", "--none")
    site.ctl("domain", "tag", "example.com", "--none")
    shown = site.ctl_json("domain", "show", "example.com")["domain"]
    check("attributes" not in shown and "conversion_tags" not in shown, shown)
    contains(sender("attribute"), "250")


site.ctl("domain", "set", "example.com", "Department", "Sales & more")
site.ctl("domain", "tag", "example.com", "scan", "pdf")
with site.running():
    run_cases()
