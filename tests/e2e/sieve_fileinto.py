#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Filters at delivery: a user's script files into folders, the whole server's runs where the user's decides nothing, errors keep."""
from postern_testing import *

site = Site(settings={"recipient_delimiter": "+"})
SCRIPT = """\
require ["fileinto", "envelope", "copy", "mailbox", "variables", "subaddress", "vacation"];
if header :contains "subject" "[list]" { fileinto :create "Lists/Postern"; stop; }
if envelope :domain "from" "junk.example" { discard; stop; }
if header :is "subject" "copy" { fileinto :copy :create "Copies"; }
if header :is "subject" "both" { fileinto :create "Copies"; keep; }
if header :is "subject" "new" { fileinto "Not yet there"; }
if header :matches "subject" "into *" { fileinto "${1}"; }
if envelope :detail "to" "shop" { fileinto :create "Shop"; }
if header :is "subject" "answer" { vacation "Away."; }
"""


def set_script(account, text):
    path = os.path.join(site.directory, "script")
    with open(path, "w") as file:
        file.write(text)
    site.ctl("account", "filter", account, path)


@case
def the_users_script_files_into_a_folder():
    set_script("anna@example.com", SCRIPT)
    site.find_message("anna@example.com", deliver(site, subject="[list] hello"), "Lists/Postern")
    equal(site.messages("anna@example.com"), [], "INBOX")


@case
def a_copy_goes_to_the_folder_and_the_inbox():
    message_id = deliver(site, subject="copy")
    site.find_message("anna@example.com", message_id, "Copies")
    site.find_message("anna@example.com", message_id)


@case
def what_is_discarded_is_in_no_folder():
    before = sum(len(site.files("anna@example.com", folder)) for folder in ("", "Copies", "Lists/Postern"))
    deliver(site, sender="x@junk.example")
    site.find_message("anna@example.com", deliver(site, subject="both"))  # comes later and is there
    time.sleep(0.3)
    equal(sum(len(site.files("anna@example.com", folder)) for folder in ("", "Copies", "Lists/Postern")), before + 2)


@case
def a_missing_folder_is_made():
    site.find_message("anna@example.com", deliver(site, subject="new"), "Not yet there")


@cases_of([(name, name) for name in ("../../bert", "a/../../../bert", "..", "/etc", "a//b")])
def a_folder_that_cannot_be_keeps_the_message(name):
    site.find_message("anna@example.com", deliver(site, subject="into " + name))
    site.wait_for_log("filter", "anna@example.com", "line=")


@case
def the_detail_of_the_address_is_in_the_envelope():
    site.find_message("anna@example.com", deliver(site, "anna+shop@example.com"), "Shop")
    site.find_message("anna@example.com", deliver(site, "anna+other@example.com"))


@case
def who_writes_to_an_address_with_a_detail_is_answered():
    site.find_message("anna@example.com", deliver(site, "anna+other@example.com", sender="bert@example.com", subject="answer"))

    def texts():
        for path in site.files("bert@example.com"):
            with open(path) as file:
                yield file.read()
    wait_until(lambda: any("Away." in text for text in texts()), 10, "the answer")


@case
def each_recipient_has_a_script_of_his_own():
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin("a@sender.example", "anna@example.com", "bert@example.com")
        session.data(message(message_id, subject="[list] for both"))
    site.find_message("anna@example.com", message_id, "Lists/Postern")
    site.find_message("bert@example.com", message_id)


@case
def a_wrong_script_is_refused_with_line_and_reason():
    path = os.path.join(site.directory, "script")
    with open(path, "w") as file:
        file.write('require "fileinto";\nif true { fileinto "A"\n')
    done = site.ctl("account", "filter", "anna@example.com", path, expect=None)
    check(done.returncode != 0, "exit status")
    contains(done.stdout + done.stderr, "3")
    checked = run(program("postern-sieve"), "check", path, expect=None)
    check(checked.returncode != 0, "exit status of postern-sieve check")
    contains(checked.stdout + checked.stderr, "script:")


@case
def the_servers_filter_is_asked_where_the_user_decides_nothing():
    with open(os.path.join(site.etc, "system.filter"), "w") as file:
        file.write('require ["fileinto", "mailbox"];\nif header :contains "subject" "spam" { fileinto :create "Junk"; }\n')
    site.server.reload()
    time.sleep(0.5)
    site.find_message("bert@example.com", deliver(site, "bert@example.com", subject="spam"), "Junk")
    site.find_message("anna@example.com", deliver(site, subject="[list] spam"), "Lists/Postern")


with site.running():
    run_cases()
