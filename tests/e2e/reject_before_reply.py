#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What filters refuse is refused before the reply where all recipients agree (RFC 5429), by LMTP for each recipient; what can't be known in
time is taken, and nothing is lost or comes twice."""
from postern_testing import *

SCRIPT = """\
require ["reject", "ereject", "fileinto", "vnd.postern.refuse"];
if header :is "subject" "lines" { ereject text:
The first line.
The second.
.
; }
elsif header :is "subject" "refuse" { refuse "Refused."; }
elsif header :is "subject" "foreign reject" { reject "Nein, gr\u00fc\u00dfe."; }
elsif header :is "subject" "foreign ereject" { ereject "Nein, gr\u00fc\u00dfe."; }
elsif header :contains "subject" "no" { reject "No thanks."; }
elsif header :is "subject" "file" { fileinto "Filed"; }
"""
site = Site(settings={"children": {"smtp": 1, "delivery": 1}, "delivery": {"verdict_time": 3000}, "spool": {"large_message_bytes": 65536}})


def set_script(account, text):
    path = os.path.join(site.directory, "script")
    with open(path, "w") as file:
        file.write(text)
    site.ctl("account", "filter", account, path)


def send(*recipients, subject="no", sender="carl@example.org", expect=550, smtputf8=False, **options):
    """The reply to the message, and its Message-ID."""
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        session.command("MAIL FROM:<%s>%s" % (sender, " SMTPUTF8" if smtputf8 else ""), 250)
        for recipient in recipients:
            session.command("RCPT TO:<%s>" % recipient, 250)
        reply = session.data(message(message_id, subject=subject, sender=sender or "daemon@example.org", **options), expect)
        session.quit()
    return reply, message_id


def nobody_has(message_id):
    """Nothing is on its way any more, and no mailbox has it."""
    wait_until(lambda: site.ctl_json("status")["spool"]["backlog"] == 0, what="an empty backlog")
    for account in site.accounts:
        for folder in ("", "Filed"):
            for text in site.messages(account, folder):
                check(b"Message-ID: <" + message_id.encode() not in text, "%s has it" % account)


def notices_to(account, part):
    return [text for text in site.messages(account) if part.encode() in text]


@case
def one_recipient_refuses_in_the_dialogue():
    set_script("anna@example.com", SCRIPT)
    reply, message_id = send("anna@example.com")
    equal(reply[1], ["5.7.1 No thanks."])
    nobody_has(message_id)
    equal(send("anna@example.com", subject="refuse")[0][1], ["5.7.1 Refused."])
    equal(notices_to("carl@example.org", "No thanks."), [])
    check(site.log_lines("message-refused", "refused_by=anna@example.com"), "the log says who refused")


@case
def lines_of_the_reason_are_lines_of_the_reply():
    equal(send("anna@example.com", subject="lines")[0][1], ["5.7.1 The first line.", "5.7.1 The second."])


@case
def what_is_not_refused_is_delivered_once():
    set_script("anna@example.com", SCRIPT)
    _, message_id = send("anna@example.com", subject="file", expect=250)
    site.find_message("anna@example.com", message_id, "Filed")
    equal(len([text for text in site.messages("anna@example.com", "Filed") if message_id.encode() in text]), 1)


@case
def a_large_message_is_refused_and_leaves_nothing():
    large = os.path.join(site.base, "spool", "large")
    send("anna@example.com", body="x\r\n" * 60000)
    wait_until(lambda: os.listdir(large) == [], what="no large message is left")
    _, message_id = send("anna@example.com", subject="file", body="x\r\n" * 60000, expect=250)
    site.find_message("anna@example.com", message_id, "Filed")
    wait_until(lambda: os.listdir(large) == [], what="no large message is left")


@case
def if_another_recipient_takes_it_the_refusal_goes_by_mail():
    _, message_id = send("anna@example.com", "bert@example.com", expect=250)
    site.find_message("bert@example.com", message_id)
    wait_until(lambda: notices_to("carl@example.org", "No thanks."), what="a notice")
    equal(len(notices_to("carl@example.org", "No thanks.")), 1)


@case
def nobody_is_told_of_a_refusal_to_the_null_sender():
    equal(send("anna@example.com", sender="")[0][1], ["5.7.1 No thanks."])
    _, message_id = send("anna@example.com", "bert@example.com", sender="", expect=250)
    site.find_message("bert@example.com", message_id)
    nobody_has_more = len(notices_to("carl@example.org", "No thanks."))
    site.find_message("anna@example.com", message_id)  # nobody could be told, so she has it
    wait_until(lambda: site.ctl_json("status")["spool"]["backlog"] == 0, what="an empty backlog")
    equal(len(notices_to("carl@example.org", "No thanks.")), nobody_has_more)


@case
def only_who_can_refuse_is_asked():
    """The program decides, with what it includes, and no word in the text."""
    script = os.path.join(site.directory, "script")
    for name, own in [("mild", "# reject\nkeep;"), ("harsh", 'require "reject"; if header :is "subject" "unwanted" { reject "Included."; }')]:
        with open(script, "w") as file:
            file.write(own)
        site.ctl("account", "script", "put", "bert@example.com", name, script)
    for text in ['require ["include"]; include :personal "harsh";', 'require "re\\ject"; reject "Included.";']:
        set_script("bert@example.com", text)
        equal(send("bert@example.com", subject="unwanted")[0][1], ["5.7.1 Included."])
    for text in ["# I never reject\nkeep;", 'require ["include"]; include :personal "mild";', 'require "reject"; stop; reject "x";']:
        set_script("bert@example.com", text)
        child = site.server.children("delivery")[0]
        os.kill(child, signal.SIGSTOP)
        began = time.monotonic()
        send("bert@example.com", subject="unwanted", expect=250)
        os.kill(child, signal.SIGCONT)
        check(time.monotonic() - began < 2.5, "nobody is asked: " + text)
    set_script("bert@example.com", "keep;")


@case
def by_lmtp_each_recipient_is_answered():
    message_id = new_id()
    before = len(notices_to("carl@example.org", "No thanks."))
    with Smtp(site.lmtp) as session:
        session.hello(lmtp=True)
        session.begin("carl@example.org", "bert@example.com", "anna@example.com")
        session.command("DATA", 354)
        session.send(message(message_id, subject="no") + b".\r\n")
        equal([session.reply()[0], session.reply()], [250, (550, ["5.7.1 No thanks."])])
        session.quit()
    site.find_message("bert@example.com", message_id)
    wait_until(lambda: site.ctl_json("status")["spool"]["backlog"] == 0, what="an empty backlog")
    check(not any(message_id.encode() in text for text in site.messages("anna@example.com")), "anna has no copy")
    equal(len(notices_to("carl@example.org", "No thanks.")), before, "she was answered: no notice")


@case
def replies_are_ascii_unless_the_client_can_read_more():
    equal(send("anna@example.com", subject="foreign ereject")[0][1], ["5.7.1 The recipient's filter refuses this message."])
    for subject in ("foreign ereject", "foreign reject"):
        with Smtp(site.smtp) as session:
            session.hello()
            session.command("MAIL FROM:<carl@example.org> SMTPUTF8", 250)
            session.command("RCPT TO:<anna@example.com>", 250)
            session.command("DATA", 354)
            session.send(message(subject=subject) + b".\r\n")
            contains(session.line(), "gr\u00fc\u00dfe")
            session.quit()
    send("anna@example.com", subject="foreign reject", expect=250)  # RFC 5429 section 2.2.1: by MDN


@case
def without_delivery_the_message_is_taken_in_time():
    child = site.server.children("delivery")[0]
    os.kill(child, signal.SIGSTOP)
    began = time.monotonic()
    _, message_id = send("anna@example.com", "bert@example.com", expect=250)
    check(time.monotonic() - began >= 2.5, "it waited for the verdict")
    check(site.log_lines("verdict-missing", "time limit"), "the log says so")
    os.kill(child, signal.SIGCONT)
    site.find_message("bert@example.com", message_id)


@case
def another_delivery_child_answers_what_a_dead_one_left():
    child = site.server.children("delivery")[0]
    os.kill(child, signal.SIGSTOP)
    killer = threading.Timer(0.5, os.kill, (child, signal.SIGKILL))
    killer.start()
    equal(send("anna@example.com")[0][1], ["5.7.1 No thanks."])
    killer.join()


def killed_at(point, process, expected_copies):
    """A server whose `process` kills itself at the point, with a question under way: nothing is lost, nothing comes twice."""
    site.server.stop()
    site.start(environment={"POSTERN_KILL_POINT": point})
    message_id = new_id()
    answered = False
    with contextlib.suppress(AssertionError, OSError, Closed), Smtp(site.smtp) as session:
        session.hello()
        session.begin("carl@example.org", "anna@example.com")
        session.data(message(message_id, subject="file"))
        answered = True
    equal(answered, process == "delivery", "whether it was answered")
    site.server.kill()
    site.start()
    if expected_copies:
        site.find_message("anna@example.com", message_id, "Filed")
    nobody_else = [text for text in site.messages("anna@example.com", "Filed") if message_id.encode() in text]
    if not expected_copies:
        # What comes behind it is there, and it is not.
        site.find_message("bert@example.com", send("bert@example.com", expect=250)[1])
        nobody_else = [text for text in site.messages("anna@example.com", "Filed") if message_id.encode() in text]
    equal(len(nobody_else), expected_copies)


with open(program("posternd"), "rb") as file:
    if b"POSTERN_KILL_POINT" in file.read():
        cases_of([("pending-appended", "pending-appended", "smtp", 0), ("verdict-known", "verdict-known", "smtp", 0),
                  ("verdict-noted", "verdict-noted", "smtp", 1), ("verdict-asked", "verdict-asked", "delivery", 1)])(killed_at)

with site.running():
    run_cases()
