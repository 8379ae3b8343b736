#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""UDP sockets come and go with the configuration as TCP sockets do: overlap (case 4, case 73), all or nothing, kept, removed, swapped."""
from postern_testing import *

port, other = free_port(), free_port()
REQUEST = bytes.fromhex("302602010104067365637265 74".replace(" ", "")) + bytes.fromhex("a019020101020100020100300e300c06082b06010201010300 0500".replace(" ", ""))
site = Site({"client_addresses": "127.0.0.0/8", "listeners": {"snmp": {"sockets": [{"port": port, "address": "127.0.0.1"}]}},
             "snmp": {"community": "secret"}})


def answers(to, at="127.0.0.1", seconds=1.0):
    """Whether somebody answers there. Connected, so that a closed port is seen at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.settimeout(seconds)
        here.connect((at, to))
        try:
            here.send(REQUEST)
            return here.recv(4096)[0] == 0x30
        except (ConnectionRefusedError, socket.timeout):
            return False


def free(where, at="127.0.0.1"):
    """Whether anybody may take the port: neither this program nor the kernel gives an address away twice."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        try:
            here.bind((at, where))
            return True
        except OSError:
            return False


def listen_at(*rows, expect=0):
    site.write_configuration({"listeners": {"snmp": {"sockets": [dict(zip(("port", "address"), row)) for row in rows]}}})
    return site.server.reload(expect=expect)


def child():
    return [one["pid"] for one in site.ctl_json("status")["children"] if one["role"] == "snmp" and one["state"] == "working"]


@case
def a_reload_without_a_change_keeps_socket_and_process():
    before = child()
    check(answers(port), "an answer")
    site.server.reload()
    equal(child(), before, "the process")
    check(answers(port), "an answer")


@case
def it_is_shown_with_its_rows_and_without_figures_of_connections():
    shown = site.ctl("listener", "show").stdout
    text = shown[shown.index("snmp ("):].split("\n\n")[0]
    for part in (str(port), "127.0.0.1", "listening", "restriction"):
        contains(text, part)
    for part in ("maximum", "admitted", "idle_time"):
        check(part not in text, "%s in %r" % (part, text))
    snmp = next(one for one in site.ctl_json("listener", "show")["listeners"] if one["module"] == "snmp")
    equal((snmp["transport"], "maximum" in snmp), ("udp", False))


@case
def case_73_all_addresses_and_one_of_them_are_refused_and_nothing_changes():
    done = listen_at((port, "all"), (port, "127.0.0.1"), expect=None)
    check(done.returncode != 0, "the reload is refused")
    contains(done.stdout + done.stderr, "snmp 127.0.0.1:%d/udp" % port)
    contains(done.stdout + done.stderr, "snmp all:%d/udp" % port)
    check(answers(port), "the old socket answers")
    listen_at((port, "127.0.0.1"))


@case
def case_4_tcp_and_udp_share_a_port():
    listen_at((port, "127.0.0.1"), (site.smtp, "127.0.0.1"))
    check(answers(site.smtp), "an answer by UDP")
    with Smtp(site.smtp) as session:
        equal(session.greeting[0], 220)
    listen_at((port, "127.0.0.1"))


@case
def a_removed_socket_is_nobodys_and_another_one_answers():
    before = child()
    listen_at((other, "127.0.0.1"))
    check(answers(other), "the new one answers")
    check(not answers(port), "the old one does not")
    check(free(port), "its port is free")
    equal(child(), before, "the process")
    listen_at((port, "127.0.0.1"))


@case
def one_address_becomes_all_and_back():
    for row, also in (("all", True), ("127.0.0.1", False), ("0.0.0.0", True), ("127.0.0.1", False)):
        listen_at((port, row))
        check(answers(port), "%s: the usual address" % row)
        equal(answers(port, "127.0.0.7"), also, "%s: another address" % row)


@case
def a_change_that_fails_leaves_everything_as_it_was():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as foreign:
        foreign.bind(("127.0.0.1", 0))
        taken = foreign.getsockname()[1]
        # The second row can't be opened; the first would have to give way to all addresses.
        done = listen_at((port, "all"), (taken, "127.0.0.1"), expect=None)
        check(done.returncode != 0, "the reload is refused")
        contains(done.stdout + done.stderr, "%d/udp" % taken)
    check(answers(port), "the old socket answers")
    check(not answers(port, "127.0.0.7"), "and on its own address only")
    listen_at((port, "127.0.0.1"))


@case
def a_stopped_process_does_not_keep_a_port():
    stopped = child()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        listen_at((other, "127.0.0.1"))
        check(free(port), "the port is free")
        site.wait_for_log("child-keeps-socket", "child=%d" % stopped)
        wait_until(lambda: answers(other), 10, "a new process answers")
        check(child() != [stopped], "another process")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(stopped, signal.SIGCONT)
    listen_at((port, "127.0.0.1"))


@case
def port_0_switches_the_service_off_and_on_again():
    listen_at((0, "127.0.0.1"))
    check(free(port), "the port is free")
    wait_until(lambda: not child(), 10, "no process")
    listen_at((port, "127.0.0.1"))
    wait_until(lambda: answers(port), 10, "it answers again")


@case
def a_listener_without_a_community_is_a_mistake():
    site.write_configuration({"snmp": {"community": ""}})
    done = site.server.reload(expect=None)
    check(done.returncode != 0, "the reload is refused")
    contains(done.stdout + done.stderr, "snmp.community")
    site.write_configuration({"snmp": {"community": "secret"}})
    site.server.reload()


@case
def a_new_community_holds_at_once_and_shows_nowhere():
    site.write_configuration({"snmp": {"community": "another"}})
    site.server.reload()
    check(not answers(port, seconds=0.5), "no answer to the old word")
    site.write_configuration({"snmp": {"community": "secret"}})
    site.server.reload()
    check(answers(port), "an answer to the new one")
    equal(site.log().count("secret"), 0, "mentions in the log")


with site.running():
    run_cases()
