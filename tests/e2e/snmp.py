#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SNMP: a walk over everything, figures that are those of the kernel and of the mail, and what UDP sockets owe their users
(listeners.md section 3; case 70, case 71, case 72, case 74). With the programs of net-snmp, by numbers: Debian has no IETF modules."""
from mail_sink import Sink
from postern_testing import *

snmp_port = free_port()
sink, dead_port = Sink(), free_port()
# .1 and .5 are the site's own; .9 is a stranger. All addresses, so that the answer must leave from the one that was asked.
site = Site({"client_addresses": ["127.0.0.1", "127.0.0.5", "::1"],
             "listeners": {"snmp": {"sockets": [{"port": snmp_port, "address": "all"}]}},
             "relay": {"idle_time": "30 s", "routes": ["there.example [127.0.0.1]:%d" % sink.port, "dead.example [127.0.0.1]:%d" % dead_port]},
             "snmp": {"community": "a word nobody guesses", "contact": "postmaster@example.com", "location": "cellar"}})

APPLICATION, MTA, POSTERN = "1.3.6.1.2.1.27", "1.3.6.1.2.1.28", "1.3.6.1.4.1.32473.25.1"
ROWS = {"mail": 1, "smtp": 2, "lmtp": 3, "pop3": 4, "snmp": 5}


def tool(name, *arguments, community="a word nobody guesses", version="2c", address="127.0.0.1", expect=0, options=()):
    if not shutil.which(name):
        raise Skip("net-snmp's %s is not installed (Debian: snmp)" % name)
    # Without modules: numbers only, and no complaint that there are none.
    return run(name, "-m", "", "-M", "/nonexistent", "-On", "-OQ", "-Oe", "-t", "2", "-r", "2", "-v" + version, "-c", community, *options,
               "%s:%d" % (address, snmp_port), *arguments, expect=expect)


def numbers(name):
    return tuple(int(part) for part in name.strip(".").split("."))


def walk(root=".1.3", program="snmpwalk", **options):
    """Names and values in the order in which they came."""
    lines = tool(program, root, **options).stdout.splitlines()
    rows = []
    for line in lines:
        name, mark, value = line.partition(" = ")
        if mark and name.startswith(".") and "No more variables" not in value:
            rows.append((numbers(name), value.strip('"')))
    return rows


def get(name):
    return tool("snmpget", name).stdout.partition(" = ")[2].strip().strip('"')


def value(name):
    return int(get(name))


def established(port):
    """Connections of the kernel's that are accepted on `port`, as ss counts them."""
    if not shutil.which("ss"):
        raise Skip("ss is not installed (Debian: iproute2)")
    lines = run("ss", "-Htn", "state", "established", "sport", "=", ":%d" % port).stdout.splitlines()
    return len([line for line in lines if line.strip()])


def snmp_child():
    return [child for child in site.ctl_json("status")["children"] if child["role"] == "snmp"][0]["pid"]


def datagrams():
    return [listener for listener in site.ctl_json("status")["listeners"] if listener["module"] == "snmp"][0]["datagrams"]


def request(community=b"a word nobody guesses", name=(1, 3, 6, 1, 2, 1, 1, 3, 0), number=1):
    """A GET, as bytes."""
    def element(tag, content):
        return bytes([tag, len(content)]) + content
    oid = bytes([name[0] * 40 + name[1]]) + bytes(name[2:])
    bindings = element(0x30, element(0x30, element(6, oid) + element(5, b"")))
    pdu = element(0xa0, element(2, struct.pack(">i", number)) + element(2, b"\0") + element(2, b"\0") + bindings)
    return element(0x30, element(2, b"\1") + element(4, community) + pdu)


def udp(address="127.0.0.1", seconds=2.0):
    here = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    here.bind((address, 0))
    here.settimeout(seconds)
    return here


@cases_of([("snmpwalk, version 1", "snmpwalk", "1"), ("snmpwalk, version 2c", "snmpwalk", "2c"), ("snmpbulkwalk", "snmpbulkwalk", "2c")])
def a_walk_comes_to_its_end_in_strictly_rising_order(program_name, version):
    rows = walk(program=program_name, version=version)
    check(len(rows) > 100, "a hundred objects at least, found %d" % len(rows))
    names = [name for name, _ in rows]
    equal(names, sorted(set(names)), "the names in order, none twice")
    for branch in ("1.3.6.1.2.1.1", "1.3.6.1.2.1.11", APPLICATION, MTA, POSTERN):
        check(any(name[:len(numbers(branch))] == numbers(branch) for name in names), "objects below " + branch)


