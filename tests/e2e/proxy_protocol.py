#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sockets that take the PROXY protocol (listeners.md 4.4, case 40, cases 63 to 69), with raw headers and with swaks."""
from postern_testing import *

PORTS = {name: free_port() for name in ("proxy", "trusts nobody here", "lists", "pop3")}
LIMITS = {"proxy_time": "3 s", "proxy_waiting": 40}
PROXY = "127.0.0.1"  # who may send headers


def row(name, trusted=PROXY, **more):
    return dict({"port": PORTS[name], "address": "127.0.0.1", "proxy": True, "trusted_proxies": trusted}, **more)


site = Site(settings={
    "client_addresses": "192.0.2.200",
    "children": {"smtp": 2},
    "gate": LIMITS,
    "listeners": {
        "smtp": {"connections_per_address": 2, "maximum_connections": 60, "reserve_for_clients": 0,
                 "sockets": [row("proxy"), row("trusts nobody here", "127.0.0.9"), row("lists", restriction="deny", list="192.0.2.66")]},
    }})
site.write_configuration({"listeners": {"smtp": {"sockets": site.settings["listeners"]["smtp"]["sockets"] + [{"port": site.smtp, "address": "127.0.0.1"}]}}})

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def text_header(source, port=4000, family="TCP4", to="198.51.100.1"):
    return ("PROXY %s %s %s %d 25\r\n" % (family, source, to, port)).encode()


def binary_header(source=None, command=0x21, family=0x11, extensions=b"", to="198.51.100.1"):
    addresses = b""
    if source:
        kind = socket.AF_INET6 if ":" in source else socket.AF_INET
        addresses = socket.inet_pton(kind, source) + socket.inet_pton(kind, to) + struct.pack("!HH", 4000, 25)
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(addresses + extensions)) + addresses + extensions


class Proxied(Smtp):
    """A connection that begins with a header; greeted=False: not yet, or never."""

    def __init__(self, header, name="proxy", source=PROXY, greeting=True):
        Line.__init__(self, PORTS[name], source)
        self.greeting = None
        if header:
            self.send(header)
        if greeting:
            self.greeting = self.reply()


def closed_silently(header, name="proxy", source=PROXY, seconds=2):
    with Proxied(None, name, source, greeting=False) as line:
        with contextlib.suppress(Closed):
            line.send(header)
        return line.rest(seconds) == b""


def shown():
    return next(one for one in site.ctl_json("status")["listeners"] if one["module"] == "smtp")


def refusals(reason):
    return shown()["refused"].get(reason, 0)


def active():
    return shown()["active"]


def nobody_left():
    wait_until(lambda: active() == 0, 5 * slow_build(), "no session is left, there are %d" % active())


@case
def case_63_the_limit_counts_the_address_in_the_header():
    sessions = [Proxied(text_header("192.0.2.7")), Proxied(binary_header("192.0.2.7"))]
    third = Proxied(text_header("192.0.2.7"), greeting=False)
    contains(third.rest().decode(), "421 4.7.0 mail.example.com too many connections from 192.0.2.7")
    for address in ("192.0.2.8", "192.0.2.9", "192.0.2.10"):
        sessions.append(Proxied(text_header(address)))
        equal(sessions[-1].greeting[0], 220, address)
    listed = {session["remote"].rsplit(":", 1)[0] for session in site.ctl_json("sessions")["sessions"]}
    equal(listed, {"192.0.2.7", "192.0.2.8", "192.0.2.9", "192.0.2.10"}, "remote addresses")
    close_all(sessions)
    nobody_left()
    line = site.wait_for_log("session-ended", "remote=192.0.2.8:4000", "peer=127.0.0.1:")[0]
    contains(line, "local=198.51.100.1:25")


