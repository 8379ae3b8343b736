#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Blocked addresses (listeners.md L-50): by hand and automatically, over reload and restart, and what the server knows of an address."""
import itertools

from postern_testing import *

STRANGER, OTHER, GUESSER, SPARED, CLIENT = "127.0.0.50", "127.0.0.51", "127.0.0.52", "127.0.0.53", "127.0.0.1"
site = Site(settings={"never_block": SPARED, "pop3": {"failure_delay": 0}, "secure_login": {"required": False},
                      "gate": {"failed_logins": 4, "refusal_sums": 1}})


def networks():
    return [block["network"] for block in site.ctl_json("blocked")["blocked"]]


passwords = itertools.count()


def fail_to_log_in(source, times, same=False):
    """So many failed logins, as far as the server lets them happen."""
    done = 0
    while done < times:
        try:
            with Line(site.pop3, source) as line:
                contains(line.line(), "+OK")
                for _ in range(min(2, times - done)):
                    line.send("USER anna@example.com\r\n")
                    line.line()
                    line.send("PASS %s\r\n" % ("wrong" if same else "wrong %d" % next(passwords)))
                    contains(line.line(), "-ERR")
                    done += 1
        except Closed:
            return done
    return done


@case
def a_block_by_hand_holds_for_all_services_at_once_with_zero_bytes():
    session = Smtp(site.smtp, STRANGER)
    contains(site.ctl("block", STRANGER, "--for", "15min", "--reason", "too noisy").stdout, "blocked: %s for another 15 min 0 s, by hand" % STRANGER)
    check(refused_silently(site.smtp, STRANGER) and refused_silently(site.pop3, STRANGER), "zero bytes in both services")
    check(greeted(site.smtp, OTHER), "others are let in")
    session.hello()
    session.quit()
    line = site.wait_for_log("connection-refused", "reason=blocked", STRANGER)[0]
    contains(line, "blocked %s" % STRANGER)
    text = site.ctl("blocked").stdout
    contains(text, "too noisy")
    contains(site.ctl("unblock", STRANGER).stdout, "1 block ended")
    check(greeted(site.smtp, STRANGER), "let in again")
    contains(site.ctl("unblock", STRANGER, expect=1).stderr, "there is no block")


@case
def a_network_can_be_blocked_and_mistakes_are_named():
    site.ctl("block", "127.0.0.48/29")
    check(refused_silently(site.smtp, STRANGER) and refused_silently(site.smtp, OTHER), "both addresses of the network")
    contains(site.ctl("unblock", STRANGER, expect=1).stdout, "still blocked: 127.0.0.48/29")
    site.ctl("unblock", "127.0.0.0/8")
    equal(networks(), [])
    contains(site.ctl("block", "127.0.0.50/24", expect=2).stderr, "did you mean 127.0.0.0/24?")
    contains(site.ctl("block", STRANGER, "--for", "soon", expect=2).stderr, "expected a time from 1 s to 365 d")
    for wrong in ((), (STRANGER, OTHER), (STRANGER, "--for"), (STRANGER, "--for", "1h", "--for-ever"), (STRANGER, "--forever")):
        site.ctl("block", *wrong, expect=2)
    equal(networks(), [])


@case
def a_short_block_ends_by_itself():
    site.ctl("block", STRANGER, "--for", "1 s")
    check(refused_silently(site.smtp, STRANGER), "zero bytes")
    wait_until(lambda: greeted(site.smtp, STRANGER), 5, "let in when the time is over")
    site.wait_for_log("block-ended", STRANGER)


@case
def failed_logins_block_over_all_services_but_never_those_who_are_spared():
    equal(fail_to_log_in(GUESSER, 3), 3)
    check(greeted(site.smtp, GUESSER), "three are not yet too many")
    fail_to_log_in(GUESSER, 1)
    wait_until(lambda: refused_silently(site.smtp, GUESSER) and refused_silently(site.pop3, GUESSER), 2, "blocked everywhere after four")
    contains(site.wait_for_log("address-blocked", GUESSER)[0], "by=failed-logins")
    for source in (SPARED, CLIENT):
        equal(fail_to_log_in(source, 8), 8)
        check(greeted(site.smtp, source), "%s is never blocked automatically" % source)
    known = site.ctl_json("address", GUESSER)
    equal(known["failures"]["failed_logins"], 4)
    equal(known["blocked"]["by"], "failed-logins")
    equal(site.ctl_json("address", SPARED)["failures"]["failed_logins"], 8)
    contains(json.dumps(known["refusals"]), '"blocked"')


