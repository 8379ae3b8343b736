#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The resolver child: what name servers say and how they misbehave, the cache, and its death in the middle of a question."""
import threading

from dns_responder import Responder
from postern_testing import *

LIMIT = 1.5  # seconds, for one question

dns = Responder({
    ("host.example", "A"): ["192.0.2.1", "192.0.2.2"], ("host.example", "AAAA"): ["2001:db8::1"],
    ("example.net", "MX"): ["20 mx2.example.net", "10 mx1.example.net"], ("example.net", "TXT"): ["v=spf1 -all", "a \"quoted\" \\ text"],
    ("one.example", "CNAME"): ["two.example"], ("two.example", "CNAME"): ["three.example"], ("three.example", "A"): ["192.0.2.3"],
    ("dangling.example", "CNAME"): ["nowhere.example"],
    ("short.example", "A"): ["192.0.2.4"], ("big.example", "TXT"): ["%03d " % i + "x" * 200 for i in range(40)],
    ("huge.example", "TXT"): ["%03d " % i + "x" * 200 for i in range(200)],
    ("forged.example", "A"): ["192.0.2.5"], ("silent.example", "A"): ["192.0.2.6"], ("failing.example", "A"): ["192.0.2.7"],
    ("7.2.0.192.in-addr.arpa", "PTR"): ["host7.example"], ("odd.example", "MX"): ["0 ."],
})
for name, how in (("silent.example", "silent"), ("failing.example", "servfail"), ("short.example", "truncate"), ("forged.example", "wrong_id")):
    dns.behave(name, how)

site = Site(settings=dns.settings(time_limit="%d ms" % (LIMIT * 1000)))


def resolve(*arguments, expect=0):
    done = site.ctl("--json", "resolve", *arguments, expect=expect)
    return json.loads(done.stdout)["answers"]


def records(*arguments):
    return sorted(record for answer in resolve(*arguments) for record in answer.get("records", []))


def child():
    return next(entry["pid"] for entry in site.ctl_json("status")["children"] if entry["role"] == "resolver")


@case
def records_of_each_kind_are_found():
    equal(records("HOST.example."), ["192.0.2.1", "192.0.2.2", "2001:db8::1"])
    equal(records("example.net", "mx"), ["10 mx1.example.net", "20 mx2.example.net"])
    equal(records("example.net", "TXT"), ['"a \\"quoted\\" \\\\ text"', '"v=spf1 -all"'])
    equal(records("192.0.2.7"), ["host7.example"])
    equal(records("odd.example", "TYPE15"), ["0 ."])
    text = site.ctl("resolve", "example.net", "MX").stdout
    contains(text, "10 mx1.example.net")


@case
def what_does_not_exist_is_told_from_what_nobody_knows():
    for arguments, kind in ((("nowhere.example", "A"), "not-found"), (("host.example", "MX"), "not-found"), (("dangling.example", "A"), "not-found"),
                            (("failing.example", "A"), "temporary")):
        answer = resolve(*arguments, expect=1)[0]
        equal(answer["kind"], kind, arguments[0])
    check(site.ctl("resolve", "a..b", expect=2).stderr, "a name that can't be one")
    site.ctl("resolve", "host.example", "NONSENSE", expect=2)


@case
def aliases_are_followed():
    answer = resolve("one.example", "A")[0]
    equal((answer["records"], answer["canonical_name"]), (["192.0.2.3"], "three.example"))


@case
def what_was_cut_off_is_asked_again_over_tcp():
    equal(records("short.example", "A"), ["192.0.2.4"])
    equal(dns.asked_by_tcp["short.example", "A"], 1, "by TCP")


@case
def big_answers_arrive_and_are_cut_at_the_limit():
    equal(len(records("big.example", "TXT")), 40)
    answer = resolve("huge.example", "TXT")[0]
    check(answer["cut"] and 70 <= len(answer["records"]) <= 82, "%d records of 200" % len(answer["records"]))


@case
def an_answer_to_another_question_is_not_taken():
    equal(records("forged.example", "A"), ["192.0.2.5"])


@case
def answers_come_from_the_cache_and_so_does_absence():
    for name in ("host.example", "nowhere.example"):
        before = dns.asked[name, "A"]
        for _ in range(3):
            site.ctl("resolve", name, "A", expect=None)
        equal(dns.asked[name, "A"], before, "questions for " + name)
        check(before >= 1, "it was asked once")


@case
def a_silent_server_costs_the_time_limit_and_delays_nobody_else():
    took = []

    def ask():
        began = time.monotonic()
        equal(resolve("silent.example", "A", expect=1)[0]["kind"], "temporary")
        took.append(time.monotonic() - began)

    waiting = threading.Thread(target=ask)
    waiting.start()
    wait_until(lambda: dns.asked["silent.example", "A"], what="the question is under way")
    dns.add("fresh.example", "A", "192.0.2.8")
    equal(records("fresh.example", "A"), ["192.0.2.8"])
    check(waiting.is_alive(), "the other one was answered meanwhile")
    waiting.join()
    check(LIMIT - 0.1 < took[0] < LIMIT + 4, "it took %.1f s" % took[0])


@case
def a_resolver_that_dies_in_mid_question_is_replaced_and_asked_again():
    before = child()
    dns.behave("late.example", "silent")
    dns.add("late.example", "A", "192.0.2.9")
    done = []
    with Smtp(site.smtp) as client:
        client.hello()
        asking = threading.Thread(target=lambda: done.append(client.command("MAIL FROM:<a@late.example>")[0]))
        asking.start()
        wait_until(lambda: dns.asked["late.example", "MX"], what="the question is under way")
        dns.behave("late.example", None)
        os.kill(before, signal.SIGKILL)
        asking.join()
    equal(done, [250])
    check(wait_until(child) != before, "another process")
    equal(records("host.example", "A"), ["192.0.2.1", "192.0.2.2"])


@case
def name_servers_without_signatures_cost_validation_and_no_mail():
    stripping = Responder({("host.signed.example", "A"): ["192.0.2.1"]}, signed=["signed.example"])
    stripping.strips = True
    other = Site(settings=stripping.settings(time_limit="2 s"))
    with other.running():
        answer = json.loads(other.ctl("--json", "resolve", "host.signed.example", "A").stdout)["answers"][0]
        equal((answer["records"], answer["secure"]), (["192.0.2.1"], False))
        equal(len(other.wait_for_log("resolver-validation", "validates=no", "zone=signed.example")), 1)
        other.write_configuration({"resolver": {"dnssec": "always"}})
        other.server.reload()
        wait_until(lambda: other.ctl("resolve", "host.signed.example", "A", expect=None).returncode == 1, what="an answer that nobody can validate is refused")
    other.remove()


@case
def the_status_shows_it():
    contains(site.ctl("status").stdout, "resolver")
    check(site.log_lines("resolver-servers", "127.0.0.1:%d" % dns.port, "validates=no"), "which servers it asks")


site.write_configuration({"channels": ["tcp_local smtp mx switchchannel remotehost maytlsserver mailfromdnsverify",
                                       "tcp_internal smtp mx allowswitchchannel maytlsserver mailfromdnsverify"]})
with site.running():
    run_cases()
