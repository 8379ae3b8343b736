#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where a password may be sent as it is (listeners.md T-9), and sockets with TLS outside (T-10, case 60 in the words of POP3)."""
import base64

from postern_testing import *

site = Site()
SMTP_EXT, POP3_EXT = free_port(), free_port()
site.write_configuration({"listeners": {
    "smtp": {"sockets": [{"port": site.smtp, "address": "127.0.0.1"}, {"port": SMTP_EXT, "address": "127.0.0.1", "init_tls": "ext", "restriction": "grant", "list": "127.0.0.0/8"}]},
    "pop3": {"sockets": [{"port": site.pop3, "address": "127.0.0.1"}, {"port": POP3_EXT, "address": "127.0.0.1", "init_tls": "ext", "restriction": "grant", "list": "127.0.0.0/8"}]},
}})


class Pop3(Line):
    def __init__(self, port, source="127.0.0.1"):
        super().__init__(port, source)
        check(self.line().startswith("+OK "), "a greeting")

    def command(self, text):
        self.send(text + "\r\n")
        return self.line()

    def capabilities(self):
        check(self.command("CAPA").startswith("+OK"), "CAPA")
        lines = []
        while not lines or lines[-1] != ".":
            lines.append(self.line())
        return lines[:-1]

    def login(self):
        answer = self.command("USER anna@example.com")
        return self.command("PASS " + site.accounts["anna@example.com"]) if answer.startswith("+OK") else answer


@case
def passwords_in_clear_text_are_for_this_machine_alone():
    for source, allowed in (("127.0.0.1", True), ("127.0.0.2", False)):
        with Pop3(site.pop3, source) as session:
            equal("USER" in session.capabilities(), allowed, source)
            answer = session.login()
            check(answer.startswith("+OK" if allowed else "-ERR [SYS/PERM]"), "%s got %r" % (source, answer))


@case
def case_58_without_a_certificate_there_is_no_tls():
    with Smtp(site.smtp) as session:
        check("STARTTLS" not in session.hello()[1], "EHLO has no STARTTLS")
        session.command("STARTTLS", 502)
        session.quit()
    with Pop3(site.pop3) as session:
        check("STLS" not in session.capabilities(), "CAPA has no STLS")
        check(session.command("STLS").startswith("-ERR"), "STLS is an error")


@case
def case_60_tls_outside_counts_as_secure():
    with Smtp(SMTP_EXT, "127.0.0.2") as session:
        said = session.hello()[1]
        check("STARTTLS" not in said, "EHLO has no STARTTLS")
        check(any(text.startswith("AUTH ") for text in said), "EHLO has AUTH")
        code, texts = session.command("STARTTLS")
        equal((code, texts[0][:6]), (503, "5.5.1 "))
        session.command("AUTH PLAIN " + base64.b64encode(("\0anna@example.com\0" + site.accounts["anna@example.com"]).encode()).decode(), 235)
        session.begin("sender@sender.example", "anna@example.com")
        message_id = new_id()
        session.data(message(message_id))
        session.quit()
    contains(site.find_message("anna@example.com", message_id).decode(), " with ESMTPS")
    wait_until(lambda: [line for line in site.log_lines("session-ended") if "tls=ext" in line], 5, "tls=ext in the log")
    with Pop3(POP3_EXT, "127.0.0.2") as session:
        capabilities = session.capabilities()
        check("USER" in capabilities and "STLS" not in capabilities, "capabilities %r" % capabilities)
        check(session.command("STLS").startswith("-ERR"), "STLS is an error")
        check(session.login().startswith("+OK"), "a login as if over TLS")


@case
def the_rule_can_be_lifted_and_widened():
    site.write_configuration({"secure_login": {"except_from": "127.0.0.2"}})
    site.ctl("reload")
    for source, allowed in (("127.0.0.1", False), ("127.0.0.2", True)):
        with Pop3(site.pop3, source) as session:
            equal(session.login().startswith("+OK"), allowed, source)
    site.write_configuration({"secure_login": {"required": False}})
    site.ctl("reload")
    with Pop3(site.pop3, "127.0.0.1") as session:
        check(session.login().startswith("+OK"), "lifted")


with site.running():
    run_cases()
