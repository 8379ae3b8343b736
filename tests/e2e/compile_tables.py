#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""postern-compile: mistakes keep the old tables, files are numbered, and root does not write where the owner of a directory points it."""
import pwd
import shutil
import stat
import tempfile

from postern_testing import *

GOOD = "ORIG_SEND_ACCESS\n\n  tcp_local|*|tcp_local|*  $NRelaying$ not$ permitted\n"
RELAY = "tcp_local|a@example.org|tcp_local|b@example.net"


class Tables:
    """A configuration directory with nothing in it but tables."""

    def __init__(self, text=GOOD):
        self.path = tempfile.mkdtemp(prefix="postern-tables-")
        os.chmod(self.path, 0o755)
        self.write(text)

    def write(self, text):
        with open(os.path.join(self.path, "mappings"), "w") as file:
            file.write(text)

    def compile(self, *arguments, expect=0):
        return run(program("postern-compile"), "--config", self.path, *arguments, expect=expect)

    def names(self):
        folder = os.path.join(self.path, "tables")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        shutil.rmtree(self.path)


@case
def files_are_numbered_and_the_last_ten_stay():
    with Tables() as tables:
        for _ in range(12):
            tables.compile()
        equal(tables.names(), ["%06d.db" % number for number in range(3, 13)])
        check(os.path.samefile(os.path.join(tables.path, "tables.db"), os.path.join(tables.path, "tables", "000012.db")), "tables.db is the last one")


@case
def a_mistake_is_named_and_the_old_file_stays():
    with Tables() as tables:
        tables.compile()
        before = os.stat(os.path.join(tables.path, "tables.db"))
        tables.write(GOOD + "\nT\n\n  a b\n\nt\n\n  a\n  b c d\n")
        done = tables.compile(expect=2)
        for part in ("mappings:9: error E03", "mappings:11: error E04", "mappings:12: error E05"):
            contains(done.stdout + done.stderr, part)
        after = os.stat(os.path.join(tables.path, "tables.db"))
        equal((after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns))


@case
def filters_and_conversions_beside_the_tables_are_checked():
    with Tables() as tables:
        def put(name, text):
            with open(os.path.join(tables.path, name), "w") as file:
                file.write(text)
        put("postern.conf", 'format = 1; base_directory = "%s/state";\n' % tables.path)
        tables.compile("--strict")
        put("system.filter", "keep;\nif size :over 1M { hold; }\n")
        done = tables.compile(expect=2)
        contains(done.stderr, "%s/system.filter:2: error E17: column" % tables.path)
        contains(done.stderr, "1 error: nothing was written")
        put("system.filter", 'require "vnd.postern.hold";\nif size :over 1M { hold; }\n')
        put("conversions", "! nothing\nin-type=text; command=/no/such/program\n")
        contains(tables.compile(expect=2).stderr, "%s/conversions:2: error E17: command" % tables.path)
        equal(tables.names(), ["000001.db"])
        put("conversions", "in-type=text; delete=1\n")
        tables.compile("--strict")
        equal(tables.names(), ["000001.db", "000002.db"])


@case
def a_fifo_is_no_compiled_file():
    with Tables() as tables:
        path = os.path.join(tables.path, "fifo")
        os.mkfifo(path)
        done = run(program("posternctl"), "probe", "--tables", path, "--table", "ORIG_SEND_ACCESS", RELAY, expect=2, timeout=10)
        contains(done.stderr, "not a regular file")


@case
def warnings_count_only_when_they_should():
    with Tables("T\n\n  a b\n") as tables:
        contains(tables.compile("--check").stderr, "W09")
        equal(tables.names(), [])
        tables.compile("--strict", expect=1)
        equal(tables.names(), [])
        tables.compile()
        equal(tables.names(), ["000001.db"])
        tables.compile("--nonsense", expect=2)


