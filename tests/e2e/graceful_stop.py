#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM under load: what is under way is finished, nothing is lost, nothing is left running, and it ends within its grace time."""
from postern_load import *

site = Site(settings={"grace_time": 5})


@case
def a_stop_under_load_loses_nothing():
    site.start()
    load = Load(site).start()
    load.wait_accepted(100)
    began = time.monotonic()
    site.server.stop()
    print("       stopped in %.2f s" % (time.monotonic() - began))
    load.stop()
    site.start()
    print("       " + load.verify())


@case
def a_transaction_under_way_is_finished_and_new_connections_are_refused():
    session = Smtp(site.smtp)
    session.hello()
    session.begin("a@sender.example", "anna@example.com")
    session.command("DATA", 354)
    os.kill(site.server.pid, signal.SIGTERM)

    def closed():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", site.smtp)) != 0
    wait_until(closed, 2, "the port is closed")
    message_id = new_id()
    session.send(message(message_id) + b".\r\n")
    equal(session.reply()[0], 250)
    session.close()
    site.server.stop(10)
    site.start()
    site.find_message("anna@example.com", message_id)


@case
def an_idle_session_does_not_outlast_the_grace_time():
    session = Smtp(site.smtp)
    began = time.monotonic()
    site.server.stop(15)
    check(time.monotonic() - began < 8 * slow_build(), "it took %.1f s" % (time.monotonic() - began))
    session.close()


@case
def posternctl_stop_stops_it_too():
    site.start()
    pid = site.server.pid
    site.ctl("stop")
    wait_until(lambda: not site.server.alive(), 10, "the end of %d" % pid)
    equal(site.server.process.returncode, 0)


run_cases()
