#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What filters decide is carried out: replies, notices, notifications, changed text, hold, capture, included scripts, lists, discarded messages
and how they come back."""
from postern_testing import *

site = Site({"filter_discard": 2, "filters": {"spam_field": "X-Spam-Score", "vacation_least": 0}})
os.makedirs(os.path.join(site.etc, "sieve-global"))
with open(os.path.join(site.etc, "sieve-global", "lists.sieve"), "w") as file:
    file.write('require ["fileinto"];\nif header :contains "subject" "[list]" { fileinto "Lists"; stop; }\n')
with open(os.path.join(site.etc, "before.filter"), "w") as file:
    file.write('require ["vnd.postern.hold", "vnd.postern.capture", "vnd.postern.addtag"];\n'
               'if header :contains "subject" "hold me" { hold; }\n'
               'if header :contains "subject" "record me" { capture "carl@example.org"; }\n'
               'if header :contains "subject" "tag me" { addtag "[tagged]"; }\n')
site.write_mappings(MAPPINGS + "\nINVOICES\n\n  invoice*   $Y\n")
with open(os.path.join(site.etc, "partners.list"), "w") as file:
    file.write("# who we work with\npartner@friends.example\n@partner.example\n")
site.write_configuration({"filters": {"folder_separators": "/.", "lists": [
    "tag:example.com,2026:partners file partners.list", "tag:example.com,2026:staff group staff@example.com", "tag:example.com,2026:invoices table INVOICES"]}})
SCRIPT = """\
require ["fileinto", "include", "vacation-seconds", "enotify", "reject", "ereject", "editheader", "duplicate", "imap4flags", "environment", "spamtest",
  "relational", "comparator-i;ascii-numeric", "copy", "variables", "extlists"];
