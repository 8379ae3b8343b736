#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A large message streams through without filling memory; one over the limit is refused, before or after its text."""
from postern_testing import *

site = Site(settings={"smtp": {"message_bytes": 30 * 1024 * 1024}})
LINE = b"0123456789abcdef" * 4 + CRLF


@case
def twenty_megabytes_arrive_unchanged():
    message_id = new_id()
    body = LINE * (20 * 1024 * 1024 // len(LINE))
    before = proportional_bytes(site.server.pids())
    with Smtp(site.smtp, timeout=60) as session:
        session.hello()
        session.begin("a@sender.example", "anna@example.com", "carl@example.org")
        session.data(message(message_id, body="") + body)
        session.quit()
    for account in ("anna@example.com", "carl@example.org"):
        text = site.find_message(account, message_id, seconds=20)
        equal(hashlib.sha256(text.partition(b"\n\n")[2].replace(b"\n", CRLF)).hexdigest(), hashlib.sha256(body).hexdigest(), "body in " + account)
    grown = lambda: (proportional_bytes(site.server.pids()) - before) / 1e6
    print("       memory grew by %.1f MB" % grown())
    if slow_build() == 1:
        # The last mailbox has it before delivery has put the message down.
        wait_until(lambda: grown() < 20, 10, "memory that grew by less than 20 MB")
    session = pop3(site, "carl@example.org")
    number = session.stat()[0]
    equal(sum(len(line) + 2 for line in session.retr(number)[1]), int(session.list(number).split()[2]), "octets by POP3")
    session.quit()


@case
def a_size_over_the_limit_is_refused_at_mail_from():
    with Smtp(site.smtp) as session:
        contains(session.hello()[1], "SIZE %d" % (30 * 1024 * 1024))
        equal(session.command("MAIL FROM:<a@sender.example> SIZE=40000000")[0], 552)
        session.command("MAIL FROM:<a@sender.example> SIZE=1000", 250)


@cases_of([("DATA", False), ("BDAT", True)])
def a_text_over_the_limit_is_refused_at_its_end(chunked):
    body = LINE * (31 * 1024 * 1024 // len(LINE))
    with Smtp(site.smtp, timeout=60) as session:
        session.hello()
        session.begin("a@sender.example", "bert@example.com")
        try:
            if chunked:
                code = session.command(b"BDAT %d LAST\r\n" % len(body) + body)[0]
            else:
                session.command("DATA", 354)
                code = session.command(body + b".\r\n")[0]
            equal(code, 552)
        except Closed:
            pass  # cut off in the middle: as good
    equal(site.messages("bert@example.com"), [])
    equal(os.listdir(os.path.join(site.base, "spool", "large")), [], "files left over")


with site.running():
    run_cases()
