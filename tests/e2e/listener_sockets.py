#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sockets come and go without harm: listeners.md, cases 1, 3, 10 to 15 and 75 to 77."""
from postern_testing import *

site = Site()
EXTRA = free_port()


def rows(*more):
    return {"listeners": {"smtp": {"sockets": [{"port": site.smtp, "address": "127.0.0.1"}] + list(more)}}}


def connectable(port, host="127.0.0.1"):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0


def change(settings, expect=0):
    site.write_configuration(settings)
    return site.server.reload(expect=expect)


@case
def case_1_overlapping_sockets_are_refused_and_both_are_named():
    before = dict(site.settings)
    done = change(rows({"port": site.pop3, "address": "all"}), expect=None)
    check(done.returncode != 0, "the reload says that it failed")
    contains(done.stdout + done.stderr, str(site.pop3))
    contains(done.stdout + done.stderr, "pop3")
    check(greeted(site.smtp), "the old state holds")
    site.settings = before
    change({})


@case
def case_3_two_addresses_share_a_port():
    change(rows({"port": EXTRA, "address": "127.0.0.1"}, {"port": EXTRA, "address": "127.0.0.2"}))
    wait_until(lambda: connectable(EXTRA), 2, "the first")
    with Smtp(EXTRA, host="127.0.0.2") as session:
        session.quit()


@case
def case_75_sessions_outlive_their_socket():
    change(rows({"port": EXTRA, "address": "127.0.0.1"}))
    session = Smtp(EXTRA)
    change(rows())
    wait_until(lambda: not connectable(EXTRA), 1, "the kernel refuses new connections")
    session.hello()
    session.begin("a@sender.example", "anna@example.com")
    session.data(message())
    session.quit()


@case
def case_13_all_addresses_become_one_and_sessions_go_on():
    change(rows({"port": EXTRA, "address": "all"}))
    sessions = hold(EXTRA, 3, "127.0.0.40") + [Smtp(EXTRA, host="127.0.0.2"), Smtp(EXTRA, host="127.0.0.3")]
    change(rows({"port": EXTRA, "address": "127.0.0.1"}))
    check(greeted(EXTRA), "the new socket listens")
    check(not connectable(EXTRA, "127.0.0.2"), "other addresses are closed")
    wait_until(lambda: len(site.ctl_json("sessions").get("sessions", [])) == 5, 2 * slow_build(), "sessions that count, without those that only looked")
    for session in sessions:
        session.command("NOOP", 250)
    close_all(sessions)


@case
def case_14_a_missing_address_changes_nothing():
    change(rows({"port": EXTRA, "address": "all"}))
    session = Smtp(EXTRA)
    before = dict(site.settings)
    done = change(rows({"port": EXTRA, "address": "203.0.113.9"}), expect=None)
    check(done.returncode != 0, "the reload says that it failed")
    contains(done.stdout + done.stderr, "203.0.113.9")
    check(greeted(EXTRA) and connectable(EXTRA, "127.0.0.2"), "all addresses listen again")
    session.command("NOOP", 250)
    session.close()
    site.settings = before
    change(rows())


@case
def case_10_a_port_of_somebody_else_undoes_the_whole_change():
    other = free_port()
    with socket.socket() as foreigner:
        foreigner.bind(("127.0.0.1", other))
        foreigner.listen()
        done = change(rows({"port": other, "address": "127.0.0.1"}, {"port": EXTRA, "address": "127.0.0.1"}), expect=None)
        check(done.returncode != 0, "the reload says that it failed")
        contains(done.stdout + done.stderr, str(other))
        check(not connectable(EXTRA), "the other change has not been made either")
        check(greeted(site.smtp), "the old state holds")
    change(rows())


@case
def case_15_maximum_0_closes_the_sockets():
    change({"listeners": {"smtp": {"maximum_connections": 0}}})
    wait_until(lambda: not connectable(site.smtp), 2, "the kernel refuses")
    change({"listeners": {"smtp": {"maximum_connections": 10}}})
    wait_until(lambda: connectable(site.smtp), 2, "open again")
    check(greeted(site.smtp), "greeting")
    change({"listeners": {"smtp": {"maximum_connections": 200}}})


@case
def case_76_a_stopped_child_keeps_no_port_open():
    change(rows({"port": EXTRA, "address": "127.0.0.1"}))
    check(greeted(EXTRA), "it listens")
    stopped = site.server.children("smtp")
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        change(rows(), expect=None)
        wait_until(lambda: not connectable(EXTRA), 1, "nobody can connect")
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    wait_until(lambda: greeted(site.smtp), 5, "the others go on")


@case
def case_12_a_second_master_is_refused():
    second_master_is_refused(site)


@case
def case_77_a_new_master_takes_the_ports_of_a_killed_one():
    session = Smtp(site.smtp)
    os.kill(site.server.pid, signal.SIGKILL)
    site.server.process.wait()
    site.server = None
    began = time.monotonic()
    site.start(wait=False)
    wait_until(lambda: connectable(site.smtp) and greeted(site.smtp), 5 * slow_build(), "a greeting of the new master")
    took = time.monotonic() - began
    check(took < 2.5 * slow_build(), "it took %.1f s" % took)
    site.server.wait_ready()
    site.find_message("anna@example.com", deliver(site))
    session.close()


@case
def case_11_a_taken_port_does_not_stop_the_start():
    site.server.stop()
    with socket.socket() as foreigner:
        foreigner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        foreigner.bind(("127.0.0.1", EXTRA))
        foreigner.listen()
        site.write_configuration(rows({"port": EXTRA, "address": "127.0.0.1"}))
        site.write_configuration({"gate": {"socket_retry": 2}})
        site.start(wait=False)
        wait_until(lambda: connectable(site.smtp) and greeted(site.smtp), 10, "the other socket serves")
        contains(json.dumps(site.ctl_json("status")), str(EXTRA))
    wait_until(lambda: greeted(EXTRA) if connectable(EXTRA) else False, 10, "it listens when the port is free")


with site.running():
    run_cases()