@case
def case_40_a_mapped_address_is_the_ipv4_address():
    mapped = "::ffff:c000:207"
    sessions = [Proxied(binary_header("::ffff:192.0.2.7", family=0x21, to="2001:db8::1")), Proxied(text_header(mapped, family="TCP6", to="2001:db8::1"))]
    for session in sessions:
        equal(session.greeting[0], 220)
    equal({session["remote"] for session in site.ctl_json("sessions")["sessions"]}, {"192.0.2.7:4000"}, "remote addresses")
    for header in (text_header("192.0.2.7"), text_header(mapped, family="TCP6", to="2001:db8::1")):
        contains(Proxied(header, greeting=False).rest().decode(), "too many connections from 192.0.2.7")
    check(closed_silently(binary_header("::ffff:192.0.2.66", family=0x21, to="2001:db8::1"), "lists"), "a restriction of the IPv4 address holds")
    close_all(sessions)
    nobody_left()


@case
def case_64_an_untrusted_peer_gets_zero_bytes_whatever_it_sends():
    before = refusals("proxy-untrusted")
    check(closed_silently(text_header("192.0.2.7"), "trusts nobody here"), "a perfect header")
    check(closed_silently(binary_header("192.0.2.7"), "trusts nobody here"), "version 2")
    check(closed_silently(text_header("192.0.2.7"), "proxy", "127.0.0.2"), "another peer")
    equal(refusals("proxy-untrusted") - before, 3, "counted")
    site.wait_for_log("connection-refused", "reason=proxy-untrusted", "remote=127.0.0.2:")


@case
def case_65_without_a_header_it_is_closed_in_time_and_holds_up_nobody():
    silent = [Proxied(None, greeting=False) for _ in range(10)]
    began = time.monotonic()
    with Proxied(text_header("192.0.2.7")) as session:
        equal(session.greeting[0], 220)
        check(time.monotonic() - began < 1 * slow_build(), "a correct connection waited for %.1f s" % (time.monotonic() - began))
        equal(active(), 1, "connections without header hold no slot")
        session.quit()
    for line in silent:
        equal(line.rest(8), b"", "bytes for a connection without header")
    check(time.monotonic() - began > 2, "after %.1f s" % (time.monotonic() - began))
    close_all(silent)
    site.wait_for_log("connection-refused", "reason=proxy-timeout", "table=gate.proxy_time", site.place_of("proxy_time"))
    nobody_left()


@case
def beyond_so_many_that_wait_the_newest_is_closed():
    silent = [Proxied(None, greeting=False) for _ in range(40)]
    time.sleep(0.3)
    check(closed_silently(b""), "the forty-first")
    site.wait_for_log("connection-refused", "reason=proxy-waiting", "table=gate.proxy_waiting", site.place_of("proxy_waiting"))
    check(all(line.is_open(0.01) for line in silent), "the others wait on")
    with Smtp(site.smtp, "127.0.0.5") as session:
        equal(session.greeting[0], 220, "at another socket")
    close_all(silent)
    wait_until(lambda: not closed_silently_now(), 5, "room for new ones")


def closed_silently_now():
    with Proxied(None, greeting=False) as line:
        return not line.is_open(0.1)


@case
def case_66_a_header_in_pieces_and_one_with_the_first_command():
    header = text_header("192.0.2.7")
    with Proxied(None, greeting=False) as session:
        for byte in header[:12]:
            session.send(bytes([byte]))
            time.sleep(0.1)
        for byte in header[12:]:
            session.send(bytes([byte]))
            time.sleep(0.005)
        equal(session.reply()[0], 220)
        session.quit()
    for header in (header, binary_header("192.0.2.8"), binary_header("2001:db8::7", family=0x21, to="2001:db8::1")):
        with Proxied(header + b"EHLO x\r\n") as session:
            equal(session.greeting[0], 220)
            equal(session.reply()[0], 250, "EHLO")
            session.quit()
    nobody_left()