@case
def probe_needs_neither_server_nor_configuration():
    with Tables() as tables:
        done = run(program("posternctl"), "probe", "--mappings", os.path.join(tables.path, "mappings"), "--table", "orig_send_access", RELAY)
        mappings = os.path.join(tables.path, "mappings")
        equal(done.stdout, "matched: yes\noutput: Relaying not permitted\nflags: N\nentry: %s:3\n" % mappings)
        done = run(program("posternctl"), "probe", "--mappings", os.path.join(tables.path, "mappings"), "--table", "ORIG_SEND_ACCESS", "l|a|l|b", expect=1)
        equal(done.stdout, "matched: no\noutput: l|a|l|b\nflags:\nentry: -\n")
        done = run(program("posternctl"), "match", "$(192.0.2.0/24)|*", "192.0.2.5|tail")
        equal(done.stdout, "yes\n0=192.0.2.5\n1=tail\n")


@case
def aliases_name_addresses_and_nothing_else():
    with Tables() as tables:
        tables.compile()
        path = os.path.join(tables.path, "aliases")
        with open(path, "w") as file:
            file.write("root: |/bin/sh\nlist: :include:/x\nfile: /tmp/x\ntwice: a@b@c\n")
        done = tables.compile(expect=2)
        for line in range(1, 5):
            contains(done.stderr, "aliases:%d: error E16: target " % line)
        equal(tables.names(), ["000001.db"])
        with open(path, "w") as file:
            file.write("self: self\nloop: loop2\nloop2: loop\n")
        contains(tables.compile().stderr, "aliases:2: warning W17: aliases lead in a circle: loop, loop2, loop\n")
        tables.compile("--strict", expect=1)


@case
def a_file_of_the_directory_will_do_for_config():
    with Tables() as tables:
        for name in ("mappings", "postern.conf"):
            if name == "postern.conf":
                with open(os.path.join(tables.path, name), "w") as file:
                    file.write("host_name = \"mail.example.com\";\n")
            contains(run(program("postern-compile"), "--config", os.path.join(tables.path, name)).stdout, tables.path + "/tables.db is number")
        run(program("postern-compile"), "--config", os.path.join(tables.path, "missing"), expect=2)


@cases_of([(name, name) for name in ("postern-compile", "posternctl", "postern-sieve", "posternd")])
def version_is_told(name):
    check(re.fullmatch(re.escape(name) + r" \d\S*\n", run(program(name), "--version").stdout), "name and version")


@case
def root_becomes_the_owner_of_the_directory():
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")
    nobody = pwd.getpwnam("nobody")
    with Tables() as tables:
        victim = tempfile.mkdtemp(prefix="postern-victim-")
        try:
            for path in (tables.path, os.path.join(tables.path, "mappings")):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
            # A directory of root's behind a link: nothing may appear there.
            os.symlink(victim, os.path.join(tables.path, "tables"))
            tables.compile(expect=2)
            equal(os.listdir(victim), [])
            os.unlink(os.path.join(tables.path, "tables"))
            # A link in place of tables.db is replaced, not followed.
            target = os.path.join(victim, "file")
            with open(target, "w") as file:
                file.write("untouched")
            os.symlink(target, os.path.join(tables.path, "tables.db"))
            tables.compile()
            with open(target) as file:
                equal(file.read(), "untouched")
            status = os.lstat(os.path.join(tables.path, "tables.db"))
            check(stat.S_ISREG(status.st_mode) and status.st_uid == nobody.pw_uid, "tables.db is a file of the owner's")
            # What only root may read can't be included.
            os.chmod(target, 0o600)
            tables.write("T\n\n<%s\n" % target)
            contains(tables.compile(expect=2).stderr, "E11")
        finally:
            shutil.rmtree(victim)


@case
def the_servers_user_can_read_the_text():
    if os.geteuid() != 0:
        raise Skip("only root runs the server as somebody else")
    # As an administrator has it: a configuration, users, and a file that only root may read.
    site = Site(accounts={}, domains=[])
    site.write_configuration({"users": {"network": "nobody"}})
    for mode, warned in ((0o600, True), (0o640, True), (0o644, False)):
        os.chmod(site.mappings_file, mode)
        equal("mappings: warning W24: the server's user nobody can't read it" in site.compile().stderr, warned, "warned at mode %o" % mode)
    os.chmod(site.mappings_file, 0o600)
    run(program("postern-compile"), "--config", site.etc, "--strict", expect=1)


run_cases()
