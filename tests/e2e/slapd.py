# SPDX-License-Identifier: Apache-2.0
"""A real slapd on loopback, with our schema, StartTLS and a name that may read, for tests of accounts in LDAP."""
import base64
import ctypes

from postern_testing import *

DOMAIN = "ldap.example"
SCHEMAS = "/etc/ldap/schema"
OURS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "share", "postern", "ldap", "postern.schema")


def address(name):
    return "%s@%s" % (name, DOMAIN)


def self_signed(path, name):
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path + ".key", "-out", path + ".pem",
        "-days", "30", "-subj", "/CN=" + name, "-addext", "subjectAltName=DNS:%s,IP:127.0.0.1" % name)


class Slapd:
    """A directory of its own, below a place that all users may enter, with these entries (LDIF); `readable`: passwords too."""

    def __init__(self, entries, readable=False):
        self.directory = tempfile.mkdtemp(prefix="postern-slapd-")
        os.chmod(self.directory, 0o755)
        atexit.register(self.remove)
        self.port, self.tls_port = free_port(), free_port()
        self.process = None
        os.mkdir(os.path.join(self.directory, "data"))
        for name in ("server", "stranger"):
            self_signed(os.path.join(self.directory, name), "localhost")
        with open(self.path("slapd.conf"), "w") as file:
            for schema in ("core", "cosine", "inetorgperson", "nis"):
                file.write("include %s/%s.schema\n" % (SCHEMAS, schema))
            file.write("include %s\n" % OURS)
            file.write("pidfile %s\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n" % self.path("pid"))
            file.write("TLSCertificateFile %s\nTLSCertificateKeyFile %s\n" % (self.path("server.pem"), self.path("server.key")))
            file.write('database mdb\nmaxsize 67108864\nsuffix "dc=example"\nrootdn cn=admin,dc=example\nrootpw admin\ndirectory %s\nindex mail,mailAlternateAddress,uid,objectClass eq\n' % self.path("data"))
            file.write('access to attrs=userPassword %sby anonymous auth by * none\n' % ('by dn.exact="cn=postern,dc=example" read ' if readable else ""))
            file.write('access to attrs=mailSieveRuleSource by dn.exact="cn=postern,dc=example" write by * none\n')
            file.write('access to * by dn.exact="cn=postern,dc=example" read by anonymous auth by * none\n')
        run(program("slapadd"), "-f", self.path("slapd.conf"), "-q", input=entries)

    def path(self, name):
        return os.path.join(self.directory, name)

    def administer(self, tool, *arguments, **options):
        return run(foreign(tool), "-x", "-H", "ldap://127.0.0.1:%d" % self.port, "-D", "cn=admin,dc=example", "-w", "admin", *arguments, **options)

    def start(self):
        # Every user of the machine may reach it; all that it listens on is loopback.
        self.process = subprocess.Popen([program("slapd"), "-f", self.path("slapd.conf"), "-h", "ldap://127.0.0.1:%d ldaps://127.0.0.1:%d ldaps://127.0.0.2:%d" % (self.port, self.tls_port, self.tls_port), "-d", "0"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: reachable(self.port), 10 * slow_build(), "slapd listens")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def remove(self):
        if self.process:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def settings(self, **more):
        """The group ldap of postern.conf that asks it."""
        password = self.path("password")
        with open(password, "w") as file:
            file.write("reader\n")
        os.chmod(password, 0o600)
        if os.geteuid() == 0:
            with contextlib.suppress(LookupError):
                shutil.chown(password, "postern-dir")
        return dict({"servers": ["ldap://127.0.0.1:%d" % self.port], "authorities": self.path("server.pem"), "bind_dn": "cn=postern,dc=example",
                     "password_file": password, "base": "dc=example", "domains": [DOMAIN], "retry_time": 1}, **more)


def reachable(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def entry(name, classes, **attributes):
    text = "dn: %s\n" % name + "".join("objectClass: %s\n" % one for one in classes)
    for key, values in attributes.items():
        for value in values if isinstance(values, list) else [values]:
            text += "%s:: %s\n" % (key, base64.b64encode(value.encode()).decode())
    return text + "\n"


def ssha(password):
    salt = os.urandom(8)
    return "{SSHA}" + base64.b64encode(hashlib.sha1(password.encode() + salt).digest() + salt).decode()


def crypted(password, setting):
    """A hash by crypt(3), as userPassword has it; Python's own module for that is on its way out."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return "{CRYPT}" + library.crypt(password.encode(), setting.encode()).decode()


def user(name, **attributes):
    return entry("uid=%s,ou=people,dc=example" % name, ["inetOrgPerson", "inetMailUser"],
                 **dict(dict(cn=name, sn=name, mail=address(name), userPassword=ssha("password of " + name)), **attributes))


def base_entries():
    return (entry("dc=example", ["dcObject", "organization"], o="Example") + entry("ou=people,dc=example", ["organizationalUnit"]) +
            entry("cn=postern,dc=example", ["organizationalRole", "simpleSecurityObject"], userPassword=ssha("reader")))
