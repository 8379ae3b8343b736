#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How connections end and what they cost until then (listeners.md L-27, L-30; cases 37 and 38)."""
from postern_testing import *

STRANGER = "127.0.0.7"
site = Site(settings={
    "children": {"smtp": 1},
    "listeners": {"smtp": {"connections_per_address": 1}, "pop3": {"connections_per_address": 1}},
})


def active(module):
    return next(one for one in site.ctl_json("status")["listeners"] if one["module"] == module)["active"]


@case
def case_37_half_closed_is_not_closed():
    body = "".join("%08d %s\r\n" % (number, "x" * 89) for number in range(100_000))
    message_id = deliver(site, "anna@example.com", body=body)
    site.find_message("anna@example.com", message_id)
    with Line(site.pop3) as session:
        session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        for text in ("", "USER anna@example.com", "PASS " + site.accounts["anna@example.com"], "RETR 1"):
            if text:
                session.send(text + "\r\n")
            contains(session.line(), "+OK", text or "greeting")
        session.socket.shutdown(socket.SHUT_WR)
        for _ in range(5):
            time.sleep(0.1)
            equal(active("pop3"), 1, "sessions while the server still writes")
        with Line(site.pop3) as other:
            contains(other.line(), "-ERR [SYS/TEMP] too many connections", "another one of the address meanwhile")
        text = session.rest(30)
        check(len(text) > len(body) and text.endswith(b"\r\n.\r\n"), "all of the message arrived: %d bytes" % len(text))
    wait_until(lambda: active("pop3") == 0, 1 * slow_build(), "the slot is free")


@case
def case_38_a_reset_frees_the_slot_within_a_second():
    with contextlib.suppress(Closed):
        session = hold(site.smtp, 1, STRANGER)[0]
        session.hello()
        session.command("MAIL FROM:<a@sender.example>", 250)
        session.reset()
    wait_until(lambda: greeted(site.smtp, STRANGER), 1 * slow_build(), "room for a new one")
    wait_until(lambda: active("smtp") == 0, 1 * slow_build(), "nothing is held")


@case
def a_refused_connection_gets_its_line_though_it_has_sent_much():
    session = hold(site.smtp, 1, STRANGER)[0]
    for _ in range(20):
        with Line(site.smtp, STRANGER) as line:
            with contextlib.suppress(Closed):
                line.send(b"EHLO x\r\n" * 2000)
            contains(line.line(), "421 4.7.0")
            line.socket.settimeout(5)
            equal(line.socket.recv(100), b"", "an orderly end, no reset")
    session.close()
    wait_until(lambda: active("smtp") == 0, 2 * slow_build(), "nothing is held")


def segments_received(line):
    # tcpi_segs_in of struct tcp_info (linux/tcp.h)
    return struct.unpack_from("I", line.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 200), 140)[0]


@case
def the_line_of_a_refusal_and_the_end_come_in_one_segment():
    session = hold(site.smtp, 1, STRANGER)[0]
    with Line(site.smtp, STRANGER) as line:
        contains(line.rest().decode(), "421 4.7.0")
        # The first one is the answer to ours that opened the connection.
        equal(segments_received(line), 2, "segments")
    session.close()
    wait_until(lambda: active("smtp") == 0, 2 * slow_build(), "nothing is held")


@case
def a_refused_connection_that_stays_is_closed_after_the_linger_time():
    session = hold(site.smtp, 1, STRANGER)[0]
    with Line(site.smtp, STRANGER) as line:
        contains(line.line(), "421 4.7.0")
        equal(line.socket.recv(100), b"", "end")

        def closed():
            # Once the server has closed its socket, a byte of ours is answered by a reset.
            try:
                line.socket.send(b"x")
                time.sleep(0.05)
                line.socket.send(b"x")
                return False
            except (ConnectionResetError, BrokenPipeError):
                return True
        wait_until(closed, 3 * slow_build(), "the connection is closed")
    session.close()


with site.running():
    run_cases()
