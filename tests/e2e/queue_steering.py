#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Messages that wait: seen, held, let go, returned and tried again by posternctl queue; expiry, notices to senders; postern-sendmail."""
import threading

from mail_sink import Sink
from postern_testing import *

DEAD = free_port()
go_on = threading.Event()
slow = Sink(answers={"MAIL": lambda: (go_on.wait(60), "450 4.2.0 not now")[1]})
site = Site(settings={
    "delivery": {"retry_first": "1 s", "retry_most": "2 s"},
    "queue": {"retry_first": "30 s", "retry_most": "60 s", "retry_factor": 2, "expire_time_high": "2 s", "delay_notice": "2 s"},
    "relay": {"dead_time": 0, "dead_time_most": 0, "routes": ["dead.example [127.0.0.1]:%d" % DEAD, "slow.example [127.0.0.1]:%d" % slow.port, "etrn.example [127.0.0.1]:%d" % DEAD]},
    "smtp": {"etrn_clients": "127.0.0.1", "etrn_time": "1 h"},
})


def send(*recipients, sender="anna@example.com", mail="", rcpt="", **options):
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        session.command("MAIL FROM:<%s>%s" % (sender, mail), 250)
        for recipient in recipients:
            session.command("RCPT TO:<%s>%s" % (recipient, rcpt), 250)
        session.data(message(message_id, to=recipients[0], sender=sender, **options))
        session.quit()
    return message_id


def waiting(recipient, state="deferred"):
    """The message for this recipient, as posternctl queue list has it, once it waits."""
    def look():
        return site.ctl_json("queue", "list", "--recipient", recipient, "--state", state)
    return wait_until(look, 10 * slow_build(), "%s is %s\n%s" % (recipient, state, "\n".join(site.log().splitlines()[-15:])))[0]


