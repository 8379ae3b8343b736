// SPDX-License-Identifier: Apache-2.0
#pragma once
// postern.conf as plain typed structs. What the file says is checked here once; nobody behind it checks again.
//
// Every setting has its row in the one table of all settings (conf/settings.cc): name, type, default, limits, unit, reloadable or
// not. The manual page postern.conf(5) and the shipped example follow that table.
#include "base/log.h"
#include "net/address.h"
#include "net/address_list.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace postern::conf {

// Where in the administrator's text something stands, for messages about it.
struct Place {
  std::string file;
  int line = 0;
};

// One line of a list of texts, of `channels` or `rewrite` for instance (access-control.md 3.2, 3.3).
struct TextLine {
  std::string text;
  Place place;
};

enum class Module : std::uint8_t { smtp, lmtp, pop3, snmp, managesieve };
inline constexpr std::size_t kModules = 5;
// In memory that processes share, so that one more module changes no layout.
inline constexpr std::size_t kModuleRoom = 16;
static_assert(kModules <= kModuleRoom);
// "smtp", "lmtp", "pop3", "snmp", "managesieve": the names of the groups under `listeners`.
std::string_view to_string(Module module);

// The directory of the texts of notices that were installed with the server.
std::string shipped_notices();

// What a service's sockets are. Ports of TCP and of UDP are separate worlds (listeners.md L-4).
enum class Transport : std::uint8_t { tcp, udp };
Transport transport(Module module);

// Which of the machine's addresses a socket row takes (listeners.md L-5).
struct LocalAddress {
  enum class Kind : std::uint8_t { all, all_ipv4, all_ipv6, one } kind = Kind::all;
  net::Address address;  // for `one`
  std::string scope;     // "eth0" of fe80::1%eth0, else empty
  [[nodiscard]] std::string to_string() const;  // "all", "0.0.0.0", "::", or the address
  // "all", or an address in any spelling; normal form (L-6). Kind::invalid with the reason.
  static Result<LocalAddress> parse(std::string_view text);
  friend bool operator==(const LocalAddress&, const LocalAddress&) = default;
};

// True if two sockets of one transport on one port can't exist side by side (the table of L-5).
bool overlap(const LocalAddress& a, const LocalAddress& b);

enum class InitTls : std::uint8_t { off, on, ext };
enum class Restriction : std::uint8_t { none, grant, deny };

struct SocketRow {
  std::uint16_t port = 0;  // 0: the row does not exist (listeners.md L-7)
  LocalAddress address;
  InitTls init_tls = InitTls::off;  // `on` is refused by the check until TLS is there
  Restriction restriction = Restriction::none;
  net::AddressList addresses;
  bool client_list = false;  // UDP only: the row has no list of its own, so `addresses` is client_addresses (U-7)
  bool dry_run = false;  // the restriction is only tried: counted and logged, not acted upon
  std::string channel;  // initial source channel; empty: by port (access-control.md 3.2)
  bool proxy = false;                 // each connection begins with a PROXY header (listeners.md 4.4)
  net::AddressList trusted_proxies;   // who may send one; not empty with `proxy`
  std::optional<unsigned> dscp;       // code point of what we send (RFC 2474); empty: the system's
  std::vector<TextLine> milters;      // instead of the listener's; empty: those
  unsigned number = 0;                // of the row in the text, from 0; rows with port 0 have one too
  Place place;
};

// What the gate can refuse by, one bit each in Listener::dry_run; in the order of the setting's words.
enum class GateRule : std::uint8_t {
  restriction,
  blocked,
  connections_per_address,
  connections_per_site,
  connections_per_address_all,
  reserve_for_clients,
  maximum_connections,
  restricted,
  dns_verify_domain,
};

// Other figures for the addresses of a list; of several rows the first that has the address holds.
struct LimitRow {
  net::AddressList addresses;
  // Empty: as without the row; 0: no limit.
  std::optional<unsigned> connections_per_address, connections_per_site, connections_per_address_all;
  Place place;
};

struct Listener {
  Module module = Module::smtp;
  unsigned maximum_connections = 0;                        // M; 0: no sockets. Over UDP there is none (U-2), and it is 0
  unsigned connections_per_address = 0;                    // 0: no limit
  unsigned reserve_for_clients = 0;                        // R
  std::optional<unsigned> connections_per_client_address;  // empty: the same limit
  unsigned connections_per_site = 0;                       // from one IPv6 network of ipv6_site_prefix; 0: no limit
  std::vector<LimitRow> limits;
  unsigned ipv4_prefix = 32;
  unsigned ipv6_prefix = 64;
  unsigned ipv6_site_prefix = 48;
  unsigned dry_run = 0;  // bits: 1 << GateRule; see tries()
  bool refusal_reply = true;  // false: silent (L-26)
  bool client_certificates = false;  // asks for one in a TLS handshake; verified against tls.client_authorities
  std::chrono::seconds idle_time{300};
  std::chrono::seconds login_time{60};  // until login, where there is one
  bool clients_only = false;  // whoever is not on client_addresses gets one error (L-15); services with a login only
  std::vector<TextLine> milters;  // names, in the order in which they are asked; see milters_of()
  std::vector<TextLine> dns_verify_domain;  // DNS lists: who is on one is refused, unless PORT_ACCESS has an entry for him (access-control.md 8.2)
  std::vector<SocketRow> sockets;
  Place place;

