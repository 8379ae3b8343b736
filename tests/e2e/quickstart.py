#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The quickstart shows what it promises, with programs that are installed: nothing is built here, and the clone stays as it is."""
from postern_testing import *
import ctypes
import shlex

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
QUICKSTART = os.path.join(ROOT, "quickstart")
OURS = ("posternd", "posternctl", "postern-compile")
PROGRAMS = ":".join(sorted({os.path.dirname(program(name)) for name in OURS}))
for name in ("bash", "perl", "openssl"):
    if not program(name, required=False):
        no_cases_here("%s is not installed" % name)

top = tempfile.mkdtemp(prefix="postern-test-", dir=os.environ.get("POSTERN_TEST_DIRECTORY"))
SITE = os.path.join(top, "a site")  # the space, too, must do no harm
MAPPINGS_FILE = os.path.join(SITE, "mappings")
NOT_TO_BE_CALLED = ("apt-get", "autoreconf", "make", "configure", "clang++", "g++", "curl", "wget")
calls = os.path.join(top, "calls")
there_before = os.path.exists(os.path.join(ROOT, "build-quickstart"))

# What a process of the quickstart leaves behind becomes a child of ours, and is found.
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def processes_left():
    table = process_table()
    return {pid: table[pid][3] for pid in descendants(os.getpid(), table) if table[pid][2] != "Z"}


def clean_up():
    for pid in processes_left():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(top, ignore_errors=True)


atexit.register(clean_up)


def script(name, text):
    """A program of this test in the directory `name` of its kind."""
    path = os.path.join(top, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write("#!/bin/bash\n" + text)
    os.chmod(path, 0o755)


for name in NOT_TO_BE_CALLED:
    script("forbidden/" + name, "echo %s \"$*\" >>%s\nexit 1\n" % (name, shlex.quote(calls)))
environment = dict(os.environ, PATH=os.path.join(top, "forbidden") + ":" + os.environ["PATH"])


def seven_free_ports():
    while True:
        first = free_port()
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + 7):
                    probe = stack.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        return first


FIRST_PORT = seven_free_ports()
PORTS = range(FIRST_PORT, FIRST_PORT + 7)
NEW_SITE = ("--programs", PROGRAMS, "--site", SITE, "--first-port", FIRST_PORT)
SAME_SITE = ("--programs", PROGRAMS, "--site", SITE)


def quickstart(*arguments, expect=0):
    return run(QUICKSTART, *arguments, expect=expect, env=environment)


def parts_of(output):
    """What was printed, by the number of the part of the show: "1" to "7"; "end" for what follows."""
    pieces = re.split(r"(?m)^== (.*)\n", output)
    parts = {}
    for heading, text in zip(pieces[1::2], pieces[2::2]):
        number = re.match(r"(\d)\. ", heading)
        parts[number.group(1) if number else "end"] = heading + "\n" + text
    return parts


def everything_has_ended():
    wait_until(lambda: not processes_left(), 2 * slow_build(), "processes left: %r" % processes_left())
    for port in PORTS:
        with socket.socket() as probe:
            check(probe.connect_ex(("127.0.0.1", port)) != 0, "nobody listens at port %d any more" % port)


def read(*path):
    with open(os.path.join(SITE, *path), errors="replace") as file:
        return file.read()


def mails_of(account, folder=""):
    directory = os.path.join(SITE, "state/mail", *reversed(account.split("@")), folder, "new")
    return [read(directory, name) for name in os.listdir(directory)] if os.path.isdir(directory) else []


def place_in_mappings(rule):
    """Number and text of the line with this text."""
    return next((number, line.strip()) for number, line in enumerate(read("mappings").splitlines(), 1) if rule in line)


# ---- before there is a site --------------------------------------------------------------------------------------------------

@case
def help_names_every_option_and_ends_well():
    done = quickstart("--help")
    equal(done.stderr, "")
    for option in ("--once", "--programs", "--site", "--first-port", "--help"):
        check(re.search(r"(?m)^Usage: .*%s|^  %s " % (option, option), done.stdout), "%s in %s" % (option, done.stdout))


