#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""posternctl filter: a script over the messages that are in a mailbox: rehearse changes nothing, apply files, flags and discards, and only that."""
from postern_testing import *

site = Site()
SCRIPT = """\
require ["fileinto", "copy", "imap4flags", "mailbox"];
if header :is "subject" "move" { fileinto :create "Moved"; }
elsif header :is "subject" "copy" { fileinto :copy :create "Copied"; }
elsif header :is "subject" "flag" { setflag "\\\\Seen"; keep; }
elsif header :is "subject" "gone" { discard; }
elsif header :is "subject" "away" { redirect "bert@example.com"; }
"""
SUBJECTS = ["move", "copy", "flag", "gone", "away", "other"]
IDS = {}


def script(text=SCRIPT):
    path = os.path.join(site.directory, "script.sieve")
    with open(path, "w") as file:
        file.write(text)
    return path


def everything():
    """All files of the mailbox, with their folders."""
    top = site.account_directory("anna@example.com")
    return sorted(os.path.relpath(os.path.join(folder, name), top) for folder, _, names in os.walk(top) for name in names if ",S=" in name)


@case
def a_rehearsal_says_what_would_be_done_and_does_nothing():
    for subject in SUBJECTS:
        IDS[subject] = deliver(site, subject=subject)
        site.find_message("anna@example.com", IDS[subject])
    before = everything()
    told = site.ctl_json("filter", "rehearse", "anna@example.com", script())
    equal({one["subject"]: one["actions"] for one in told},
          {"move": ['fileinto "Moved" :create'], "copy": ['fileinto "Copied" :copy :create', "keep (implicit)"], "flag": ['keep :flags ["\\\\Seen"]'], "gone": ["discard"],
           "away": ['redirect "bert@example.com"'], "other": ["keep (implicit)"]})
    text = site.ctl("filter", "rehearse", "anna@example.com", script(), "--last", "1").stdout
    contains(text, "1 messages; nothing was changed")
    equal(everything(), before)


@case
def what_a_script_says_is_done_as_far_as_it_is_filing():
    told = site.ctl_json("filter", "apply", "anna@example.com", script(), "--folder", "INBOX")
    equal(told, {"messages": 6, "moved": 2, "copied": 1, "flagged": 1, "failed": 0, "left_out": 1})
    for subject, folder in (("move", "Moved"), ("copy", "Copied"), ("copy", ""), ("flag", ""), ("gone", "Trash"), ("away", ""), ("other", "")):
        site.find_message("anna@example.com", IDS[subject], folder)
    equal(len(site.files("anna@example.com")), 4)
    check(any(path.endswith(":2,S") for path in site.files("anna@example.com")), "one is flagged as seen")
    equal(site.files("bert@example.com"), [], "nothing was redirected")


@case
def a_second_time_nothing_is_left_to_do():
    before = everything()
    told = site.ctl_json("filter", "apply", "anna@example.com", script(), "--folder", "INBOX", "--folder", "Moved")
    equal([told["messages"], told["moved"]], [5, 0])
    equal(everything(), before)


@case
def a_pop3_session_keeps_the_mailbox():
    session = pop3(site, "anna@example.com")
    contains(site.ctl("filter", "apply", "anna@example.com", script(), "--folder", "INBOX", expect=1).stderr, "POP3 session")
    site.ctl("filter", "rehearse", "anna@example.com", script())
    session.quit()


@case
def a_script_is_read_as_a_delivery_reads_it():
    rules = script('# $Rule Info: Order=0 Name=off\ndiscard;\n# $Rule Info: Order=1 Name=first\nrequire "imap4flags";\naddflag "\\\\Flagged";\n'
                   '# $Rule Info: Order=2 Name=second\nrequire "include";\ninclude :personal "inner";\n')
    with open(os.path.join(site.directory, "inner.sieve"), "w") as file:
        file.write('require "fileinto";\nfileinto "Inner";\n')
    site.ctl("account", "script", "put", "anna@example.com", "inner", os.path.join(site.directory, "inner.sieve"))
    told = site.ctl_json("filter", "rehearse", "anna@example.com", rules, "--last", "1")
    equal(told[0]["actions"], ['fileinto "Inner" :flags ["\\\\Flagged"]'])
    run(program("postern-sieve"), "check", "--include", site.directory, rules)


