#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Commands sent together are answered one by one and in order; state never leaks from one transaction into the next."""
from postern_testing import *

site = Site()


def replies(session, number):
    return [session.reply()[0] for _ in range(number)]


@case
def a_whole_session_in_one_segment():
    message_id = new_id()
    with Smtp(site.smtp, greeting=False) as session:
        session.reply()
        session.hello()
        session.send(b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<anna@example.com>\r\nRCPT TO:<nobody@example.com>\r\nDATA\r\n")
        equal(replies(session, 4), [250, 250, 550, 354])
        session.send(message(message_id) + b".\r\nMAIL FROM:<b@sender.example>\r\nRSET\r\nNOOP\r\nQUIT\r\n")
        equal(replies(session, 5), [250, 250, 250, 250, 221])
    site.find_message("anna@example.com", message_id)


@case
def many_transactions_in_one_go():
    ids = [new_id() for _ in range(30)]
    with Smtp(site.smtp) as session:
        session.hello()
        for message_id in ids:
            session.send(b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<bert@example.com>\r\nBDAT %d LAST\r\n" % len(message(message_id)) + message(message_id))
        session.send("QUIT\r\n")
        equal(replies(session, 91), [250] * 90 + [221])
    for message_id in ids:
        site.find_message("bert@example.com", message_id)


@case
def bytes_one_at_a_time():
    message_id = new_id()
    with Smtp(site.smtp) as session:
        for byte in b"EHLO x.example\r\nMAIL FROM:<a@sender.example>\r\nRCPT TO:<anna@example.com>\r\nDATA\r\n" + message(message_id) + b".\r\n":
            session.send(bytes([byte]))
        equal(replies(session, 5), [250, 250, 250, 354, 250])
    site.find_message("anna@example.com", message_id)


@cases_of([
    ("refused MAIL", b"MAIL FROM:<a@sender.example> SIZE=99999999999\r\n"), ("refused RCPT", b"MAIL FROM:<a@b.example>\r\nRCPT TO:<nobody@example.com>\r\n"),
    ("RSET", b"MAIL FROM:<a@b.example>\r\nRCPT TO:<anna@example.com>\r\nRSET\r\n"), ("EHLO", b"MAIL FROM:<a@b.example>\r\nRCPT TO:<anna@example.com>\r\nEHLO x.example\r\n"),
    ("BDAT, then DATA", b"MAIL FROM:<a@b.example>\r\nRCPT TO:<anna@example.com>\r\nBDAT 4\r\nab\r\nDATA\r\nRSET\r\n"),
    ("BDAT without recipients", b"MAIL FROM:<a@b.example>\r\nBDAT 5 LAST\r\nabc\r\nRSET\r\n"),
])
def nothing_remains_of_a_transaction_that_ended(commands):
    with Smtp(site.smtp) as session:
        session.hello()
        session.send(commands + b"NOOP end-of-this\r\n")
        wait_until(lambda: session.reply()[0] and not session.is_open(0.01) or session.buffer == b"", 2, "all replies", step=0)
        session.buffer = b""
        equal(session.command("DATA")[0] // 100, 5, "DATA without a recipient")
        session.command("RSET", 250)
        session.begin("z@sender.example", "bert@example.com")
        message_id = new_id()
        session.data(message(message_id))
        session.quit()
    contains(site.find_message("bert@example.com", message_id), b"Return-Path: <z@sender.example>")
    equal([text for text in site.messages("anna@example.com") if message_id.encode() in text], [], "in the other recipient's mailbox")


@case
def a_chunk_of_unknown_length_ends_the_session():
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin("a@sender.example", "anna@example.com")
        session.send("BDAT x\r\nRSET\r\nNOOP\r\n")  # what follows may be text: none of it is a command
        equal(session.rest()[:4], b"501 ")


@case
def too_many_errors_end_the_session():
    with Smtp(site.smtp) as session:
        session.send(b"NONSENSE\r\n" * 60)
        contains(session.rest().decode(), "\r\n421 ")


@case
def limits_on_lines_are_kept():
    with Smtp(site.smtp) as session:
        session.hello()
        equal(session.command(b"NOOP " + b"x" * 5000 + b"\r\n")[0], 500)
        session.begin("a@sender.example", "anna@example.com")
        session.command("DATA", 354)
        code = session.command(message(body="y" * 200000 + "\r\n") + b".\r\n")[0]
        check(code >= 500, "a line of 200,000 bytes was answered %d" % code)


with site.running():
    run_cases()
