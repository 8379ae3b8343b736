#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example tables of a small company: they compile without a word, decide as their remarks say, and each line that is broken is named."""
from postern_testing import *

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "company")
with open(os.path.join(SOURCES, "mappings")) as file:
    TEXT = file.read()
site = Site(mappings=TEXT, domains=["company.example", "shop.example"],
            accounts={"anna@company.example": "anna's secret", "bert@shop.example": "bert's secret", "news@company.example": "news' secret"})
shutil.copy(os.path.join(SOURCES, "before.filter"), site.etc)
with open(os.path.join(site.etc, "aliases"), "w") as file:
    file.write("staff@company.example: anna@company.example, bert@shop.example\n")
site.compile()
site.ctl("account", "filter", "bert@shop.example", "-", input="keep;\n")


def line_of(part):
    """The number of the one line that begins with this entry."""
    found = [number for number, line in enumerate(TEXT.splitlines(), 1) if line.strip().startswith(part)]
    equal(len(found), 1, "lines with " + part)
    return found[0]


def decision(client, sender=None, recipient=None, *more):
    arguments = ["--client", client, *more]
    if sender is not None:
        arguments += ["--from", sender]
    if recipient:
        arguments += ["--rcpt", recipient]
    return json.loads(site.ctl("--json", "access", *arguments, expect=None).stdout)


INSIDE, STRANGER, PARTNER, COUNTRY = "192.0.2.7", "192.0.3.7", "203.0.113.20", "198.51.100.7"


@case
def the_tables_compile_without_a_word():
    done = run(program("postern-compile"), "--config", site.etc, "--check", "--strict")
    equal(done.stderr, "")


@cases_of([
    ("stranger to a user", STRANGER, "a@example.org", "anna@company.example", "250 2.1.5", None),
    ("stranger to the other domain", STRANGER, "a@example.org", "bert@shop.example", "250 2.1.5", None),
    ("stranger to nobody", STRANGER, "a@example.org", "nobody@shop.example", "550 5.1.1 no such user here: nobody@shop.example", None),
    ("stranger to outside", STRANGER, "a@example.org", "b@example.net", "550 5.7.1 Relaying not permitted: b@example.net", "tcp_local|*|tcp_local|*"),
    ("partner to outside", PARTNER, "a@partner.example", "b@example.net", "accepted by the tables", None),
    ("who says he is the partner", STRANGER, "a@partner.example", "b@example.net", "550 5.7.1 Relaying not permitted: b@example.net",
     "TCP|*|*|*|*|SMTP*|MAIL|tcp_local|*|tcp_local|*"),
    ("internal to outside", INSIDE, "anna@company.example", "b@example.net", "accepted by the tables", None),
    ("the sender who was asked to stop", STRANGER, "Offers@Pushy.example", "anna@company.example",
     "550 5.7.1 We have asked you to stop: Offers@Pushy.example", "*|SMTP*|MAIL|*|offers@pushy.example|*"),
    ("our name from the street", STRANGER, "anna@company.example", "bert@shop.example", "550 5.7.1 Please log in: anna@company.example",
     "*|SMTP*|MAIL|tcp_local|*@company.example|*"),
    ("our name from inside", INSIDE, "anna@company.example", "bert@shop.example", "250 2.1.5", None),
    ("a bounce", STRANGER, "", "anna@company.example", "250 2.1.5", None),
    ("the country", COUNTRY, "a@example.org", "anna@company.example", "554 5.7.1 no mail from your network", "TCP|*|25|*|*"),
    ("the customer in the country", "198.51.100.25", "a@example.org", "anna@company.example", "250 2.1.5", None),
    ("the country, IPv6", "2001:db8:bad::1", "a@example.org", "anna@company.example", "554 5.7.1 no mail from your network", "TCP|*|25|*|*"),
    ("internal, IPv6", "2001:db8:10::1", "anna@company.example", "b@example.net", "accepted by the tables", None),
])
def the_decision_is(client, sender, recipient, reply, entry):
    told = decision(client, sender, recipient, "--server", "192.0.2.1:25")
    said = [step["reply"] for step in told["steps"] if "reply" in step][-1]
    probes = [event for step in told["steps"] for event in step["events"] if event["event"] == "probe"]
    if reply == "accepted by the tables":
        # Whether the server then takes it for sending is not the tables' business.
        equal([probe["verdict"] for probe in probes if probe["verdict"] not in ("allow", "yes", "no")], [])
        return
    check(said.startswith(reply), "%r instead of %r" % (said, reply))
    equal(told["accepted"], reply.startswith("250"))
    if entry:
        equal((probes[-1]["verdict"], probes[-1]["line"]), ("deny", line_of(entry)))
        check(probes[-1]["file"].endswith("/etc/mappings") and probes[-1]["generation"] == 2, probes[-1])


