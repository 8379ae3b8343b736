#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Only CRLF.CRLF ends a message: eleven other endings, by DATA, BDAT and LMTP, never let a second message in."""
from postern_testing import *

site = Site()


def smuggle(ending, way):
    """Sends a message that has another one behind `ending`; returns the Message-ID of the inner one."""
    outer, inner = new_id(), new_id()
    name = b"LHLO" if way == "lmtp" else b"EHLO"
    hidden = b"MAIL FROM:<boss@example.com>\r\nRCPT TO:<anna@example.com>\r\nDATA\r\n" + message(inner, body="smuggled\r\n") + b".\r\nQUIT\r\n"
    text = message(outer, body="outside") + ending + hidden
    with Smtp(site.lmtp if way == "lmtp" else site.smtp) as session:
        session.hello(lmtp=way == "lmtp")
        session.begin("a@sender.example", "bert@example.com")
        replies = []
        try:
            if way == "bdat":
                session.send(b"BDAT %d LAST\r\n" % len(text) + text)
            else:
                session.command("DATA", 354)
                session.send(text + b"\r\n.\r\n")
            session.send(b"QUIT\r\n")
            while True:
                replies.append(session.reply()[0])
        except Closed:
            pass
    del name
    equal([code for code in replies if code == 250][1:], [], "more than one message accepted: %r" % replies)
    return inner, replies


@cases_of([("%s by %s" % (repr(ending)[2:-1], way), ending, way) for way in ("data", "bdat", "lmtp") for ending in WRONG_ENDS])
def nothing_is_smuggled_behind(ending, way):
    inner, replies = smuggle(ending, way)
    check(any(code >= 500 for code in replies), "a bare CR, LF or NUL is refused: %r" % replies)
    equal([text for text in site.messages("anna@example.com") if inner.encode() in text], [], "the inner message was delivered")


@case
def afterwards_no_mailbox_has_an_inner_message():
    message_id = deliver(site)
    site.find_message("anna@example.com", message_id)
    equal(len(site.messages("anna@example.com")), 1, "messages in the mailbox of the inner messages")
    for text in site.messages("bert@example.com"):
        check(b"smuggled" not in text, "an outer message was accepted with what is behind the ending")


@cases_of([("bare LF in a command", b"NOOP\nRSET\r\n"), ("bare CR in a command", b"NOOP\rRSET\r\n"), ("NUL in a command", b"NOOP \x00\r\n")])
def commands_end_with_crlf_only(text):
    with Smtp(site.smtp) as session:
        session.hello()
        code = session.command(text)[0]
        check(code >= 500, "answered %d" % code)


with site.running():
    run_cases()
