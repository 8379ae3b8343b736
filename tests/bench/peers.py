# SPDX-License-Identifier: Apache-2.0
"""Other mail servers from Debian's packages, run beside Postern in the same measurement: with configuration, queue and data
directories of their own, on loopback, otherwise with Debian's settings."""
import contextlib
import os
import pwd
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
sys.dont_write_bytecode = True
import postern_testing as testing  # noqa: E402


def why_no_postfix():
    """A reason not to run it; empty if it can be."""
    if os.geteuid() != 0:
        return "Postfix is left out: it needs root."
    if not shutil.which("postfix", path=os.environ["PATH"] + ":/usr/sbin"):
        return "Postfix is left out: it is not installed (apt-get install postfix)."
    return ""


def program_of(name, package, variable, hint=""):
    """The path of a server's program, or why there is none. Packages that exclude each other can be unpacked, and named by a variable."""
    path = os.environ.get(variable) or shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    if os.geteuid() != 0:
        return None, "%s is left out: it needs root." % name
    if not path:
        return None, "%s is left out: it is not installed (apt-get install %s%s)." % (name, package, hint)
    return path, ""


def speaks(port):
    """True if a new connection gets a greeting of any protocol."""
    try:
        with contextlib.closing(testing.Line(port)) as line:
            return bool(line.line())
    except OSError:
        return False


def start(*arguments):
    """Runs a program that leaves a server behind, which keeps what it is given."""
    subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=True)


def exim_program():
    return program_of("exim4", "exim4-daemon-light", "EXIM", "; beside Postfix: dpkg -x, and EXIM=…/usr/sbin/exim4, a user Debian-exim must be there")


def dovecot_program(protocol="pop3"):
    path, reason = program_of("dovecot", "dovecot-%sd" % protocol, "DOVECOT")
    # The program is in a package that several protocols need.
    if path and not os.path.exists(os.path.join(os.path.dirname(path), "../lib/dovecot/%s-login" % protocol)):
        return None, "dovecot is left out: it does not know %s (apt-get install dovecot-%sd)." % (protocol.upper(), protocol)
    return path, reason


class Exim:
    """Its daemon takes connections, and forks for each that it admits. Names are not asked for. What `options`, `acl`, `routers` and `transports` say is put
    into its configuration, with %(directory)s and %(port)d; it delivers as its own user."""
    name = "Exim"

    def __init__(self, directory, options="tls_advertise_hosts =", acl="", routers="", transports=""):
        self.program = exim_program()[0]
        self.directory = os.path.join(directory, "exim")
        os.makedirs(self.directory)
        os.chmod(directory, 0o755)
        owner = pwd.getpwnam("Debian-exim")
        os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        self.port = testing.free_port()
        configuration = os.path.join(self.directory, "exim.conf")
        with open(configuration, "w") as file:
            file.write(("""primary_hostname = mail.example.com
spool_directory = %(directory)s
log_file_path = %(directory)s/%%slog
pid_file_path = %(directory)s/pid
local_interfaces = <; 127.0.0.1.%(port)d
smtp_accept_max = 2000
smtp_connect_backlog = 1024
host_lookup =
rfc1413_query_timeout = 0s
deliver_drop_privilege = true
keep_environment =
""" + options + "\nbegin acl\n" + acl + "\nbegin routers\n" + routers + "\nbegin transports\n" + transports + "\n")
                       % {"directory": self.directory, "port": self.port})
        os.chmod(configuration, 0o644)
        start(self.program, "-C", configuration, "-bd")
        testing.wait_until(lambda: speaks(self.port), 20, "Exim's greeting")
        with open(os.path.join(self.directory, "pid")) as file:
            self.pid = int(file.read())

    def pids(self):
        return [self.pid] + testing.descendants(self.pid)

    def stop(self):
        os.kill(self.pid, 15)
        testing.wait_until(lambda: not os.path.exists("/proc/%d" % self.pid), 20, "the end of Exim")


