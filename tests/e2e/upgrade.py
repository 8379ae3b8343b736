#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Another program takes the server's place (SIGUSR2, posternctl upgrade): nobody is refused or reset, and what fails changes nothing."""
from postern_load import *

FAULTS = b"POSTERN_UPGRADE_FAULT"
COPIES = tempfile.mkdtemp(prefix="postern-upgrade-")
os.chmod(COPIES, 0o755)
atexit.register(shutil.rmtree, COPIES, True)
NAME = os.path.join(COPIES, "posternd")  # the path by which the server is started; a link to one of the copies


def copy(name):
    """A copy of the installed program: another file with another content."""
    path = os.path.join(COPIES, name)
    shutil.copy2(program("posternd"), path)
    with open(path, "ab") as file:
        file.write(name.encode())
    return path


def broken(name):
    """One that ends dry with a reason, as a program that does not know what is in use."""
    path = os.path.join(COPIES, name)
    with open(copy("good-" + name), "rb") as file:
        content = file.read()
    with open(path, "wb") as file:  # it takes nothing for its own mark, so that it does not know its option
        file.write(content.replace(b"--check-upgrade=", b"--chick-upgrade="))
    os.chmod(path, 0o755)
    return path


def install(path):
    os.symlink(path, NAME + ".new")
    os.rename(NAME + ".new", NAME)


def executed(pid):
    """The program that a process executes; None if the process has ended meanwhile."""
    try:
        return os.readlink("/proc/%d/exe" % pid)
    except (FileNotFoundError, ProcessLookupError):
        return None


FIRST, SECOND = copy("first"), copy("second")
install(FIRST)
os.environ["POSTERN_PROGRAMS"] = COPIES + ":" + os.environ.get("POSTERN_PROGRAMS", "")
site = Site(settings={"children": {"smtp": 2, "delivery": 2}, "spool": {"segment_bytes": 1024 * 1024, "large_message_bytes": 256 * 1024}})


def upgraded(path, server=None, signal_only=False):
    """Installs `path` and upgrades to it; returns when every child executes it."""
    server = server or site.server
    install(path)
    if signal_only:
        os.kill(server.pid, signal.SIGUSR2)
    else:
        server.site.ctl("upgrade", timeout=120)
    wait_until(lambda: executed(server.pid) == path and server.site.ctl_json("status")["state"] == "running", 60 * slow_build(), "the upgrade is complete")


