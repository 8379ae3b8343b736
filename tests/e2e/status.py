#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""posternctl status and sessions say what is, for people and for programs."""
from postern_testing import *

site = Site(settings={"log": {"admissions": True}})


@case
def sessions_are_listed_with_listener_and_address():
    session = Smtp(site.smtp, "127.0.0.77")
    listed = site.ctl_json("sessions")["sessions"]
    equal(len(listed), 1)
    contains(json.dumps(listed), "127.0.0.77")
    contains(json.dumps(listed), "smtp")
    contains(site.ctl("sessions").stdout, "127.0.0.77")
    session.quit()
    wait_until(lambda: not site.ctl_json("sessions")["sessions"], 2, "no session is left")


@case
def status_names_processes_and_listeners():
    status = json.dumps(site.ctl_json("status"))
    for pid in site.server.children():
        contains(status, str(pid))
    for port in (site.smtp, site.lmtp, site.pop3):
        contains(status, str(port))
    contains(site.ctl("status").stdout, str(site.server.pid))


@case
def status_fails_when_no_server_runs():
    site.server.stop()
    done = site.ctl("status", expect=None)
    check(done.returncode != 0, "exit status")
    site.start()


@case
def a_configuration_that_names_no_server_asks_none():
    posternctl = program("posternctl")
    missing = os.path.join(site.base, "missing.conf")
    contains(run(posternctl, "-c", missing, "stop", expect=2).stderr, "missing.conf")
    broken = os.path.join(site.base, "broken.conf")
    with open(broken, "w") as file:
        file.write("format = 7;\n")
    contains(run(posternctl, "-c", broken, "stop", expect=2).stderr, "broken.conf:1")
    # A mistake elsewhere keeps nobody from asking.
    with open(broken, "w") as file:
        file.write('base_directory = "%s";\nformat = 7;\n' % site.base)
    contains(run(posternctl, "-c", broken, "status").stdout, str(site.server.pid))


@case
def domains_and_accounts_can_be_listed_while_the_server_runs_and_while_not():
    listed = site.ctl("account", "list").stdout
    for name in site.accounts:
        contains(listed, name)
    site.ctl("account", "add", "dora@example.com", "--password-file", "-", input="dora's secret\n")
    site.accounts["dora@example.com"] = "dora's secret"
    site.find_message("dora@example.com", deliver(site, "dora@example.com"))
    pop3(site, "dora@example.com").quit()
    site.server.stop()
    contains(site.ctl("account", "list").stdout, "dora@example.com")
    contains(site.ctl("domain", "list").stdout, "example.org")
    site.start()


@case
def a_removed_account_takes_no_mail():
    site.ctl("account", "remove", "dora@example.com")

    def code():
        with Smtp(site.smtp) as session:
            session.hello()
            session.command("MAIL FROM:<a@sender.example>", 250)
            return session.command("RCPT TO:<dora@example.com>")[0]
    wait_until(lambda: code() == 550, 2, "550")


@case
def every_log_line_is_one_event():
    for line in site.log().splitlines():
        check(re.match(r"^\d{4}-\d\d-\d\dT[\d:.]+Z \S+\[\d+\] [a-z]+: [a-z][a-z0-9-]*( [a-z0-9_.-]+=(\"([^\"\\]|\\.)*\"|[^\s\"]*))*$", line),
              "not an event: %r" % line)


with site.running():
    run_cases()