@case
def a_bulk_walk_sees_what_a_walk_sees():
    equal([name for name, _ in walk(program="snmpbulkwalk")], [name for name, _ in walk()], "names")


@case
def the_system_group_says_who_we_are():
    contains(get("1.3.6.1.2.1.1.1.0"), "Postern")
    equal(get("1.3.6.1.2.1.1.4.0"), "postmaster@example.com")
    equal(get("1.3.6.1.2.1.1.5.0"), "mail.example.com")
    equal(get("1.3.6.1.2.1.1.6.0"), "cellar")
    contains(tool("snmpget", "1.3.6.1.2.1.1.9.9.9").stdout, "No Such")


@case
def connections_are_those_that_the_kernel_counts():
    held = hold(site.smtp, 5) + [Line(site.pop3) for _ in range(3)]
    for session in held[5:]:
        contains(session.line(), "+OK")
    try:
        for service, port in (("smtp", site.smtp), ("pop3", site.pop3)):
            wanted = established(port)
            check(wanted > 0, "connections to " + service)
            for name in (APPLICATION + ".1.1.8.%d" % ROWS[service], POSTERN + ".2.1.7.%d" % ROWS[service]):
                wait_until(lambda: value(name) == wanted, 5, "%s = %d" % (name, wanted))
        equal(value(APPLICATION + ".1.1.8.%d" % ROWS["mail"]), 5, "SMTP and LMTP together")
        # What the children hold is the same.
        held_by_children = sum(int(number) for _, number in walk(POSTERN + ".5.1.5"))
        equal(held_by_children, 8, "sessions of all children")
    finally:
        close_all(held)
    wait_until(lambda: value(APPLICATION + ".1.1.8.%d" % ROWS["smtp"]) == 0, 5, "no SMTP connection")


@case
def every_socket_is_shown_with_its_state():
    ports = sorted(int(number) for _, number in walk(POSTERN + ".4.1.2"))
    equal(sorted(set(ports)), sorted({site.smtp, site.lmtp, site.pop3, snmp_port}))
    states = {number for _, number in walk(POSTERN + ".4.1.4")}
    equal(states, {"1"}, "all of them are open")


@case
def mail_is_counted_when_it_comes_and_when_it_is_delivered():
    received, delivered = value(MTA + ".1.1.1.1"), value(MTA + ".1.1.3.1")
    octets = value(POSTERN + ".1.5.0")
    text = message("three")
    session = Smtp(site.smtp)
    session.hello()
    session.begin("a@sender.example", "anna@example.com", "bert@example.com")
    session.data(text)
    session.quit()
    wait_until(lambda: value(MTA + ".1.1.3.1") == delivered + 1, 10, "one more message transmitted")
    equal(value(MTA + ".1.1.1.1"), received + 1, "messages received")
    equal(value(MTA + ".1.1.7.1"), 2, "recipients received")
    equal(value(MTA + ".1.1.9.1"), 2, "recipients transmitted")
    check(value(POSTERN + ".1.5.0") > octets + len(text) - 100, "octets received")
    wait_until(lambda: value(MTA + ".1.1.2.1") == 0, 10, "nothing is stored any more")


def send(recipient, text):
    """The code that the message is answered with."""
    with Smtp(site.smtp) as session:
        session.hello()
        session.begin("anna@example.com", recipient)
        return session.data(text, expect=None)[0]


