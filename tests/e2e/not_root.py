#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Started without root the server keeps its user and says so; started with root no child is root."""
from postern_testing import *
import pwd


def user_of(pid):
    return os.stat("/proc/%d" % pid).st_uid


def uids(pid):
    with open("/proc/%d/status" % pid) as file:
        text = file.read()
    return {line.split(":")[0]: line.split()[1:] for line in text.splitlines() if ":" in line}


@case
def children_of_a_root_master_have_users_of_their_own_and_no_rights():
    if os.geteuid() != 0:
        raise Skip("needs root")
    site = Site()
    with site.running():
        wanted = {"smtp": "postern", "queue": "postern", "pop3": "postern-mail", "delivery": "postern-mail", "directory": "postern-dir",
                  "resolver": "postern"}
        for role, user in wanted.items():
            pids = site.server.children(role)
            check(pids, "there is a %s child" % role)
            for pid in pids:
                status = uids(pid)
                equal(set(status["Uid"]), {str(pwd.getpwnam(user).pw_uid)}, "user of %s" % role)
                equal([int(status[name][0], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")], [0, 0, 0, 0], "capabilities of %s" % role)
                equal(status["NoNewPrivs"], ["1"], "NoNewPrivs of %s" % role)
                if slow_build() == 1:
                    equal(status["Seccomp"], ["2"], "seccomp of %s" % role)
        site.find_message("anna@example.com", deliver(site))
    site.remove()


@case
def without_root_everything_runs_as_one_user_and_the_log_says_so():
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        top = tempfile.mkdtemp(prefix="postern-user-")
        os.chown(top, nobody.pw_uid, nobody.pw_gid)
        program_directory = os.path.join(top, "bin")  # the programs may stand in a directory that nobody else may enter
        os.mkdir(program_directory)
        for name in ("posternd", "posternctl", "postern-compile"):
            shutil.copy(program(name), program_directory)
        for name in ("postern_testing.py", "not_root.py"):
            shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), top)
        environment = dict(os.environ, POSTERN_PROGRAMS=program_directory, POSTERN_TEST_DIRECTORY=top, HOME=top)

        def become():
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
        done = subprocess.run(["/usr/bin/env", "python3", os.path.join(top, "not_root.py"), "--as-user"], env=environment, preexec_fn=become,
                              cwd=top, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        shutil.rmtree(top)
        equal(done.returncode, 0, done.stdout)
        return
    site = Site()
    with site.running():
        for pid in site.server.pids():
            equal(user_of(pid), os.getuid())
        check(site.log_lines("root") or site.log_lines("user"), "the log says so: %s" % site.log())
        site.find_message("anna@example.com", deliver(site))


run_cases(only="without_root" if "--as-user" in sys.argv else "")
