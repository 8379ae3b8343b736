#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The conversion channel: table CONVERSIONS, the file of conversions, programs under limits, and each of their results (access-control.md 7)."""
import base64

from postern_testing import *

# Programs must be within reach of the service's user.
programs = tempfile.mkdtemp(prefix="postern-programs-")
os.chmod(programs, 0o755)
atexit.register(shutil.rmtree, programs, True)


def make_program(name, text):
    path = os.path.join(programs, name)
    with open(path, "w") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


# Options, output and exit statuses of clamscan(1), as far as scripts use them.
make_program("clamscan", """\
for file; do :; done
[ -e %s/broken ] && { echo "ERROR: no database" >&2; exit 2; }
if grep -q EICAR "$file"; then echo "$file: Win.Test.EICAR_HDB-1 FOUND"; exit 1; fi
echo "$file: OK"
exit 0
""" % programs)
SCAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "share", "postern", "programs", "scan")
with open(SCAN) as source:
    make_program("scan", source.read().split("\n", 1)[1])
LEFT = "sleep 3000%d" % os.getpid()
# ClamAV itself, with a database of one virus: no download is needed.
CLAMSCAN = program("clamscan", required=False)
REAL_VIRUS = b"A virus of this test alone, %d" % os.getpid()
with open(os.path.join(programs, "one.hdb"), "w") as database:
    database.write("%s:%d:Postern.Test\n" % (hashlib.md5(REAL_VIRUS).hexdigest(), len(REAL_VIRUS)))
os.chmod(database.name, 0o644)
site = Site({"host_name": "example.com", "delivery": {"retry_first": 1, "retry_most": 1}, "conversion": {"program_time": 2}})
# What the subject says is what comes of it.
make_program("obey", """\
word=$(sed -n 's/^Subject: do //p' "$MESSAGE_HEADERS")
case $word in
  fail) exit 9 ;;
  hang) %(left)s & %(left)s ;;
  die) kill -9 $$ ;;
  network) python3 -c 'import socket; socket.socket()' > "$OUTPUT_FILE" 2>&1; exit 0 ;;
  spy) { for one in ../../../../*; do echo "has $one"; done; cat ../../../../spool/* ../../../../spool/*/* ../../*/*/*; } > "$OUTPUT_FILE" 2>&1; exit 0 ;;
  where) { id -u; pwd; env | sort; } > "$OUTPUT_FILE" ;;
  FORCE*) echo "STATUS=$word" > "$OUTPUT_OPTIONS"; echo 'OUTPUT_DIAGNOSTIC="Not in here"' >> "$OUTPUT_OPTIONS" ;;
esac
exit 0
""" % {"left": LEFT})
ICONV = program("iconv", required=False)

CONVERSIONS = """\
! for the tests
in-chan=tcp_local; in-type=text; in-subtype=plain; in-subject="do *";
  override-option-file=1; out-mode=text;
  command="%(p)s/obey"

in-type=application; in-subtype=x-gone; delete=1

in-type=application; in-subtype=x-real; override-option-file=1;
  command="%(p)s/scan %(c)s --no-summary -d %(p)s/one.hdb $INPUT_FILE"

in-type=application; override-option-file=1;
  command="%(p)s/scan %(p)s/clamscan --no-summary $INPUT_FILE"

in-type=text; in-parameter-name-0=charset; in-parameter-value-0=iso-8859-1; tag=latin;
  out-type=text; out-subtype=plain; out-parameter-name-0=charset; out-parameter-value-0=utf-8;
  command="%(i)s -f ISO-8859-1 -t UTF-8 -o $OUTPUT_FILE $INPUT_FILE"
""" % {"p": programs, "i": ICONV or "/bin/true", "c": CLAMSCAN or "/bin/true"}

with open(os.path.join(site.etc, "conversions"), "w") as conversions:
    conversions.write(CONVERSIONS)
os.chmod(os.path.join(site.etc, "conversions"), 0o644)
site.write_mappings(MAPPINGS + "\nCONVERSIONS\n\n  IN-CHAN=tcp_local;OUT-CHAN=ims-ms;CONVERT   Yes\n")
site.ctl("account", "change", "carl@example.org", "--tag", "latin")


def parts(*bodies):
    return "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n", "".join("--b\r\n" + body + "\r\n" for body in bodies) + "--b--\r\n"


TEXT = "Content-Type: text/plain\r\n\r\nHello."
CLEAN = "Content-Type: application/octet-stream; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\nQ2xlYW4="
VIRUS = "Content-Type: application/octet-stream; name=b\r\n\r\nX5O EICAR"