def opensmtpd_program():
    path, reason = program_of("smtpd", "opensmtpd", "OPENSMTPD", "; beside Postfix: dpkg -x, and OPENSMTPD=…/usr/sbin/smtpd")
    # Others have a program of this name.
    if path and not os.path.isdir(os.path.join(os.path.dirname(path), "../libexec/opensmtpd")):
        return None, "OpenSMTPD is left out: %s is not its smtpd, or its package is not there as a whole (OPENSMTPD=…/usr/sbin/smtpd)." % path
    if path and (not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode != 0):
        return None, "OpenSMTPD is left out: it needs a mount namespace of its own (unshare -m)."
    return path, reason


class OpenSmtpd:
    """Its users, spool and program directories are fixed when it is built: it gets a mount namespace in which they are what it wants, and in which no
    name server is asked for the names of clients. The rules of `rules` may use the action "keep", a Maildir below self.mail for each local part."""
    name = "OpenSMTPD"

    def __init__(self, directory, options="", rules="", listen=""):
        self.program = opensmtpd_program()[0]
        self.directory = os.path.join(directory, "opensmtpd")
        self.mail = os.path.join(self.directory, "mail")
        os.makedirs(self.mail)
        for path in (directory, self.directory):
            os.chmod(path, 0o755)
        self.port = testing.free_port()
        names = [("opensmtpd", 64901), ("opensmtpq", 64902), ("vmail", 64903)]
        os.chown(self.mail, 64903, 64903)
        for name, line in (("passwd", "%s:x:%d:%d::/:/bin/sh\n"), ("group", "%s:x:%d:\n")):
            with open("/etc/" + name) as known, open(os.path.join(self.directory, name), "w") as file:
                file.write(known.read() + "".join(line % ((user, number, number) if name == "passwd" else (user, number)) for user, number in names))
        with open(os.path.join(self.directory, "resolv.conf"), "w") as file:
            file.write("lookup file\n")
        with open(os.path.join(self.directory, "smtpd.conf"), "w") as file:
            file.write("""%s
listen on 127.0.0.1 port %d hostname mail.example.com %s
table addresses { "@" = "vmail" }
action "keep" maildir "%s/%%{rcpt.user}" virtual <addresses>
%s
""" % (options, self.port, listen, self.mail, rules))
        with open(os.path.join(self.directory, "start"), "w") as file:
            file.write("""set -e
for name in passwd group resolv.conf; do test ! -e /etc/$name || mount --bind %(here)s/$name /etc/$name; done
for place in /var/spool /var/lib /run /usr/libexec; do mkdir -p $place; mount -t tmpfs -o mode=755 tmpfs $place; done
mkdir -p /var/spool/smtpd /var/lib/opensmtpd/empty
chmod 711 /var/spool/smtpd
cp -r %(programs)s /usr/libexec/
exec %(program)s -d -f %(here)s/smtpd.conf
""" % {"here": self.directory, "programs": os.path.join(os.path.dirname(self.program), "../libexec/opensmtpd"), "program": self.program})
        self.log = os.path.join(self.directory, "log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["unshare", "-m", "sh", os.path.join(self.directory, "start")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        testing.wait_until(lambda: speaks(self.port), 20, "OpenSMTPD's greeting")

    def pids(self):
        return [self.process.pid] + testing.descendants(self.process.pid)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Dovecot:
    """POP3 or IMAP, its login processes serving many connections each, one for each processor. It has no limit before the login; any name logs in, with any
    password, and gets a Maildir of its own."""
    name = "Dovecot"

    def __init__(self, directory, protocol="pop3"):
        self.program = dovecot_program(protocol)[0]
        self.directory = os.path.join(directory, "dovecot")
        mail = os.path.join(self.directory, "mail")
        os.makedirs(mail)
        os.chown(mail, 64903, 64903)
        self.port = testing.free_port()
        self.configuration = os.path.join(self.directory, "dovecot.conf")
        with open(self.configuration, "w") as file:
            file.write("""protocols = %(protocol)s
base_dir = %(directory)s/run
state_dir = %(directory)s/state
log_path = %(directory)s/log
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
service %(protocol)s-login {
  inet_listener %(protocol)s {
    port = %(port)d
  }
  inet_listener %(protocol)ss {
    port = 0
  }
  service_count = 0
  process_min_avail = %(processes)d
  client_limit = 1000
}
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=64903 gid=64903 home=%(directory)s/mail/%%u
}
""" % {"directory": self.directory, "protocol": protocol, "port": self.port, "processes": os.cpu_count()})
        start(self.program, "-c", self.configuration)
        testing.wait_until(lambda: speaks(self.port), 20, "Dovecot's greeting")
        with open(os.path.join(self.directory, "run", "master.pid")) as file:
            self.pid = int(file.read())

    def pids(self):
        return [self.pid] + testing.descendants(self.pid)

    def stop(self):
        testing.run(self.program, "-c", self.configuration, "stop", expect=None)
        testing.wait_until(lambda: not os.path.exists("/proc/%d" % self.pid), 20, "the end of Dovecot")


class Postfix:
    name = "Postfix"
    idle_sessions = 100  # its default_process_limit

    def __init__(self, directory, accounts=(), settings=None):
        """Below `directory`, with mailboxes for `accounts` of example.com."""
        self.directory = os.path.join(directory, "postfix")
        os.chmod(directory, 0o755)
        self.port = testing.free_port()
        etc, queue, data, mail = (os.path.join(self.directory, part) for part in ("etc", "queue", "data", "mail"))
        for part in (etc, queue, data, mail):
            os.makedirs(part)
        owner = pwd.getpwnam("postfix")
        nobody = pwd.getpwnam("nobody")
        os.chown(data, owner.pw_uid, owner.pw_gid)
        os.chown(mail, nobody.pw_uid, nobody.pw_gid)
        with open("/etc/postfix/master.cf.proto") as file:
            services = file.read()
        with open(os.path.join(etc, "master.cf"), "w") as file:
            file.write(services.replace("\nsmtp      inet", "\n127.0.0.1:%d inet" % self.port, 1))
        with open(os.path.join(etc, "mailboxes"), "w") as file:
            file.write("".join("%s example.com/%s/\n" % (name, name.split("@")[0]) for name in accounts))
        settings = dict({
            "compatibility_level": "3.6", "queue_directory": queue, "data_directory": data, "myhostname": "mail.example.com",
            "mydestination": "localhost", "inet_interfaces": "loopback-only", "inet_protocols": "ipv4", "alias_maps": "", "alias_database": "",
            "virtual_mailbox_domains": "example.com", "virtual_mailbox_maps": "texthash:" + os.path.join(etc, "mailboxes"),
            "virtual_mailbox_base": mail, "virtual_uid_maps": "static:%d" % nobody.pw_uid, "virtual_gid_maps": "static:%d" % nobody.pw_gid,
            "smtpd_relay_restrictions": "permit_mynetworks reject_unauth_destination",
        }, **(settings or {}))
        with open(os.path.join(etc, "main.cf"), "w") as file:
            file.write("".join("%s = %s\n" % item for item in settings.items()))
        # What Debian's start script copies into the chroot of the services.
        os.makedirs(os.path.join(queue, "etc"))
        for name in ("hosts", "resolv.conf", "nsswitch.conf", "services", "localtime"):
            if os.path.exists("/etc/" + name):
                shutil.copy("/etc/" + name, os.path.join(queue, "etc", name))
        self.etc = etc
        testing.run("postfix", "-c", etc, "start", timeout=60)
        with open(os.path.join(queue, "pid", "master.pid")) as file:
            self.pid = int(file.read())
        self.mail = mail
        testing.wait_until(lambda: testing.greeted(self.port), 20, "Postfix's greeting")

    def new(self, account):
        return os.path.join(self.mail, "example.com", account.split("@")[0], "new")

    def pids(self):
        return [self.pid] + testing.descendants(self.pid)

    def stop(self):
        testing.run("postfix", "-c", self.etc, "stop", expect=None)
        testing.wait_until(lambda: not os.path.exists("/proc/%d" % self.pid), 20, "the end of Postfix")