@cases_of([(" ".join(words), words) for words in (
    ["--onec"], ["once"], ["--once", "--port"], ["--programs"], ["--site"], ["--once", "--programs", ""], ["--programs", ":"], ["--first-port"],
    ["--first-port", "smtp"], ["--first-port", "0"], ["--first-port", "65530"])])
def a_wrong_option_is_told_with_exit_status_2(words):
    done = quickstart(*words, expect=2)
    equal(done.stdout, "")
    check(re.match(r"quickstart: .*\nUsage: ", done.stderr), "what is wrong, and the usage: %s" % done.stderr)


@case
def programs_that_are_not_there_are_named():
    done = quickstart("--once", "--programs", os.path.join(top, "forbidden"), "--site", SITE, expect=1)
    contains(done.stderr, "posternd")
    check(not os.path.exists(SITE), "no site is begun")


@case
def a_directory_with_the_files_of_somebody_is_no_site():
    directory = os.path.join(top, "somebody")
    os.mkdir(directory)
    with open(os.path.join(directory, "letter"), "w"):
        pass
    done = quickstart("--once", "--programs", PROGRAMS, "--site", directory, "--first-port", FIRST_PORT, expect=1)
    contains(done.stderr, directory)
    equal(os.listdir(directory), ["letter"])


# ---- the show ----------------------------------------------------------------------------------------------------------------

class FirstRun:
    parts, log, accounts = {}, "", ""


@case
def the_first_run_makes_a_site_and_ends_well():
    done = quickstart("--once", *NEW_SITE, expect=None)
    FirstRun.parts, FirstRun.log, FirstRun.accounts = parts_of(done.stdout), read("log"), read("accounts")
    equal(done.returncode, 0, "exit status, after\n%s%s" % (done.stdout, done.stderr))
    contains(done.stdout, "Everything was as it should be.")
    check("NOT as it should be" not in done.stdout, done.stdout)
    everything_has_ended()


@case
def mail_is_let_in_and_read_back_by_pop3():
    let_in = FirstRun.parts["1"]
    message_id = re.search(r"C: Message-ID: (<.*>)", let_in).group(1)
    check(re.search(r"C: RCPT TO:<bert@example\.com>\n   S: 250 (?s:.*)   C: \.\n   S: 250 2\.0\.0 Ok: queued as ", let_in), let_in)
    read_back = FirstRun.parts["2"]
    check(re.search(r"C: RETR 1\n   S: \+OK .*\n   S: Return-Path: <friend@elsewhere\.example>\n   S: Received: ", read_back), read_back)
    contains(read_back, "   S: Message-ID: %s\n" % message_id)
    equal([message_id in mail for mail in mails_of("bert@example.com")], [True], "it is in the mailbox, once")


@case
def sieve_files_into_a_folder():
    message_ids = [re.search(r"(?m)^Message-ID: .*", mail).group(0) for mail in mails_of("anna@example.com", ".Lists")]
    equal(len(message_ids), 1, "one in the folder")
    equal(mails_of("anna@example.com"), [], "none in the inbox")
    contains(FirstRun.parts["3"], "as it should be: it is in the folder: state/mail/example.com/anna/.Lists/new/")


ADDRESSES = r"TCP\|127\.0\.0\.1\|%d\|%s\|\d+"