@case
def connections_that_we_make_and_what_waits_are_counted():
    group = MTA + ".2.1"
    sent, made, failed = value(group + ".5.1.3"), value(APPLICATION + ".1.1.11.1"), value(APPLICATION + ".1.1.15.1")
    equal(send("x@there.example", message("there")), 250)
    wait_until(lambda: value(group + ".5.1.3") == sent + 1, 10 * slow_build(), "one more sent on")
    equal((value(APPLICATION + ".1.1.11.1"), value(APPLICATION + ".1.1.9.1"), value(group + ".14.1.3")), (made + 1, 1, 1), "made, and open still")
    check(value(group + ".18.1.3") == 0, "active just now")
    # What it takes with it is gone.
    for pid in site.server.children("relay"):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: value(APPLICATION + ".1.1.9.1") == 0, 10 * slow_build(), "no connection of a dead child")
    equal(send("x@dead.example", message("dead")), 250)
    wait_until(lambda: value(group + ".4.1.4") == 1, 10 * slow_build(), "one waits for another attempt")
    equal(value(APPLICATION + ".1.1.15.1"), failed + 1, "failed")
    wait_until(lambda: value(MTA + ".1.1.2.1") == 1, 10 * slow_build(), "one is stored")
    check(0 <= value(group + ".34.1.3") < 3000, "a moment since the last attempt")


@case
def refused_messages_and_loops_are_counted():
    refused, loops = value(MTA + ".2.1.3.1.1"), value(MTA + ".1.1.12.1")
    equal(send("anna@example.com", b"Received: from x by y; Sun, 22 Nov 2026 09:00:00 +0000\r\n" * 110 + message("loop")), 554)
    wait_until(lambda: (value(MTA + ".2.1.3.1.1"), value(MTA + ".1.1.12.1"), value(MTA + ".2.1.33.1.1")) == (refused + 1, loops + 1, 1), 10 * slow_build(),
               "one more refused, for a loop")
    check(get(APPLICATION + ".1.1.12.%d" % ROWS["smtp"]) not in ("0", "0:0:00:00.00"), "last activity")


@case
def nothing_can_be_set():
    contains(run_set("1.3.6.1.2.1.1.4.0", "s", "me"), "notWritable")


def run_set(*arguments):
    done = tool("snmpset", *arguments, expect=None)
    check(done.returncode != 0, "snmpset fails")
    return done.stdout + done.stderr


@case
def a_wrong_community_gets_no_answer_and_is_counted():
    before = datagrams().get("unauthenticated", 0)
    here = udp(seconds=1.0)
    here.sendto(request(b"a word somebody guesses"), ("127.0.0.1", snmp_port))
    try:
        here.recv(4096)
        check(False, "no answer")
    except socket.timeout:
        pass
    equal(datagrams()["unauthenticated"], before + 1)
    shown = [one for one in site.ctl_json("listener", "show")["listeners"] if one["module"] == "snmp"][0]
    equal(shown["datagrams"]["unauthenticated"], before + 1, "listener show")
    check(value("1.3.6.1.2.1.11.4.0") >= before + 1, "snmpInBadCommunityNames")
    equal(site.log().count("a word"), 0, "mentions of a community in the log")


@case
def case_70_a_denied_address_gets_neither_answer_nor_icmp_and_is_counted():
    before = datagrams().get("restricted", 0)
    here = udp("127.0.0.9", 1.0)
    # Connected, so that an ICMP message would come back as an error.
    here.connect(("127.0.0.1", snmp_port))
    here.send(request())
    try:
        here.recv(4096)
        check(False, "no answer")
    except socket.timeout:
        pass
    here.send(request())
    equal(here.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0, "error of the socket")
    wait_until(lambda: datagrams().get("restricted", 0) == before + 2, 5, "two more refused")
    site.wait_for_log("datagram-dropped", "reason=restricted", "127.0.0.9", "table=listeners.snmp.sockets.restriction", "line=")
    wait_until(lambda: refused("127.0.0.9") == [("restricted", 2, False)], 10 * slow_build(), "the address has its refusals")
    contains(site.ctl("address", "127.0.0.9").stdout, "snmp")


def refused(address):
    """What posternctl address tells of refused datagrams."""
    return sorted((one["reason"], one["count"], one.get("dry_run", False)) for one in site.ctl_json("address", address)["refusals"] if one["module"] == "snmp")


@case
def a_block_that_is_only_tried_is_answered():
    site.write_configuration({"listeners": {"snmp": {"dry_run": ["blocked"]}}})
    site.server.reload()
    site.ctl("block", "127.0.0.1")
    here = udp("127.0.0.1", 5.0 * slow_build())
    here.sendto(request(), ("127.0.0.1", snmp_port))
    check(here.recv(4096)[0] == 0x30, "an answer")
    equal(datagrams().get("would-be-blocked", 0), 1, "datagrams that would be dropped")
    site.wait_for_log("datagram-would-be-dropped", "reason=would-be-blocked", "127.0.0.1", "table=\"blocked 127.0.0.1", "dry_run=yes")
    wait_until(lambda: refused("127.0.0.1") == [("blocked", 1, True)], 10 * slow_build(), "the address has it")
    site.ctl("unblock", "127.0.0.1")
    site.write_configuration({"listeners": {"snmp": {"dry_run": []}}})
    site.server.reload()