def send(subject, recipient="anna@example.com", source="127.0.0.2", sender="bert@example.com", mime=None):
    extra, body = mime or ("", "Hello.\r\n")
    return deliver(site, recipient, source, sender, subject=subject, extra=extra, body=body)


def waiting():
    return [one for one in site.ctl_json("queue", "list") if one["state"] == "conversion"]


@case
def what_no_table_asks_for_is_not_converted():
    number = len(site.log_lines("to-conversion"))
    site.find_message("anna@example.com", send("do FORCEDELETE", source="127.0.0.1"))
    equal(len(site.log_lines("to-conversion")), number, "messages for the conversion channel")


@case
def an_address_may_ask_for_it():
    message_id = send("gone", recipient="anna%example.com@conversion", mime=parts(TEXT, "Content-Type: application/x-gone\r\n\r\nx"))
    check(b"x-gone" not in site.find_message("anna@example.com", message_id), "the part is removed")


@case
def clean_parts_go_on_as_they_are():
    text = site.find_message("anna@example.com", send("clean", mime=parts(TEXT, CLEAN)))
    contains(text, b"name=a\nContent-Transfer-Encoding: base64\n\nQ2xlYW4=\n--b--\n")


@case
def a_virus_comes_back_to_its_sender():
    message_id = send("virus", mime=parts(TEXT, CLEAN, VIRUS))
    report = wait_until(lambda: [text for text in site.messages("bert@example.com") if message_id.encode() in text], 10 * slow_build(), "the report")[0]
    contains(report, b"Win.Test.EICAR_HDB-1")
    contains(report, b"5.7.1")
    equal([text for text in site.messages("anna@example.com") if message_id.encode() in text], [], "what anna got")


@case
def without_its_database_the_scanner_keeps_mail_waiting():
    open(os.path.join(programs, "broken"), "w").close()
    message_id = send("waits", mime=parts(TEXT, CLEAN))
    entry = wait_until(lambda: [one for one in waiting() if "diagnostic" in one["recipients"][0]], 5 * slow_build(), "it waits")[0]
    contains(entry["recipients"][0]["diagnostic"], "signal")
    os.remove(os.path.join(programs, "broken"))
    site.find_message("anna@example.com", message_id)
    equal(waiting(), [], "what waits")


