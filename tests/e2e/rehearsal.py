#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What new tables would change of the mail of the last days is said before they go live; OBSERVE_X is asked beside X and never obeyed;
compiled files are listed, compared and taken back."""
from postern_testing import *

OBSERVING = MAPPINGS + """
OBSERVE_FROM_ACCESS

  *|spam@*|*   $NToo$ much
  *            $Y
"""
NEW = OBSERVING + """
FROM_ACCESS

  *|spam@*|*   $NNo$ thanks

SEND_ACCESS

  *|*|ims-ms|anna@*  $N$X4.7.1|Later
"""
site = Site({"rehearsal": {"enabled": True}, "children": {"smtp": 1}, "log": {"destination": "standard_error"}}, mappings=OBSERVING)


def say(sender, recipient="anna@example.com", source="127.0.0.2"):
    with Smtp(site.smtp, source=source) as session:
        session.hello()
        session.command("MAIL FROM:<%s>" % sender, 250)
        code = session.command("RCPT TO:<%s>" % recipient)[0]
        session.command("RSET", 250)
        session.quit()
        return code


def replay(*arguments, expect):
    return run(program("postern-compile"), "--config", site.etc, *arguments, expect=expect)


def probe_files():
    found = []
    for folder in ("network", "mail"):
        directory = os.path.join(site.base, "rehearsal", folder)
        equal(os.stat(directory).st_mode & 0o777, 0o700, directory)
        found += [os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(".probes")]
    return found


def written(pid=None):
    """Everything asked so far is on disk: a child that keeps no more writes what it has."""
    site.write_configuration({"rehearsal": {"enabled": False}})
    site.ctl("reload")
    wait_until(lambda: any(os.path.getsize(path) > 100 for path in probe_files()), 10 * slow_build(), "probes on disk")
    site.write_configuration({"rehearsal": {"enabled": True}})
    site.ctl("reload")


@case
def an_observing_table_changes_no_reply_and_its_differences_are_counted():
    equal(say("spam@sender.example"), 250)
    equal(say("friend@sender.example"), 250)
    wait_until(lambda: site.ctl_json("tables", "observed") == [{"table": "OBSERVE_FROM_ACCESS", "probes": 2, "differs": 1, "open": 0}],
               10 * slow_build(), "the counts")
    line = wait_until(lambda: next((line for line in site.log().splitlines() if " observed " in line), None), 5 * slow_build(), "the line in the log")
    for part in ("table=OBSERVE_FROM_ACCESS", "answer=deny", "dry_run=yes", "line=19", "in_force=allow", "generation=1"):
        contains(line, part)
    contains(site.ctl("tables", "observed").stdout, "OBSERVE_FROM_ACCESS")


@case
def the_replay_says_what_would_change_before_it_does():
    written()
    site.write_mappings(NEW, compile=False)
    done = replay("--replay", expect=1)
    first = done.stdout.splitlines()[0]
    check(re.match(r"of \d+ probes, 3 change", first), first)
    contains(done.stdout, "FROM_ACCESS  TCP|127.0.0.1|%d|127.0.0.2|" % site.smtp)
    check(re.search(r'  now  no match +- *\n  new  refuse "No thanks" +%s:24 +\*\|spam@\*\|\*  \$NNo\$ thanks\n' % site.mappings_file, done.stdout), done.stdout)
    check(re.search(r'SEND_ACCESS  tcp_local\|.*\n  now  no match .*\n  new  refuse 4.7.1 "Later"', done.stdout), done.stdout)
    # Nothing went live.
    equal(say("spam@sender.example"), 250)
    answer = json.loads(replay("--replay=1", "--json", expect=1).stdout)
    equal((answer["changed"], answer["open"], answer["generation"]), (3, 0, 1))
    equal(answer["changes"][0]["new"]["entry"], "*|spam@*|*  $NNo$ thanks")
    equal(json.loads(site.ctl("--json", "compile", "--replay", expect=1).stdout), answer)


@case
def the_same_tables_change_nothing():
    site.write_mappings(OBSERVING.replace("Too$ much", "Far$ too$ much"), compile=False)
    contains(replay("--replay", expect=0).stdout, " probes, 0 change")


@case
def what_is_asked_outside_is_left_open():
    site.write_mappings(OBSERVING + "\nFROM_ACCESS\n\n  *|friend@*|*  $C$[postern:dns_verify,no.example]$N$E\n", compile=False)
    contains(replay("--replay", expect=0).stdout, "1 depends on what is asked outside, and can't be told: postern:dns_verify 1")


@case
def probes_survive_a_child_that_is_killed_and_a_damaged_file_is_skipped():
    before = json.loads(replay("--replay", "--json", expect=0).stdout)["probes"]
    for pid in site.server.pids():
        if pid != site.server.pid:
            os.kill(pid, signal.SIGKILL)
    equal(json.loads(replay("--replay", "--json", expect=0).stdout)["probes"], before)
    with open(os.path.join(site.base, "rehearsal", "network", "1700000000000000-smtp9.probes"), "wb") as file:
        file.write(b"Postern probes\n\x01\x00\x00\x00 something else than a block")
    done = replay("--replay", "--json", expect=0)
    equal(json.loads(done.stdout)["probes"], before)
    contains(done.stderr, "1700000000000000-smtp9.probes: damaged at byte 19: the rest is left out")


@case
def wrong_arguments_are_refused():
    for arguments in (["--replay=0"], ["--replay=x"], ["--replay", "--output", "x"], ["--json"]):
        replay(*arguments, expect=2)


@case
def compiled_files_are_listed_and_compared():
    site.write_mappings(NEW)
    wait_until(lambda: site.ctl_json("status")["tables"]["generation"] == 2, 5 * slow_build(), "the new tables")
    listed = site.ctl_json("tables", "list")
    equal([(one["number"], one["in_force"], one["in_server"], one["entries"]) for one in listed], [(1, False, False, 9), (2, True, True, 11)])
    check(re.search(r"^000002.db .* tables.db, server$", site.ctl("tables", "list").stdout, re.M), "the list")
    changes = site.ctl_json("tables", "diff")
    equal((changes["from"], changes["to"], [one["change"] for one in changes["entries"]]), (1, 2, ["added", "added"]))
    equal(changes["entries"][0]["after"], {"pattern": "*|spam@*|*", "template": "$NNo$ thanks", "place": site.mappings_file + ":24"})
    contains(site.ctl("tables", "diff", "2", "1").stdout, "from 2 to 1: 0 added, 2 removed, 0 changed\n\nFROM_ACCESS\n- *|spam@*|*  $NNo$ thanks")
    contains(site.ctl("tables", "show", "2", "send_access").stdout, "SEND_ACCESS\n  *|*|ims-ms|anna@*  $N$X4.7.1|Later    ! ")


@case
def an_older_file_is_put_in_force_again():
    contains(site.ctl("tables", "rollback", "7", expect=1).stderr, "there are no compiled tables of number 7 in %s/tables; there are: 1, 2" % site.etc)
    contains(site.ctl("tables", "rollback", "2", expect=1).stderr, "number 2 is in force already")
    for words in (("rollback", "x"), ("diff", "1", "-1"), ("show", "two")):
        contains(site.ctl("tables", *words, expect=2).stderr, "is no number of compiled tables; try: posternctl help tables")
    with Smtp(site.smtp, source="127.0.0.2") as session:
        session.hello()
        session.command("MAIL FROM:<spam@sender.example>", 550)
        contains(site.ctl("tables", "rollback").stdout, "number 1 is in the place of 2: the server has it\n")
        session.command("MAIL FROM:<spam@sender.example>", 250)
    contains(site.log(), "tables-loaded generation=1 before=2")
    equal([one["number"] for one in site.ctl_json("tables", "list") if one["in_server"]], [1])
    site.compile()
    equal([one["number"] for one in site.ctl_json("tables", "list")], [1, 2, 3])
    site.ctl("tables", "rollback", "000002.db")
    equal(say("friend@sender.example", "bert@example.com"), 250)
    contains(site.ctl("tables", expect=2).stderr, "posternctl help tables")


@case
def so_many_files_stay_and_the_one_in_use_among_them():
    site.write_configuration({"tables_kept": 2})
    site.ctl("tables", "rollback", "1")
    for _ in range(2):
        site.compile()
    listed = site.ctl_json("tables", "list")
    equal([one["number"] for one in listed], [4, 5])


with site.running():
    run_cases()
