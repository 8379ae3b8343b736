#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Aliases, groups, forwarding, hold, services and scripts of accounts, as posternctl makes them and mail meets them; the database as text and back."""
from postern_testing import *

HASH = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7"
site = Site({"recipient_delimiter": "+", "directory": {"group_members": 50}})


def send(*recipients):
    message_id = new_id()
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin("sender@sender.example", *recipients)
        session.data(message(message_id))
        session.quit()
    return message_id


def answer_to(recipient):
    with Smtp(site.smtp) as session:
        session.hello()
        session.command("MAIL FROM:<sender@sender.example>", 250)
        code, texts = session.command("RCPT TO:<%s>" % recipient)
        session.quit()
        return "%d %s" % (code, texts[0])


def refused(*arguments, status=1):
    return site.ctl(*arguments, expect=status).stderr


def write(name, text):
    path = os.path.join(site.directory, name)
    with open(path, "w") as file:
        file.write(text)
    return path


@case
def aliases_and_groups_are_in_force_at_once_for_mail():
    site.ctl("alias", "add", "info@example.com", "anna@example.com", "--description", "for everybody")
    site.ctl("group", "add", "team@example.com", "info@example.com", "bert@example.com", "--owner", "anna@example.com")
    site.ctl("alias", "add", "@example.org", "carl@example.org")
    message_id = send("team@example.com", "whoever@example.org")
    for account in ("anna@example.com", "bert@example.com", "carl@example.org"):
        site.find_message(account, message_id)
    site.ctl("group", "change", "team@example.com", "--drop", "bert@example.com", "--add", "carl@example.org", "--owner", "")
    equal(site.ctl_json("group", "show", "team@example.com")["alias"]["members"], ["info@example.com", "carl@example.org"])
    equal([entry["name"] for entry in site.ctl_json("alias", "list")], ["info@example.com", "@example.org"])
    contains(site.ctl("group", "list", "example.com").stdout, "team@example.com  2        -")
    contains(refused("alias", "show", "team@example.com"), "there is no alias team@example.com")
    contains(refused("alias", "add", "anna@example.com", "bert@example.com"), "account anna@example.com is there already")
    contains(refused("account", "add", "info@example.com", "--password-hash", HASH), "alias or group info@example.com is there already")
    nobody = site.ctl("group", "add", "empty@example.com")
    contains(nobody.stderr, "warning: a group without members refuses its mail")
    site.ctl("group", "remove", "empty@example.com")
    many = write("members", "# people\n" + "".join("m%d@example.com\n" % number for number in range(51)))
    contains(refused("group", "add", "many@example.com", "--members", many), "51 members; directory.group_members allows 50")
    contains(refused("group", "add", "many@example.com", "--members", write("members", "a@example.com\nb b@example.com\n")), "members:2: ")
    contains(refused("group", "add", "many@example.com", "--colour", "red", status=2), "no option --colour")


@case
def the_explanation_shows_each_step():
    text = site.ctl("access", "--client", "198.51.100.7", "--from", "a@sender.example", "--rcpt", "team@example.com").stdout
    contains(text, "group")
    contains(text, "team@example.com -> info@example.com, carl@example.org")
    contains(text, "info@example.com -> anna@example.com")
    contains(text, "directory alias")


@case
def circles_and_members_that_nobody_has_are_told():
    site.ctl("alias", "add", "ping@example.com", "pong@example.com")
    site.ctl("alias", "add", "pong@example.com", "ping@example.com")
    contains(answer_to("ping@example.com"), "550 5.1.1")
    site.ctl("group", "add", "half@example.com", "gone@example.com", "anna@example.com")
    check(answer_to("half@example.com").startswith("250"), "one good member is enough")
    site.wait_for_log("alias-members-unknown", "half@example.com")


@case
def mail_is_forwarded_with_or_without_a_copy():
    site.ctl("account", "change", "anna@example.com", "--forward", "bert@example.com", "--keep-copy")
    contains(site.ctl("account", "show", "anna@example.com").stdout, "forwarded to     bert@example.com\nmailbox gets     a copy")
    contains(site.ctl("account", "list").stdout, "forwards a copy")
    message_id = send("anna@example.com")
    site.find_message("bert@example.com", message_id)
    site.find_message("anna@example.com", message_id)
    site.ctl("account", "change", "anna@example.com", "--no-keep-copy")
    message_id = send("anna@example.com")
    site.find_message("bert@example.com", message_id)
    check(not any(message_id.encode() in text for text in site.messages("anna@example.com")), "no copy is kept")
    site.ctl("account", "change", "anna@example.com", "--no-forward")


@case
def held_mail_waits():
    site.ctl("account", "change", "carl@example.org", "--hold")
    message_id = send("carl@example.org")
    site.wait_for_log(" held id=", "channel hold")
    check(not any(message_id.encode() in text for text in site.messages("carl@example.org")), "it is not delivered")
    site.ctl("account", "change", "carl@example.org", "--no-hold")
    site.find_message("carl@example.org", send("carl@example.org"))