@case
def the_same_wrong_password_counts_once():
    source = "127.0.0.77"
    equal(fail_to_log_in(source, 6, same=True), 6)
    check(greeted(site.smtp, source), "one password, tried six times")
    equal(site.ctl_json("address", source)["failures"]["failed_logins"], 1)
    equal(len(site.log_lines("login-failed", "client=" + source, 'reason="password again"')), 5)
    equal(fail_to_log_in(source, 3), 3)
    wait_until(lambda: refused_silently(site.smtp, source), 2, "blocked after four different ones")


@case
def protocol_errors_block():
    site.write_configuration({"gate": {"protocol_errors": 5}})
    site.server.reload()
    with contextlib.suppress(Closed):
        with Smtp(site.smtp, OTHER) as session:
            for _ in range(6):
                session.command("NONSENSE")
    wait_until(lambda: refused_silently(site.smtp, OTHER), 2, "blocked")
    contains(site.wait_for_log("address-blocked", OTHER)[0], "by=protocol-errors")


@case
def the_set_survives_a_reload_and_only_blocks_for_ever_a_restart():
    site.ctl("block", STRANGER, "--for-ever", "--reason", "a nuisance")
    site.server.reload()
    check(refused_silently(site.smtp, STRANGER) and refused_silently(site.smtp, GUESSER), "after the reload")
    with open(os.path.join(site.base, "run", "blocked")) as file:
        text = file.read()
    contains(text, STRANGER)
    contains(text, "a nuisance")
    check(GUESSER not in text, "what has an end is not kept")
    since = [block["since"] for block in site.ctl_json("blocked")["blocked"] if block["network"] == STRANGER]
    site.server.stop()
    site.start()
    check(refused_silently(site.smtp, STRANGER), "after the restart")
    check(greeted(site.smtp, GUESSER), "an automatic block ends with the server")
    equal(networks(), [STRANGER])
    equal([block["since"] for block in site.ctl_json("blocked")["blocked"]], since)
    site.ctl("unblock", STRANGER)
    site.server.stop()
    site.start()
    check(greeted(site.smtp, STRANGER), "unblocked for good")


@case
def what_the_server_knows_of_an_address():
    sessions = hold(site.smtp, 2, STRANGER)
    with Line(site.pop3, STRANGER) as line:
        line.line()
        known = site.ctl_json("address", STRANGER)
        equal(sorted(session["module"] for session in known["sessions"]), ["pop3", "smtp", "smtp"])
        equal({row["module"]: row["connections"] for row in known["connections"]}, {"smtp": 2, "lmtp": 0, "pop3": 1})
        text = site.ctl("address", STRANGER).stdout
        contains(text, "neither client address nor cluster member")
    close_all(sessions)
    contains(site.ctl("address", "nobody", expect=2).stderr, "nobody")
    site.ctl("address", expect=2)


@case
def refusals_of_all_children_together_make_one_first_line_and_one_sum():
    site.ctl("block", "127.0.0.80", "--for", "1h")
    for _ in range(40):
        check(refused_silently(site.smtp, "127.0.0.80"), "zero bytes")
    # Children that die take nothing with them.
    for pid in site.server.children("smtp"):
        os.kill(pid, signal.SIGKILL)

    def counted():
        first = len(site.log_lines("connection-refused ", "remote=127.0.0.80:"))
        sums = site.log_lines("connections-refused ", "remote=127.0.0.80 ")
        return first, first + sum(int(re.search(r" count=(\d+)", line).group(1)) for line in sums)
    wait_until(lambda: counted()[1] == 40, 5 * slow_build(), "40 refusals in the log: %r" % (counted(),))
    check(counted()[0] < 40, "not a line for each")


with site.running():
    run_cases()
