#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""FROM_ACCESS decides at MAIL FROM: refusal with text and status, limits, delay; nothing of a refused sender remains."""
from postern_testing import *

RULES = """
FROM_ACCESS

  TCP|*|*|*|*|SMTP*|MAIL|*|*@spam.example|*      $NWe$ take$ no$ mail$ from$ there
  TCP|*|*|*|*|SMTP*|MAIL|*|*@later.example|*     $X4.7.1|come$ back$ later$N
  TCP|*|*|*|*|SMTP*|MAIL|*|*@slow.example|*      $D-50$Y
  TCP|*|*|*|*|SMTP*|MAIL|*|*@small.example|*     $S1,2$Y
  TCP|*|*|127.0.0.9|*|SMTP*|MAIL|*|*|*           $N
  *                                              $Y
"""
site = Site(mappings=MAPPINGS + RULES)


@case
def the_sender_is_refused_with_the_text_of_the_table():
    with Smtp(site.smtp) as session:
        session.hello()
        equal(session.command("MAIL FROM:<x@spam.example>"), (550, ["5.7.1 We take no mail from there: x@spam.example"]))
        equal(session.command("RCPT TO:<anna@example.com>")[0], 503, "no transaction exists")
        equal(session.command("DATA")[0] // 100, 5)
        session.begin("x@good.example", "anna@example.com")
        session.data(message())
        session.quit()
    site.wait_for_log("FROM_ACCESS", "x@spam.example", "line=")


@case
def the_status_can_be_temporary():
    with Smtp(site.smtp) as session:
        session.hello()
        equal(session.command("MAIL FROM:<x@later.example>"), (450, ["4.7.1 come back later: x@later.example"]))


@case
def without_text_the_table_is_not_betrayed():
    with Smtp(site.smtp, "127.0.0.9") as session:
        session.hello()
        equal(session.command("MAIL FROM:<x@good.example>"), (550, ["5.7.1 unknown host or domain: x@good.example"]))


@case
def a_delay_holds_up_this_reply_only():
    with Smtp(site.smtp) as slow, Smtp(site.smtp) as other:
        slow.hello()
        other.hello()
        began = time.monotonic()
        slow.send("MAIL FROM:<x@slow.example>\r\n")
        other.command("NOOP", 250)
        check(time.monotonic() - began < 0.4, "the other session had to wait")
        equal(slow.reply()[0], 250)
        check(time.monotonic() - began >= 0.45, "the reply came after %.2f s" % (time.monotonic() - began))
        began = time.monotonic()
        slow.command("RCPT TO:<anna@example.com>", 250)
        check(time.monotonic() - began < 0.4, "the delay was for one reply only")


@case
def a_table_can_lower_the_recipient_limit():
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin("x@small.example", "anna@example.com", "bert@example.com")
        equal(session.command("RCPT TO:<carl@example.org>")[0], 452)


@case
def the_null_sender_is_a_sender():
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin("", "anna@example.com")
        session.quit()


with site.running():
    run_cases()
