#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a change of the listeners is told, by reload, `posternctl listener check` and `listener show`: listeners.md, cases 1, 2, 5 to 10 and 78."""
import resource

from postern_testing import *

site = Site(settings={"children": {"smtp": 1}})
EXTRA, OTHER = free_port(), free_port()
DRAFT = os.path.join(site.etc, "draft.conf")


def row(port, address="127.0.0.1", **more):
    return dict({"port": port, "address": address}, **more)


def rows(*more, module="smtp"):
    own = {"smtp": site.smtp, "pop3": site.pop3}[module]
    return {"listeners": {module: {"sockets": [row(own)] + list(more)}}}


def checked(changes, expect):
    """What `listener check` says about a file with `changes`; the server's own file stays as it is."""
    settings = merged(site.settings, changes)
    with open(DRAFT, "w") as file:
        file.write("".join("%s = %s;\n" % (key, to_libconfig(value)) for key, value in settings.items()))
    return json.loads(site.ctl("--json", "listener", "check", DRAFT, expect=expect).stdout)


def reloaded(changes, expect=0):
    before = dict(site.settings)
    site.write_configuration(changes)
    done = site.server.reload(expect=expect)
    if done.returncode:
        site.settings = before
        site.write_configuration()
    return done.stdout + done.stderr


def state():
    return [(listener["module"], listener["sockets"]) for listener in site.ctl_json("status")["listeners"]]


def connectable(port, host="127.0.0.1", family=socket.AF_INET):
    with socket.socket(family) as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0


@cases_of([
    ("case 1, one of them takes all addresses", rows(row(EXTRA, "all"), row(EXTRA, "127.0.0.1")), ["smtp all:%d" % EXTRA, "smtp 127.0.0.1:%d" % EXTRA, "all addresses"]),
    ("case 2, of two services", merged(rows(row(EXTRA, "all")), rows(row(EXTRA, "127.0.0.1"), module="pop3")), ["smtp", "pop3", str(EXTRA), "all addresses"]),
    ("case 5, a mapped address is the same", rows(row(EXTRA, "::ffff:127.0.0.1"), row(EXTRA, "127.0.0.1")), ["127.0.0.1:%d" % EXTRA, "same"]),
    ("case 6, two spellings of one address", rows(row(EXTRA, "2001:db8::1"), row(EXTRA, "2001:0DB8:0:0::1")), ["2001:db8::1", "same"]),
])
def two_sockets_that_collide_are_both_named(changes, words):
    before = state()
    answer = checked(changes, 1)
    said = reloaded(changes, expect=1)
    for text in (" ".join(answer["mistakes"]), said):
        contains(text, "postern.conf:" if text == said else "draft.conf:")
        for word in words:
            contains(text, word)
    equal((answer["accepted"], state()), (False, before), "accepted, sockets")


