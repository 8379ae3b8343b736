#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A typo in each kind of configuration file is named with file, line and what was expected; all of them in one go."""
from postern_testing import *

site = Site()


def checked(text, name="postern.conf"):
    """What `posternd -t` says about this configuration file; it must refuse it."""
    path = os.path.join(site.etc, name)
    with open(path, "w") as file:
        file.write(text)
    done = run(program("posternd"), "-t", "--config", path, expect=None)
    check(done.returncode != 0, "posternd -t refuses it")
    return done.stdout + done.stderr


with open(site.configuration) as file:
    GOOD = file.read()


@case
def the_right_file_passes():
    run(program("posternd"), "-t", "--config", site.configuration)


@cases_of([
    ("an unknown setting", "smtpp = 3;\n", ["smtpp"]),
    ("a misspelt setting in a group", "pop3 = { login_failure = 3; };\n", ["pop3.login_failure"]),
    ("a number out of range", "smtp = {\n  errors = 0;\n};\n", ["smtp.errors", "0"]),
    ("text for a number", 'smtp = { errors = "many"; };\n', ["smtp.errors", "many"]),
    ("a number for text", "recipient_delimiter = 5;\n", ["recipient_delimiter", "5"]),
    ("a list with a host name", 'smtp_blacklist = "10.0.0.1\\nmail.example.net";\n', ["smtp_blacklist", "mail.example.net"]),
    ("a network with host bits", 'cluster_members = "10.0.0.5/24";\n', ["cluster_members", "10.0.0.0/24"]),
    ("a missing semicolon and brace", "smtp = { errors = 5\n", []),
    ("a wrong word", 'delivery = { sync = "never"; };\n', ["delivery.sync", "automatic"]),
])
def a_mistake_in_postern_conf_is_named(text, parts):
    output = checked(GOOD + text, "wrong.conf")
    first = GOOD.count("\n") + 1
    check(re.search(r"wrong\.conf:(%d|%d|%d)\b" % (first, first + 1, first + 2), output), "file and line %d in %r" % (first, output))
    for part in parts:
        contains(output, part)


@case
def all_mistakes_are_named_at_once():
    output = checked(GOOD + 'one = 1;\nsmtp = { errors = -1; };\nthree = "x";\n', "wrong.conf")
    for part in ("one", "smtp.errors", "three"):
        contains(output, part)


def mistaken_settings():
    """The site's settings with one mistake of each kind, and what must be said about each."""
    with open(os.path.join(site.etc, "broken.filter"), "w") as file:
        file.write('require "fileinto";\n\nkepp;\n')
    listeners = {name: dict(site.settings["listeners"][name]) for name in ("smtp", "lmtp", "pop3")}
    listeners["smtp"]["sockets"] = [{"port": site.smtp, "channel": "tcp_nowhere"}, {"port": site.smtp, "address": "127.0.0.1"}]
    listeners["pop3"]["sockets"] = [{"port": 70000}]
    listeners["pop3"]["reserve_for_clients"] = -1
    settings = merged(site.settings, {
        "nonsense": 1, "host_name": "not a name", "recipient_delimiter": 5, "cluster_members": "10.0.0.5/24",
        "smtp": {"errors": 0}, "delivery": {"sync": "never", "retry_first": "2 h", "retry_most": "1 h"},
        "channels": ["tcp_x smtp shout", "tcp_y smtp sourcefilter missing.filter", "tcp_z smtp sourcefilter broken.filter"],
        "rewrite": ["example.org $Q"],
        "users": {"network": "root"},
    })
    settings["listeners"] = listeners
    said = ["nonsense: ", "host_name: ", "recipient_delimiter: ", "cluster_members: ", "smtp.errors: ", "delivery.sync: ", "delivery.retry_first: ",
            "collides with", "listeners.pop3.sockets[0].port: ", "listeners.pop3.reserve_for_clients: ",
            'there is no channel "tcp_nowhere"', "channels[0]", "missing.filter", "broken.filter:3", "rewrite[0]"]
    if os.geteuid() == 0:
        said.append("users.network: ")
    return settings, said


@case
def mistakes_of_all_kinds_are_named_at_once():
    settings, said = mistaken_settings()
    output = checked("".join("%s = %s;\n" % (key, to_libconfig(value)) for key, value in settings.items()), "wrong.conf")
    for part in said:
        contains(output, part)


@case
def a_reload_names_mistakes_of_all_kinds_too():
    settings, said = mistaken_settings()
    with site.running():
        with open(site.configuration, "w") as file:
            file.write("".join("%s = %s;\n" % (key, to_libconfig(value)) for key, value in settings.items()))
        done = site.ctl("reload", expect=None)
        check(done.returncode != 0, "the reload is refused")
        for part in said:
            contains(done.stdout + done.stderr, part)
        with open(site.configuration, "w") as file:
            file.write(GOOD)


