#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reload is all or nothing: mistakes change nothing and are named; what is right holds at once; nobody is disconnected."""
from postern_testing import *

site = Site()


def greeting(port=None):
    with Smtp(port or site.smtp) as session:
        return session.greeting[1][0]


@case
def a_new_name_stands_in_the_next_greeting():
    session = Smtp(site.smtp)
    site.write_configuration({"host_name": "other.example.com"})
    site.server.reload()
    wait_until(lambda: "other.example.com" in greeting(), 1, "the new name in the greeting")
    session.hello()
    session.begin("a@sender.example", "anna@example.com")
    session.data(message())
    session.quit()


def reload_refused(mistake, setting, host_name):
    """A reload with `mistake` names file and setting, and changes nothing: the greeting still has `host_name`."""
    good = dict(site.settings)
    site.write_configuration(mistake)
    done = site.server.reload(expect=None)
    check(done.returncode != 0, "posternctl reload says that it failed")
    contains(done.stdout + done.stderr, "postern.conf:")
    contains(done.stdout + done.stderr, setting)
    contains(greeting(), host_name)
    site.settings = good
    site.write_configuration()


@case
def a_mistake_changes_nothing_and_is_named_with_file_and_line():
    reload_refused({"host_name": "third.example.com", "smtp": {"errors": "many"}}, "smtp.errors", "other.example.com")


@case
def a_mistake_at_sighup_is_in_the_log():
    good = dict(site.settings)
    site.write_configuration({"listeners": {"smtp": {"sockets": [{"port": 70000, "address": "127.0.0.1"}]}}})
    os.kill(site.server.pid, signal.SIGHUP)
    site.wait_for_log("postern.conf:", "70000")
    contains(greeting(), "other.example.com")
    site.settings = good
    site.write_configuration()


@case
def sighup_reloads():
    site.write_configuration({"host_name": "fourth.example.com"})
    os.kill(site.server.pid, signal.SIGHUP)
    wait_until(lambda: "fourth.example.com" in greeting(), 2, "the new name in the greeting")


@case
def a_reload_without_a_change_is_invisible():
    session = Smtp(site.smtp)
    pids = site.server.pids()
    refused = []
    over = threading.Event()

    def knock():
        while not over.is_set():
            try:
                greeting()
            except Exception as error:  # counted below
                refused.append(error)
    thread = threading.Thread(target=knock)
    thread.start()
    for _ in range(20):
        site.server.reload()
    over.set()
    thread.join()
    equal(refused, [], "connections that failed")
    equal(site.server.pids(), pids, "the same processes")
    session.quit()


@case
def new_children_take_over_where_a_setting_needs_them():
    session = Smtp(site.smtp)
    site.write_configuration({"spool": {"large_message_bytes": 128 * 1024}})
    site.server.reload()
    site.find_message("anna@example.com", deliver(site))
    session.hello()
    session.begin("a@sender.example", "anna@example.com")
    session.data(message())
    session.quit()


@case
def a_setting_that_needs_a_restart_is_refused_and_says_so():
    good = dict(site.settings)
    site.write_configuration({"connection_table_sessions": 1000})
    done = site.server.reload(expect=None)
    check(done.returncode != 0, "posternctl reload says that it failed")
    contains((done.stdout + done.stderr), "connection_table_sessions")
    site.settings = good
    site.write_configuration()
    site.server.reload()


@case
def the_log_is_opened_again_at_sigusr1():
    path = os.path.join(site.directory, "posternd.log")
    site.write_configuration({"log": {"destination": "standard_error", "file": path, "admissions": True}})
    site.server.stop()
    site.start()
    deliver(site)
    wait_until(lambda: os.path.exists(path) and os.path.getsize(path), 5, "the log file")
    os.rename(path, path + ".old")
    os.kill(site.server.pid, signal.SIGUSR1)
    wait_until(lambda: os.path.exists(path), 5, "a new log file")

    def logged():
        deliver(site)
        return os.path.getsize(path)
    wait_until(logged, 5, "lines in the new file")


@case
def a_log_that_can_not_be_opened_again_is_not_said_to_be():
    path = site.settings["log"]["file"]
    os.rename(path, path + ".old")
    os.mkdir(path)
    os.kill(site.server.pid, signal.SIGUSR1)

    def lines():
        with open(path + ".old") as file:
            return file.read()
    wait_until(lambda: "log-file-not-opened" in lines(), 5, "the reason in the file that was open")
    deliver(site)
    check("log-reopened" not in lines()[lines().index("log-file-not-opened"):], "it was not opened again")
    os.rmdir(path)


@case
def a_reload_with_a_log_file_that_can_not_be_opened_changes_nothing():
    reload_refused({"host_name": "fifth.example.com", "log": {"file": "/nonexist/log"}}, "log.file: ", "fourth.example.com")
    site.server.reload()


with site.running():
    run_cases()