def keywords(account, folder):
    """The keywords of each message in the folder, sorted: letters from 'a' on are numbers in a file of the folder."""
    directory = site.folder_directory(account, folder)
    with open(os.path.join(directory, "dovecot-keywords")) as file:
        names = dict(line.rstrip("\n").split(" ", 1) for line in file)
    return [sorted(names[str(ord(letter) - 97)] for letter in path.split(":2,")[1] if letter.islower()) for path in site.files(account, folder) if ":2," in path]


@case
def keywords_go_with_a_message_into_another_folder():
    # The same letter means something else there.
    site.ctl("account", "filter", "carl@example.org", script('require ["imap4flags", "fileinto"];\nif header :is "subject" "there" { fileinto :flags "$Other" "Moved"; }\n'
                                                             'else { setflag ["$Work", "\\\\Seen"]; }\n'))
    site.find_message("carl@example.org", deliver(site, "carl@example.org", subject="there"), "Moved")
    moved = deliver(site, "carl@example.org", subject="here")
    site.find_message("carl@example.org", moved)
    equal(keywords("carl@example.org", ""), [["$Work"]])
    # What changes nothing is not counted.
    again = script('require "imap4flags";\nsetflag ["$work", "\\\\Seen"]; keep;\n')
    equal(site.ctl_json("filter", "apply", "carl@example.org", again, "--folder", "INBOX")["flagged"], 0)
    more = script('require "imap4flags";\nsetflag "$More"; keep;\n')
    equal(site.ctl_json("filter", "apply", "carl@example.org", more, "--folder", "INBOX")["flagged"], 1)
    equal(keywords("carl@example.org", ""), [["$More", "$Work"]])
    away = script('require ["fileinto", "copy"];\nfileinto :copy "Moved";\nfileinto "Further/Away";\n')
    equal(site.ctl_json("filter", "apply", "carl@example.org", away, "--folder", "INBOX")["moved"], 1)
    equal(sorted(keywords("carl@example.org", "Moved")), [["$More", "$Work"], ["$Other"]])
    equal(keywords("carl@example.org", "Further/Away"), [["$More", "$Work"]])
    contains(site.files("carl@example.org", "Further/Away")[0].split(":2,")[1], "S")
    check(os.path.isdir(site.folder_directory("carl@example.org", "Further")), "the folder around it is made, too")


@case
def what_a_delivery_remembers_of_a_message_is_no_earlier_one():
    site.ctl("account", "filter", "bert@example.com", script('require "duplicate";\nif duplicate { discard; stop; }\n'))
    for _ in range(2):
        site.find_message("bert@example.com", deliver(site, "bert@example.com"))
    equal([one["actions"] for one in site.ctl_json("filter", "rehearse", "bert@example.com")], [["keep (implicit)"]] * 2)


@case
def mistakes_are_named():
    contains(site.ctl("filter", "rehearse", "anna@example.com", script("fileinto"), expect=1).stderr, "script.sieve:1:")
    told = site.ctl("filter", "rehearse", "anna@example.com", script('keep;\nfileinto "a";\nfrob;\n'), expect=1).stderr
    contains(told, "script.sieve:2:1: ")
    contains(told, "script.sieve:3:1: ")
    contains(site.ctl("filter", "rehearse", "anna@example.com", expect=1).stderr, "has no filter")
    contains(site.ctl("filter", "rehearse", "nobody@example.com", script(), expect=1).stderr, "no account")
    contains(site.ctl("filter", "rehearse", "anna@example.com", script(), "--folder", "None", expect=1).stderr, "None")
    site.ctl("filter", "apply", "anna@example.com", script(), expect=2)
    site.ctl("filter", "rehearse", "anna@example.com", script(), "--last", "0", expect=2)


with site.running():
    run_cases()
# Without the server it works on the files alone.
equal(len(site.ctl_json("filter", "rehearse", "anna@example.com", script())), 4)
equal(site.ctl_json("filter", "rehearse", "anna@example.com", script('require "include";\ninclude :personal "inner";\n'), "--last", "1")[0]["actions"], ['fileinto "Inner"'])
# Where a delivery makes no folders.
site.write_configuration({"delivery": {"create_folders": False}})
told = site.ctl_json("filter", "rehearse", "anna@example.com", script('require ["fileinto", "mailbox"];\nfileinto "Moved"; fileinto :create "New"; fileinto "Nowhere";\n'), "--last", "1")
equal(told[0]["actions"][3:], ['error: there is no folder "Nowhere"'])
equal(told[0]["failed"], True)