@case
def the_real_clamscan_looks_at_parts():
    if not CLAMSCAN:
        raise Skip("clamscan is not installed (package clamav)")
    real = lambda body: parts(TEXT, "Content-Type: application/x-real\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.b64encode(body).decode())
    site.find_message("anna@example.com", send("clean", mime=real(REAL_VIRUS[1:])))
    message_id = send("virus", mime=real(REAL_VIRUS))
    report = wait_until(lambda: [text for text in site.messages("bert@example.com") if message_id.encode() in text], 20 * slow_build(), "the report")[0]
    contains(report, b"virus found: Postern.Test")
    equal([text for text in site.messages("anna@example.com") if message_id.encode() in text], [], "what anna got")
    # Without a database it can't tell.
    os.rename(database.name, database.name + ".away")
    message_id = send("unknown", mime=real(REAL_VIRUS[1:]))
    wait_until(lambda: [one for one in waiting() if "signal" in one["recipients"][0].get("diagnostic", "")], 10 * slow_build(), "it waits")
    os.rename(database.name + ".away", database.name)
    site.find_message("anna@example.com", message_id)


@case
def a_program_sees_nothing_of_the_server():
    how = site.log_lines("programs-isolated")
    check(how, "what is in force is logged")
    text = site.find_message("anna@example.com", send("do spy", sender="secret.sender@example.com"))
    if how[0].count("none") == 2:
        raise Skip("the kernel allows no isolation")
    body = text.split(b"\n\n", 1)[1]
    check(b"secret.sender" not in body and b"/run" not in body and body.count(b"has ") == 1, "neither queue nor its names: %r" % body)


@case
def another_character_set_for_who_wants_it():
    if not ICONV:
        raise Skip("iconv is not installed")
    latin = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1; format=flowed\r\nContent-Transfer-Encoding: quoted-printable\r\n", "Gr=FC=DFe\r\n"
    with Smtp(site.smtp, "127.0.0.2") as session:
        session.hello()
        session.begin("bert@example.com", "anna@example.com", "carl@example.org")
        message_id = new_id()
        session.data(message(message_id, subject="latin", extra=latin[0], body=latin[1]))
    contains(site.find_message("anna@example.com", message_id), b"Gr=FC=DFe")
    text = site.find_message("carl@example.org", message_id)
    contains(text, b'charset="utf-8"')
    contains(text, b"Gr=C3=BC=C3=9Fe")
    check(b"iso-8859-1" not in text and b"flowed" not in text, "the old type is gone")


@cases_of([(word, word, where) for word, where in [
    ("fail", "inbox"), ("FORCEASIS", "inbox"), ("FORCEDISCARD", "nowhere"), ("FORCEJETTISON", "nowhere"), ("FORCEHOLD", "held"), ("FORCEPOST", "postmaster"),
    ("FORCERETURN", "bert")]])
def a_result_is_carried_out(word, where):
    message_id = send("do " + word)
    has = lambda account: [text for text in site.messages(account) if message_id.encode() in text]
    if where == "inbox":
        site.find_message("anna@example.com", message_id)
        return
    if where == "held":
        entry = wait_until(lambda: site.ctl_json("queue", "list", "--state", "held"), 5, "it is held")[0]
        contains(entry["held_by"], "Not in here")
        site.ctl("queue", "release", entry["id"])
        site.find_message("anna@example.com", message_id)
        return
    if where == "nowhere":
        site.wait_for_log("converted", word[5:].lower() + "ed")
        site.wait_for_log("discarded", "jettison" if word == "FORCEJETTISON" else "")
    else:
        wait_until(lambda: has("postmaster@example.com" if where == "postmaster" else "bert@example.com"), 10 * slow_build(), where + " has it")
    equal(has("anna@example.com"), [], "what anna got")


@case
def a_program_has_neither_network_nor_anybody_elses_rights():
    text = site.find_message("anna@example.com", send("do network"))
    contains(text, b"PermissionError")
    text = site.find_message("anna@example.com", send("do where"))
    contains(text, b"INPUT_TYPE=text")
    if os.geteuid() == 0:
        check(b"\n0\n" not in text, "it does not run as root")


@case
def a_program_that_hangs_is_killed_with_all_it_has_started():
    message_id = send("do hang")
    site.wait_for_log("conversion-put-off", "took too long")
    running = lambda: [one for one in process_table().values() if one[3] == LEFT and one[2] != "Z"]
    wait_until(lambda: not running(), 5 * slow_build(), "what it has started is gone")
    equal(site.ctl_json("status")["spool"]["converting"], 1, "messages in the channel")
    equal(site.ctl_json("status")["spool"]["backlog"], 1, "messages that are counted as waiting")
    wait_until(waiting, 5 * slow_build(), "it waits")
    site.ctl("queue", "bounce", waiting()[0]["id"])
    wait_until(lambda: [text for text in site.messages("bert@example.com") if message_id.encode() in text], 10 * slow_build(), "the report")


@case
def a_signal_means_another_try_and_a_killed_child_loses_nothing():
    message_id = send("do die")
    site.wait_for_log("conversion-put-off", "signal 9")
    make_program("obey", "exit 0\n")
    for pid in site.server.children("conversion"):
        os.kill(pid, signal.SIGKILL)
    site.find_message("anna@example.com", message_id)


@cases_of([(point, point) for point in ("conversion-before-program", "conversion-after-program", "conversion-submitted")])
def killed_at(point):
    with open(program("posternd"), "rb") as file:
        if b"POSTERN_KILL_POINT" not in file.read():
            raise Skip("built without --enable-kill-points")
    site.server.stop()
    deaths = len(site.log_lines("child-died", "signal 9"))
    site.start(environment={"POSTERN_KILL_POINT": point})
    message_id = send("changed", mime=parts(TEXT, CLEAN, "Content-Type: application/x-gone\r\n\r\nx"))
    wait_until(lambda: len(site.log_lines("child-died", "signal 9")) > deaths, 10 * slow_build(), "the point is reached")
    site.server.kill()
    site.start()
    check(b"x-gone" not in site.find_message("anna@example.com", message_id, seconds=20), "it is there once, and converted")


@case
def a_broken_file_is_named_and_the_old_one_stays_in_force():
    with open(os.path.join(site.etc, "conversions"), "w") as file:
        file.write(CONVERSIONS + "\nin-typo=text; command=\"relative $NOTHING\"\n")
    done = site.ctl("reload", expect=None)
    check(done.returncode != 0, "the reload is refused")
    line = CONVERSIONS.count("\n") + 2
    contains(done.stdout + done.stderr, "conversions:%d: in-typo: there is no such item" % line)
    contains(done.stdout + done.stderr, "conversions:%d: command: there is no variable" % line)
    site.find_message("anna@example.com", send("still clean", mime=parts(TEXT, CLEAN)))


site.add_account("postmaster@example.com", "postmaster's secret")
with site.running():
    run_cases("".join(sys.argv[1:]))