def notice(recipient, action, seconds=10):
    """The notice to anna about this recipient."""
    def look():
        return [text for text in site.messages("anna@example.com")
                if ("Final-Recipient: rfc822; %s\r\n" % recipient).encode() in text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") and ("Action: %s" % action).encode() in text]
    return wait_until(look, seconds * slow_build(), "a notice that %s is %s\n%s" % (recipient, action, "\n".join(site.log().splitlines()[-15:])))[0].decode()


@case
def ehlo_says_what_the_queue_can_do():
    with Smtp(site.smtp) as session:
        lines = session.hello()
        for word in ("DSN", "DELIVERBY", "MT-PRIORITY", "ETRN"):
            contains(str(lines), word)
        check("FUTURERELEASE" not in str(lines), "only users who have logged in may hold messages")
        session.command("MAIL FROM:<anna@example.com> HOLDFOR=60", 555)
        for bad in ("RET=SOME", "ENVID=a+0Ab", "ENVID=a+00", "BY=0;R", "BY=5;X", "MT-PRIORITY=10", "MT-PRIORITY=+1"):
            session.command("MAIL FROM:<anna@example.com> " + bad, 501)


@case
def what_cannot_be_sent_is_shown_held_released_and_returned():
    send("one@dead.example", mail=" BY=86400;N")
    found = waiting("one@dead.example")
    equal((found["sender"], found["recipients"][0]["status"], found["client"]), ("anna@example.com", "4.4.1", "127.0.0.1"), "what is known of it")
    check(found["deliver_by"] > found["received"] and "not_before" not in found, "what the sender has asked for")
    contains(site.ctl("queue", "list", "--host", "dead.example", "--reason", "4.4.1").stdout, "one@dead.example")
    contains(site.ctl("queue", "list", "--sender", "bert@example.com").stdout, "no such message")
    contains(site.ctl("queue", "show", found["id"]).stdout, "one@dead.example (tcp_local)")
    contains(site.ctl("queue", "show", found["id"], "--message").stdout, "Subject:")
    contains(site.ctl("queue", "stats").stdout, "dead.example")
    site.ctl("queue", "hold", found["id"])
    contains(waiting("one@dead.example", "held")["held_by"], "posternctl queue hold")
    site.ctl("queue", "release", "--recipient", "@dead.example")
    # What is let go is tried at once: an order that falls between two attempts is lost with the entry that goes.
    site.wait_for_log("deferred", "id=" + found["id"], "attempts=2")
    waiting("one@dead.example")
    site.ctl("queue", "bounce", found["id"])
    text = notice("one@dead.example", "failed")
    for part in ("Status: 5.0.0", "multipart/report", "Auto-Submitted: auto-replied", "message/rfc822"):
        contains(text, part)


@case
def an_order_about_a_message_that_is_being_tried_is_carried_out_afterwards():
    for action in ("remove", "hold", "bounce"):
        to = action + "@slow.example"
        go_on.clear()
        attempts = len(slow.commands)
        send(to)
        wait_until(lambda: any(command.startswith("MAIL") for command in slow.commands[attempts:]), 20 * slow_build(), "the attempt")
        contains(site.ctl("queue", action, "--recipient", to).stdout, "1 more are being tried just now")
        go_on.set()
        site.wait_for_log("order-carried-out", "order=" + action, seconds=20)
        if action == "hold":
            contains(waiting(to, "held")["held_by"], "posternctl queue hold")
        elif action == "bounce":
            contains(notice(to, "failed"), "Status: 5.0.0")
        equal(site.ctl_json("queue", "list", "--recipient", to, "--state", "deferred"), [], "what still waits")
    # Let go, it is tried again: the order is over.
    site.ctl("queue", "release", "--recipient", "hold@slow.example")
    waiting("hold@slow.example")


@case
def what_nobody_wants_is_removed():
    send("two@dead.example")
    waiting("two@dead.example")
    contains(site.ctl("queue", "remove", "--recipient", "two@dead.example").stdout, "1 messages: removed")
    equal(site.ctl_json("queue", "list", "--recipient", "two@dead.example"), [], "what is left")
    # One answer, whatever is wrong.
    answer = json.loads(site.ctl("--json", "queue", "remove", "nosuchmessage", expect=1).stdout)
    equal((answer["done"], answer["messages"], answer["errors"]), (False, 0, ["no message nosuchmessage waits in the queue"]))
    site.ctl("queue", "remove", expect=2)


@case
def a_message_that_is_not_there_is_told_by_every_command():
    send("known@dead.example")
    found = waiting("known@dead.example")
    for command in ("list", "show", "retry", "hold", "release", "bounce", "remove"):
        answer = site.ctl("queue", command, "nosuchmessage", expect=1)
        contains(answer.stderr, "no message nosuchmessage")
        contains(site.ctl("--json", "queue", command, "nosuchmessage", expect=1).stderr, "no message nosuchmessage")
    both = site.ctl("queue", "list", found["id"], "nosuchmessage", expect=1)
    contains(both.stdout, found["id"])
    contains(both.stderr, "no message nosuchmessage is in the queue")
    answer = site.ctl("--json", "queue", "list", found["id"], "nosuchmessage", expect=1)
    equal([one["id"] for one in json.loads(answer.stdout)], [found["id"]], "what is listed")
    site.ctl("queue", "list", found["id"])
    contains(site.ctl("queue", "list", found["id"], "--state", "held", expect=1).stderr, "no message %s fits" % found["id"])
    site.ctl("queue", "remove", found["id"])


@case
def a_delay_is_told_once_and_an_end():
    send("late@dead.example", mail=" RET=HDRS ENVID=order+2B7", rcpt=" NOTIFY=DELAY,FAILURE ORCPT=rfc822;Late@dead.example")
    waiting("late@dead.example")
    time.sleep(2.1)
    site.ctl("queue", "retry", "--recipient", "late@dead.example")
    text = notice("late@dead.example", "delayed", seconds=20)
    for part in ("Original-Envelope-Id: order+7", "Original-Recipient: rfc822; Late@dead.example", "Will-Retry-Until: ", "text/rfc822-headers"):
        contains(text, part)


@case
def a_message_in_a_hurry_expires_soon():
    send("fast@dead.example", mail=" MT-PRIORITY=5")
    waiting("fast@dead.example")
    text = notice("fast@dead.example", "failed", seconds=20)
    contains(text, "Status: 5.4.7")
    contains(text, "PRIORITY 5;", "the trace field of the message that came back")
    send("by@dead.example", mail=" BY=2;R")
    contains(notice("by@dead.example", "failed", seconds=20), "Status: 5.4.7")


@case
def nobody_is_told_who_does_not_want_to_know():
    send("never@dead.example", mail=" MT-PRIORITY=5", rcpt=" NOTIFY=NEVER")
    send("null@dead.example", sender="", mail=" MT-PRIORITY=5")
    site.wait_for_log("given-up", seconds=20)
    wait_until(lambda: not site.ctl_json("queue", "list", "--recipient", "never@dead.example") and not site.ctl_json("queue", "list", "--recipient", "null@dead.example"),
               20 * slow_build(), "both are gone")
    check(not any(b"never@dead.example" in text for text in site.messages("anna@example.com")), "no notice")


@case
def who_asks_for_it_is_told_of_success():
    send("bert@example.com", rcpt=" NOTIFY=SUCCESS")
    contains(notice("bert@example.com", "delivered"), "Status: 2.1.5")
    site.ctl("group", "add", "team@example.com", "anna@example.com", "bert@example.com")
    send("team@example.com", rcpt=" NOTIFY=SUCCESS")
    contains(notice("team@example.com", "expanded"), "Status: 2.1.5")


@case
def etrn_and_flush_try_at_once_what_waits_for_a_domain():
    with Smtp(site.smtp) as session:
        session.hello()
        check(session.command("ETRN dead.example")[0] in (250, 251, 252, 253), "an answer of RFC 1985")
        session.command("ETRN dead.example", 458)
        session.command("ETRN", 501)
        session.command("ETRN @dead.example", 459)
        session.command("ETRN #low", 459)
    message_id = send("alive@dead.example")
    waiting("alive@dead.example")
    send("one@etrn.example")
    waiting("one@etrn.example")
    with Smtp(site.smtp) as session:
        session.hello()
        # It is known that there are some; how many, only where no message waits for several domains.
        contains(str(session.command("ETRN etrn.example")), "pending messages for etrn.example")
    sink = Sink(port=DEAD)
    site.ctl("queue", "flush", "--host", "dead.example")
    wait_until(lambda: any(message_id.encode() in one.data for one in list(sink.messages)), 20 * slow_build(),
               "the message at its host\n%s" % "\n".join(site.log().splitlines()[-15:]))
    # Whatever else waited for it has followed.
    wait_until(lambda: not site.ctl_json("queue", "list", "--host", "dead.example"), 20 * slow_build(), "an empty queue")


def sendmail(*arguments, text, expect=0):
    return run(program("postern-sendmail"), "--config", site.configuration, *arguments, input=text, expect=expect)


@case
def sendmail_hands_a_message_over():
    mark = new_id()
    # Letters together, as in "sendmail -ti": each counts.
    sendmail("-itf", "anna@example.com", "-F", "Anna", text="To: bert@example.com\nBcc: anna@example.com\nSubject: x\n\n%s\n.\nend\n" % mark)
    for account in ("bert@example.com", "anna@example.com"):
        found = wait_until(lambda: [text for text in site.messages(account) if mark.encode() in text], 10 * slow_build(), "the message for " + account)[0]
        check(b"Bcc:" not in found and b"From: Anna <anna@example.com>" in found and b"Message-ID: <" in found and b"\nend" in found, "what was added and taken away")
    sendmail("-f", "<>", "bert@example.com, anna@example.com", text="Subject: y\n\n%s-2\n.\nnot this\n" % mark)
    found = wait_until(lambda: [text for text in site.messages("anna@example.com") if (mark + "-2").encode() in text], 10 * slow_build(), "the second message")[0]
    check(b"not this" not in found and b"Return-Path: <>" in found, "a dot ends it")


@case
def sendmail_says_what_became_of_it():
    sendmail("nobody-here@example.com", text="Subject: x\n\ny\n", expect=67)
    sendmail(text="y\n", expect=64)
    sendmail("-t", text="Subject: x\n\ny\n", expect=65)
    sendmail("--server", "127.0.0.1:%d" % free_port(), "bert@example.com", text="y\n", expect=75)


with site.running():
    run_cases()
