#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Over restarts every message is worked on once, and mail that is accepted before a stop or a kill is delivered after it."""
from postern_load import *
import select

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


@case
def in_the_background_it_keeps_nothing_of_whoever_started_it():
    site.write_configuration({"log": {"file": os.path.join(site.directory, "background.log")}})
    reading, writing = os.pipe()
    # Returns when nobody holds its output any more.
    done = subprocess.run([program("posternd"), "--config", site.configuration], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, pass_fds=[writing], text=True, timeout=60 * slow_build())
    os.close(writing)
    equal(done.returncode, 0, done.stdout)
    with open(os.path.join(site.base, "run", "master.pid")) as file:
        pid = int(file.read())
    try:
        check(select.select([reading], [], [], 0)[0], "nobody holds the other end of the pipe")
        equal(os.read(reading, 1), b"")
        site.ctl("upgrade")
        site.find_message("anna@example.com", deliver(site))
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: process_table().get(pid, (0, 0, "Z"))[2] == "Z", 20 * slow_build(), "the end of the server")


run_cases()