@case
def case_7_all_of_ipv4_and_all_of_ipv6_share_a_port():
    """Case 7."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        raise Skip("no IPv6 here")
    reloaded(rows(row(EXTRA, "0.0.0.0"), row(EXTRA, "::")))
    check(connectable(EXTRA, "::1", socket.AF_INET6), "IPv6")
    with Smtp(EXTRA, "127.0.0.7") as session:
        equal([one["remote"] for one in site.ctl_json("sessions")["sessions"] if "127.0.0.7" in one["remote"]][0].split(":")[0], "127.0.0.7")
        session.quit()
    reloaded(rows())


@case
def case_8_a_row_with_port_0_may_hold_anything():
    """Case 8."""
    spare = row(0, "nowhere", restriction="deny", list="300.1.2.3\nrubbish")
    answer = checked(rows(spare), 0)
    equal((answer["accepted"], answer["opened"], answer["closed"], answer["mistakes"]), (True, [], [], []))
    contains(reloaded(rows(spare)), "reloaded")
    reloaded(rows())


@case
def case_9_ports_that_are_none_are_all_named():
    """Case 9."""
    mistakes = checked(rows(row(65536), row(-1), row("25x")), 1)["mistakes"]
    equal(len(mistakes), 3, "mistakes %r" % mistakes)
    for found in ("65536", "-1", "25x"):
        check(any(found in one and "0 to 65535" in one for one in mistakes), "%s is named in %r" % (found, mistakes))
    equal(checked(rows(row(" %d " % EXTRA)), 0)["opened"], ["smtp 127.0.0.1:%d" % EXTRA])


@case
def case_10_a_port_of_another_program_undoes_a_change_of_many_rows():
    """Case 10: the program is named, and nothing else of the change is made either."""
    reloaded(rows(row(OTHER)))
    before = state()
    taken, fresh = free_port(), free_port()
    with socket.socket() as foreigner:
        foreigner.bind(("127.0.0.1", taken))
        foreigner.listen()
        # One socket new, one gone, one changed, a limit, and the one that can't be had.
        changes = merged(rows(row(fresh), row(taken)), {"host_name": "other.example.com", "listeners": {"smtp": {"maximum_connections": 7}}})
        answer = checked(changes, 1)
        said = reloaded(changes, expect=1)
        for text in (" ".join(answer["mistakes"]), said):
            contains(text, "127.0.0.1:%d" % taken)
            contains(text, "(pid %d)" % os.getpid())
            contains(text, "python")
        check(not connectable(fresh), "the new socket")
        check(connectable(OTHER), "the socket that was to go")
        with Smtp(site.smtp) as session:
            contains(session.greeting[1][0], "mail.example.com")
        equal(state(), before, "sockets")
        equal(site.ctl_json("status")["listeners"][0]["maximum"], 200)
    reloaded(rows())


@case
def an_address_of_another_machine_is_named_as_such():
    for changes in (rows(row(EXTRA, "203.0.113.9")), rows(row(EXTRA, "203.0.113.9"), row(EXTRA, "127.0.0.1"))):
        answer = checked(changes, 1)
        said = reloaded(changes, expect=1)
        for text in (" ".join(answer["mistakes"]), said):
            contains(text, "203.0.113.9:%d" % EXTRA)
            contains(text, "not on this machine")
    reloaded(rows(row(EXTRA, "all")))
    contains(" ".join(checked(rows(row(EXTRA, "203.0.113.9")), 1)["mistakes"]), "not on this machine")
    reloaded(rows())


@case
def what_is_probably_not_meant_is_a_warning():
    changes = merged(rows(row(EXTRA, restriction="grant", list=""), row(OTHER, restriction="deny", list="; nobody")),
                     {"listeners": {"smtp": {"reserve_for_clients": 300}}})
    warnings = checked(changes, 0)["warnings"]
    equal(len(warnings), 3, "warnings %r" % warnings)
    said = reloaded(changes)
    for word in ("nobody will get in", "nobody is kept out", "only client addresses"):
        contains(" ".join(warnings), word)
        contains(said, word)
    reloaded(merged(rows(), {"listeners": {"smtp": {"reserve_for_clients": 0}}}))


@case
def a_check_says_what_a_reload_would_do_and_does_nothing():
    before = (state(), site.ctl_json("status")["configuration_generation"])
    changes = merged(rows(row(EXTRA, "all")), {"host_name": "third.example.com", "connection_table_sessions": 4000})
    answer = checked(changes, 3)
    equal((answer["accepted"], answer["needs_restart"]), (False, True))
    check(any(re.search(r"[^:]+:\d+: connection_table_sessions: can only change", mistake) for mistake in answer["mistakes"]), "place: %r" % answer["mistakes"])
    changes.pop("connection_table_sessions")
    answer = checked(changes, 0)
    check("smtp 0.0.0.0:%d" % EXTRA in answer["opened"], "opened: %r" % answer["opened"])
    check(any("host_name" in name for name in answer["changed"] + answer["changed_for_new_children"]), "changed: %r" % answer)
    text = site.ctl("listener", "check", DRAFT).stdout
    contains(text, "would be accepted")
    contains(text, "opens smtp 0.0.0.0:%d" % EXTRA)
    check(not connectable(EXTRA), "nothing listens there")
    equal((state(), site.ctl_json("status")["configuration_generation"]), before, "the server")
    contains(site.ctl("listener", "check").stdout, "would be accepted")
    equal(site.ctl("listener", "check", os.path.join(site.etc, "missing.conf"), expect=1).returncode, 1)


@case
def listeners_are_shown_with_settings_places_sockets_and_figures():
    reloaded(merged(rows(row(EXTRA, restriction="deny", list="127.0.0.50")), {"listeners": {"smtp": {"idle_time": 77}}}))
    session = Smtp(site.smtp)
    shown = {one["module"]: one for one in site.ctl_json("listener", "show")["listeners"]}
    smtp = shown["smtp"]
    settings = {one["name"]: one for one in smtp["settings"]}
    equal(settings["idle_time"]["value"], "77 s")
    equal(settings["idle_time"]["file"], site.configuration)
    with open(site.configuration) as file:
        contains(file.read().splitlines()[settings["idle_time"]["line"] - 1], "idle_time = 77")
    check("file" not in settings["ipv6_prefix"] and settings["ipv6_prefix"]["value"] == "64", "a default: %r" % settings["ipv6_prefix"])
    equal((smtp["active"], smtp["maximum"]), (1, 200))
    second = smtp["rows"][1]
    equal({one["name"]: one["value"] for one in second["settings"]}["list"], "127.0.0.50")
    equal(second["sockets"][0]["state"], "listening")
    text = site.ctl("listener", "show").stdout
    for word in ("idle_time", "77 s", "postern.conf:", "default", "127.0.0.50", "listening", "active 1"):
        contains(text, word)
    session.quit()
    reloaded(rows())


@case
def a_socket_that_stays_has_the_new_queue():
    if not shutil.which("ss"):
        raise Skip("ss is not installed (Debian: iproute2)")
    contains(reloaded({"gate": {"listen_queue": 7}}), "gate.listen_queue")
    # Of a listening socket the third column is what its queue holds.
    equal([line.split()[2] for line in run("ss", "-Hltn", "sport", "=", ":%d" % site.smtp).stdout.splitlines()], ["7"])
    reloaded({"gate": {"listen_queue": 1024}})


@case
def each_child_is_shown_with_what_it_does():
    sessions = hold(site.smtp, 3)
    children = site.ctl_json("status")["children"]
    smtp = [child for child in children if child["role"] == "smtp"]
    equal([(child["doing"], child["sessions"]) for child in smtp], [("busy", 3)])
    for child in children:
        check(child["pid"] in site.server.children() and child["resident_bytes"] > child["own_bytes"] > 0 and child["since"].startswith("20") and
              child["program"] == 1 and child["generation"] >= 1, "%r" % child)
    close_all(sessions)
    wait_until(lambda: [child["doing"] for child in site.ctl_json("status")["children"] if child["role"] == "smtp"] == ["idle"], 5 * slow_build(), "idle again")
    contains(site.ctl("status").stdout, "MiB")


@case
def case_78_out_of_descriptors():
    """Case 78: the accepting process is not busy, says so once, and works again by itself."""
    small = Site(settings={"children": {"smtp": 1, "delivery": 1}})
    small.start(prefix=["prlimit", "--nofile=100:100"])
    child = small.server.children("smtp")[0]
    with open("/proc/%d/limits" % child) as file:
        limit = int(re.search(r"Max open files +(\d+)", file.read()).group(1))
    if limit > 100:  # root may raise its limits here, and then also those of others
        resource.prlimit(child, resource.RLIMIT_NOFILE, (100, limit))

    def used():
        with open("/proc/%d/stat" % child) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    held, waiting = [], []
    while not waiting:
        session = Smtp(small.smtp, greeting=False, timeout=1)
        try:
            equal(session.reply()[0], 220)
            held.append(session)
        except socket.timeout:
            waiting.append(session)
        check(len(held) < 100, "sessions in a process of 100 descriptors")
    for _ in range(20):
        waiting.append(Smtp(small.smtp, greeting=False))
    cpu, began = used(), time.monotonic()
    time.sleep(2)
    share = (used() - cpu) / (time.monotonic() - began)
    check(share < 0.25, "it uses %.0f %% of a processor" % (100 * share))
    said = small.log_lines("accept-paused")
    equal(len(said), 1, "lines in the log: %r" % said)
    close_all(held)
    for session in waiting:
        equal(session.reply()[0], 220, "those who waited")
    close_all(waiting)
    equal(small.server.children("smtp"), [child], "the same process")
    small.server.stop()


with site.running():
    run_cases()
