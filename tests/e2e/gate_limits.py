#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Limits over several sockets and services, exemptions, dry runs (listeners.md, cases 31, 37, 42, 45 and 55)."""
import ssl

from postern_testing import *

SECOND, ENCRYPTED = free_port(), free_port()
STRANGER, OTHER, MEMBER = "127.0.0.50", "127.0.0.51", "127.0.0.60"
site = Site(settings={"cluster_members": MEMBER, "gate": {"refusal_sums": 1}, "children": {"smtp": 3, "pop3": 2}})
TWO_SOCKETS = [{"port": site.pop3, "address": "127.0.0.1"}, {"port": SECOND, "address": "127.0.0.1", "init_tls": "ext", "restriction": "grant", "list": "127.0.0.0/8"}]
WITH_TLS = TWO_SOCKETS + [{"port": ENCRYPTED, "address": "127.0.0.1", "init_tls": "on"}]
CERTIFICATE = os.path.join(site.etc, "server")
site.ctl("certificate", "make", "--output", CERTIFICATE, "mail.example.com")
site.write_configuration({"tls": {"domains": [{"names": ["mail.example.com"], "certificates": [{"certificate": CERTIFICATE + ".pem", "key": CERTIFICATE + ".key"}]}]}})


def limits(module="smtp", **settings):
    site.write_configuration({"listeners": {module: settings}})
    site.server.reload()


def answer(port, source):
    with Line(port, source) as line:
        return line.rest().decode()


def nobody_left():
    wait_until(lambda: not site.ctl_json("sessions")["sessions"], 3 * slow_build(), "all counts are 0")


def mailboxes_open(port, number, source=STRANGER):
    lines = []
    for _ in range(number):
        line = Line(port, source)
        if port == ENCRYPTED:
            line.socket = ssl.create_default_context(cafile=CERTIFICATE + ".pem").wrap_socket(line.socket, server_hostname="mail.example.com")
        contains(line.line(), "+OK")
        lines.append(line)
    return lines


@case
def case_31_the_sockets_of_a_listener_count_together():
    limits("pop3", connections_per_address=5, sockets=WITH_TLS)
    lines = mailboxes_open(site.pop3, 2) + mailboxes_open(SECOND, 1) + mailboxes_open(ENCRYPTED, 2)
    for port in (site.pop3, SECOND):
        contains(answer(port, STRANGER), "-ERR [SYS/TEMP] too many connections from " + STRANGER)
    check(refused_silently(ENCRYPTED, STRANGER), "zero bytes")
    lines += mailboxes_open(site.pop3, 1, OTHER)
    close_all(lines)
    nobody_left()


@case
def case_55_full_is_said_in_the_words_of_the_protocol():
    limits("pop3", maximum_connections=2, connections_per_address=0)
    lines = mailboxes_open(site.pop3, 2)
    for port in (site.pop3, SECOND):
        equal(answer(port, OTHER), "-ERR [SYS/TEMP] too many connections, try again later\r\n")
    close_all(lines)
    limits("pop3", maximum_connections=200)
    nobody_left()


@case
def case_37_a_connection_counts_until_the_server_closes_it():
    message_id = deliver(site, body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 140000)
    site.find_message("anna@example.com", message_id, seconds=30)
    limits("pop3", connections_per_address=1)
    line = Line(site.pop3, "127.0.0.1")
    line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262144)
    contains(line.line(), "+OK")
    for command in ("USER anna@example.com", "PASS " + site.accounts["anna@example.com"]):
        line.send(command + "\r\n")
        contains(line.line(), "+OK")
    line.send("RETR 1\r\n")
    contains(line.line(), "+OK")
    line.socket.shutdown(socket.SHUT_WR)
    # It still writes ten megabytes.
    time.sleep(1)
    contains(answer(site.pop3, "127.0.0.1"), "-ERR [SYS/TEMP]")
    equal(len(site.ctl_json("sessions")["sessions"]), 1, "sessions")
    check(len(line.rest(30)) > 9_000_000, "the whole message came")
    nobody_left()
    line.close()
    limits("pop3", connections_per_address=0)


