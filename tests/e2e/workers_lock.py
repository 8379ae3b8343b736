#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run/workers.lock: delivery and queue children of two masters never work side by side, so no record is worked on twice."""
import fcntl

from postern_testing import *


def accept(site, number):
    """Messages that the server takes, by Message-ID."""
    return [deliver(site, "anna@example.com") for _ in range(number)]


def present(site, ids):
    return [sum(("<%s>" % one).encode() in text for text in site.messages("anna@example.com")) for one in ids]


@case
def workers_wait_until_nobody_else_has_the_lock():
    site = Site()
    with site.running():
        site.find_message("anna@example.com", deliver(site))
    with open(os.path.join(site.base, "run", "workers.lock"), "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        site.start(wait=False)
        site.wait_for_log("workers-wait", seconds=20 * slow_build())
        wait_until(lambda: greeted(site.smtp), 20 * slow_build(), "mail is taken meanwhile")
        ids = accept(site, 3)
        time.sleep(1.5)
        equal(present(site, ids), [0, 0, 0], "nothing is delivered while somebody else has the lock")
        fcntl.flock(lock, fcntl.LOCK_UN)
        for one in ids:
            site.find_message("anna@example.com", one, seconds=20)
        site.server.wait_ready()
        # Now it is the server's: a second one that came would have to wait.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            check(False, "the running server has the lock")
        except BlockingIOError:
            pass
        # And it is not lost with one worker of several.
        os.kill(site.server.children("delivery")[0], signal.SIGKILL)
        time.sleep(0.5)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            check(False, "the running server has the lock still")
        except BlockingIOError:
            pass
    site.server.stop()


@case
def the_workers_of_a_killed_master_come_first():
    site = Site(settings={"children": {"delivery": 1}})
    site.start()
    old = site.server
    site.find_message("anna@example.com", deliver(site))
    delivery = old.children("delivery")[0]
    # Stopped in the middle of whatever it does; it can't notice the end of its master.
    os.kill(delivery, signal.SIGSTOP)
    ids = accept(site, 3)
    os.kill(old.pid, signal.SIGKILL)
    old.process.wait()
    old.log_handle.close()
    try:
        site.start(wait=False)
        site.wait_for_log("workers-wait", seconds=20 * slow_build())
        time.sleep(1.0)
        equal(present(site, ids), [0, 0, 0], "nothing is delivered beside a worker that may go on")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(delivery, signal.SIGCONT)
    for one in ids:
        site.find_message("anna@example.com", one, seconds=30)
    site.server.wait_ready(30)
    equal(present(site, ids), [1, 1, 1], "copies of each")
    site.server.stop()


run_cases()