class Watch:
    """Threads that look on: new connections, sessions of POP3, `posternctl status`. Whatever goes wrong is kept in `wrong`."""

    def __init__(self):
        self.wrong, self.done, self.over = [], collections.Counter(), threading.Event()
        self.threads = [threading.Thread(target=self._loop, args=(one,), daemon=True) for one in (self.greeting, self.mailbox, self.status)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(30 * slow_build())

    def _loop(self, one):
        while not self.over.is_set():
            try:
                one()
                self.done[one.__name__] += 1
            except Exception as error:  # reported by the case
                self.wrong.append("%s: %r" % (one.__name__, error))

    @staticmethod
    def greeting():
        with Smtp(site.smtp, "127.0.0.9") as session:
            equal(session.greeting[0], 220, "greeting %r" % (session.greeting,))
            session.quit()

    @staticmethod
    def mailbox():
        pop3(site, "bert@example.com").quit()

    @staticmethod
    def status():
        equal(site.ctl_json("status")["pid"], site.server.pid, "pid")
        time.sleep(0.05)


def quiet():
    """Every count is back at 0."""
    return all(listener["active"] == 0 for listener in site.ctl_json("status")["listeners"])


@case
def upgrades_in_a_loop_under_load_refuse_and_reset_nobody():
    pid = site.server.pid
    open_ones = [Smtp(site.smtp, "127.0.0.%d" % (20 + i)) for i in range(5)]
    reading = pop3(site, "anna@example.com")
    load = Load(site, threads=4, per_session=5, largest=20000, pause=0.01).start()
    with Watch() as watch:
        for turn in range(6):
            load.wait_accepted(10)
            upgraded(SECOND if turn % 2 == 0 else FIRST, signal_only=turn % 3 == 2)
            equal(site.server.pid, pid, "pid")
            check(site.server.alive(), "the process that was started goes on")
    load.wait_accepted(10)
    load.stop()
    equal(watch.wrong[:5], [], "what went wrong beside the load (%r went right)" % dict(watch.done))
    check(min(watch.done[name] for name in ("greeting", "mailbox", "status")) > 5, "looked on: %r" % dict(watch.done))
    equal((load.broken, dict(load.refused)), (0, {}), "connections of the load that broke, messages refused")
    print("       " + load.verify(), dict(watch.done))
    for session in open_ones:
        session.hello()
        session.begin("a@sender.example", "anna@example.com")
        session.data(message())
        session.quit()
    reading.noop()
    reading.quit()
    wait_until(quiet, 10, "every count is 0")
    wait_until(lambda: {executed(child) for child in site.server.children()} == {FIRST}, 10 * slow_build(), "the old children have gone")


@case
def case_12_a_second_master_is_refused_after_an_upgrade_too():
    second_master_is_refused(site)


@case
def a_program_that_fails_dry_changes_nothing():
    children = sorted(site.server.children())
    session = Smtp(site.smtp)
    install(broken("broken"))
    done = site.ctl("upgrade", expect=1)
    contains(done.stderr, "dry start")
    site.wait_for_log("upgrade-refused", "dry start")
    with open(os.path.join(COPIES, "text"), "w") as file:
        file.write("no program at all\n")
    os.chmod(file.name, 0o755)
    install(file.name)
    os.kill(site.server.pid, signal.SIGUSR2)
    wait_until(lambda: len(site.log_lines("upgrade-refused")) >= 2, 10, "the second refusal")
    wait_until(lambda: site.ctl_json("status")["state"] == "running", 10, "the attempt is over")
    os.unlink(NAME)
    contains(site.ctl("upgrade", expect=1).stderr, "No such file")
    install(FIRST)
    equal(sorted(site.server.children()), children, "the children")
    session.command("NOOP", 250)
    session.quit()


@case
def a_reload_and_a_stop_are_ordered_with_an_upgrade():
    for turn in range(3):
        site.write_configuration({"host_name": "turn%d.example.com" % turn})
        install(SECOND if turn % 2 == 0 else FIRST)
        os.kill(site.server.pid, signal.SIGUSR2)
        reload = subprocess.Popen([program("posternctl"), "--config", site.configuration, "reload"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.kill(site.server.pid, signal.SIGHUP)
        said = reload.communicate(timeout=60 * slow_build())[0].decode()
        equal(reload.returncode, 0, said)
        wait_until(lambda: "turn%d.example.com" % turn in Smtp(site.smtp).greeting[1][0], 5 * slow_build(), "the new name")
        wait_until(lambda: site.ctl_json("status")["state"] == "running", 60 * slow_build(), "the upgrade is complete")
    site.find_message("anna@example.com", deliver(site))
    os.kill(site.server.pid, signal.SIGUSR2)
    site.server.stop()
    site.start()


@case
def sockets_and_tables_change_after_an_upgrade_as_before():
    upgraded(SECOND)
    extra = free_port()
    rows = [{"port": site.smtp, "address": "127.0.0.1"}]
    site.write_configuration({"listeners": {"smtp": {"sockets": rows + [{"port": extra, "address": "127.0.0.1"}]}}})
    site.server.reload()
    check(greeted(extra), "the new socket")
    upgraded(FIRST)
    check(greeted(extra), "the new socket after an upgrade")
    site.write_configuration({"listeners": {"smtp": {"sockets": rows}}})
    site.server.reload()
    with socket.socket() as probe:
        check(probe.connect_ex(("127.0.0.1", extra)) != 0, "the socket is gone for all children")
    generation = site.ctl_json("status")["tables"]["generation"]
    site.write_mappings(MAPPINGS.replace("*           $YEXTERNAL", "*|*|*|127.0.0.66|*  $NNot$ you\n  *           $YEXTERNAL"))
    wait_until(lambda: site.ctl_json("status")["tables"]["generation"] > generation, 10 * slow_build(), "the new tables")


@case
def children_that_die_are_replaced_after_an_upgrade():
    for role in ("smtp", "pop3", "delivery", "queue", "directory", "resolver"):
        victim = site.server.children(role)[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: site.server.children(role) and victim not in site.server.children(role), 10 * slow_build(), role + " is replaced")
    site.find_message("anna@example.com", deliver(site))


with open(program("posternd"), "rb") as program_file:
    WITH_FAULTS = FAULTS in program_file.read()


@cases_of([("a fault", "abort", "SIGABRT"), ("an error", "error", "told to fail"), ("nothing happens", "hang", "did not come up"),
           ("its children die", "children", "do not come to work")])
def a_program_that_fails_after_the_execution_gives_the_server_back(fault, says):
    if not WITH_FAULTS:
        raise Skip("built without --enable-kill-points")
    install(FIRST)
    other = Site(settings={"children": {"smtp": 1, "delivery": 1}})
    with other.running(environment={"POSTERN_UPGRADE_FAULT": fault}) as server:
        session = Smtp(other.smtp)
        install(SECOND)
        done = other.ctl("upgrade", expect=1, timeout=120)
        contains(done.stderr, says)
        equal(executed(server.pid), FIRST, "the program that has the server")
        session.hello()
        session.begin("a@sender.example", "anna@example.com")
        session.data(message())
        session.quit()
        other.find_message("anna@example.com", deliver(other))
        equal({executed(child) for child in server.children() if executed(child)}, {FIRST}, "what the children execute")
        other.ctl("upgrade", timeout=120)  # the fault is over
        equal(executed(server.pid), SECOND, "the program after the next upgrade")
        other.find_message("anna@example.com", deliver(other))


with site.running():
    run_cases()