@case
def a_mistake_in_an_included_file_is_named_with_that_file():
    with open(os.path.join(site.etc, "more.conf"), "w") as file:
        file.write("\n\nnonsense = true;\n")
    contains(checked(GOOD + '@include "more.conf"\n', "wrong.conf"), "more.conf:3")


@case
def all_missing_users_are_named_at_once():
    if os.geteuid() != 0:
        raise Skip("needs root")
    line = GOOD.count("\n") + 1
    output = checked(GOOD + 'users = {\n  network = "nosuch";\n  mail = "root";\n  directory = "nosuch-either";\n};\n', "wrong.conf")
    for offset, setting, found in ((1, "network", "user nosuch does not exist"), (2, "mail", "user root is root"),
                                   (3, "directory", "user nosuch-either does not exist")):
        contains(output, "wrong.conf:%d: users.%s: %s" % (line + offset, setting, found))
    done = run(program("posternd"), "-f", "--config", os.path.join(site.etc, "wrong.conf"), expect=None, timeout=10)
    check(done.returncode == 1, "exit status of the start")
    for setting in ("users.network", "users.mail", "users.directory"):
        contains(done.stdout + done.stderr, setting)


@case
def a_warning_says_so_once():
    path = os.path.join(site.etc, "warning.conf")
    with open(path, "w") as file:
        settings = merged(site.settings, {"log": {"destination": "syslog", "file": "/nonexistent/log"}})
        file.write("".join("%s = %s;\n" % (key, to_libconfig(value)) for key, value in settings.items()))
    done = run(program("posternd"), "-t", "--config", path)
    lines = [line for line in done.stderr.splitlines() if "warning.conf" in line]
    check(lines, "a warning in %r" % done.stderr)
    for line in lines:
        check(line.count("warning:") == 1, "the word once in %r" % line)


@case
def posternctl_answers_a_failure_in_json_too():
    for command in (["status"], ["sessions"], ["account", "add", "nonsense", "--generate"], ["domain", "remove", "nosuch.example"]):
        plain = run(program("posternctl"), "--config", site.configuration, *command, expect=None)
        done = run(program("posternctl"), "--config", site.configuration, "--json", *command, expect=None)
        check(plain.returncode == done.returncode, "the same exit status of %s" % command)
        check(done.returncode == 1, "%s fails" % command)
        check(isinstance(json.loads(done.stdout)["error"], str), "the error in %r" % done.stdout)
        check(done.stderr.startswith("posternctl: "), "and on standard error")
    done = run(program("posternctl"), "--config", "/nonexistent/postern.conf", "--json", "account", "list", expect=None)
    check(done.returncode == 2, "exit status without a configuration")
    contains(json.loads(done.stdout)["error"], "/nonexistent/postern.conf")


@case
def a_missing_file_is_named():
    done = run(program("posternd"), "-t", "--config", "/nonexistent/postern.conf", expect=None)
    check(done.returncode != 0, "exit status")
    contains(done.stdout + done.stderr, "/nonexistent/postern.conf")
    equal(len((done.stdout + done.stderr).splitlines()), 2, "what follows from that only is not said: " + done.stdout + done.stderr)


@case
def what_can_not_be_parsed_is_the_only_mistake():
    output = checked("listeners = { smtp\n", "wrong.conf")
    check("no service" not in output and "tables.db" not in output, "what follows from that only is not said: " + output)


@case
def services_are_not_missed_while_an_included_file_is():
    output = checked('@include "missing.conf"\n', "wrong.conf")
    contains(output, "missing.conf")
    check("no service" not in output, "they may be there: " + output)
    equal(len(output.splitlines()), 2, "nor anything else that it may say: " + output)


@case
def a_setting_that_stands_twice_hides_no_other_mistake():
    output = checked('host_name = "a.example";\nsmtp : { errors = true; };\nhost_name = "b.example";\ngrace_time = "x";\n', "wrong.conf")
    for said in ("wrong.conf:2: smtp.errors: ", "wrong.conf:3: host_name: stands twice, first in line 1", "wrong.conf:4: grace_time: "):
        contains(output, said)


def with_setting(changes, setting):
    """The site's configuration with these changes, as text, and the beginning of what must be said about the setting."""
    text = "".join("%s = %s;\n" % (key, to_libconfig(value)) for key, value in merged(site.settings, changes).items())
    word = setting.split(".")[-1] + " ="
    return text, "wrong.conf:%d: %s: " % (1 + next(i for i, line in enumerate(text.splitlines()) if word in line), setting)


