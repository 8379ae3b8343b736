#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PORT_ACCESS decides before the first byte, for every TCP service."""
from postern_testing import *

RULES = """\
PORT_ACCESS

  TCP|*|*|127.0.0.66|*    $N421$ no$ service$ for$ you
  TCP|*|*|127.0.0.67|*    $N
  TCP|*|*|127.0.0.68|*    $W$Y
  TCP|*|*|$(127.0.7.0/24)|*   $N421$ not$ your$ network
""" + MAPPINGS.split("\n", 2)[2]
site = Site(mappings=RULES, settings={"restricted": {"connections_per_address": 2, "recipients": 1, "message_bytes": 4000, "idle_time": 4}})


@case
def the_text_of_the_table_is_sent_and_the_connection_ends():
    with Line(site.smtp, "127.0.0.66") as line:
        equal(line.rest(), b"421 no service for you\r\n")
    entry = site.wait_for_log("PORT_ACCESS", "127.0.0.66")[0]
    contains(entry, "line=3")
    contains(entry, "TCP|127.0.0.1|%d|127.0.0.66|" % site.smtp)


@case
def without_text_nothing_is_sent():
    check(refused_silently(site.smtp, "127.0.0.67"), "zero bytes")


@case
def the_table_holds_for_pop3_too():
    check(refused_silently(site.pop3, "127.0.0.67"), "zero bytes")


@case
def a_block_of_addresses_is_refused():
    with Line(site.smtp, "127.0.7.200") as line:
        equal(line.rest(), b"421 not your network\r\n")


@case
def others_are_greeted():
    check(greeted(site.smtp, "127.0.0.69"), "greeting")


@case
def a_text_arrives_even_if_the_client_speaks_first():
    with Line(site.smtp, "127.0.0.66") as line:
        line.send(b"EHLO x\r\n" * 20)
        equal(line.rest(), b"421 no service for you\r\n")


@case
def a_restricted_connection_has_its_own_limits():
    sessions = hold(site.smtp, 2, "127.0.0.68")
    with Smtp(site.smtp, "127.0.0.68", greeting=False) as third:
        equal(third.reply()[0], 421)
    session = sessions[0]
    contains(" ".join(session.hello()[1]), "SIZE 4000")
    session.begin("a@sender.example", "anna@example.com")
    equal(session.command("RCPT TO:<bert@example.com>")[0], 452)
    equal(session.command("AUTH PLAIN")[0], 503, "AUTH")
    # The other one said nothing: its time is shorter than the listener's five minutes.
    equal(sessions[1].reply()[0], 421, "the end of the silent one")
    close_all(sessions)


@case
def a_restricted_connection_to_pop3_has_shorter_times():
    with Line(site.pop3, "127.0.0.68") as line:
        check(line.line().startswith("+OK "), "greeted")
        equal(line.rest(20), b"", "closed without a word")


@case
def nobody_logs_in_to_a_restricted_pop3_session():
    with Line(site.pop3, "127.0.0.68") as line:
        line.line()
        line.send("USER anna@example.com\r\n")
        check(line.line().startswith("-ERR [SYS/PERM] login is not allowed"), "refused")


@case
def a_refused_connection_holds_no_slot():
    wait_until(lambda: not site.ctl_json("sessions").get("sessions", []), 3, "no sessions")


with site.running():
    run_cases()