@cases_of([
    ("a relay attempt at RCPT TO", "4", "C: RCPT TO:<other@third.example>", "550 5.7.1 Relaying not permitted", "ORIG_SEND_ACCESS", "Relaying",
     r"tcp_local\|someone@elsewhere\.example\|tcp_local\|other@third\.example"),
    ("a sender at MAIL FROM", "5", "C: MAIL FROM:<offer@spam.example>", "550 5.7.1 We take no mail from there", "FROM_ACCESS", "@spam.example",
     ADDRESSES % (FIRST_PORT, r"127\.0\.0\.1") + r"\|SMTP/client\.example\.net\|MAIL\|tcp_local\|offer@spam\.example\|"),
    ("a connection at connect", "6", "== 6.", "421 mail.example.com go away", "PORT_ACCESS", "127.0.0.66",
     ADDRESSES % (FIRST_PORT, r"127\.0\.0\.66")),
])
def what_is_refused_is_shown_with_table_line_and_probe(number, said, reply, table, rule, probe):
    lines = ("== " + FirstRun.parts[number]).splitlines()
    asked = next(i for i, line in enumerate(lines) if said in line)
    contains(lines[asked + 1], "S: " + reply, "the answer to %s" % lines[asked])
    decided = dict(re.findall(r"decided by (\w+): (.*)", FirstRun.parts[number]))
    place, text = place_in_mappings(rule)
    equal(decided["table"], table)
    equal(decided["line"], str(place))
    check(re.fullmatch(probe, decided["probe"]), "the probe: %s" % decided["probe"])
    contains(FirstRun.parts[number], "in mappings: %s\n" % text)
    contains(FirstRun.parts[number], "as it should be: the log names the rule")
    event = "table=%s file=\"%s\" line=%d probe=%s " % (table, MAPPINGS_FILE, place, decided["probe"])
    equal(FirstRun.log.count(event), 1, "what the server logged:\n%s\n" % FirstRun.log)


@case
def mail_is_let_in_over_tls():
    contains(FirstRun.parts["7"], "Protocol version: TLSv1.3")
    equal(["with ESMTPS" in mail for mail in mails_of("carl@example.org")], [True])


@case
def the_end_names_ports_accounts_and_paths():
    end = FirstRun.parts["end"]
    for port in PORTS:
        contains(end, "127.0.0.1:%d" % port)
    equal(len(FirstRun.accounts.splitlines()), 3)
    for account in FirstRun.accounts.splitlines():
        contains(end, account.replace(" ", "   "))
    for name in ("postern.conf", "mappings", "state/mail", "log"):
        contains(end, " %s\n" % os.path.join(SITE, name))
    contains(end, "Next things to try")


# ---- the same site again -----------------------------------------------------------------------------------------------------

@case
def a_second_run_uses_the_site_that_is_there():
    before = os.stat(SITE).st_ino
    done = run("/usr/bin/env", "-C", top, QUICKSTART, "--programs", PROGRAMS, "--site", "a site", "--once", env=environment)
    contains(done.stdout, "the site of the last run: %s\n" % SITE)
    contains(done.stdout, "Everything was as it should be.")
    equal((os.stat(SITE).st_ino, read("accounts")), (before, FirstRun.accounts), "site and passwords")
    equal(len(mails_of("bert@example.com")), 2)
    everything_has_ended()


@case
def other_ports_than_those_of_the_site_are_refused():
    contains(quickstart("--once", *SAME_SITE, "--first-port", FIRST_PORT + 1, expect=1).stderr, "other ports")