  // The rule is only tried: what it would refuse is counted and logged, and gets in.
  [[nodiscard]] bool tries(GateRule rule) const { return (dry_run >> static_cast<unsigned>(rule) & 1) != 0; }
};

struct SmtpLimits {
  std::uint64_t message_bytes = 50 * 1024 * 1024;
  std::size_t command_bytes = 2048;      // without CRLF; RFC 5321 4.5.3.1.4 asks for 512, extensions for more
  std::size_t text_line_bytes = 100000;  // without CRLF; RFC 5321 4.5.3.1.6 asks for 998, the world sends more
  unsigned recipients = 1000;            // a message
  unsigned errors = 20;                  // bad commands and refused addresses between two accepted messages, then 421
  unsigned idle_commands = 100;          // EHLO, NOOP, RSET, VRFY … between two accepted messages; further ones are errors
  unsigned messages = 1000;              // a session, then 421
  unsigned received_fields = 100;        // loop detection
  std::chrono::seconds data_time{3600};  // one whole message
  std::chrono::seconds future_release{7 * 86400};  // longest time that a client may have a message wait (RFC 4865); 0: not offered
  net::AddressList etrn_clients;         // who may ask for the mail of its domains (RFC 1985); empty: not offered
  std::chrono::seconds etrn_time{60};    // between two such questions for one domain
  unsigned login_failures = 3;           // a session, then 421
  std::chrono::seconds failure_delay{2}; // before the answer to a failed login
};

// One file for the certificate and its chain, one for its key (or the same one), and one for an OCSP response if there is one.
struct TlsCertificate {
  std::string certificate, key, ocsp;  // paths, absolute once loaded; empty key: in the certificate's file; empty ocsp: none
  Place place;
};

struct TlsDomain {
  std::vector<TextLine> names;      // host names, checked; the first one tells domains apart
  std::vector<TextLine> addresses;  // local addresses that are assigned to it, checked (listeners.md T-2)
  std::vector<TlsCertificate> certificates;
  Place place;
};

struct Tls {  // listeners.md section 4
  enum class Version : std::uint8_t { tls12, tls13 } least_version = Version::tls12;
  std::string ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";  // of TLS 1.2
  std::string client_authorities;                       // path, absolute once loaded; empty: no client certificate is asked for
  std::chrono::seconds expiry_warning{14 * 86400};      // before a certificate expires
  std::chrono::seconds watch{60};                       // how often the files are looked at
  std::vector<TlsDomain> domains;
};

// What holds for the gate of every listener (listeners.md 0.1).
struct Gate {
  std::chrono::milliseconds linger_time{1000};  // for a refused connection to take its message (L-27)
  std::uint64_t linger_bytes = 64 * 1024;       // input discarded meanwhile
  unsigned lingering = 256;                     // such connections at a time, a listener
  unsigned listen_queue = 1024;                 // asked for in listen(2)
  std::chrono::seconds socket_retry{30};        // a socket that could not be opened is tried again (L-9)
  std::chrono::seconds refusal_sums{60};        // refusals are summed up in the log (L-49)
  std::chrono::milliseconds proxy_time{5000};   // for a PROXY header to be complete (T-24)
  unsigned proxy_waiting = 1024;                // connections without theirs at a time, a listener (T-25)
  std::chrono::milliseconds tls_time{30000};    // for a TLS handshake (T-5)
  std::uint64_t datagram_queue_bytes = 4 * 1024 * 1024;  // asked of the kernel for each UDP socket
  // Over all listeners together: addresses that count as one, and connections from one of them (0: no limit).
  unsigned ipv4_prefix = 32;
  unsigned ipv6_prefix = 64;
  unsigned connections_per_address_all = 0;
  // Automatic blocks (L-50); a figure of 0: never.
  unsigned failed_logins = 10;
  std::chrono::seconds failed_login_time{300};
  unsigned protocol_errors = 20;
  std::chrono::seconds protocol_error_time{300};
  std::chrono::seconds block_time{900};
  unsigned ledger_addresses = 32768;  // that the ledger has room for
};

struct RestrictedLimits {  // `restricted.*` (access-control.md 2.2, flag $W)
  unsigned connections_per_address = 2;
  unsigned connections_per_site = 0;  // 0: no limit
  std::uint64_t message_bytes = 1024 * 1024;
  unsigned recipients = 10;
  std::chrono::seconds idle_time{60};
  std::chrono::seconds data_time{600};  // one whole message
};

// Where a password may be sent as it is (listeners.md T-9): in secure sessions, and from the addresses on `except_from` (default
// 127.0.0.1 and ::1), in all services.
struct SecureLogin {
  bool required = true;
  net::AddressList except_from;
};

