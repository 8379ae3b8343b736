#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is decided by DNS (access-control.md 8.2, listeners.md A-12): DNS lists at the listener and in tables, senders' domains, names in address
lists. Clients of any address come through a socket with PROXY headers."""
from dns_responder import Responder
from postern_testing import *

LIMIT = 1.5
LISTED, LISTED6, EXCEPTED, PARKED, CLEAN = "192.0.2.7", "2001:db8::7", "192.0.2.8", "192.0.2.9", "192.0.2.10"
FRIEND, LIAR, ENEMY, UNKNOWN = "198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"

dns = Responder({
    ("7.2.0.192.list.example", "A"): ["127.0.0.2"], ("8.2.0.192.list.example", "A"): ["127.0.0.2"],
    ("7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.second.example", "A"): ["127.0.0.3"],
    ("9.2.0.192.list.example", "A"): ["203.0.113.1"], ("11.2.0.192.table.example", "A"): ["127.0.0.4"],
    ("good.example", "MX"): ["10 mx.good.example"], ("host.example", "AAAA"): ["2001:db8::1"], ("null.example", "MX"): ["0 ."],
    ("failing.example", "A"): ["192.0.2.1"], ("silent.example", "A"): ["192.0.2.1"],
    ("1.100.51.198.in-addr.arpa", "PTR"): ["mail.friend.example"], ("mail.friend.example", "A"): [FRIEND],
    ("2.100.51.198.in-addr.arpa", "PTR"): ["mail.friend.example"],
    ("3.100.51.198.in-addr.arpa", "PTR"): ["host.enemy.example"], ("host.enemy.example", "A"): [ENEMY],
    ("4.100.51.198.in-addr.arpa", "PTR"): ["x.friend.example"],
})
dns.behave("failing.example", "servfail")
for name in ("silent.example", "4.100.51.198.in-addr.arpa", "10.2.0.192.silent.example"):
    dns.behave(name, "silent")

SMTP, POP3 = free_port(), free_port()


def behind_proxy(port, **more):
    return dict({"sockets": [{"port": port, "address": "127.0.0.1", "proxy": True, "trusted_proxies": "127.0.0.1"}]}, **more)


def settings():
    return merged(dns.settings(time_limit="%d ms" % (LIMIT * 1000)), {
        "listeners": {"smtp": behind_proxy(SMTP, dns_verify_domain=["list.example", "second.example"]), "pop3": behind_proxy(POP3, clients_only=True)},
        "client_addresses": "127.0.0.1\n#@*.friend.example",
        "smtp_blacklist": "203.0.113.0/24\n#@*.enemy.example",
        "channels": ["tcp_local smtp mx switchchannel remotehost maytlsserver mailfromdnsverify"]})


MAPPINGS = """\
PORT_ACCESS

  TCP|*|*|%s|*   $Y
  TCP|*|*|192.0.2.11|*   $C$:A$[postern:dnsbl,192.0.2.11,table.example]$N554$ 5.7.1$ by$ table$E

INTERNAL_IP

  *   $C$[postern:client,$0]$Y$E
  *   $N

ORIG_MAIL_ACCESS

  *|MAIL|*|verify@*|*|*@*   $C$N$[postern:dns_verify,$2,known$ name,no$ such$ name]$E

ORIG_SEND_ACCESS

  tcp_local|*|tcp_local|*   $NRelaying$ not$ permitted