@case
def a_blocked_address_gets_no_answer_until_it_is_unblocked():
    here = udp("127.0.0.5", 1.0)
    site.ctl("block", "127.0.0.5")
    here.sendto(request(), ("127.0.0.1", snmp_port))
    try:
        here.recv(4096)
        check(False, "no answer")
    except socket.timeout:
        pass
    equal(datagrams().get("blocked", 0), 1, "datagrams of blocked addresses")
    site.ctl("unblock", "127.0.0.5")
    here.sendto(request(), ("127.0.0.1", snmp_port))
    check(here.recv(4096)[0] == 0x30, "an answer")


@cases_of([("IPv4", "127.0.0.1", "127.0.0.5"), ("IPv4, the usual one", "127.0.0.5", "127.0.0.1"), ("IPv6", "::1", "::1")])
def case_71_the_answer_comes_from_the_address_that_was_asked(source, asked):
    try:
        here = udp(source)
    except OSError:
        raise Skip("this machine has no " + source)
    here.sendto(request(), (asked, snmp_port))
    answer, origin = here.recvfrom(4096)
    equal(origin[:2], (asked, snmp_port))
    check(answer[0] == 0x30, "an answer")


@case
def case_72_five_thousand_datagrams_of_one_address_are_all_answered():
    here = udp(seconds=5.0)
    here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sent, answered = 0, set()
    # A window, so that no queue on the way overflows: there is no retransmission here.
    while len(answered) < 5000:
        while sent < 5000 and sent - len(answered) < 100:
            sent += 1
            here.sendto(request(number=sent), ("127.0.0.1", snmp_port))
        answer = here.recv(4096)
        at = answer.index(b"\xa2") + 2
        length = answer[at + 1]
        answered.add(int.from_bytes(answer[at + 2:at + 2 + length], "big"))
    equal(len(answered), 5000)
    equal(datagrams().get("lost", 0), 0, "datagrams that the kernel dropped")


@case
def case_74_two_thousand_random_datagrams_leave_the_service_alive_with_the_same_process():
    process, before = snmp_child(), datagrams()["received"]
    here = udp()
    source = random.Random(7)
    good = request()
    for number in range(2000):
        if number % 3 == 0:
            noise = source.randbytes(source.randrange(0, 1500))
        elif number % 3 == 1:
            changed = bytearray(good)
            for _ in range(source.randrange(1, 4)):
                changed[source.randrange(len(changed))] = source.randrange(256)
            noise = bytes(changed)
        else:
            noise = good[:source.randrange(len(good))] + source.randbytes(source.randrange(0, 40))
        here.sendto(noise, ("127.0.0.1", snmp_port))
        if number % 50 == 49:
            # The service keeps up; else this would only test the kernel's queue.
            check(tool("snmpget", "1.3.6.1.2.1.1.3.0").returncode == 0, "an answer in between")
    wait_until(lambda: datagrams()["received"] >= before + 2000, 10, "all of them were read")
    check(datagrams()["damaged"] > 500, "damaged ones are counted")
    equal(snmp_child(), process, "the process")
    contains(get("1.3.6.1.2.1.1.1.0"), "Postern")


@case
def a_datagram_that_is_too_large_is_dropped_and_counted():
    before = datagrams().get("oversized", 0)
    here = udp()
    here.sendto(request() + bytes(20000), ("127.0.0.1", snmp_port))
    wait_until(lambda: datagrams().get("oversized", 0) == before + 1, 5, "one more oversized")


@case
def a_child_that_is_killed_is_replaced_and_loses_no_count():
    before = datagrams()["answered"]
    process = snmp_child()
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: snmp_child() != process, 10, "another process")
    contains(get("1.3.6.1.2.1.1.1.0"), "Postern")
    wait_until(lambda: datagrams()["answered"] > before, 5, "the count goes on")


with site.running():
    run_cases()