// SASL, for all services that have logins. Bits of disabled_mechanisms are in this order, and mechanisms are offered in it.
inline constexpr std::string_view kSaslMechanisms[] = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "EXTERNAL", "PLAIN", "LOGIN",
                                                      "OAUTHBEARER", "XOAUTH2"};
inline constexpr std::size_t kMostTokenKeys = 8;
struct Sasl {
  unsigned disabled_mechanisms = 0;      // never offered
  unsigned scram_iterations = 10000;     // of secrets that are made from now on
  bool upgrade_passwords = true;         // a login brings hashes of other kinds, and SCRAM secrets, up to date
  unsigned exchanges = 10000;            // under way at once in the directory's process
  std::chrono::seconds exchange_time{60};  // for one of them
  std::vector<TextLine> token_keys;      // files with keys that sign bearer tokens (RFC 7628); none: no logins by token
  std::string token_issuer, token_audience;  // what a token must say of itself (`iss`, `aud`)
  std::string token_account_claim = "email";  // the claim that names the account
  std::chrono::seconds token_clock_skew{60};  // between the issuer's clock and ours
};

struct Spool {
  std::uint64_t segment_bytes = 32 * 1024 * 1024;
  std::uint64_t large_message_bytes = 1024 * 1024;       // from this size on a message is a file of its own
  std::uint64_t minimum_free_bytes = 64 * 1024 * 1024;   // below: 452 at MAIL FROM
  unsigned backlog_messages = 20000;                     // not yet delivered; above: 451 at MAIL FROM
  unsigned slow_down_messages = 2000;                    // above: the answer to MAIL FROM waits, longer the more there are …
  std::chrono::milliseconds slow_down_time{5000};        // … up to this at backlog_messages
  std::chrono::milliseconds commit_delay{1};             // a record waits so long for others, so that they share a sync …
  unsigned commit_delay_messages = 4;                    // … if at least so many messages are being received by the child
};

