#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The three ways to say no (listeners.md 1.4): a denied address gets no byte, a stranger at a service for clients only one error
(case 28, in the words of POP3; case 29, in those of ManageSieve, whose turn it is as long as there is no HTTP service), a blacklisted SMTP peer a whole session without a recipient (case 27); and changes concern connections
made afterwards (case 30)."""
from postern_testing import *

ERROR = b"-ERR [SYS/PERM] access from your network address is not allowed\r\n"

managesieve = free_port()
site = Site({
    "client_addresses": ["127.0.0.1", "127.0.0.40-127.0.0.49"],
    "smtp_blacklist": ["127.0.0.27", "127.0.0.66"],
})
site.write_configuration({"listeners": {
    "smtp": {"sockets": [{"port": site.smtp, "address": "127.0.0.1", "restriction": "deny", "list": "127.0.0.66"}]},
    "pop3": {"clients_only": True, "sockets": [{"port": site.pop3, "address": "127.0.0.1", "restriction": "deny", "list": "127.0.0.66"}]},
    "managesieve": {"clients_only": True, "sockets": [{"port": managesieve, "address": "127.0.0.1"}]},
}})


@case
def case_28_a_stranger_gets_one_error_and_the_end():
    with Line(site.pop3, "127.0.0.2") as line:
        equal(line.rest(), ERROR)
    # However much it sends first: the error arrives.
    with Line(site.pop3, "127.0.0.2") as line:
        line.send(b"USER anna@example.com\r\n" * 500)
        equal(line.rest(), ERROR)
    # Sessions' ends are written together, a moment later.
    wait_until(lambda: any("session-ended" in line and "reason=not-client" in line for line in site.log_lines("listener=pop3")), 5 * slow_build(),
               "the end of the session has the reason")
    site.wait_for_log("connection-refused", "listener=pop3", "reason=not-client", site.place_of("clients_only"))


@case
def case_29_another_service_says_it_in_its_own_words():
    with Line(managesieve, "127.0.0.2") as line:
        equal(line.rest(), b'BYE "access from your network address is not allowed"\r\n')
    site.wait_for_log("connection-refused", "listener=managesieve", "reason=not-client")
    with Line(managesieve, "127.0.0.1") as line:
        contains(line.line(), '"IMPLEMENTATION"')


@case
def a_client_is_served():
    session = pop3(site, "anna@example.com")
    session.quit()
    with Line(site.pop3, "127.0.0.44") as line:
        check(line.line().startswith("+OK "), "a client is greeted")


@case
def case_28_a_denied_address_gets_no_byte():
    check(refused_silently(site.pop3, "127.0.0.66"), "POP3")
    check(refused_silently(site.pop3, "127.0.0.66", b"CAPA\r\n"), "POP3, though it speaks first")


@case
def case_27_a_blacklisted_peer_is_refused_at_each_recipient():
    with Smtp(site.smtp, "127.0.0.27") as session:
        equal(session.greeting[0], 220)
        session.hello()
        session.command("MAIL FROM:<a@sender.example>", 250)
        for recipient in ("anna@example.com", "postmaster@example.com", "postmaster", "nobody@example.com", "x@elsewhere.example"):
            code, texts = session.command("RCPT TO:<%s>" % recipient)
            equal((code, texts[0][:6]), (550, "5.7.1 "))
            contains(texts[0], "127.0.0.27")
        session.command("DATA", 554)
        check(session.is_open(), "the connection stays open")
        # Not even after more refusals than anybody else may have.
        for _ in range(40):
            session.command("RCPT TO:<anna@example.com>", 550)
        session.command("AUTH PLAIN", 503)
        for command in ("RSET", "NOOP"):
            session.command(command, 250)
        session.quit()


@case
def the_listener_comes_before_the_blacklist():
    check(refused_silently(site.smtp, "127.0.0.66"), "denied and blacklisted")


@case
def case_30_changes_concern_connections_made_afterwards():
    with Smtp(site.smtp, "127.0.0.30") as session, Line(site.pop3, "127.0.0.40") as client:
        session.hello()
        check(client.line().startswith("+OK "), "greeted")
        site.write_configuration({
            "client_addresses": "127.0.0.1",
            "smtp_blacklist": "127.0.0.31",
            "listeners": {"smtp": {"sockets": [{"port": site.smtp, "address": "127.0.0.1", "restriction": "deny", "list": "127.0.0.30"}]}},
        })
        with Smtp(site.smtp, "127.0.0.31") as other:
            other.hello()
            site.ctl("reload")
            check(refused_silently(site.smtp, "127.0.0.30"), "its next connection is closed")
            with Line(site.pop3, "127.0.0.40") as line:
                equal(line.rest(), ERROR)
            session.begin("a@sender.example", "anna@example.com")
            other.begin("a@sender.example", "anna@example.com")
        client.send(b"CAPA\r\n")
        check(client.line().startswith("+OK "), "the session of the former client goes on")
    with Smtp(site.smtp, "127.0.0.31") as other:
        other.hello()
        other.command("MAIL FROM:<a@sender.example>", 250)
        other.command("RCPT TO:<anna@example.com>", 550)


with site.running():
    run_cases()
