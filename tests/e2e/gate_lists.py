#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Address lists in a running server (listeners.md, cases 22, 23 and 24): mistakes leave the old list in force, a list of 50,000
networks in a file of its own, figures of limits for the addresses of a list."""
from postern_testing import *

PORT = free_port()
STRANGER, WEBMAIL, OTHER = "127.0.0.50", "127.0.0.60", "127.0.0.70"


def rows(list_text, restriction="deny", **more):
    return {"listeners": {"smtp": {"sockets": [dict({"port": PORT, "address": "127.0.0.1", "restriction": restriction, "list": list_text}, **more)]}}}


site = Site(settings=rows("127.0.0.5"))


def refused_reload(changes):
    before = site.settings
    site.write_configuration(changes)
    done = site.ctl("reload", expect=None)
    check(done.returncode != 0, "the reload is refused")
    site.settings = before
    return done.stderr


@case
def case_22_bits_behind_the_mask_leave_the_old_list_in_force():
    check(refused_silently(PORT, "127.0.0.5"), "the list as it was at the start")
    said = refused_reload(rows("127.0.0.9\n127.0.0.5/24"))
    contains(said, "line 2 of the list")
    contains(said, "did you mean 127.0.0.0/24?")
    check(refused_silently(PORT, "127.0.0.5") and greeted(PORT, "127.0.0.9"), "the old list is in force")


@case
def case_23_all_mistakes_of_a_list_are_reported_in_one_answer():
    wrong = ["10.0.0.0/0", "10.0.0.0/33", "::1/129", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "010.0.0.1", "10.1", "mail.example.net"]
    said = refused_reload(rows("\n".join(wrong)))
    for number, element in enumerate(wrong, 1):
        contains(said, 'line %d of the list, "%s"' % (number, element))
    equal(len([line for line in said.splitlines() if "of the list" in line]), len(wrong), "mistakes")


@case
def case_24_a_pattern_of_names_is_an_error_in_a_restriction_and_no_way_into_the_reserve():
    said = refused_reload(rows("#@*.example.net"))
    contains(said, "names are not looked up at a listener")
    # Through a named list too.
    said = refused_reload(merged(rows("#partners"), {"lists": {"partners": "192.0.2.1\n#@*.example.net"}}))
    contains(said, "names are not looked up at a listener")
    site.write_configuration({"client_addresses": "127.0.0.1\n#@*", "listeners": {"smtp": {"maximum_connections": 1, "reserve_for_clients": 1}}})
    site.server.reload()
    with Line(PORT, OTHER) as line:
        contains(line.rest(), b"421 4.3.2")
    check(greeted(PORT, "127.0.0.1"), "a client by its address")
    site.write_configuration({"client_addresses": "127.0.0.1", "listeners": {"smtp": {"maximum_connections": 200, "reserve_for_clients": 0}}})
    site.server.reload()


@case
def a_block_list_of_50000_networks_in_a_file_is_taken_over_by_a_reload():
    path = os.path.join(site.etc, "unwanted.list")

    def write(*more):
        with open(path, "w") as file:
            file.write("; who is not wanted here\n")
            file.writelines("%d.%d.%d.0/24\n" % (11 + number // 65536, number // 256 % 256, number % 256) for number in range(50000))
            file.writelines(line + "\n" for line in more)
    write("127.0.0.48/28")
    site.write_configuration(merged(rows("#Unwanted"), {"lists": {"unwanted": {"file": "unwanted.list"}}}))
    began = time.monotonic()
    site.server.reload()
    print("       a reload with 50,000 networks took %.2f s" % (time.monotonic() - began))
    wait_until(lambda: refused_silently(PORT, STRANGER), 2 * slow_build(), "refused by the list of the file")
    check(greeted(PORT, OTHER), "who is not on it gets in")
    # Nothing but the file changes.
    write("127.0.0.64/28")
    contains(site.server.reload().stdout, "listeners.smtp.sockets")
    wait_until(lambda: refused_silently(PORT, OTHER), 2 * slow_build(), "refused by the file as it is now")
    check(greeted(PORT, STRANGER), "who is no more on it gets in")
    why = site.ctl_json("limits", OTHER)
    contains(json.dumps(why), "line 50002, 127.0.0.64/28")
    # A mistake in the file is named with its line, and the list in force stays.
    write("127.0.0.64/28", "127.0.0.9/8")
    contains(site.ctl("reload", expect=1).stderr, "unwanted.list:50003: ")
    check(refused_silently(PORT, OTHER), "the list that was in force still is")
    # Children that start later have it too.
    for pid in site.server.children("smtp"):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: site.server.children("smtp"), 5, "new children")
    write("127.0.0.64/28")
    site.server.reload()
    check(refused_silently(PORT, OTHER), "in new children as well")


@case
def a_list_may_have_other_figures():
    site.write_configuration(merged(rows(""), {"lists": {"unwanted": None, "webmail": WEBMAIL, "exempt": OTHER}, "listeners": {"smtp": {
        "connections_per_address": 2,
        "limits": [{"list": "#webmail", "connections_per_address": 4}, {"list": "#exempt", "connections_per_address": 0}]}}}))
    site.server.reload()
    for source, limit in ((STRANGER, 2), (WEBMAIL, 4)):
        sessions = hold(PORT, limit, source)
        with Line(PORT, source) as line:
            contains(line.rest(), b"421 4.7.0")
        close_all(sessions)
    close_all(hold(PORT, 12, OTHER))
    line = site.wait_for_log("connection-refused", WEBMAIL)[0]
    for part in ("count=4", "limit=4", "listeners.smtp.limits[0].connections_per_address", "line="):
        contains(line, part)
    text = site.ctl("limits", WEBMAIL).stdout
    contains(text, "on the list of the row: line 1, #webmail (line 1, %s)" % WEBMAIL)
    contains(text, site.configuration + ":")


with site.running():
    run_cases()
