#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Strangers may send to local accounts only; the refusal comes at RCPT TO and the log knows the rule."""
from postern_testing import *

site = Site()
STRANGER = "127.0.0.5"


@case
def a_stranger_may_not_relay():
    with Smtp(site.smtp, STRANGER) as session:
        session.hello()
        session.command("MAIL FROM:<a@sender.example>", 250)
        code, texts = session.command("RCPT TO:<someone@elsewhere.example>")
        equal(code, 550)
        equal(texts, ["5.7.1 Relaying not permitted: someone@elsewhere.example"])
        session.command("RCPT TO:<anna@example.com>", 250)  # the refusal ended nothing
        session.data(message())
        session.quit()


@case
def the_log_names_table_line_and_probe():
    line = site.wait_for_log("ORIG_SEND_ACCESS", "someone@elsewhere.example")[-1]
    number = site_line("tcp_local|*|tcp_local|*")
    contains(line, "line=%d" % number)
    contains(line, "tcp_local|a@sender.example|tcp_local|someone@elsewhere.example")


def site_line(text):
    with open(site.mappings_file) as file:
        return next(index for index, line in enumerate(file, 1) if text in line)


@cases_of([(address, address) for address in (
    "someone%elsewhere.example@example.com", '"someone@elsewhere.example"@example.com', "@example.com:someone@elsewhere.example",
    "elsewhere.example!someone@example.com", '"someone%elsewhere.example"@example.com', "someone@elsewhere.example@example.com",
    "someone@[127.0.0.1]", "someone@elsewhere.example ")])
def a_stranger_may_not_relay_by_a_trick(address):
    with Smtp(site.smtp, STRANGER) as session:
        session.hello()
        session.command("MAIL FROM:<a@sender.example>", 250)
        code = session.command("RCPT TO:<%s>" % address)[0]
        check(500 <= code <= 559, "RCPT TO:<%s> was answered %d" % (address, code))


@case
def swaks_sees_the_refusal():
    done = run(foreign("swaks"), "--server", "127.0.0.1", "--port", site.smtp, "-li", STRANGER, "--from", "a@sender.example",
               "--to", "someone@elsewhere.example", expect=24)
    contains(done.stdout, "550 5.7.1")


@case
def a_site_without_the_table_is_closed_all_the_same():
    site.write_mappings("SOME_TABLE\n\n  *   $Y\n")
    wait_until(lambda: relay_code() == 550, 5, "the refusal of a site that forgot its tables")


def relay_code():
    with Smtp(site.smtp, STRANGER) as session:
        session.hello()
        session.command("MAIL FROM:<a@sender.example>", 250)
        return session.command("RCPT TO:<someone@elsewhere.example>")[0]


with site.running():
    run_cases()