include :global "lists";
if header :is "subject" "away" { vacation :subject "Not here" "I am away."; stop; }
if header :is "subject" "tell" { notify :message "Look at it" "mailto:carl@example.org"; stop; }
if header :is "subject" "no" { reject "Not wanted."; stop; }
if header :is "subject" "never" { ereject "Not wanted either."; stop; }
if header :is "subject" "change" { addheader "X-Changed" "yes"; fileinto "Changed"; stop; }
if allof(header :is "subject" "twice", duplicate :header "X-Event") { discard; stop; }
if header :is "subject" "flags" { fileinto :flags ["\\\\Seen", "$Work"] "Flagged"; stop; }
if spamtest :value "ge" :comparator "i;ascii-numeric" "6" { fileinto "Junk"; stop; }
if header :is "subject" "where" { if environment "host" "mail.example.com" { fileinto "Here"; } stop; }
if header :is "subject" "gone" { discard; stop; }
if address :list "from" "tag:example.com,2026:partners" { fileinto "Work.Partners"; stop; }
if header :list "subject" "tag:example.com,2026:invoices" { fileinto "Work/Invoices"; stop; }
if address :list "from" ":addrbook:default" { fileinto "Known"; stop; }
if header :is "subject" "staff" { redirect :list "tag:example.com,2026:staff"; stop; }
if header :is "subject" "break" { redirect "${nobody}"; }
"""


def set_script(account, text):
    path = os.path.join(site.directory, "script")
    with open(path, "w") as script:
        script.write(text)
    site.ctl("account", "filter", account, path)


def with_subject(account, text, folder=""):
    """The one message in the folder whose header has this text."""
    def look():
        return [one for one in site.messages(account, folder) if text.encode() in one.split(b"\n\n")[0]]
    return wait_until(look, 10 * slow_build(), "%s in %s %s" % (text, account, folder or "INBOX"))


def to_anna(subject, **options):
    return deliver(site, sender="bert@example.com", subject=subject, **options)


def to_anna_and_carl(subject, sender="bert@example.com"):
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin(sender, "anna@example.com")
        session.command("RCPT TO:<carl@example.org>", 250)
        session.data(message(subject=subject, sender=sender))
        session.quit()


@case
def a_sender_gets_one_vacation_reply():
    site.find_message("anna@example.com", to_anna("away"))
    reply = with_subject("bert@example.com", "Subject: Not here")[0]
    contains(reply, b"Auto-Submitted: auto-replied")
    contains(reply, b"I am away.")
    site.find_message("anna@example.com", to_anna("away"))
    site.wait_for_log("not-sent", "what=vacation")
    equal(len(with_subject("bert@example.com", "Subject: Not here")), 1, "replies")


@case
def mail_to_an_alias_is_answered_in_its_name():
    site.ctl("alias", "add", "info@example.com", "anna@example.com")
    deliver(site, "info@example.com", sender="carl@example.org", subject="away")
    contains(with_subject("carl@example.org", "Subject: Not here")[0], b"From: <info@example.com>")


@case
def the_memory_survives_a_restart():
    site.server.stop()
    site.start()
    site.find_message("anna@example.com", to_anna("away"))
    wait_until(lambda: len(site.log_lines("not-sent", "what=vacation")) >= 2, 10 * slow_build(), "the second line")
    equal(len(with_subject("bert@example.com", "Subject: Not here")), 1, "replies")


@case
def a_notification_is_sent():
    site.find_message("anna@example.com", to_anna("tell"))
    contains(with_subject("carl@example.org", "Subject: Look at it")[0], b"Auto-Submitted: auto-notified")


@cases_of([("reject", "no", b"disposition-notification"), ("ereject", "never", b"delivery-status")])
def a_rejection_is_told_to_the_sender(subject, report):
    # Somebody else takes the message: it can't be refused before the reply.
    to_anna_and_carl(subject)
    notice = wait_until(lambda: [one for one in site.messages("bert@example.com") if report in one], 10 * slow_build(), "the notice")
    contains(notice[0], b"Not wanted")
    site.wait_for_log("rejected", "recipient=anna@example.com")
    equal([one for one in site.messages("anna@example.com") if b"Subject: %s\n" % subject.encode() in one], [], "INBOX")


@case
def nothing_is_told_to_the_null_sender_and_nothing_is_lost():
    before = len(site.log_lines("generated"))
    to_anna_and_carl("no", sender="")
    site.wait_for_log("not-sent", "what=reject")
    equal(len(site.log_lines("generated")), before)
    with_subject("anna@example.com", "Subject: no")


@case
def lists_are_asked_in_files_tables_and_the_directory():
    site.find_message("anna@example.com", deliver(site, sender="someone@partner.example", subject="x"), "Work/Partners")
    site.find_message("anna@example.com", to_anna("invoice 7"), "Work/Invoices")
    site.ctl("group", "add", "staff@example.com", "bert@example.com")
    first = to_anna("staff")
    site.find_message("bert@example.com", first)
    site.ctl("group", "change", "staff@example.com", "--add", "carl@example.org")
    second = to_anna("staff")
    site.find_message("carl@example.org", second)
    equal([one for one in site.messages("anna@example.com") if first.encode() in one or second.encode() in one], [], "INBOX")
    script = os.path.join(site.directory, "script")
    with open(script, "w") as file:
        file.write('require "extlists";\nif address :list "from" "tag:example.com,2026:strangers" { stop; }\n')
    told = site.ctl("account", "filter", "carl@example.org", script, expect=1)
    contains(told.stderr, ':2:25: there is no list "tag:example.com,2026:strangers"')


@case
def an_account_has_address_books():
    friend = "Friend@people.example"
    before = deliver(site, sender=friend, subject="x")
    site.find_message("anna@example.com", before)
    equal(site.ctl_json("addressbook", "list", "anna@example.com"), {"address_books": [{"book": "default", "entries": 0}]})
    equal(site.ctl_json("addressbook", "add", "anna@example.com", "Default", friend, "@team.example", friend.lower()), {"book": "default", "entries": 2})
    contains(site.ctl("addressbook", "show", "anna@example.com", "default").stdout, "Friend@people.example\n@team.example\n")
    site.find_message("anna@example.com", deliver(site, sender="friend@people.example", subject="x"), "Known")
    site.find_message("anna@example.com", deliver(site, sender="anybody@team.example", subject="x"), "Known")
    equal(site.ctl_json("addressbook", "remove", "anna@example.com", "default", "@TEAM.example"), {"book": "default", "entries": 1})
    site.find_message("anna@example.com", deliver(site, sender="anybody@team.example", subject="x"))
    told = site.ctl("addressbook", "import", "anna@example.com", "family", "-", input="# they\nmum@home.example\n\ndad@home.example\n").stdout
    contains(told, "address book family of anna@example.com has 2 entries")
    rows = site.ctl("addressbook", "list", "anna@example.com").stdout.split("\n")
    equal([row.split() for row in rows if row], [["BOOK", "ENTRIES"], ["default", "1"], ["family", "2"]])
    site.ctl("addressbook", "remove", "anna@example.com", "family")
    contains(site.ctl("addressbook", "show", "anna@example.com", "family", expect=1).stderr, "no address book family")
    contains(site.ctl("addressbook", "remove", "anna@example.com", "default", "x@y", expect=1).stderr, "x@y is not in it")
    contains(site.ctl("addressbook", "add", "anna@example.com", "../x", "x@y", expect=1).stderr, "name of an address book")
    contains(site.ctl("addressbook", "add", "anna@example.com", "default", "#x", expect=1).stderr, "expected a mail address")
    contains(site.ctl("addressbook", "import", "anna@example.com", "default", "-", input="a@b\n" + 400 * "x", expect=1).stderr, "-:2: expected")
    contains(site.ctl("addressbook", "add", "nobody@example.com", "default", "x@y", expect=1).stderr, "no account nobody@example.com")
    contains(site.ctl("addressbook", "add", "anna@example.com", "default", expect=2).stderr, "usage")


@case
def changed_text_and_flags_are_stored():
    contains(site.find_message("anna@example.com", to_anna("change"), "Changed"), b"\nX-Changed: yes\n")
    site.find_message("anna@example.com", to_anna("flags"), "Flagged")
    check(site.files("anna@example.com", "Flagged")[0].endswith(":2,Sa"), "the flags in the name")
    with open(os.path.join(site.folder_directory("anna@example.com", "Flagged"), "dovecot-keywords")) as keywords:
        equal(keywords.read(), "0 $Work\n")
    contains(site.find_message("bert@example.com", deliver(site, "bert@example.com", subject="tag me")), b"Subject: [tagged] tag me")


@case
def a_second_event_is_discarded_and_kept_aside():
    first = to_anna("twice", extra="X-Event: 7\r\n")
    site.find_message("anna@example.com", first)
    # The event counts when its message is durable, a moment after it can be seen.
    wait_until(lambda: site.ctl_json("status")["spool"]["backlog"] == 0, 5 * slow_build(), "the first is delivered")
    second = to_anna("twice", extra="X-Event: 7\r\n")
    site.wait_for_log("discarded", "by=discard")
    aside = os.path.join(site.base, "spool", "discarded")
    kept = wait_until(lambda: [name for name in os.listdir(aside)], 10 * slow_build(), "a file in spool/discarded")
    with open(os.path.join(aside, kept[0]), "rb") as message_kept:
        contains(message_kept.read(), second.encode())


@case
def what_was_discarded_is_shown_and_comes_back():
    kept = to_anna("gone")
    lost = to_anna("gone")

    def both():
        of = {entry["id"]: site.ctl("discarded", "show", entry["id"], "--message").stdout for entry in site.ctl_json("discarded", "list")}
        found = [name for one in (kept, lost) for name, text in of.items() if one in text]
        return found if len(found) == 2 else None
    kept_id, lost_id = wait_until(both, 10 * slow_build(), "both")
    entry = site.ctl_json("discarded", "show", kept_id)[0]
    equal((entry["sender"], entry["recipients"], entry["discarded_by"], entry["subject"]),
          ("bert@example.com", [{"address": "anna@example.com", "account": "anna@example.com"}], "discard, filter of level user", "gone"))
    rows = site.ctl("discarded", "list").stdout.splitlines()
    equal(rows[0].split(), ["ID", "AGE", "GONE", "BYTES", "SENDER", "RECIPIENTS", "DISCARDED", "BY"])
    check(all(row.index("<bert@example.com>") == rows[0].index("SENDER") for row in rows[1:]), "aligned")
    check(re.search(r" in [67] d ", rows[1]), rows[1])
    equal(site.ctl_json("discarded", "list", "--account", "@example.org"), [])
    equal(site.ctl_json("discarded", "list", "--older", "1d"), [])
    equal(len(site.ctl_json("discarded", "list", "--account", "anna@example.com", "--newer", "1d", "--limit", "1")), 1)
    equal(site.ctl_json("discarded", "restore", kept_id, "--account", "anna@example.com"), {"done": True, "messages": 1, "recipients": 1})
    site.find_message("anna@example.com", kept, seconds=20)
    equal(site.ctl_json("discarded", "remove", lost_id)["messages"], 1)
    check(not {kept_id, lost_id} & {entry["id"] for entry in site.ctl_json("discarded", "list")}, "they are gone")
    contains(site.ctl("discarded", "show", lost_id, expect=1).stderr, "no discarded message has the id")
    for wrong in (["restore"], ["list", lost_id], ["show"], ["frob"], ["list", "--older", "soon"], ["remove", "--all", "--account", "a@example.com"]):
        site.ctl("discarded", *wrong, expect=2)


@case
def the_score_and_the_environment_are_seen():
    site.find_message("anna@example.com", to_anna("spam", extra="X-Spam-Score: 9.5\r\n"), "Junk")
    site.wait_for_log("filtered", 'decided_by=user actions="fileinto \\"Junk\\" (line 11)"')
    site.find_message("anna@example.com", to_anna("where"), "Here")


@case
def a_held_message_waits_and_is_let_go():
    message_id = to_anna("hold me")
    line = site.wait_for_log("held ", "server-before")[0]
    equal([one for one in site.messages("anna@example.com") if message_id.encode() in one], [], "INBOX")
    site.ctl("queue", "held", "release", re.search(r" id=(\S+)", line).group(1))
    site.find_message("anna@example.com", message_id, seconds=20)


@case
def a_captured_copy_encloses_the_message():
    message_id = to_anna("record me")
    site.find_message("anna@example.com", message_id)
    copy = with_subject("carl@example.org", "Subject: Copy of a message to anna@example.com")[0]
    contains(copy, b"Content-Type: message/rfc822")
    contains(copy, message_id.encode())


@case
def global_and_personal_scripts_are_included():
    site.find_message("anna@example.com", to_anna("[list] hello"), "Lists")
    set_script("bert@example.com", 'require "include";\ninclude :personal :optional "work";\n')
    site.find_message("bert@example.com", deliver(site, "bert@example.com", subject="work"))


@case
def the_owner_of_a_failing_script_is_told_once():
    for _ in range(2):
        site.find_message("anna@example.com", to_anna("break"))
    contains(with_subject("anna@example.com", "Subject: Your mail filter failed")[0], b"line 18, column 35")
    equal(len(with_subject("anna@example.com", "Subject: Your mail filter failed")), 1, "mails about it")


with site.running():
    set_script("anna@example.com", SCRIPT)
    run_cases()
