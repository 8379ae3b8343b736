#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may connect: the restriction of a socket row (listeners.md, cases 16 to 21, 25 and 30, and 27 for the blacklist)."""
from postern_testing import *

PORTS = {name: free_port() for name in ("grant", "deny", "except", "again", "nobody", "comments", "elsewhere", "changing")}


def row(name, restriction, addresses, address="127.0.0.1"):
    return {"port": PORTS[name], "address": address, "restriction": restriction, "list": addresses}


ROWS = [
    row("grant", "grant", "127.0.0.0/24"),
    row("deny", "deny", "127.0.0.10-127.0.0.20"),
    row("except", "grant", "127.0.0.0/8\n!127.0.0.66"),
    row("again", "grant", "!127.0.0.66\n127.0.0.0/8"),
    row("nobody", "grant", "!127.0.0.66"),
    row("comments", "deny", "; nobody is denied\n;"),
    row("elsewhere", "deny", "127.0.0.30"),
    {"port": PORTS["elsewhere"], "address": "127.0.0.2"},
    row("changing", "none", ""),
]
site = Site(settings={"listeners": {"smtp": {"sockets": ROWS}}, "smtp_blacklist": "127.0.0.99"})


@cases_of([
    ("16 outside Grant", "grant", "127.0.1.1", False), ("16 inside Grant", "grant", "127.0.0.77", True),
    ("17 inside Deny", "deny", "127.0.0.15", False), ("17 first of the range", "deny", "127.0.0.10", False),
    ("17 last of the range", "deny", "127.0.0.20", False), ("17 before the range", "deny", "127.0.0.9", True),
    ("17 behind the range", "deny", "127.0.0.21", True),
    ("18 taken out", "except", "127.0.0.66", False), ("18 the next one", "except", "127.0.0.65", True),
    ("19 put in again", "again", "127.0.0.66", True),
    ("20 nobody is on the list", "nobody", "127.0.0.65", False), ("20 nobody, with sign", "nobody", "127.0.0.66", False),
    ("21 only comments", "comments", "127.0.0.66", True),
])
def restriction(port, source, admitted):
    if admitted:
        check(greeted(PORTS[port], source), "%s is greeted" % source)
    else:
        check(refused_silently(PORTS[port], source), "%s gets zero bytes" % source)
        check(refused_silently(PORTS[port], source, first=b"EHLO x\r\n"), "%s gets zero bytes though it speaks first" % source)


@case
def case_25_another_local_address_may_admit():
    check(refused_silently(PORTS["elsewhere"], "127.0.0.30"), "zero bytes at the first address")
    with Smtp(PORTS["elsewhere"], "127.0.0.30", host="127.0.0.2") as session:
        equal(session.greeting[0], 220)


@case
def a_refusal_is_logged_once_and_then_counted():
    site.wait_for_log("restricted", "127.0.1.1")
    for _ in range(20):
        check(refused_silently(PORTS["grant"], "127.0.1.1"), "zero bytes")
    equal(len(site.log_lines("restricted", "127.0.1.1")), 1, "lines in the log for 22 refusals by all children")


@case
def case_27_a_blacklisted_peer_gets_every_recipient_refused():
    with Smtp(PORTS["comments"], "127.0.0.99") as session:
        equal(session.greeting[0], 220)
        session.hello()
        session.command("MAIL FROM:<a@sender.example>", 250)
        for recipient in ("anna@example.com", "bert@example.com", "carl@example.org", "postmaster", "postmaster@example.com"):
            code, texts = session.command("RCPT TO:<%s>" % recipient)
            equal((code, texts[0][:5]), (550, "5.7.1"), recipient)
            contains(texts[0], "127.0.0.99")
        equal(session.command("DATA")[0], 554)
        check(session.is_open(), "the connection stays open")
        session.command("RSET", 250)
        session.quit()


@case
def case_30_a_session_outlives_a_change_of_the_list():
    session = Smtp(PORTS["changing"], "127.0.0.40")
    site.write_configuration({"listeners": {"smtp": {"sockets": ROWS[:-1] + [row("changing", "deny", "127.0.0.40")]}}})
    site.server.reload()
    wait_until(lambda: refused_silently(PORTS["changing"], "127.0.0.40"), 1, "the next connection is refused")
    session.hello()
    session.quit()


with site.running():
    run_cases()