@case
def messages_to_the_newsletter_are_held_unless_the_editor_sends_them():
    for client, sender, held in ((STRANGER, "a@example.org", True), (INSIDE, "anna@company.example", True), (INSIDE, "editor@company.example", False)):
        step = decision(client, sender, "news@company.example", "--server", "192.0.2.1:25")["steps"][-1]
        equal((step["accepted"], step.get("effects", {}).get("held", False)), (True, held), sender)


@case
def each_entry_that_is_broken_is_named():
    lines = TEXT.splitlines()
    # What goes wrong when one writes: no indentation, no template, an unquoted blank, a sequence that does not exist, a blank line.
    def unindented(line):
        return line.lstrip()

    def without_template(line):
        return "  " + line.split()[0]

    def with_text_behind(line):
        return line + " away"

    def with_an_unknown_sequence(line):
        return line + "$("

    def with_an_unknown_class(line):
        return "  $d*" + line.lstrip()

    breaks = [(unindented, ("E01", "E02")), (without_template, ("E04",)), (with_text_behind, ("E05",)), (with_an_unknown_sequence, ("E15",)), (with_an_unknown_class, ("E06",))]
    wrong = []
    directory = tempfile.mkdtemp(prefix="postern-broken-")
    try:
        for index, line in enumerate(lines):
            if not line.startswith(" "):
                continue
            for spoil, codes in breaks:
                with open(os.path.join(directory, "mappings"), "w") as file:
                    file.write("\n".join(lines[:index] + [spoil(line)] + lines[index + 1:]) + "\n")
                done = run(program("postern-compile"), "--config", directory, "--check", expect=2)
                first = done.stderr.splitlines()[0]
                if not any("mappings:%d: error %s: " % (index + 1, code) in first for code in codes):
                    wrong.append("%s, line %d: %s" % (spoil.__name__, index + 1, first))
    finally:
        shutil.rmtree(directory)
    equal(wrong, [])


@case
def the_decisions_are_in_the_log():
    with Smtp(site.smtp, source="127.0.0.2") as session:
        session.hello()
        session.command("MAIL FROM:<a@example.org>", 250)
        equal(session.command("RCPT TO:<b@example.net>")[0], 550)
        session.command("RCPT TO:<anna@company.example>", 250)
    wait_until(lambda: site.log_lines("refused", "table=ORIG_SEND_ACCESS", "line=%d " % line_of("tcp_local|*|tcp_local|*"), "reply=550"), 5, "the refusal in the log")


@case
def attachments_to_a_list_wait_until_they_are_let_go_and_nothing_else_does():
    def send(recipient, kind):
        return deliver(site, recipient, source="127.0.0.2", sender="a@example.org", extra="MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=cut\r\n",
                       body="--cut\r\n\r\nHello.\r\n--cut\r\nContent-Type: application/pdf\r\nContent-Disposition: %s; filename=a.pdf\r\n\r\nPDF\r\n--cut--\r\n" % kind)
    # A filter of a member's own does not come first.
    held = send("staff@company.example", "Attachment")
    for others in (send("staff@company.example", "inline"), send("anna@company.example", "attachment")):
        site.find_message("anna@company.example", others)
    waiting = wait_until(lambda: site.ctl_json("queue", "held", "list"), 5, "the message on hold")
    equal(len(waiting), 1)
    for account in ("anna@company.example", "bert@shop.example"):
        check(all(held.encode() not in text for text in site.messages(account)), account)
    site.ctl("queue", "held", "release", waiting[0]["id"])
    for account in ("anna@company.example", "bert@shop.example"):
        site.find_message(account, held)


with site.running():
    run_cases()