@case
def an_account_logs_in_only_where_it_may():
    site.ctl("account", "change", "bert@example.com", "--service", "smtp,sieve")
    try:
        pop3(site, "bert@example.com")
        raise AssertionError("POP3 lets in who may not")
    except poplib.error_proto:
        pass
    site.wait_for_log("bert@example.com", "reason=service")
    site.ctl("account", "change", "bert@example.com", "--all-services")
    pop3(site, "bert@example.com").quit()
    contains(refused("account", "change", "bert@example.com", "--service", "gopher", status=2), "expected pop3, imap, smtp, sieve or web")
    site.ctl("account", "change", "bert@example.com", "--quota", "2 GiB", "--tag", "a", "--tag", "b", "--mail-host", "Store.example.com")
    shown = site.ctl_json("account", "show", "bert@example.com")["account"]
    equal((shown["quota_bytes"], shown["conversion_tags"], shown["mail_host"]), (2 << 30, ["a", "b"], "store.example.com"))


@case
def one_of_several_scripts_is_the_filter():
    rules = [write("rule%d" % order, '# $Rule Info: Order=%d Name=r%d\nrequire "fileinto";\nif header :contains "Subject" "r%d" { fileinto "F%d"; }\n' % (order, order, order, order))
              for order in (2, 1, 0)]
    site.ctl("account", "script", "put", "carl@example.org", "rules", *rules, "--activate")
    text = site.ctl("account", "script", "get", "carl@example.org", "rules").stdout
    check(text.index('"r1"') < text.index('"r2"') and '"r0"' not in text, "joined by their order: " + text)
    site.ctl("account", "script", "put", "carl@example.org", "quiet", write("quiet", "discard;\n"))
    contains(refused("account", "script", "put", "carl@example.org", "bad", write("bad", "discard\n")), "is not a correct filter")
    contains(site.ctl("account", "script", "list", "carl@example.org").stdout, "rules   active")
    site.ctl("account", "script", "activate", "carl@example.org", "quiet")
    message_id = send("carl@example.org")
    site.wait_for_log("discarded", "carl@example.org")
    contains(refused("account", "script", "activate", "carl@example.org", "none"), "there is no script none")
    site.ctl("account", "script", "rename", "carl@example.org", "quiet", "silence")
    equal(site.ctl_json("account", "list", "example.org")[0]["active_script"], "silence")
    site.ctl("account", "script", "deactivate", "carl@example.org")
    site.ctl("account", "script", "remove", "carl@example.org", "silence")
    equal([script["name"] for script in site.ctl_json("account", "script", "list", "carl@example.org")], ["rules"])
    site.find_message("carl@example.org", send("carl@example.org"))


@case
def a_dump_comes_back():
    dump = os.path.join(site.directory, "dump")
    site.ctl("directory", "dump", dump)
    equal(os.stat(dump).st_mode & 0o777, 0o600, "mode of the dump")
    with open(dump) as file:
        text = file.read()
    equal(site.ctl("directory", "dump").stdout, text)
    equal(site.ctl_json("directory", "load", dump)["unchanged"], text.count("\naccount ") + text.count("\nalias ") + text.count("\ngroup ") + text.count("\ndomain "))
    other = Site(domains=[], accounts={})
    equal(other.ctl_json("directory", "load", dump, "--check")["unchanged"], 0)
    equal(other.ctl("directory", "dump").stdout, "postern-directory 1\n")
    check(other.ctl_json("directory", "load", dump)["added"] > 8, "records are added")
    equal(other.ctl("directory", "dump").stdout, text, "dump without a server")
    changed = write("changed", text.replace("  description for everybody\n", "  description for nobody\n"))
    contains(refused("directory", "load", changed), "info@example.com: is there already, with other values")
    contains(refused("directory", "load", changed), "changed:%d: " % (text[:text.index("alias info@")].count("\n") + 1))
    equal(site.ctl_json("directory", "load", changed, "--replace")["replaced"], 1)


@case
def a_file_with_mistakes_changes_nothing():
    before = site.ctl("directory", "dump").stdout
    path = write("wrong", "postern-directory 1\ndomain new.example\naccount a@new.example\n  quota lots\naccount b@none.example\naccount c@new.example\naccount c@new.example\n  colour red\n")
    told = refused("directory", "load", path)
    for line in ('wrong:4: account a@new.example: quota: expected a number of bytes, found "lots"',
                 "wrong:5: account b@none.example: there is no domain none.example, neither above this line nor in the directory",
                 "wrong:8: account c@new.example: colour: accounts have no such field", "nothing was changed"):
        contains(told, line)
    path = write("wrong", "postern-directory 1\ndomain new.example\naccount c@new.example\nalias c@new.example\n  member x@new.example\n")
    contains(refused("directory", "load", path), "wrong:4: alias c@new.example: the name was given in line 3 already")
    contains(refused("directory", "load", os.path.join(site.directory, "none")), "No such file")
    equal(site.ctl("directory", "dump").stdout, before)


