#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""POP3: one session a mailbox, deletes at QUIT only, unique ids that survive a restart."""
from postern_testing import *

site = Site(settings={"pop3": {"failure_delay": 0}})
account = "anna@example.com"


def uidl():
    session = pop3(site, account)
    try:
        return [line.split()[1] for line in session.uidl()[1]]
    finally:
        session.quit()


@case
def a_second_session_is_told_that_the_mailbox_is_in_use():
    first = pop3(site, account)
    try:
        pop3(site, account)
        raise AssertionError("two sessions on one mailbox")
    except poplib.error_proto as error:
        contains(str(error), "[IN-USE]")
    first.quit()
    pop3(site, account).quit()


@case
def the_mailbox_is_free_again_when_a_session_breaks_off():
    session = pop3(site, account)
    session.sock.shutdown(socket.SHUT_RDWR)
    session.close()

    def free():
        try:
            pop3(site, account).quit()
            return True
        except poplib.error_proto:
            return False
    wait_until(free, 5, "the mailbox is free")


@case
def a_wrong_password_is_refused_and_says_no_more():
    answers = []
    for name in (account, "nobody@example.com"):
        with Line(site.pop3) as line:
            line.line()
            line.send("USER %s\r\nPASS wrong\r\n" % name)
            line.line()
            answers.append(line.line())
    check(answers[0].startswith("-ERR"), answers[0])
    equal(answers[0], answers[1], "answer for an unknown account")


@case
def messages_are_deleted_at_quit_and_not_before():
    for _ in range(3):
        deliver(site)
    site.wait_for_messages(account, 3)
    before = uidl()
    session = pop3(site, account)
    session.dele(1)
    session.sock.shutdown(socket.SHUT_RDWR)  # no QUIT
    session.close()
    wait_until(lambda: not site.ctl_json("sessions").get("sessions", []), 5, "the end of the broken session")
    equal(uidl(), before, "messages after a session without QUIT")
    session = pop3(site, account)
    session.dele(1)
    session.rset()
    session.dele(2)
    session.quit()
    equal(uidl(), before[:1] + before[2:], "messages after QUIT")


@case
def unique_ids_survive_new_mail_and_a_restart():
    before = uidl()
    deliver(site)
    site.wait_for_messages(account, len(before) + 1)
    equal(uidl()[:len(before)], before)
    everything = uidl()
    site.server.stop()
    site.start()
    equal(uidl(), everything)
    equal(len(set(everything)), len(everything), "different ids")


@case
def capa_and_top_and_pipelining_work():
    with Line(site.pop3) as line:
        line.line()
        line.send("CAPA\r\nUSER %s\r\nPASS %s\r\nTOP 1 0\r\nNOOP\r\nQUIT\r\n" % (account, site.accounts[account]))
        text = line.rest().decode()
    for word in ("TOP", "UIDL", "RESP-CODES", "PIPELINING", "USER"):
        contains(text, "\r\n%s" % word)
    contains(text, "\r\nSubject: test\r\n")
    check("Hello." not in text, "TOP 1 0 shows no body")
    check(text.rstrip().split("\r\n")[-1].startswith("+OK"), text[-200:])


def add(name, *options, expect=0):
    return site.ctl("account", "add", name, "--password-file", "-", *options, input="secret\n", expect=expect)


def refuses_a_mailbox_that_is_there():
    """With the server running or not."""
    mailbox = site.account_directory(account)
    done = add(account, expect=1)
    contains(done.stderr, "account %s is there already" % account)
    site.ctl("account", "remove", account)
    done = add(account, expect=1)
    for part in (mailbox, "earlier account", "--adopt-mailbox"):
        contains(done.stderr, part)
    check(account not in site.ctl("account", "list").stdout, "nothing was added")
    os.rename(mailbox, mailbox + ".away")
    os.mkdir(mailbox)
    add(account)  # an empty directory holds nobody's mail
    site.ctl("account", "remove", account)
    os.rmdir(mailbox)
    add(account)
    site.ctl("account", "remove", account)
    os.rename(mailbox + ".away", mailbox)
    before = len(site.files(account))
    check(before > 0, "there is mail")
    add(account, "--adopt-mailbox")
    site.accounts[account] = "secret"
    equal(len(site.files(account)), before)


@case
def a_new_account_does_not_get_the_mail_of_an_earlier_one():
    refuses_a_mailbox_that_is_there()
    equal(len(uidl()), len(site.files(account)))
    # Mail for postmaster arrives before there is such an account.
    os.makedirs(os.path.join(site.account_directory("postmaster@example.com"), "cur"))
    add("postmaster@example.com")
    site.ctl("account", "passwd", account, "--adopt-mailbox", expect=2)


@case
def so_it_is_without_a_server():
    site.server.stop()
    try:
        refuses_a_mailbox_that_is_there()
    finally:
        site.start()
    equal(len(uidl()), len(site.files(account)))


with site.running():
    run_cases()
