#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Over restarts every message is worked on once, and mail that is accepted before a stop or a kill is delivered after it."""
from postern_load import *

site = Site(settings={"children": {"delivery": 2, "smtp": 2}})


@case
def no_message_is_worked_on_twice():
    for _ in range(6):
        with site.running():
            for _ in range(5):
                site.find_message("anna@example.com", deliver(site))
            time.sleep(0.5)
    equal(site.log_lines("again=yes"), [], "messages that were found to be delivered already")


@case
def what_is_read_and_removed_does_not_come_back():
    for end in ("stop", "kill"):
        site.start()
        deliver(site)
        wait_until(lambda: site.files("anna@example.com"), 10, "the message")
        session = pop3(site, "anna@example.com")
        for number in range(1, session.stat()[0] + 1):
            session.dele(number)
        session.quit()
        time.sleep(0.3)
        getattr(site.server, end)()
        with site.running():
            time.sleep(1)
            equal(site.messages("anna@example.com"), [], "messages after a " + end)


@case
def what_was_accepted_before_a_kill_is_delivered_after_it():
    for _ in range(3):
        site.start()
        load = Load(site, threads=4).start()
        load.wait_accepted(60)
        site.server.kill()
        load.stop()
        with site.running():
            load.verify()


run_cases()