@case
def a_dump_is_read_from_standard_input_and_pipes():
    text = "postern-directory 1\naccount piped@example.com\n  password {SMD5}uMHdic8Q95KsojBAkMio+E5hQ2wxMjM0\n"
    contains(site.ctl("directory", "load", "-", input=text).stdout, "1 record: 1 added")
    contains(site.ctl("directory", "load", "/dev/stdin", input=text).stdout, "1 there already")
    contains(site.ctl("directory", "load", "-", input=text + "  quota x\n", expect=1).stderr, "standard input:4: account piped@example.com: quota: ")
    site.ctl("account", "remove", "piped@example.com")


@case
def wrong_usage_is_told_in_a_sentence():
    for words, sentence in (
        ("account list --jsn", "account list has no option --jsn"),
        ("account show", "account show wants NAME"),
        ("account show a@example.com b@example.com", '"b@example.com" is one word too many'),
        ("account lst", "account has no lst"),
        ("account", "account: say what is to be done"),
        ("account change anna@example.com", "say what is to change"),
        ("account passwd", "account passwd wants NAME"),
        ("account filter anna@example.com", "account filter wants FILE, --none or --show"),
        ("account filter anna@example.com --none --show", "exclude each other"),
        ("account script put anna@example.com x", "account script put wants FILE"),
        ("account script actvate anna@example.com x", "account script has no actvate"),
        ("domain add", "domain add wants NAME"),
        ("domain list example.com", '"example.com" is one word too many'),
        ("domain set example.com a", "domain set wants VALUE or --none"),
        ("domain tag example.com", "domain tag wants TAG or --none"),
        ("domain autoconfig example.com ios", "expected thunderbird, dns or apple, found ios"),
        ("alias show", "alias show wants NAME"),
        ("group list --jsn", "group list has no option --jsn"),
        ("directory load", "directory load wants FILE"),
        ("directory dump --jsn", "directory dump has no option --jsn"),
        ("dkim show example.com", "dkim show wants SELECTOR"),
        ("folder use anna@example.com", "folder use wants FOLDER"),
        ("addressbook add anna@example.com default", "addressbook add wants ENTRY"),
        ("queue held", "queue held wants list")):
        contains(refused(*words.split(), status=2).splitlines()[0], sentence, words)


@case
def what_can_not_be_is_said_before_a_password_is_asked_for():
    contains(refused("account", "passwd", "nobody@example.com"), "there is no account nobody@example.com")
    contains(refused("account", "passwd", "info@example.com"), "it is an alias or a group")
    contains(refused("account", "add", "a@nowhere.example"), "there is no domain nowhere.example")
    contains(refused("domain", "add", "10.0.0.1"), "the domain ends in a number")
    contains(refused("account", "add", "new@example.com", "--password-hash", "{ARGON2ID}$argon2id$x"), "posternctl-account(8) lists them")


@case
def many_accounts_are_loaded_and_can_log_in():
    path = write("many", "postern-directory 1\ndomain many.example\n" + "".join("account u%d@many.example\n  password %s\n" % (number, HASH) for number in range(2000)))
    equal(site.ctl_json("directory", "load", path)["added"], 2001)
    equal(site.ctl_json("directory", "load", path)["unchanged"], 2001)
    check(answer_to("u1999@many.example").startswith("250"), "the last one has mail")
    equal(len(site.ctl_json("account", "list", "many.example")), 2000)


@case
def what_people_write_between_records_is_passed_over():
    path = write("odd", "postern-directory 1\r\n# first\r\n\ndomain odd.example\r\n  \r\n  # second\naccount a@odd.example\n  script mine\n    | # kept\n    |\n    > keep;\n    =#end\n"
                        "#third\n\tactive-script mine\n# last")
    equal(site.ctl_json("directory", "load", path)["added"], 2)
    equal(site.ctl("account", "script", "get", "a@odd.example", "mine").stdout, " # kept\n\n keep;\n#end")
    equal(site.ctl_json("directory", "load", path, "--check")["unchanged"], 2)


@case
def a_load_goes_on_where_the_death_of_the_directory_ended_it():
    path = write("late", "postern-directory 1\ndomain late.example\n" + "".join("account u%d@late.example\n" % number for number in range(20000)))
    before = len(site.log_lines("change=directory-load"))
    loading = subprocess.Popen([program("posternctl"), "--config", site.configuration, "directory", "load", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(site.log_lines("change=directory-load")) > before + 2, 20, "batches")
    for pid in site.server.children("directory"):
        os.kill(pid, signal.SIGKILL)
    told = loading.communicate(timeout=60)[1]
    if loading.returncode != 0:  # else it was faster
        contains(told, "load the file again")
    counts = site.ctl_json("directory", "load", path)
    equal(counts["added"] + counts["unchanged"], 20001)
    check(counts["unchanged"] >= 1000, "what was confirmed is there: %r" % counts)
    check(answer_to("u19999@late.example").startswith("250"), "the last one has mail")


with site.running():
    run_cases()