struct Delivery {
  enum class Sync : std::uint8_t { automatic, file_system, each_file } sync = Sync::automatic;
  unsigned batch_messages = 256;
  std::uint64_t batch_bytes = 32 * 1024 * 1024;            // of messages in a batch, before it is synced
  unsigned attempts_alone = 3;                             // marks until plain keep (design: poison)
  bool create_folders = true;                              // fileinto makes a folder that is missing
  std::chrono::milliseconds script_time{2000};             // CPU a run
  std::chrono::milliseconds verdict_time{10'000};          // that an answer waits for filters that may refuse; 0: it does not
  std::chrono::seconds retry_first{60};                    // then doubled
  std::chrono::seconds retry_most{3600};
};

// The conversion channel (access-control.md 7): programs of the site that look at body parts, or change them. Limits are those of one program.
struct Conversion {
  std::string file;                                // of entries, absolute once loaded; empty: `conversions` in tables_directory, if it is there
  unsigned programs = 2;                           // that one process runs at once, each for another message
  std::chrono::seconds program_time{300};          // then it is killed
  std::uint64_t program_memory = std::uint64_t{4} << 30;  // address space of each of its processes
  std::uint64_t output_bytes = 100 * 1024 * 1024;  // of each file that it writes
  bool network = false;                            // it may use more than local sockets
  std::vector<TextLine> writable;                  // directories that it may change besides its own
  std::uint64_t writable_bytes = std::uint64_t{1} << 30;  // by which each of those may grow while it runs; 0: not looked at
};

// Channel defragment: message/partial pieces of a message (RFC 2046 section 5.2.2) wait for each other.
struct Defragment {
  std::chrono::seconds wait_time{172800};               // for the missing ones; then those that are there go on as they are
  unsigned messages = 100;                              // that wait for pieces at once
  unsigned pieces = 100;                                // of one message
  std::uint64_t message_bytes = 50 * 1024 * 1024;       // of one message's pieces together
};

// What happens to mail for a mailbox that is full.
struct Quota {
  enum class FullReply : std::uint8_t { temporary, permanent } full_reply = FullReply::temporary;  // to RCPT TO: 452 or 552
  unsigned warning_percent = 90;           // from this on the owner is told, once a day; 0: never
  std::chrono::seconds recheck_time{900};  // a mailbox that was full is looked at again
};

// Messages that could not be sent or delivered yet, and what their senders are told.
struct Queue {
  std::chrono::seconds retry_first{300};      // to the second attempt; then retry_factor times as long each time …
  unsigned retry_factor = 2;
  std::chrono::seconds retry_most{4 * 3600};  // … up to this
  std::chrono::seconds expire_time{5 * 86400};        // after this a message goes back to its sender
  std::chrono::seconds expire_time_high{2 * 86400};   // of a priority above 0 (RFC 6710)
  std::chrono::seconds expire_time_low{5 * 86400};    // below 0
  std::chrono::seconds delay_notice{4 * 3600};        // then the sender is told that it takes longer; 0: never
  unsigned messages_at_once = 200;            // put back for another attempt and not tried yet
  unsigned messages_per_destination = 20;     // the same to one domain; a domain that can't be reached gets one
  std::uint64_t return_bytes = 100 * 1024;    // a larger message comes back as its header only
  unsigned notice_recipients = 100;           // that one notice tells of
  bool double_bounces = false;                // what can't be returned goes to postmaster; else it is only logged
  std::string notices_language = "en";
  std::string notices_directory = shipped_notices();  // has a directory for each language
};

// Sending to other hosts. Times are those of RFC 5321 section 4.5.3.2, each for one answer.
struct Relay {
  std::vector<TextLine> routes;                      // relay/routes.h; what none of them is for goes by MX
  enum class TlsLevel : std::uint8_t { off, opportunistic, required, verified } tls = TlsLevel::opportunistic;
  std::string authorities;                           // file of certificates, absolute once loaded; empty: the system's
  bool dane = true;                                  // RFC 7672; goes by MX and hosts whose names DNSSEC validates
  bool mta_sts = true;                               // RFC 8461
  unsigned mta_sts_port = 443;                       // where policies are fetched
  std::chrono::milliseconds mta_sts_time{60000};     // to fetch one, all in all
  bool requiretls = true;                            // RFC 8689: offered to clients that use TLS
  unsigned tls_report_days = 7;                      // counters of sessions are kept (RFC 8460); 0: nothing is counted
  unsigned connections = 500;                        // of one process
  unsigned connections_per_destination = 20;         // of one process
  unsigned connections_unknown = 250;                // of one process, being made to destinations that have not answered yet
  unsigned messages_per_connection = 100;
  unsigned waiting_messages = 10000;                 // that one process looks after
  std::uint64_t waiting_bytes = 64 * 1024 * 1024;    // of their texts held in memory meanwhile
  unsigned addresses_tried = 6;                      // of a destination's hosts, in one attempt
  unsigned attempts_alone = 3;                       // marks until a message is put off for long
  std::chrono::milliseconds idle_time{2000};         // an open connection waits for the next message
  std::chrono::milliseconds connect_time{30000};
  std::chrono::milliseconds greeting_time{300000};
  std::chrono::milliseconds command_time{300000};    // EHLO, MAIL, RCPT, STARTTLS, AUTH
  std::chrono::milliseconds data_time{120000};       // the answer to DATA
  std::chrono::milliseconds write_time{180000};      // a piece of the text to be taken
  std::chrono::milliseconds end_of_data_time{600000};
  std::chrono::seconds dead_time{60};                // a destination that could not be reached is left alone, then twice as long …
  std::chrono::seconds dead_time_most{1800};         // … up to this
  enum class MailHostProtocol : std::uint8_t { lmtp, smtp } mail_host_protocol = MailHostProtocol::lmtp;  // to the hosts of accounts that are elsewhere
  std::uint16_t mail_host_port = 24;
};

// A filter outside the server that looks at mail while it comes in (milter/chain.h).
struct Milter {
  std::string name;     // as the text has it; listeners refer to it by that
  std::string address;  // as milter_address() reads it
  std::chrono::milliseconds connect_time{30000};
  std::chrono::milliseconds command_time{30000};          // for the answer to one command
  std::chrono::milliseconds end_of_message_time{300000};  // for the next answer once it has the whole message
  enum class WhenDown : std::uint8_t { tempfail, accept, reject } when_down = WhenDown::tempfail;
  Place place;
};
inline constexpr std::size_t kMaxMilters = 32;
inline constexpr std::size_t kMaxMilterNameBytes = 32;
// Of a socket row or listener that names it alone: none at all.
inline constexpr std::string_view kNoMilters = "none";

// Where a milter listens: the path of a Unix socket, or an address and port.
struct MilterAddress {
  std::string path;        // absolute; empty: over TCP
  net::Endpoint endpoint;
};
// "unix:/run/opendkim/opendkim.sock" ("local:" means the same), "inet:127.0.0.1:8891", "inet:[::1]:8891", "inet:8891@127.0.0.1" ("inet6:" means the
// same); the host is an address or "localhost". Kind::invalid with the reason.
Result<MilterAddress> milter_address(std::string_view text);

struct Pop3Limits {
  std::size_t command_bytes = 512;
  unsigned errors = 20;
  unsigned idle_commands = 100;  // CAPA, NOOP, STAT, RSET … between two messages handed out; further ones are errors
  unsigned login_failures = 3;   // a session
  std::size_t messages = 100000;
  std::chrono::seconds failure_delay{2};  // before the answer to a failed login
};

struct ManageSieveLimits {
  std::size_t command_bytes = 4096;       // a line without its end; literals are counted apart
  unsigned errors = 20;                   // bad commands in a session
  unsigned login_failures = 3;            // a session
  unsigned commands = 10000;              // a session
  std::chrono::seconds failure_delay{2};  // before the answer to a failed login
};

// What holds for messages of whoever has logged in (RFC 6409), on any port. Counted for each account; 0: no limit.
struct Submission {
  bool complete_header = true;  // Date, Message-ID, From where they are missing; Bcc taken out (RFC 6409 section 8)
  bool add_sender = false;      // Sender, where From is not the account
  bool hide_client = false;     // our Received field does not say from where the message came
  unsigned messages_per_hour = 500;
  unsigned recipients_per_hour = 2000;
  unsigned recipients_per_day = 10000;
};

struct Snmp {
  std::string community;            // the password of versions 1 and 2c; never shown, never logged
  std::string contact, location;    // sysContact, sysLocation (RFC 3418)
  std::size_t message_bytes = 1400; // largest answer: one packet on any network
  unsigned repetitions = 50;        // of GETBULK, at most
};

// The probes of the last days on disk (rehearsal/probe_ring.h).
struct Rehearsal {
  bool enabled = false;
  unsigned days = 7;
  std::uint64_t bytes = 64 * 1024 * 1024;  // of all files together
};

struct DirectoryLimits {
  unsigned verify_threads = 0;    // helper threads for passwords; 0: one a core
  unsigned verify_queue = 256;    // verifications that wait for one; beyond it: try again later
  unsigned connections = 1024;    // from our own processes and from tools
  unsigned group_members = 10000; // of an alias or a group, and addresses that one recipient leads to
  unsigned scripts = 100;         // of one account
  std::uint64_t script_bytes = 256 * 1024;  // of a script that its owner stores
  unsigned script_changes = 300;  // an hour, by the owner of an account; 0: no limit
  unsigned expansion_steps = 100000;  // addresses looked at to find out where one recipient leads
};

// Who sent a message, what is done with what was found, and what is signed (doc/guide/sender-authentication.md).
struct Authentication {
  bool spf = true, dkim = true, dmarc = true, arc = true;  // what is checked …
  std::string channels = "tcp_local";                // … of mail that comes in by these source channels, from nobody who has logged in or is a client
  std::string service;                               // in Authentication-Results; empty: host_name
  unsigned signatures = 8;                           // of one message
  std::uint64_t body_bytes = 100 * 1024 * 1024;      // of larger bodies no signature is checked
  std::chrono::seconds time{20};                     // for all questions of one message
  enum class Policy : std::uint8_t { report, hold, refuse } dmarc_reject = Policy::report, dmarc_quarantine = Policy::report;
  bool sign = true;                                  // mail of domains that have keys
  std::string sign_channels = "process l tcp_internal tcp_submit tcp_auth";  // source channels of mail that is ours; what has logged in is, too
  bool sign_7bit = true;                             // 8-bit text is converted before, so that nobody on the way has to
  enum class Unsigned : std::uint8_t { defer, send } when_unsigned = Unsigned::defer;  // a signature can't be made
  std::chrono::seconds signature_lifetime{0};        // x=; 0: for ever
  std::string arc_domain;                            // whose key seals what is forwarded; empty: nothing is sealed
  std::string srs_domain;                            // of rewritten senders; empty: senders are not rewritten
  std::string srs_secret_file;                       // absolute once loaded
  std::chrono::seconds srs_lifetime{21 * 86400};     // so long what is returned finds its way back
};

// Accounts in an LDAP directory (doc/guide/accounts-from-ldap.md). Nothing is asked while no server is named.
struct Ldap {
  enum class Tls : std::uint8_t { off, starttls } tls = Tls::starttls;  // on connections to ldap://
  enum class Scope : std::uint8_t { base, one, sub } scope = Scope::sub;
  enum class Passwords : std::uint8_t { bind, compare } passwords = Passwords::bind;
  std::vector<TextLine> servers;  // "ldap://HOST[:PORT]", "ldaps://HOST[:PORT]", "ldapi://PATH"; tried in this order
  std::string authorities;        // file of certificates, absolute once loaded; empty: the system's
  std::string bind_dn;            // who asks; empty: anonymous
  std::string password_file;      // with its password, absolute once loaded
  std::string base;               // below which accounts are
  std::vector<TextLine> domains;  // whose accounts they are
  std::string domain_filter;      // finds further ones; empty: there are none
  // RFC 4515; %a is the address, %l what stands before @, %d the domain, escaped; %m is mail_attribute, %o alternate_attribute; %% a percent sign.
  std::string account_filter =
      "(&(|(objectClass=inetMailUser)(objectClass=inetOrgPerson)(objectClass=posixAccount))"
      "(|(%m=%a)(%o=%a)(&(objectClass=posixAccount)(!(%m=*))(uid=%l))))";
  std::string alias_filter;
  std::string group_filter = "(&(|(objectClass=inetMailGroup)(objectClass=mailGroup))(|(%m=%a)(%o=%a)))";
  std::string nobody_dn;          // against which passwords of accounts that there are not are checked; empty: a name that nobody has
  bool write_scripts = false;     // ManageSieve may change filter_attribute
  // Names of attributes; empty: there is none.
  std::string mail_attribute = "mail";
  std::string alternate_attribute = "mailAlternateAddress";
  std::string host_attribute = "mailHost";
  std::string quota_attribute = "mailQuota";
  std::string forwarding_attribute = "mailForwardingAddress";
  std::string delivery_attribute = "mailDeliveryOption";
  std::string filter_attribute = "mailSieveRuleSource";
  std::string status_attribute = "mailUserStatus";
  std::string tag_attribute = "mailConversionTag";
  std::string description_attribute = "cn";
  std::string password_attribute = "userPassword";  // with Passwords::compare
  std::string password_time_attribute = "pwdChangedTime";  // another value: another password, and open sessions end
  std::string scram_attribute;                      // secrets of RFC 5803
  std::string member_attribute = "mgrpRFC822MailMember";  // addresses
  std::string member_dn_attribute = "uniqueMember";       // entries that have mail_attribute
  std::string owner_attribute = "mgrpErrorsTo";
  std::string domain_tag_attribute = "mailDomainConversionTag";  // of the entry that domain_filter finds, as the next
  std::string domain_base_attribute = "inetDomainBaseDN";        // where its accounts are: _base_dn_ of templates; without it `base`
  unsigned connections = 4;        // for questions
  unsigned login_connections = 4;  // for logins by bind
  unsigned questions = 1000;       // waiting for a connection
  std::chrono::milliseconds connect_time{2000};  // to one server, TLS and bind included
  std::chrono::milliseconds answer_time{4000};   // for a question, all its tries included
  std::chrono::seconds idle_time{300};           // an unused connection is closed
  std::chrono::seconds retry_time{5};            // a server that could not be reached is left alone
  std::chrono::seconds cache_time{60}, negative_cache_time{30};  // how long an answer holds, and that there is none
  unsigned cache_entries = 20000;
  std::uint64_t answer_bytes = 4 * 1024 * 1024;  // of one entry
};

// The process that asks name servers.
struct Resolver {
  std::vector<TextLine> servers;                                // as name_server() reads them; empty: those of resolv_conf
  std::string resolv_conf = "/etc/resolv.conf";                 // empty, or without a server: from the root on
  std::string trust_anchor_file = "/usr/share/dns/root.key";    // empty, or not there: nothing is validated
  enum class Dnssec : std::uint8_t { if_possible, always, off } dnssec = Dnssec::if_possible;  // whether answers are validated with it
  std::chrono::milliseconds time_limit{5000};                   // for one question
  unsigned questions = 1000;                                    // different ones under way at once
  unsigned questions_per_process = 500;                         // under way for one of our processes
  std::uint64_t answer_bytes = 16 * 1024;                       // of records handed on; the rest is cut off
  std::uint64_t cache_bytes = 16 * 1024 * 1024;
};

struct Children {
  unsigned smtp = 0;      // 0: one a core
  unsigned pop3 = 1;
  unsigned managesieve = 1;
  unsigned delivery = 0;  // 0: one a core
  unsigned relay = 1;
  unsigned conversion = 1;               // while there is a file of conversions
  std::chrono::seconds age{86400};       // then replaced
  std::uint64_t sessions = 1000000;      // served, then replaced
};

struct Users {
  std::string network = "postern";
  std::string mail = "postern-mail";
  std::string directory = "postern-dir";
  Place network_place, mail_place, directory_place;  // line 0: the text does not set it; no file: it was not read
};

struct Log {
  base::Destination destination = base::Destination::syslog;
  base::Severity least = base::Severity::info;
  std::string file;  // with standard_error as destination: append there instead; empty: standard error itself
  bool admissions = false;  // a line at each admission too (L-49)
};

struct AccessOptions {
  unsigned access_errors = 0;  // 2.7
  bool access_orcpt = false;   // 2.5
  char probe_bar_char = '_';   // 2.1
  unsigned log_connection = 0;  // 2.2; bits: 1 (value 2) and 4 (value 16)
};

// A table of counters that templates ask with $[postern:throttle,NAME,KEY] (access-control.md 8.1).
struct ThrottleTable {
  std::string name;            // as the text has it; names are one without regard to case
  unsigned quota = 0;          // per period; at least 1 in a checked configuration
  std::chrono::seconds period{60};
  unsigned max_entries = 1000; // keys it has room for
  bool penalize = false;       // attempts above the quota count too
  // average: what was used becomes available again bit by bit; periods: all of it when the key's period ends.
  enum class Count : std::uint8_t { average, periods } count = Count::average;
  Place place;
};
// Tables, and keys of all of them together, that there may be.
inline constexpr std::size_t kMaxThrottleTables = 60;
inline constexpr std::size_t kMaxThrottleNameBytes = 32;
inline constexpr std::uint64_t kMaxThrottleEntries = 500'000;
// The server's own beside them: the limits of `submission`. No setting can name such a table.
inline constexpr std::size_t kOwnThrottleTables = 4;
inline constexpr std::string_view kMessagesPerHour = "submission.messages_per_hour";
inline constexpr std::string_view kRecipientsPerHour = "submission.recipients_per_hour";
inline constexpr std::string_view kRecipientsPerDay = "submission.recipients_per_day";
inline constexpr std::string_view kExcessNotices = "submission.notices";  // who was told of, so that it happens once a day

// The administrator's Sieve scripts (access-control.md 6.1): before.filter and system.filter of `directory`, if they are there, and
// those that `channels` names.
struct Filters {
  std::string directory;            // default: the configuration's own directory
  std::string global_directory;     // NAME.sieve for `include :global "NAME"`; empty: sieve-global in `directory`
  bool before_may_discard = false;  // before.filter may use discard (6.2)
  // Of a script and of its program (sieve/limits.h).
  std::size_t script_bytes = 1024 * 1024;
  std::size_t string_bytes = 1024 * 1024;
  std::size_t program_bytes = 16 * 1024 * 1024;
  std::size_t commands = 20000;
  std::size_t nesting = 32;
  std::size_t loop_nesting = 4;
  std::size_t arguments = 32;
  std::size_t list_items = 4096;
  std::size_t includes = 255;
  std::size_t include_depth = 10;
  std::size_t variables = 255;
  std::size_t regex_total_bytes = 32 * 1024 * 1024;
  std::uint64_t cache_bytes = 64 * 1024 * 1024;  // of compiled programs on disk; 0: none are kept
  // Of a run.
  std::uint64_t steps = 10'000'000;
  std::size_t memory_bytes = 64 * 1024 * 1024;
  std::size_t actions = 32;
  std::size_t redirects = 4;
  std::size_t notifications = 10;
  std::size_t variable_bytes = 4096;
  std::size_t header_edits = 100;
  std::size_t header_value_bytes = 2048;
  std::size_t regex_bytes = 64 * 1024;
  std::size_t regex_text_bytes = 1024 * 1024;
  std::uint64_t regex_work = 536'870'912;
  std::size_t body_part_bytes = 8 * 1024 * 1024;
  std::size_t body_bytes = 32 * 1024 * 1024;
  std::size_t mime_depth = 50;
  std::size_t mime_parts = 1000;
  std::size_t list_lookups = 100;
  std::string folder_separators = "/";          // what stands between the parts of a folder's name in scripts: "/", "." or both
  std::vector<TextLine> lists;                  // lists outside of scripts (RFC 6134), "NAME KIND SOURCE"; filter_list() reads one
  // What is remembered from message to message, and for how long.
  std::size_t memory_entries = 10000;           // an account and kind
  std::chrono::seconds vacation_default{604800}, vacation_least{86400}, vacation_most{5184000};
  std::chrono::seconds duplicate_default{43200}, duplicate_most{172800};
  std::chrono::seconds mistake_notice{86400};   // between two mails about one script that fails; 0: none
  // filter_discard, filter_jettison (6.6): 1 lets a message go at once, 2 keeps it for the days that channel filter_discard has.
  unsigned discard = 1, jettison = 1;
  // What spamtest and virustest see (RFC 5235).
  std::string spam_field;                       // empty: nothing is tested
  std::string spam_text;                        // stands in front of the number
  unsigned spam_scale = 10;                     // the score that is certainly spam
  std::string virus_field;
  std::vector<TextLine> virus_values;           // "Clean 1": how the field begins, and what that is worth; empty: Clean 1, Infected 5
};

struct Configuration {
  unsigned format = 1;
  std::string host_name;       // in greetings and Received; default: the machine's
  std::string base_directory;  // spool/, mail/, directory/, run/ are below it
  std::string tables_directory;  // where postern-compile writes tables.db; default: the configuration's own directory
  unsigned tables_kept = 10;     // so many compiled files stay (access-control.md 5.2)
  net::AddressList client_addresses;  // L-48; default 127.0.0.0/8 and ::1
  net::AddressList cluster_members;   // L-19
  net::AddressList smtp_blacklist;    // L-14
  net::AddressList never_block;       // L-50: not blocked automatically
  std::vector<Listener> listeners;
  std::uint32_t connection_table_sessions = 65536;  // room for the sum of all maxima (L-36)
  Tls tls;
  Gate gate;
  std::chrono::seconds grace_time{30};  // for sessions at stop
  SmtpLimits smtp;
  RestrictedLimits restricted;
  SecureLogin secure_login;
  Sasl sasl;
  Spool spool;
  Delivery delivery;
  Conversion conversion;
  Defragment defragment;
  Quota quota;
  Queue queue;
  Relay relay;
  std::vector<Milter> milters;
  Pop3Limits pop3;
  ManageSieveLimits managesieve;
  Submission submission;
  Snmp snmp;
  DirectoryLimits directory;
  Authentication authentication;
  Ldap ldap;
  Resolver resolver;
  Children children;
  Users users;
  Log log;
  AccessOptions access;
  Rehearsal rehearsal;
  std::vector<ThrottleTable> throttle;
  std::vector<TextLine> channels;
  std::vector<TextLine> rewrite;
  Filters filters;
  std::vector<TextLine> filter_texts;    // what load() found in the filters' files; read it with filter_text()
  std::string recipient_delimiter;       // sub-addressing; empty: none
  std::vector<TextLine> notice_texts;    // what load() found in the files of notices_language; read it with notice_texts()
  std::vector<TextLine> list_texts;      // what load() found in the files of named lists, for the children
  std::vector<TextLine> conversion_texts;  // what load() found in conversion.file; read it with conversions()
  std::map<std::string, Place, std::less<>> places;  // of the settings that the text has, by full name