@cases_of([("a file", "/etc/passwd"), ("a place of the kernel", "/proc/xx"), ("no parent", "/nonexist/deep/er")])
def a_base_directory_that_the_start_would_refuse_is_named(path):
    if os.geteuid() != 0 and path.startswith("/proc"):
        raise Skip("needs root")
    text, said = with_setting({"base_directory": path}, "base_directory")
    contains(checked(text, "wrong.conf"), said)


@case
def a_file_in_the_place_of_a_directory_below_the_base_is_named():
    base = os.path.join(site.directory, "odd")
    os.mkdir(base)
    with open(os.path.join(base, "spool"), "w"):
        pass
    text, said = with_setting({"base_directory": base}, "base_directory")
    output = checked(text, "wrong.conf")
    contains(output, said)
    contains(output, base + "/spool")


@cases_of([("a directory", "spool/outgoing/large", False), ("another one", "spool/held", False), ("the lock", "run/master.pid", True),
           ("another lock", "run/workers.lock", True), ("a socket", "run/control.sock", True)])
def what_is_in_the_way_of_a_start_deep_below_the_base_is_named(path, is_directory):
    base = os.path.join(site.directory, "deep")
    shutil.rmtree(base, ignore_errors=True)
    os.makedirs(os.path.join(base, path if is_directory else os.path.dirname(path)))
    os.chmod(base, 0o755)
    if not is_directory:
        with open(os.path.join(base, path), "w"):
            pass
    text, said = with_setting({"base_directory": base}, "base_directory")
    output = checked(text, "wrong.conf")
    contains(output, said)
    contains(output, base + "/" + path)


@case
def a_base_directory_that_the_users_may_not_enter_is_named():
    if os.geteuid() != 0:
        raise Skip("needs root")
    base = os.path.join(site.directory, "closed")
    os.mkdir(base, 0o700)
    text, said = with_setting({"base_directory": base}, "base_directory")
    contains(checked(text, "wrong.conf"), said + "user postern may not enter")


@case
def a_base_directory_and_a_log_that_could_be_made_are_not_made():
    path = os.path.join(site.etc, "fresh.conf")
    before = sorted(os.listdir(site.directory))
    text, _ = with_setting({"base_directory": os.path.join(site.directory, "fresh"), "log": {"file": os.path.join(site.directory, "fresh.log")}}, "base_directory")
    with open(path, "w") as file:
        file.write(text)
    run(program("posternd"), "-t", "--config", path)
    equal(sorted(os.listdir(site.directory)), before, "the directory")


@cases_of([("a directory", "/etc"), ("no directory for it", "/nonexist/log"), ("a symbolic link", "/proc/self/exe")])
def a_log_file_that_can_not_be_opened_is_named(path):
    text, said = with_setting({"log": {"file": path}}, "log.file")
    contains(checked(text, "wrong.conf"), said)
    # In the background nobody would see the lines; and what the caller reads must come to its end.
    done = run(program("posternd"), "--config", os.path.join(site.etc, "wrong.conf"), expect=1, timeout=20)
    contains(done.stderr, said)


@case
def in_the_background_the_log_can_not_go_to_standard_error():
    done = run(program("posternd"), "--config", site.configuration, expect=1, timeout=20)
    contains(done.stderr, "log.destination: ")
    contains(done.stderr, "log.file")


@case
def posternd_does_not_start_with_a_mistake():
    with open(os.path.join(site.etc, "wrong.conf"), "w") as file:
        file.write(GOOD + "nonsense = 1;\n")
    done = run(program("posternd"), "-f", "--config", os.path.join(site.etc, "wrong.conf"), expect=None, timeout=10)
    check(done.returncode not in (0, None), "exit status")
    contains(done.stdout + done.stderr, "nonsense")


@cases_of([
    ("an entry without template", "TABLE\n\n  pattern\n", "E04", 3), ("an unknown sequence", "TABLE\n\n  $?   $Y\n", "E06", 3),
    ("a field that is not there", "TABLE\n\n  abc   $Y$1\n", "E08", 3), ("a blank line inside a table", "TABLE\n\n  a  $Y\n\n  b  $Y\n", "E01", 5),
    ("text behind the template", "TABLE\n\n  a  $NNo relaying\n", "E05", 3),
])
def a_mistake_in_the_mappings_is_named(text, code, line):
    done = site.write_mappings(text, expect=2)
    contains(done.stdout + done.stderr, code)
    contains(done.stdout + done.stderr, "mappings:%d" % line)


@case
def a_mistake_in_a_sieve_script_is_named():
    path = os.path.join(site.directory, "wrong.sieve")
    with open(path, "w") as file:
        file.write('require "fileinto";\n\nif header :is "subject" { keep; }\n')
    done = run(program("postern-sieve"), "check", path, expect=None)
    check(done.returncode != 0, "exit status")
    contains(done.stdout + done.stderr, "wrong.sieve:3")


run_cases()