@cases_of([("Ctrl-C", signal.SIGINT, True), ("kill", signal.SIGTERM, False)])
def in_the_foreground_the_server_goes_on_until(signal_number, whole_group):
    process = subprocess.Popen([QUICKSTART, *SAME_SITE], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    watchdog = threading.Timer(60 * slow_build(), process.kill)
    watchdog.start()
    try:
        shown = ""
        for line in process.stdout:
            shown += line
            if "The server is running" in line:
                break
        contains(shown, "Everything was as it should be.")
        contains(shown, "The server is running")
        check(greeted(FIRST_PORT), "the server serves after the show")
        # A second one does not disturb it, nor its log.
        log = read("log")
        contains(quickstart("--once", *SAME_SITE, expect=1).stderr, "a server is running on this site")
        check(read("log").startswith(log), "the log goes on")
        check(greeted(FIRST_PORT) and process.poll() is None, "the first one goes on")
        (os.killpg if whole_group else os.kill)(process.pid, signal_number)
        rest = process.stdout.read()
        equal(process.wait(), 0, "exit status, after\n%s" % rest)
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
    contains(rest, "session-ended", "the log that it shows")
    contains(rest, " notice: stopped ", "the log that it shows")
    everything_has_ended()


# ---- a show that is not as it should be --------------------------------------------------------------------------------------

def complaints(output):
    """(what, expected, found) of each thing that was not as it should be."""
    return re.findall(r"NOT as it should be: (.*)\n +expected: (.*)\n +found: +(.*)\n", output)


@contextlib.contextmanager
def other_mappings(change):
    right = read("mappings")

    def write(text):
        with open(MAPPINGS_FILE, "w") as file:
            file.write(text)
        run(program("postern-compile"), "--config", SITE)
    write(change(right))
    yield
    write(right)


@case
def another_rule_than_the_expected_one_is_told():
    rule = "  TCP|*|*|*|*|SMTP*|MAIL|*|offer@*|*   $NWe$ take$ no$ mail$ from$ there\n"
    with other_mappings(lambda text: text.replace("FROM_ACCESS\n\n", "FROM_ACCESS\n\n" + rule)):
        done = quickstart("--once", *SAME_SITE, expect=1)
        place = place_in_mappings("@spam.example")[0]
    (_, expected, found), = complaints(done.stdout)
    contains(expected, "table=FROM_ACCESS line=%d probe=" % place)
    contains(found, "table=FROM_ACCESS line=%d probe=TCP|" % (place - 1))
    contains(done.stdout, "1 things were not as they should be")
    everything_has_ended()


@case
def a_refusal_that_does_not_come_is_told():
    with other_mappings(lambda text: text.replace("@spam.example", "@other.example")):
        done = quickstart("--once", *SAME_SITE, expect=1)
    answer, decision = complaints(done.stdout)
    contains(answer[1], "550 5.7.1 We take no mail")
    contains(decision[1], "line=(that of @spam.example, which is not in mappings)")
    equal(decision[2], "table= line= probe=")
    everything_has_ended()


@case
def a_log_that_names_another_table_line_or_probe_is_told():
    changes = ["s/table=ORIG_SEND_ACCESS/table=SEND_ACCESS/", "/table=FROM_ACCESS/s/ line=/&1/", "/table=PORT_ACCESS/s/ probe=TCP|/&127.0.0.1|/"]
    script("other-log/posternd", "exec %s \"$@\" > >(exec sed -u %s) 2>&1\n" % (
        shlex.quote(program("posternd")), " ".join("-e " + shlex.quote(change) for change in changes)))
    done = quickstart("--once", *SAME_SITE, "--programs", os.path.join(top, "other-log") + ":" + PROGRAMS, expect=1)
    place = place_in_mappings("@spam.example")[0]
    wrong = ["table=SEND_ACCESS line=", "table=FROM_ACCESS line=1%d probe=" % place, " probe=TCP|127.0.0.1|127.0.0.1|%d|" % FIRST_PORT]
    right = ["table=ORIG_SEND_ACCESS line=", "table=FROM_ACCESS line=%d probe=" % place, r" probe=TCP\|127\.0\.0\.1\|%d\|" % FIRST_PORT]
    found = complaints(done.stdout)
    equal([what for what, _, _ in found], ["the log names the rule: table, line and probe"] * 3)
    for (_, expected, got), right_part, wrong_part in zip(found, right, wrong):
        contains(expected, right_part)
        contains(got, wrong_part)
    everything_has_ended()


# ---- and afterwards ----------------------------------------------------------------------------------------------------------

@case
def nothing_was_built_installed_or_left_in_the_clone():
    check(not os.path.exists(calls), "nothing of %s was called" % ", ".join(NOT_TO_BE_CALLED))
    equal(os.path.exists(os.path.join(ROOT, "build-quickstart")), there_before, "the directory build-quickstart is there")


run_cases()