@case
def cases_45_and_55_where_tls_begins_at_once_a_silent_client_holds_a_place_and_the_refused_get_zero_bytes():
    site.write_configuration({"gate": {"tls_time": 1500}})
    limits("pop3", connections_per_address=1, maximum_connections=2, sockets=WITH_TLS)
    # It never begins its handshake.
    silent = Line(ENCRYPTED, STRANGER)
    wait_until(lambda: len(site.ctl_json("sessions")["sessions"]) == 1, 3 * slow_build(), "it counts")
    check(refused_silently(ENCRYPTED, STRANGER), "zero bytes: one more from this address")
    contains(answer(site.pop3, STRANGER), "-ERR [SYS/TEMP] too many connections from")
    lines = mailboxes_open(site.pop3, 1, OTHER)
    check(refused_silently(ENCRYPTED, MEMBER), "zero bytes: full")
    close_all(lines)
    wait_until(lambda: not site.ctl_json("sessions")["sessions"], 5 * slow_build(), "the place is free when the time of the handshake is over")
    equal(silent.rest(), b"")
    site.wait_for_log("connection-refused", "reason=tls-failed", STRANGER)
    limits("pop3", connections_per_address=0, maximum_connections=200, sockets=TWO_SOCKETS)
    silent.close()


@case
def case_42_a_cluster_member_has_no_limit_until_it_is_no_member_any_more():
    limits(connections_per_address=3)
    sessions = hold(site.smtp, 8, MEMBER)
    site.write_configuration({"cluster_members": ""})
    site.server.reload()
    wait_until(lambda: "421 4.7.0" in answer(site.smtp, MEMBER), 2, "refused from then on")
    for session in sessions:
        session.command("NOOP", 250)
    close_all(sessions)
    nobody_left()
    site.write_configuration({"cluster_members": MEMBER})
    limits(connections_per_address=0)


@case
def one_figure_may_hold_over_all_services():
    site.write_configuration({"gate": {"connections_per_address_all": 4}})
    site.server.reload()
    sessions = hold(site.smtp, 2, STRANGER)
    lines = mailboxes_open(site.pop3, 2)
    contains(answer(site.pop3, STRANGER), "-ERR [SYS/TEMP] too many connections from")
    contains(answer(site.smtp, STRANGER), "421 4.7.0")
    line = site.wait_for_log("connection-refused", "gate.connections_per_address_all")[0]
    contains(line, "count=4 limit=4")
    close_all(hold(site.smtp, 6, MEMBER))
    close_all(sessions + lines)
    nobody_left()
    site.write_configuration({"gate": {"connections_per_address_all": 0}})
    site.server.reload()


@case
def what_is_only_tried_gets_in_and_is_counted_and_logged():
    site.write_configuration({"listeners": {"smtp": {"connections_per_address": 1, "dry_run": ["connections_per_address", "blocked"],
                                                     "sockets": [{"port": site.smtp, "address": "127.0.0.1", "restriction": "deny", "list": OTHER, "dry_run": True}]}}})
    site.server.reload()
    site.ctl("block", "127.0.0.52", "--for", "1h")
    sessions = hold(site.smtp, 3, STRANGER) + hold(site.smtp, 1, OTHER) + hold(site.smtp, 1, "127.0.0.52")
    for source, reason in ((STRANGER, "per-address"), (OTHER, "restricted"), ("127.0.0.52", "blocked")):
        site.wait_for_log("connection-would-be-refused", "reason=" + reason, "remote=%s:" % source)
        check(not site.log_lines("connection-refused", "remote=%s:" % source, "listener=smtp", "reason=" + reason) or source == STRANGER, "no refusal in the log")
    site.wait_for_log("connections-would-be-refused", "reason=per-address", "remote=" + STRANGER, "count=1")
    listener = [one for one in site.ctl_json("status")["listeners"] if one["module"] == "smtp"][0]
    equal(listener["would_refuse"], {"per-address": 2, "restricted": 1, "blocked": 1})
    contains(site.ctl("limits", STRANGER).stdout, "only tried (dry_run)")
    equal(site.ctl_json("limits", "127.0.0.52")["blocked"]["dry_run"], ["smtp"])
    contains(site.ctl("limits", "127.0.0.52").stdout, "; only tried (dry_run) by smtp\n")
    # Only what is named, and only where.
    limits(connections_per_address=0, dry_run=["restricted"])
    shown = {one["module"]: one for one in site.ctl_json("limits", STRANGER)["listeners"]}
    for module, tried in (("smtp", True), ("pop3", False)):
        equal([limit.get("dry_run", False) for limit in shown[module]["if_restricted"]], [tried], module)
        check(not any(limit.get("dry_run") for limit in shown[module]["limits"]), "other limits of " + module)
    contains(site.ctl("limits", STRANGER).stdout, "restricted.connections_per_address; only tried (dry_run)")
    # Elsewhere the block is in force.
    check(refused_silently(site.pop3, "127.0.0.52"), "zero bytes")
    close_all(sessions)
    nobody_left()


with site.running():
    run_cases()