@cases_of([(name, header) for name, header in (
    ("108 bytes", b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n"),
    ("TCP4 with IPv6 addresses", b"PROXY TCP4 2001:db8::7 2001:db8::1 4000 25\r\n"),
    ("ended by LF only", b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\n"),
    ("a CR alone", b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\rEHLO x\r\n"),
    ("a leading zero in a port", b"PROXY TCP4 192.0.2.7 198.51.100.1 04000 25\r\n"),
    ("no header", b"EHLO x\r\n"),
    ("TLS", b"\x16\x03\x01\x02\x00"),
    ("version 2, unknown command", binary_header("192.0.2.7", command=0x22)),
    ("version 2, cut addresses", binary_header(command=0x21, extensions=b"1234567")),
    ("version 2, length over 4096", SIGNATURE + b"\x20\x00\x10\x01"),
    ("version 2, cut extension", binary_header("192.0.2.7", extensions=b"\x02\x00\xffx")),
)])
def case_67_a_bad_header_is_closed(header):
    before = refusals("proxy-bad")
    check(closed_silently(header), "zero bytes")
    equal(refusals("proxy-bad") - before, 1, "counted")


@case
def case_68_the_proxys_own_connections_skip_the_limit_per_address():
    headers = [binary_header(command=0x20, family=0), b"PROXY UNKNOWN\r\n", binary_header("192.0.2.66", command=0x20), b"PROXY UNKNOWN 1 2 3 4\r\n"]
    sessions = []
    for index in range(10):
        sessions.append(Proxied(headers[index % 4], "lists"))
        equal(sessions[-1].greeting[0], 220, "number %d" % (index + 1))
    now = shown()
    equal((now["active"], now["clients"]), (10, 10), "active, clients")
    close_all(sessions)
    nobody_left()


@case
def case_69_elsewhere_a_header_is_no_header():
    with Smtp(site.smtp, "127.0.0.7") as session:
        code, _ = session.command("PROXY TCP4 192.0.2.66 198.51.100.1 4000 25")
        equal(code, 500)
        session.hello()
        session.begin("a@sender.example", "anna@example.com")
        session.data(message(new_id(), subject="after a header"))
        session.quit()
    text = [text for text in site.wait_for_messages("anna@example.com", 1) if b"after a header" in text][0]
    check(b"192.0.2.66" not in text and b"127.0.0.7" in text, "the address in the header is used for nothing")


@case
def restriction_sees_the_address_in_the_header():
    check(closed_silently(text_header("192.0.2.66"), "lists"), "denied")
    check(closed_silently(text_header("::ffff:c000:242", family="TCP6", to="::1"), "lists"), "the same, mapped")
    with Proxied(text_header("192.0.2.67"), "lists") as session:
        equal(session.greeting[0], 220)


@case
def relaying_is_for_the_clients_in_the_header():
    for address, is_client in (("192.0.2.200", True), (PROXY, False)):
        with Proxied(text_header(address)) as session:
            session.hello()
            session.command("MAIL FROM:<a@example.com>", 250)
            code, texts = session.command("RCPT TO:<b@far.example>")
            equal(code == 550, not is_client, "%s: %s %s" % (address, code, texts))
    nobody_left()


@cases_of([("version 1", "1", "TCP4"), ("version 2", "2", "AF_INET")])
def swaks_delivers_through_a_proxy_header(version, family):
    swaks = foreign("swaks")
    number = len(site.files("bert@example.com"))
    run(swaks, "--server", "127.0.0.1:%d" % PORTS["proxy"], "--proxy-version", version, "--proxy-family", family, "--proxy-source", "127.0.0.77",
        "--proxy-source-port", "4000", "--proxy-dest", "127.0.0.1", "--proxy-dest-port", "25", *(["--proxy-protocol", "STREAM", "--proxy-command", "PROXY"] if version == "2" else []),
        "--from", "a@x.example", "--to", "bert@example.com", "--helo", "client.example.net")
    texts = site.wait_for_messages("bert@example.com", number + 1)
    check(any(b"127.0.0.77" in text.split(b"\n\n")[0] for text in texts), "Received names the client's address")


@case
def a_list_of_proxies_may_not_be_empty():
    rows = site.settings["listeners"]["smtp"]["sockets"]
    site.write_configuration({"listeners": {"smtp": {"sockets": [dict(rows[0], trusted_proxies="; none")] + rows[1:]}}})
    done = site.server.reload(expect=None)
    check(done.returncode != 0 and "trusted_proxies" in done.stdout + done.stderr, "reload is refused: %s%s" % (done.stdout, done.stderr))
    site.write_configuration({"listeners": {"smtp": {"sockets": rows}}})
    site.server.reload()


with site.running():
    run_cases()