""" % EXCEPTED

site = Site(settings=settings(), mappings=MAPPINGS)


class From(Line):
    """A session that seems to come from `address`."""

    def __init__(self, address, port=SMTP):
        super().__init__(port)
        family = "TCP6" if ":" in address else "TCP4"
        self.send("PROXY %s %s %s 40000 25\r\n" % (family, address, "::1" if ":" in address else "127.0.0.1"))


def greeting(address, port=SMTP):
    with From(address, port) as line:
        return line.line()


def mail_from(sender, address=CLEAN):
    with From(address) as line:
        contains(line.line(), "220")
        line.send("HELO client.example\r\n")
        line.line()
        line.send("MAIL FROM:<%s>\r\n" % sender)
        return line.line()


def recipient(address, to, sender="a@good.example"):
    with From(address) as line:
        contains(line.line(), "220")
        for command in ("HELO client.example", "MAIL FROM:<%s>" % sender):
            line.send(command + "\r\n")
            contains(line.line(), "250")
        line.send("RCPT TO:<%s>\r\n" % to)
        return line.line()


@case
def who_is_on_a_list_is_refused_in_the_words_of_the_protocol():
    equal(greeting(LISTED), "554 5.7.1 access from %s is refused: it is on the list list.example" % LISTED)
    equal(greeting(LISTED6), "554 5.7.1 access from %s is refused: it is on the list second.example" % LISTED6)
    line = site.wait_for_log("connection-refused", "reason=dns-list", "192.0.2.7")[0]
    contains(line, "list=list.example")
    contains(line, "listeners.smtp.dns_verify_domain")
    smtp = next(entry for entry in site.ctl_json("status")["listeners"] if entry["module"] == "smtp")
    equal(smtp["refused"]["dns-list"], 2)


@case
def who_is_not_gets_in():
    contains(greeting(CLEAN), "220")
    # A list that has closed down answers with other addresses.
    contains(greeting(PARKED), "220")


@case
def an_entry_of_port_access_lets_in_without_asking():
    contains(greeting(EXCEPTED), "220")
    equal(dns.asked["8.2.0.192.list.example", "A"], 0, "questions")


@case
def a_table_asks_lists_too():
    contains(greeting("192.0.2.11"), "554 5.7.1 by table")


@case
def a_sender_domain_must_exist():
    for sender, want in (("a@good.example", "250"), ("a@host.example", "250"), ("", "250"), ("a@[192.0.2.1]", "250"), ("a@nowhere.example", "553 5.1.8"),
                         ("a@null.example", "550 5.7.27"), ("a@failing.example", "451 4.1.8")):
        contains(mail_from(sender), want, sender)
    site.wait_for_log("refused", "mailfromdnsverify", "nowhere.example")


@case
def a_silent_server_delays_its_own_session_only():
    began = time.monotonic()
    with From(CLEAN) as line:
        line.line()
        line.send("HELO client.example\r\n")
        line.line()
        line.send("MAIL FROM:<a@silent.example>\r\n")
        contains(mail_from("a@good.example"), "250")
        contains(mail_from("a@host.example"), "250")
        other = time.monotonic() - began
        contains(line.line(), "451 4.1.8")
    check(other < time.monotonic() - began, "the others were faster")
    check(time.monotonic() - began < LIMIT + 4, "the time limit")


@case
def templates_verify_names():
    contains(recipient(CLEAN, "anna@example.com", "verify@good.example"), "known name: anna@example.com")


@case
def tools_ask_the_same_resolver():
    probe = "TCP|192.0.2.1|25|192.0.2.10|4000|SMTP|MAIL|tcp_local|verify@%s|ims-ms|anna@example.com"
    for name, wanted in (("good.example", "known name"), ("nowhere.example", "no such name")):
        equal(site.ctl_json("probe", "--ask", "--table", "ORIG_MAIL_ACCESS", probe % name)["output"], wanted, name)
    arguments = ("access", "--client", CLEAN, "--rcpt", "anna@example.com", "--from")
    for sender, reply in (("a@nowhere.example", "553 5.1.8"), ("a@null.example", "550 5.7.27"), ("a@failing.example", "451 4.1.8")):
        contains(site.ctl_json(*arguments, sender, "--ask", expect=1)["steps"][-1]["reply"], reply)
        equal(site.ctl_json(*arguments, sender)["accepted"], True, "nobody was asked")
    equal(site.ctl_json(*arguments, "a@good.example", "--ask")["accepted"], True)


@case
def clients_may_be_known_by_names_that_lead_back():
    contains(recipient(FRIEND, "x@elsewhere.example"), "250")  # it may relay
    contains(recipient(LIAR, "x@elsewhere.example"), "Relaying not permitted")
    contains(recipient(CLEAN, "x@elsewhere.example"), "Relaying not permitted")
    contains(greeting(FRIEND, POP3), "+OK")
    contains(greeting(LIAR, POP3), "-ERR [SYS/PERM]")


@case
def names_that_do_not_come_match_nobody():
    began = time.monotonic()
    contains(greeting(UNKNOWN, POP3), "-ERR [SYS/PERM]")
    check(time.monotonic() - began < 5 + 2, "within the limit of names")


@case
def the_blacklist_knows_names():
    contains(recipient(ENEMY, "anna@example.com"), "550 5.7.1")
    contains(recipient(FRIEND, "anna@example.com"), "250")


@case
def a_list_that_says_nothing_keeps_nobody_out():
    site.write_configuration({"listeners": {"smtp": {"dns_verify_domain": ["silent.example"]}}})
    site.server.reload()
    contains(greeting(CLEAN), "220")
    site.wait_for_log("dns-list-silent", "list=silent.example")


@case
def a_list_may_be_tried_without_refusing():
    site.write_configuration({"listeners": {"smtp": {"dns_verify_domain": ["list.example"], "dry_run": ["dns_verify_domain"]}}})
    site.server.reload()
    contains(greeting(LISTED), "220")
    site.wait_for_log("connection-would-be-refused", "reason=dns-list")


@case
def mistakes_in_the_settings_are_named():
    for changes, part in (({"resolver": {"servers": ["127.0.0.1:0"]}}, "a port is a number"), ({"resolver": {"servers": ["localhost"]}}, "resolver.servers"),
                          ({"listeners": {"smtp": {"dns_verify_domain": ["two words"]}}}, "listeners.smtp.dns_verify_domain")):
        before = site.settings
        site.write_configuration(changes)
        done = site.ctl("reload", expect=None)
        site.settings = before
        check(done.returncode != 0, part)
        contains(done.stderr, part)


with site.running():
    run_cases()