  // Where the setting stands; no file if the text does not have it (its default holds).
  [[nodiscard]] Place place_of(std::string_view setting) const;
};

// A mistake: "postern.conf:12: listeners.smtp.sockets[0].port: expected 0 to 65535, found 70000".
struct Mistake {
  Place place;
  std::string setting;
  std::string text;
  bool warning = false;
  [[nodiscard]] std::string to_string() const;
};

struct Loaded {
  Configuration configuration;
  std::vector<Mistake> mistakes;  // all of them; usable only if none but warnings
  // The text with every @include put in, with marks from which load_text() finds file and line again, and with the defaults
  // that depend on machine and place (host name, directories): read again anywhere, it gives the same configuration. Empty
  // if not usable.
  std::string flattened;
  // Whether the text could be read at all: then `configuration` is what it says, defaults where there is a mistake, and others can
  // look at it too, so that mistakes of all kinds are named at once. Otherwise it holds defaults only.
  bool readable = false;
  [[nodiscard]] bool usable() const;
};

// Limits of the text: all files together, files that include each other, nesting of groups.
inline constexpr std::size_t kMaxTextBytes = 16 * 1024 * 1024;
inline constexpr unsigned kMaxIncludeDepth = 10;
inline constexpr unsigned kMaxIncludedFiles = 1000;

// Reads and checks `path` and all that it includes (`@include "name"` on a line of its own; a relative name is relative to
// the directory of `path`). A file that can't be read, or a mistake of syntax, is a mistake like others.
Loaded load(const std::string& path);
// The same from text that stands for a file `name`; and what a child reads from its sealed memory file (Loaded::flattened).
Loaded load_text(std::string_view text, const std::string& name);

// "192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353"; the port is 53 if none is given.
Result<net::Endpoint> name_server(std::string_view text);

// The milters of a socket row in their order: its own, or those of its listener. Names are checked.
std::vector<const Milter*> milters_of(const Configuration& configuration, const Listener& listener, const SocketRow& row);

// Longest file of a named address list.
inline constexpr std::size_t kMaxListFileBytes = 1024 * 1024;

// The scripts for `include :global "NAME"` by their names.
std::map<std::string, std::string, std::less<>> global_filter_texts(const Configuration& configuration);
// Files that filters.global_directory may have.
inline constexpr std::size_t kMaxGlobalFilters = 1000;
// What a line of filters.virus_values says; Kind::invalid with the reason.
struct VirusValue {
  std::string beginning;
  int value = 0;  // 1 (clean) to 5 (certainly a virus)
};
Result<VirusValue> virus_value(std::string_view line);

// What a line of filters.lists says: a list outside of scripts (RFC 6134). Kind::invalid with the reason.
struct FilterList {
  enum class Source : std::uint8_t { file, group, table } source = Source::file;
  std::string name;  // in full, a URI: "tag:example.com,2026:partners"
  std::string from;  // path as filters.directory makes it absolute; canonical address of an alias or group; name of a mapping table
};
Result<FilterList> filter_list(const Configuration& configuration, std::string_view line);
inline constexpr std::size_t kMaxFilterLists = 1000;

// The path of a filter's file as `channels` or we ourselves name it: without "file://", relative to filters.directory.
std::string filter_path(const Configuration& configuration, std::string_view name);
// The text of the filter `path` (as filter_path() gave it), as it was when the configuration was loaded; empty if there is none.
std::string filter_text(const Configuration& configuration, std::string_view path);
// All of them: path and text.
std::vector<std::pair<std::string, std::string>> filter_texts(const Configuration& configuration);
// The texts of notices as they were when the configuration was loaded: "failure", "delay", "success" and what stands in the file. One
// that is not there is missing here.
std::vector<std::pair<std::string, std::string>> notice_texts(const Configuration& configuration);
// Longest such file.
inline constexpr std::size_t kMaxNoticeFileBytes = 64 * 1024;
// The file of conversions, as it was when the configuration was loaded: path and text. Nothing: there is none, and so no conversion channel.
std::optional<std::pair<std::string, std::string>> conversions(const Configuration& configuration);
// Longest such file.
inline constexpr std::size_t kMaxConversionsBytes = 256 * 1024;
// Longest filter file.
inline constexpr std::size_t kMaxFilterFileBytes = 1024 * 1024;

// What a reload from one checked configuration to another changes, as names of settings.
struct Difference {
  std::vector<std::string> restart;       // can't change in a running server: such a reload is refused
  std::vector<std::string> new_children;  // taken over by children started from now on: the master replaces the present ones
  std::vector<std::string> running;       // handed to the running children
};
Difference reload_difference(const Configuration& old_one, const Configuration& new_one);

// All tables of counters that there must be: those of the configuration and the server's own.
std::vector<ThrottleTable> throttle_tables(const Configuration& configuration);

// True if the listener's sockets are to be open: over UDP always, over TCP unless its maximum is 0 (L-8).
bool is_open(const Listener& listener);

// The listener of `module`, or nullptr if the configuration has none (or it is not open).
const Listener* find_listener(const Configuration& configuration, Module module);

}  // namespace postern::conf
