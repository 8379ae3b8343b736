#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many may connect: limit per address, maximum and reserve (listeners.md, cases 31 to 34, 36 to 39, 43, 44, 46 to 54 and 79)."""
from postern_testing import *

site = Site(settings={"children": {"smtp": 4, "pop3": 2}})
STRANGER, OTHER, CLIENT = "127.0.0.50", "127.0.0.51", "127.0.0.1"


def limits(maximum=200, per_address=0, reserve=0, module="smtp", **more):
    """Sets the limits of a listener and waits until they hold."""
    site.write_configuration({"client_addresses": CLIENT, "listeners": {module: dict(
        {"maximum_connections": maximum, "connections_per_address": per_address, "reserve_for_clients": reserve}, **more)}})
    site.server.reload()
    time.sleep(0.3)


def active():
    return len(site.ctl_json("sessions").get("sessions", []))


def nobody_left():
    wait_until(lambda: active() == 0, 3, "all counts are 0")


def refused(source, port=None, text=b"421"):
    with Line(port or site.smtp, source) as line:
        got = line.rest()
    return got.startswith(text)


def let_in(number, sources, at_once=True):
    """Connects `number` times at the same moment; returns the sessions that were greeted."""
    sockets = []
    barrier = threading.Barrier(number)
    lock = threading.Lock()

    def one(index):
        barrier.wait()
        line = Line(site.smtp, sources[index % len(sources)])
        try:
            text = line.line()
        except Closed:
            text = ""
        if text.startswith("220"):
            with lock:
                sockets.append(line)
        else:
            line.close()
    threads = [threading.Thread(target=one, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sockets


@case
def case_32_each_module_counts_for_itself():
    limits(per_address=5)
    limits(per_address=5, module="pop3")
    sessions = hold(site.smtp, 5, STRANGER)
    mail = [Line(site.pop3, STRANGER) for _ in range(5)]
    for line in mail:
        contains(line.line(), "+OK")
    check(refused(STRANGER, text=b"421 4.7.0 mail.example.com too many connections from 127.0.0.50"), "a sixth SMTP connection")
    check(refused(STRANGER, site.pop3, b"-ERR [SYS/TEMP] too many connections from 127.0.0.50"), "a sixth POP3 connection")
    check(greeted(site.smtp, OTHER), "another address is let in")
    close_all(sessions + mail)
    nobody_left()


@case
def case_33_a_closed_connection_makes_room_within_a_second():
    limits(per_address=5)
    sessions = hold(site.smtp, 5, STRANGER)
    sessions.pop().close()
    wait_until(lambda: greeted(site.smtp, STRANGER), 1, "room for a new one")
    close_all(sessions)
    nobody_left()


@case
def case_38_a_reset_makes_room_within_a_second():
    limits(per_address=1)
    hold(site.smtp, 1, STRANGER)[0].reset()
    wait_until(lambda: greeted(site.smtp, STRANGER), 1, "room for a new one")
    nobody_left()


@case
def cases_34_and_36_a_killed_child_holds_nothing():
    limits(per_address=7)
    before = set(site.server.children("smtp"))
    sessions = hold(site.smtp, 7, STRANGER)
    check(refused(STRANGER), "the eighth")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    for session in sessions:
        check(not session.is_open(1), "the other end sees the end at once")
    again = []
    wait_until(lambda: greeted(site.smtp, STRANGER), 1 * slow_build(), "room after the death of the children")
    wait_until(lambda: active() == 0, 1 * slow_build(), "the slots of the dead are free")
    again = hold(site.smtp, 7, STRANGER)
    check(refused(STRANGER), "the eighth again")
    close_all(sessions + again)
    wait_until(lambda: len(set(site.server.children("smtp")) - before) == len(before), 5, "new children")
    nobody_left()


@case
def case_39_of_50_at_the_same_moment_exactly_10_are_let_in():
    limits(per_address=10)
    for _ in range(3):
        sessions = let_in(50, [STRANGER])
        equal(len(sessions), 10, "greetings")
        close_all(sessions)
        nobody_left()


@case
def case_43_a_lowered_limit_cuts_nobody():
    limits(per_address=10)
    sessions = hold(site.smtp, 8, STRANGER)
    limits(per_address=3)
    for session in sessions:
        session.command("NOOP", 250)
    while len(sessions) > 3:
        check(refused(STRANGER), "a new one while %d are held" % len(sessions))
        sessions.pop().quit()
    time.sleep(0.3)
    check(refused(STRANGER), "a new one while 3 are held")
    sessions.pop().quit()
    wait_until(lambda: greeted(site.smtp, STRANGER), 1, "room when 2 are left")
    close_all(sessions)
    nobody_left()


@case
def case_44_limit_0_is_no_limit_but_the_maximum_holds():
    limits(maximum=12)
    sessions = hold(site.smtp, 12, STRANGER)
    check(refused(OTHER, text=b"421 4.3.2 mail.example.com too many connections, try again later"), "one more than the maximum")
    close_all(sessions)
    nobody_left()


@case
def case_46_the_reserve_is_no_way_around_the_limit():
    limits(maximum=20, per_address=2, reserve=10)
    sessions = hold(site.smtp, 2, CLIENT)
    check(refused(CLIENT, text=b"421 4.7.0"), "a third connection of a client")
    close_all(sessions)
    nobody_left()


@case
def cases_47_and_48_reserve_for_clients():
    limits(maximum=10, reserve=3)
    sessions = hold(site.smtp, 7, STRANGER)  # the seventh: 10 - 6 = 4 > 3
    check(refused(OTHER), "the eighth: 10 - 7 = 3 <= 3")
    sessions += hold(site.smtp, 3, CLIENT)
    check(refused(CLIENT), "a fourth client: full")
    close_all(sessions)
    nobody_left()


@case
def case_49_clients_fill_the_place_of_others_too():
    limits(maximum=10, reserve=3)
    sessions = hold(site.smtp, 7, CLIENT)
    check(refused(STRANGER), "a stranger")
    check(greeted(site.smtp, CLIENT), "a client")
    close_all(sessions)
    nobody_left()


@case
def case_50_without_a_reserve_the_last_place_is_for_anybody():
    limits(maximum=5)
    sessions = hold(site.smtp, 4, CLIENT) + hold(site.smtp, 1, STRANGER)
    check(refused(STRANGER) and refused(CLIENT), "both are refused when it is full")
    close_all(sessions)
    nobody_left()


@case
def case_51_a_reserve_as_large_as_the_maximum_lets_no_stranger_in():
    limits(maximum=5, reserve=5)
    check(refused(STRANGER), "a stranger")
    check(greeted(site.smtp, CLIENT), "a client")
    nobody_left()


@case
def case_52_a_client_gets_in_though_strangers_knock():
    limits(maximum=20, reserve=5)
    sessions = hold(site.smtp, 15, STRANGER)
    over = threading.Event()

    def knock():
        while not over.wait(0.02):
            with contextlib.suppress(OSError, Closed):
                with Line(site.smtp, OTHER) as line:
                    line.line()
    threads = [threading.Thread(target=knock) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            began = time.monotonic()
            check(greeted(site.smtp, CLIENT), "greeting for a client")
            check(time.monotonic() - began < 1 * slow_build(), "it took %.2f s" % (time.monotonic() - began))
            time.sleep(0.1)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    close_all(sessions)
    nobody_left()


@case
def case_53_a_new_client_may_use_the_reserve_at_once():
    limits(maximum=4, reserve=2)
    sessions = hold(site.smtp, 2, STRANGER)
    check(refused(OTHER), "not yet a client")
    site.write_configuration({"client_addresses": CLIENT + "\n" + OTHER})
    site.server.reload()
    wait_until(lambda: greeted(site.smtp, OTHER), 1, "a client now")
    close_all(sessions)
    nobody_left()


@case
def case_54_a_lowered_maximum_cuts_nobody():
    limits(maximum=10)
    sessions = hold(site.smtp, 6, STRANGER)
    limits(maximum=5)
    for session in sessions:
        session.command("NOOP", 250)
    check(refused(OTHER), "while 6 of 5 are held")
    sessions.pop().quit()
    time.sleep(0.3)
    check(refused(OTHER), "while 5 of 5 are held")
    sessions.pop().quit()
    wait_until(lambda: greeted(site.smtp, OTHER), 1, "room below 5")
    close_all(sessions)
    nobody_left()


@case
def silence_can_be_chosen():
    limits(maximum=1, refusal_reply=False)
    sessions = hold(site.smtp, 1, STRANGER)
    check(refused_silently(site.smtp, OTHER), "zero bytes")
    close_all(sessions)
    limits(refusal_reply=True)
    nobody_left()


@case
def clients_may_have_a_limit_of_their_own():
    limits(per_address=1, connections_per_client_address=3)
    sessions = hold(site.smtp, 3, CLIENT) + hold(site.smtp, 1, STRANGER)
    check(refused(CLIENT) and refused(STRANGER), "one more of each")
    close_all(sessions)
    limits(connections_per_client_address=None)
    nobody_left()


@case
def case_79_after_1000_ends_of_all_kinds_every_count_is_0_and_every_limit_exact():
    limits(per_address=50)
    limits(module="pop3", per_address=50)
    held = []
    for index in range(1000):
        with contextlib.suppress(OSError, Closed):
            source = "127.0.0.%d" % random.randint(50, 60)
            if random.random() < 0.3:
                session = Line(site.pop3, source)
            else:
                session = Smtp(site.smtp, source, greeting=random.random() < 0.7)
            held.append(session)
        while len(held) > 20:
            session = held.pop(random.randrange(len(held)))
            with contextlib.suppress(OSError, Closed, AssertionError):
                getattr(session, random.choice(["close", "reset", "quit"] if isinstance(session, Smtp) else ["close", "reset"]))()
        if index % 100 == 50:
            children = site.server.children("smtp") + site.server.children("pop3")
            with contextlib.suppress(ProcessLookupError):
                if children:
                    os.kill(random.choice(children), signal.SIGKILL)
    close_all(held)
    nobody_left()
    wait_until(lambda: len(site.server.children("smtp")) == 4 and len(site.server.children("pop3")) == 2, 20 * slow_build(), "all children are there again")
    nobody_left()
    status = site.ctl_json("status")
    for listener in status["listeners"]:
        equal((listener["active"], listener["clients"]), (0, 0), listener["module"])
    equal(status["addresses"], [], "counting keys")
    # Not one more, and not one fewer.
    limits(per_address=9, maximum=20, reserve=5)
    for source in ("127.0.0.50", "127.0.0.60"):
        sessions = let_in(30, [source])
        equal(len(sessions), 9, "greetings for " + source)
        close_all(sessions)
        nobody_left()
    sessions = let_in(60, ["127.0.0.%d" % number for number in range(50, 60)])
    equal(len(sessions), 15, "greetings with five places for clients")
    close_all(sessions)
    nobody_left()


with site.running():
    run_cases()
