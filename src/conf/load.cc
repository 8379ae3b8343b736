// SPDX-License-Identifier: Apache-2.0
// Reading postern.conf: libconfig++ parses, the table of settings says what may stand where, and every mistake is kept.
#include "conf/ldap_check.h"
#include "conf/settings.h"
#include "conf/source.h"

#include "base/files.h"
#include "base/text.h"
#include "net/dns_answer.h"
#include "net/server_name.h"

#include <libconfig.h++>

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <sstream>
#include <tuple>

namespace postern::conf {
namespace {

using Node = libconfig::Setting;

// More rows than any machine has ports worth listening on.
constexpr int kMaxSocketRows = 1000;
constexpr int kMaxDomains = 10'000;
constexpr int kMaxCertificates = 16;  // of one domain: one for each kind of key is of use
constexpr int kMaxAddressLists = 10'000;
constexpr int kMaxLimitRows = 1000;
constexpr std::size_t kMaxNameServers = 16;
constexpr std::size_t kMaxDnsLists = 16;  // all are asked at once for each connection
// Services that listeners.md knows and this version does not have.
constexpr std::string_view kLaterModules[] = {"imap", "http_admin", "http_user", "ldap", "pwd", "acap", "ftp", "sip", "radius", "tftp"};

constexpr std::string_view kGlobalFilterEnding = ".sieve";

std::string join(const std::string& group, std::string_view name) { return group.empty() ? std::string(name) : group + "." + std::string(name); }

std::string kind_of(const Node& node) {
  switch (node.getType()) {
    case Node::TypeGroup: return "a group { }";
    case Node::TypeArray:
    case Node::TypeList: return "a list";
    default: return "a value";
  }
}

// Number of single changes that make one word of the other, two neighbours that change places counting as one; for "did you mean".
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    next[0] = i + 1;
    for (std::size_t k = 0; k < b.size(); ++k) {
      next[k + 1] = std::min({row[k] + (a[i] == b[k] ? 0 : 1), next[k] + 1, row[k + 1] + 1});
      if (i > 0 && k > 0 && a[i] == b[k - 1] && a[i - 1] == b[k]) next[k + 1] = std::min(next[k + 1], before[k - 1] + 1);
    }
    before.swap(row);
    row.swap(next);
  }
  return row.back();
}

// The known name in `group` that looks most like `name`, if any does.
std::string similar(const std::string& group, std::string_view name) {
  if (name.size() > 64) return {};
  std::string best;
  // One change of three letters at most: of a short name, two changes make another word.
  std::size_t least = std::max<std::size_t>(name.size() / 3, 1) + 1;
  const auto consider = [&](std::string_view candidate) {
    const std::size_t changes = distance(name, candidate);
    if (changes >= least) return;
    least = changes;
    best = candidate;
  };
  for (const Setting& setting : all_settings()) {
    std::string_view rest = setting.name;
    if (!group.empty()) {
      if (!rest.starts_with(group + ".")) continue;
      rest.remove_prefix(group.size() + 1);
    }
    rest = rest.substr(0, rest.find_first_of(".["));
    if (rest != "*") consider(rest);
  }
  if (group == "listeners")
    for (std::size_t module = 0; module < kModules; ++module) consider(to_string(static_cast<Module>(module)));
  return best;
}

std::optional<Module> module_from(std::string_view name) {
  for (std::size_t module = 0; module < kModules; ++module)
    if (to_string(static_cast<Module>(module)) == name) return static_cast<Module>(module);
  return std::nullopt;
}

constexpr std::string_view kNotices[] = {"failure", "delay", "success"};

// A file's path and text as two words of printable ASCII without quotes and backslashes: what a text of libconfig takes as it
// is, on one line.
// Fields without which a message is not what its sender wrote (RFC 5322 section 3.6, RFC 2045, RFC 6376, RFC 8601).
bool belongs_to_the_sender(std::string_view field) {
  constexpr std::string_view kFields[] = {"from", "sender", "reply-to", "to", "cc", "bcc", "date", "message-id", "in-reply-to", "references", "subject", "comments", "keywords",
                                          "received", "return-path", "mime-version", "dkim-signature", "authentication-results"};
  return base::starts_with_ignoring_case(field, "content-") || base::starts_with_ignoring_case(field, "resent-") || base::starts_with_ignoring_case(field, "arc-") ||
         std::any_of(std::begin(kFields), std::end(kFields), [&](std::string_view one) { return base::equal_ignoring_case(field, one); });
}

std::string encode_file(std::string_view path, std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  const auto add = [&](std::string_view part) {
    for (const char c : part) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte > 0x20 && byte < 0x7f && c != '"' && c != '\\' && c != '%') out += c;
      else (out += '%') += {kDigits[byte >> 4], kDigits[byte & 15]};
    }
  };
  add(path);
  out += ' ';
  add(text);
  return out;
}

std::pair<std::string, std::string> decode_file(std::string_view encoded) {
  const auto decode = [](std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      unsigned byte = 0;
      if (text[i] == '%' && i + 2 < text.size() && std::from_chars(&text[i + 1], &text[i + 1] + 2, byte, 16).ptr == &text[i + 1] + 2) {
        out += static_cast<char>(byte);
        i += 2;
      } else {
        out += text[i];
      }
    }
    return out;
  };
  const auto space = std::min(encoded.find(' '), encoded.size());
  return {decode(encoded.substr(0, space)), decode(encoded.substr(std::min(space + 1, encoded.size())))};
}

class Reader {
 public:
  Reader(const Source& source, Loaded& loaded) : source_(source), loaded_(loaded), configuration_(loaded.configuration) {}

  void read(const Node& root) {
    number_strings(root);
    scope_.configuration = &configuration_;
    set_defaults();
    read_handed_lists(root);
    for (int i = 0; i < root.getLength(); ++i)
      if (name_of(root[i]) == "lists") read_lists(root[i]);
    for (int i = 0; i < root.getLength(); ++i) {
      const Node& node = root[i];
      const std::string name(name_of(node));
      if (name == "listeners") read_listeners(node);
      else if (name == "tls") read_tls(node);
      else if (name == "throttle") read_throttle(node);
      else if (name == "milters") read_milters(node);
      else if (name != "lists" && name != "list_texts") read_member(node, "", "");
    }
    make_absolute(configuration_.relay.authorities);
    make_absolute(configuration_.authentication.srs_secret_file);
    make_absolute(configuration_.ldap.authorities);
    make_absolute(configuration_.ldap.password_file);
    check();
  }

  void defaults_only() {
    scope_.configuration = &configuration_;
    set_defaults();
  }

 private:
  void mistake(const Place& place, std::string setting, std::string text, bool warning = false) {
    loaded_.mistakes.push_back({place, std::move(setting), std::move(text), warning});
  }
  std::string_view name_of(const Node& node) const { return source_.given_name(node.getName()); }
  // It stands in its group already, which was said.
  bool is_repeated(const Node& node) const { return name_of(node) != node.getName(); }
  Place place(const Node& node) const {
    // libconfig's line of a value that is no member is that of the word behind it; strings know their own.
    if (node.getType() == Node::TypeString && node.getName() == nullptr)
      if (const auto known = string_numbers_.find(address_of(node)); known != string_numbers_.end()) return source_.string_place(known->second, 0);
    return source_.place(node.getSourceLine());
  }

  // libconfig keeps the order of the text, so the strings of the tree and of the text are the same row.
  void number_strings(const Node& node) {
    if (node.getType() == Node::TypeString) string_numbers_.emplace(address_of(node), string_numbers_.size());
    if (node.isAggregate())
      for (int i = 0; i < node.getLength(); ++i) number_strings(node[i]);
  }
  static const void* address_of(const Node& node) { return static_cast<const void*>(&node); }

  std::vector<TextLine> lines_of(const Node& node) const {
    std::vector<TextLine> lines;
    const std::string text = node.c_str();
    const auto known = string_numbers_.find(address_of(node));
    const bool exact = known != string_numbers_.end() && string_numbers_.size() == source_.strings();
    for (const std::string_view line : base::split(text, '\n'))
      lines.push_back({std::string(line), exact ? source_.string_place(known->second, lines.size()) : source_.place(node.getSourceLine())});
    return lines;
  }

  Value value_of(const Node& node) const {
    Value value;
    switch (node.getType()) {
      case Node::TypeBoolean:
        value.kind = Value::Kind::boolean;
        value.boolean = static_cast<bool>(node);
        break;
      case Node::TypeInt:
        value.kind = Value::Kind::integer;
        value.integer = static_cast<int>(node);
        break;
      case Node::TypeInt64:
        value.kind = Value::Kind::integer;
        value.integer = static_cast<long long>(node);
        break;
      case Node::TypeFloat:
        value.kind = Value::Kind::real;
        value.real = static_cast<double>(node);
        break;
      case Node::TypeString:
        value.kind = Value::Kind::text;
        value.lines = lines_of(node);
        break;
      case Node::TypeArray:
      case Node::TypeList: {
        value.kind = Value::Kind::texts;
        for (int i = 0; i < node.getLength(); ++i) {
          if (node[i].getType() != Node::TypeString) {
            value.kind = Value::Kind::other;
            value.found = "a list with something else than texts in it";
            break;
          }
          for (TextLine& line : lines_of(node[i])) value.lines.push_back(std::move(line));
        }
        break;
      }
      default: value.found = kind_of(node);
    }
    return value;
  }

  // The files of named lists as load() found them.
  void read_handed_lists(const Node& root) {
    if (!root.exists("list_texts")) return;
    if (!source_.is_flattened()) return mistake(place(root["list_texts"]), "list_texts", "is made by the server from the lists' files and has no place in a configuration");
    for (const TextLine& line : value_of(root["list_texts"]).lines) {
      auto [path, text] = decode_file(line.text);
      handed_lists_.emplace(std::move(path), std::move(text));
    }
  }

  // Named lists that others refer to by #name (listeners.md A-11).
  void read_lists(const Node& group) {
    if (!group.isGroup()) return mistake(place(group), "lists", "expected a group { } of address lists by name, found " + kind_of(group));
    if (group.getLength() > kMaxAddressLists) return mistake(place(group), "lists", "expected at most " + std::to_string(kMaxAddressLists) + " lists");
    std::vector<Value> values;
    for (int i = 0; i < group.getLength(); ++i) {
      const std::string shown = join("lists", name_of(group[i]));
      Value value = group[i].isGroup() ? list_from_file(group[i], shown) : value_of(group[i]);
      if (value.kind != Value::Kind::text && value.kind != Value::Kind::texts) {
        if (!group[i].isGroup())
          mistake(place(group[i]), shown, "expected addresses: one text with a line for each, a list of texts, or { file = \"...\"; }, found " + found(value));
      } else {
        std::string text;
        for (const TextLine& line : value.lines) text += line.text + "\n";
        if (!lists_.emplace(base::lower(name_of(group[i])), std::move(text)).second && !is_repeated(group[i])) mistake(place(group[i]), shown, "a list of this name stands above");
      }
      values.push_back(std::move(value));
    }
    // Each is compiled for its own sake too: a mistake in a list that nobody uses yet is a mistake.
    const Setting* const as = find_setting("client_addresses");
    Configuration unused;
    for (int i = 0; i < group.getLength(); ++i) {
      const Value& value = values[static_cast<std::size_t>(i)];
      if (value.kind == Value::Kind::text || value.kind == Value::Kind::texts)
        assign(*as, {&unused, nullptr, nullptr}, value, place(group[i]), join("lists", name_of(group[i])), loaded_.mistakes, resolver());
    }
  }

  // The list that stands in a file of its own, one element a line. Children have no way to the file: they find its text in
  // list_texts, where load() has put it.
  Value list_from_file(const Node& group, const std::string& shown) {
    Value value;
    value.found = "a group { }";
    for (int i = 0; i < group.getLength(); ++i)
      if (name_of(group[i]) != "file") {
        mistake(place(group[i]), join(shown, name_of(group[i])), "there is no such setting; did you mean \"file\"?");
        return value;
      }
    if (!group.exists("file") || group["file"].getType() != Node::TypeString) {
      mistake(place(group), join(shown, "file"), "expected the path of a file with an address, range or network on each line, found " +
                                                     (group.exists("file") ? found(value_of(group["file"])) : std::string("nothing")));
      return value;
    }
    std::string path = group["file"].c_str();
    if (!path.starts_with('/')) path = source_.default_directory() + "/" + path;
    Result<std::string> text = Error{};
    if (const auto handed = handed_lists_.find(path); handed != handed_lists_.end()) {
      text = handed->second;
    } else {
      const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
      const int open_error = errno;
      text = file ? base::read_all(file.get(), kMaxListFileBytes) : Result<std::string>(system_error(open_error, "open"));
    }
    if (!text) {
      mistake(place(group), join(shown, "file"), "the list " + path + " can't be read: " + text.error().what);
      return value;
    }
    value.kind = Value::Kind::texts;
    // Lines end in LF, CRLF or CR (listeners.md A-1).
    std::string_view rest = *text;
    for (int line = 1; !rest.empty(); ++line) {
      const auto end = rest.find_first_of("\r\n");
      value.lines.push_back({std::string(rest.substr(0, end)), {path, line}});
      if (end == std::string_view::npos) break;
      rest.remove_prefix(rest.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
    }
    if (std::none_of(configuration_.list_texts.begin(), configuration_.list_texts.end(), [&](const TextLine& known) { return known.place.file == path; }))
      configuration_.list_texts.push_back({encode_file(path, *text), {path, 0}});
    return value;
  }
  net::AddressList::Resolver resolver() const {
    return [this](std::string_view name) -> std::optional<std::string> {
      const auto known = lists_.find(std::string(name));
      if (known == lists_.end()) return std::nullopt;
      return known->second;
    };
  }

  void set_default(const Setting& setting, std::string_view text) {
    if (text.empty()) return;
    std::vector<Mistake> wrong;
    assign(setting, scope_, value_from(setting, text), {}, std::string(setting.name), wrong, resolver());
    POSTERN_ASSERT(wrong.empty());
  }
  void set_defaults() {
    for (const Setting& setting : all_settings())
      if (is_of_server(setting)) set_default(setting, setting.fallback);
    configuration_.host_name = source_.default_host_name();
    configuration_.tables_directory = source_.default_directory();
    configuration_.filters.directory = source_.default_directory();
  }

  // A member of the whole server's groups: `group` as in the table, `shown` as in messages.
  void read_member(const Node& node, const std::string& group, const std::string& shown_group) {
    const std::string name = join(group, name_of(node));
    const std::string shown = join(shown_group, name_of(node));
    if (const Setting* const setting = find_setting(name)) {
      configuration_.places[shown] = place(node);
      return assign(*setting, scope_, value_of(node), place(node), shown, loaded_.mistakes, resolver());
    }
    if (is_group(name) && name != "listeners") {
      if (!node.isGroup()) return mistake(place(node), shown, "expected a group { }, found " + kind_of(node));
      for (int i = 0; i < node.getLength(); ++i) read_member(node[i], name, shown);
      return;
    }
    const std::string near = similar(group, name_of(node));
    mistake(place(node), shown, "there is no such setting" + (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }

  void read_listeners(const Node& group) {
    if (!group.isGroup()) return mistake(place(group), "listeners", "expected a group { } with a group for each service, found " + kind_of(group));
    for (int i = 0; i < group.getLength(); ++i) {
      const Node& node = group[i];
      const std::string name(name_of(node));
      const std::string shown = "listeners." + name;
      const auto module = module_from(name);
      if (!module) {
        if (std::find(std::begin(kLaterModules), std::end(kLaterModules), name) != std::end(kLaterModules)) {
          mistake(place(node), shown, "this service is not available yet in this version");
        } else {
          const std::string near = similar("listeners", name);
          mistake(place(node), shown, "expected a service: smtp, lmtp, pop3, managesieve or snmp" + (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
        }
        continue;
      }
      if (!node.isGroup()) {
        mistake(place(node), shown, "expected a group { }, found " + kind_of(node));
        continue;
      }
      read_listener(node, *module, shown);
    }
  }

  void read_listener(const Node& group, Module module, const std::string& shown) {
    Listener listener;
    listener.module = module;
    listener.place = place(group);
    const bool udp = transport(module) == Transport::udp;
    scope_.listener = &listener;
    for (const Setting& setting : all_settings())
      if (setting.name.starts_with("listeners.*.") && setting.name.find("[]") == std::string_view::npos) set_default(setting, fallback_for(setting, module));
    if (udp) listener.maximum_connections = listener.connections_per_address = listener.reserve_for_clients = 0;
    for (int i = 0; i < group.getLength(); ++i)
      if (name_of(group[i]) == "sockets") read_sockets(group[i], listener, shown + ".sockets");
      else if (name_of(group[i]) == "limits" && !udp) read_limits(group[i], listener, shown + ".limits");
      else if (!udp || !not_for_udp(group[i], "listeners.*", shown)) read_member(group[i], "listeners.*", shown);
    scope_.listener = nullptr;
    if (listener.maximum_connections > 0 && listener.reserve_for_clients >= listener.maximum_connections)
      mistake(place_of(shown + ".reserve_for_clients", listener.place), shown + ".reserve_for_clients",
              "the reserve is not below maximum_connections (" + std::to_string(listener.maximum_connections) + "): only client addresses will ever get in", true);
    // L-15; SMTP has its blacklist instead.
    if (listener.clients_only && module != Module::pop3 && module != Module::managesieve)
      mistake(place_of(shown + ".clients_only", listener.place), shown + ".clients_only", "expected false, found true: only services in which users log in have it: pop3 and managesieve");
    constexpr unsigned kUdpRules = 1U << static_cast<unsigned>(GateRule::restriction) | 1U << static_cast<unsigned>(GateRule::blocked);
    if (udp && (listener.dry_run & ~kUdpRules) != 0)
      mistake(place_of(shown + ".dry_run", listener.place), shown + ".dry_run", "expected \"restriction\" or \"blocked\": a service over UDP has no other rules");
    if (is_open(listener) && listener.sockets.empty()) mistake(listener.place, shown, "no sockets: nothing will listen", true);
    configuration_.listeners.push_back(std::move(listener));
  }

  // Relative to the directory of the configuration, as the administrator means it.
  void make_absolute(std::string& path) const {
    if (!path.empty() && !path.starts_with('/')) path = source_.default_directory() + "/" + path;
  }

  // True if `node` is a list whose elements are to be read; a mistake if it is none, or too long.
  bool is_list(const Node& node, const std::string& shown, int most, const char* example) {
    if (node.getType() != Node::TypeList && !(node.getType() == Node::TypeArray && node.getLength() == 0)) {
      mistake(place(node), shown, std::string("expected a list ( ") + example + ", ... ), found " + kind_of(node));
      return false;
    }
    if (node.getLength() <= most) return true;
    mistake(place(node), shown, "expected at most " + std::to_string(most) + " rows, found " + std::to_string(node.getLength()));
    return false;
  }

  void read_tls(const Node& group) {
    if (!group.isGroup()) return mistake(place(group), "tls", "expected a group { }, found " + kind_of(group));
    for (int i = 0; i < group.getLength(); ++i) {
      if (name_of(group[i]) != "domains") {
        read_member(group[i], "tls", "tls");
        continue;
      }
      if (!is_list(group[i], "tls.domains", kMaxDomains, "{ names = ...; certificates = ...; }")) continue;
      for (int k = 0; k < group[i].getLength(); ++k) read_domain(group[i][k], "tls.domains[" + std::to_string(k) + "]");
    }
    make_absolute(configuration_.tls.client_authorities);
  }

  void read_domain(const Node& group, const std::string& shown) {
    if (!group.isGroup()) return mistake(place(group), shown, "expected a group { names = ...; certificates = ...; }, found " + kind_of(group));
    TlsDomain domain;
    domain.place = place(group);
    for (int i = 0; i < group.getLength(); ++i) {
      if (name_of(group[i]) == "certificates") {
        if (!is_list(group[i], shown + ".certificates", kMaxCertificates, "{ certificate = \"...\"; key = \"...\"; }")) continue;
        for (int k = 0; k < group[i].getLength(); ++k) read_certificate(group[i][k], domain, shown + ".certificates[" + std::to_string(k) + "]");
        continue;
      }
      scope_.domain = &domain;
      read_member(group[i], "tls.domains[]", shown);
      scope_.domain = nullptr;
    }
    check_domain(domain, shown);
    configuration_.tls.domains.push_back(std::move(domain));
  }

  void read_certificate(const Node& group, TlsDomain& domain, const std::string& shown) {
    if (!group.isGroup()) return mistake(place(group), shown, "expected a group { certificate = \"...\"; key = \"...\"; }, found " + kind_of(group));
    TlsCertificate certificate;
    certificate.place = place(group);
    scope_.certificate = &certificate;
    for (int i = 0; i < group.getLength(); ++i) read_member(group[i], "tls.domains[].certificates[]", shown);
    scope_.certificate = nullptr;
    if (!group.exists("certificate")) return mistake(certificate.place, shown + ".certificate", "expected the path of a file, found nothing");
    for (std::string* const path : {&certificate.certificate, &certificate.key, &certificate.ocsp}) make_absolute(*path);
    domain.certificates.push_back(std::move(certificate));
  }

  // Names and addresses of domains: each belongs to one (listeners.md T-2, T-4).
  void check_domain(TlsDomain& domain, const std::string& shown) {
    if (domain.names.empty()) mistake(domain.place, shown + ".names", "expected the domain's name, and its aliases, found nothing");
    const auto once = [&](std::map<std::string, Place>& known, const std::string& value, const TextLine& line, const std::string& setting) {
      const auto [at, added] = known.emplace(value, line.place);
      if (!added) mistake(line.place, setting, "\"" + value + "\" stands already at " + at->second.file + ":" + std::to_string(at->second.line));
    };
    for (TextLine& line : domain.names) {
      const std::string name = net::normal_server_name(line.text);
      if (is_host_name(name)) once(tls_names_, name, line, shown + ".names");
      else mistake(line.place, shown + ".names", "expected a host name such as \"mail.example.com\", found \"" + base::printable(line.text, 64) + "\"");
      line.text = name;
    }
    for (TextLine& line : domain.addresses) {
      const auto address = net::Address::parse(base::trim(line.text));
      if (address && !address->is_any()) once(tls_addresses_, address->to_string(), line, shown + ".addresses");
      else mistake(line.place, shown + ".addresses", "expected an address of this machine, found \"" + base::printable(line.text, 64) + "\"" + (address ? "" : ": " + address.error().what));
    }
    if (domain.certificates.empty()) mistake(domain.place, shown + ".certificates", "the domain has no certificate: TLS connections for it will be closed", true);
  }

  // Tables of counters by name (access-control.md 8.1).
  void read_throttle(const Node& group) {
    if (!group.isGroup()) return mistake(place(group), "throttle", "expected a group { } with a group for each table, found " + kind_of(group));
    std::uint64_t entries = 0;
    for (int i = 0; i < group.getLength(); ++i) {
      const Node& node = group[i];
      const std::string shown = join("throttle", name_of(node));
      if (!node.isGroup()) {
        mistake(place(node), shown, "expected a group { quota = ...; }, found " + kind_of(node));
        continue;
      }
      ThrottleTable table;
      table.name = name_of(node);
      table.place = place(node);
      scope_.throttle = &table;
      for (int k = 0; k < node.getLength(); ++k) read_member(node[k], "throttle.*", shown);
      scope_.throttle = nullptr;
      if (table.name.size() > kMaxThrottleNameBytes)
        mistake(table.place, shown, "expected a name of at most " + std::to_string(kMaxThrottleNameBytes) + " characters, found " + std::to_string(table.name.size()));
      for (const ThrottleTable& other : configuration_.throttle)
        if (!is_repeated(node) && base::equal_ignoring_case(other.name, table.name))
          mistake(table.place, shown, "a table of this name stands already at " + other.place.file + ":" + std::to_string(other.place.line));
      if (!node.exists("quota")) mistake(table.place, shown + ".quota", "expected " + expected(*find_setting("throttle.*.quota")) + ", found nothing");
      entries += table.max_entries;
      configuration_.throttle.push_back(std::move(table));
    }
    if (configuration_.throttle.size() > kMaxThrottleTables)
      mistake(place(group), "throttle", "expected at most " + std::to_string(kMaxThrottleTables) + " tables, found " + std::to_string(configuration_.throttle.size()));
    if (entries > kMaxThrottleEntries)
      mistake(place(group), "throttle", "expected at most " + std::to_string(kMaxThrottleEntries) + " max_entries in all tables together, found " + std::to_string(entries));
  }

  // Filters outside the server, by name.
  void read_milters(const Node& group) {
    if (!group.isGroup()) return mistake(place(group), "milters", "expected a group { } with a group for each milter, found " + kind_of(group));
    if (group.getLength() > static_cast<int>(kMaxMilters))
      return mistake(place(group), "milters", "expected at most " + std::to_string(kMaxMilters) + " milters, found " + std::to_string(group.getLength()));
    for (int i = 0; i < group.getLength(); ++i) {
      const Node& node = group[i];
      const std::string shown = join("milters", name_of(node));
      if (!node.isGroup()) {
        mistake(place(node), shown, "expected a group { address = ...; }, found " + kind_of(node));
        continue;
      }
      Milter milter;
      milter.name = name_of(node);
      milter.place = place(node);
      scope_.milter = &milter;
      const std::size_t before = loaded_.mistakes.size();
      for (int k = 0; k < node.getLength(); ++k) read_member(node[k], "milters.*", shown);
      scope_.milter = nullptr;
      const bool read_well = loaded_.mistakes.size() == before;
      const bool named_well = milter.name.size() <= kMaxMilterNameBytes && !base::equal_ignoring_case(milter.name, kNoMilters);
      if (!named_well)
        mistake(milter.place, shown, "expected a name of at most " + std::to_string(kMaxMilterNameBytes) + " characters other than \"" + std::string(kNoMilters) + "\"");
      for (const Milter& other : configuration_.milters)
        if (!is_repeated(node) && base::equal_ignoring_case(other.name, milter.name))
          mistake(milter.place, shown, "a milter of this name stands already at " + other.place.file + ":" + std::to_string(other.place.line));
      constexpr std::string_view kExpected = "expected an address such as \"unix:/run/filter.sock\" or \"inet:127.0.0.1:8891\", found ";
      if (!node.exists("address"))
        mistake(milter.place, shown + ".address", std::string(kExpected) + "nothing");
      else if (const auto address = milter_address(milter.address); !address && read_well)
        mistake(place(node["address"]), shown + ".address", std::string(kExpected) + "\"" + base::printable(milter.address, 64) + "\": " + address.error().what);
      configuration_.milters.push_back(std::move(milter));
    }
  }

  // Names of milters in listeners and socket rows.
  void check_milters() {
    const auto check = [&](const std::vector<TextLine>& lines, const Place& where, const std::string& shown, Module module) {
      if (lines.empty()) return;
      if (module != Module::smtp && module != Module::lmtp)
        return mistake(lines.front().place, shown, "only services that take mail have milters: smtp and lmtp");
      if (lines.size() > kMaxMilters)
        return mistake(where, shown, "expected at most " + std::to_string(kMaxMilters) + " milters, found " + std::to_string(lines.size()));
      if (lines.size() == 1 && base::equal_ignoring_case(lines.front().text, kNoMilters)) return;
      for (std::size_t i = 0; i < lines.size(); ++i) {
        const auto is_this = [&](const auto& other, const std::string& name) { return base::equal_ignoring_case(name, other); };
        if (std::none_of(configuration_.milters.begin(), configuration_.milters.end(), [&](const Milter& one) { return is_this(lines[i].text, one.name); }))
          mistake(lines[i].place, shown, "expected the name of a milter in the group milters, found \"" + base::printable(lines[i].text, 64) + "\"");
        if (std::any_of(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(i), [&](const TextLine& one) { return is_this(lines[i].text, one.text); }))
          mistake(lines[i].place, shown, "\"" + base::printable(lines[i].text, 64) + "\" stands twice in the list");
      }
    };
    for (const Listener& listener : configuration_.listeners) {
      const std::string shown = "listeners." + std::string(to_string(listener.module));
      check(listener.milters, listener.place, shown + ".milters", listener.module);
      for (const SocketRow& row : listener.sockets) check(row.milters, row.place, shown + ".sockets[" + std::to_string(row.number) + "].milters", listener.module);
    }
  }

  // A setting that exists, but not for a service over UDP, is a mistake of its own.
  bool not_for_udp(const Node& node, const std::string& group, const std::string& shown_group) {
    if (is_for_udp(name_of(node)) || find_setting(join(group, name_of(node))) == nullptr) return false;
    mistake(place(node), join(shown_group, name_of(node)), "a service over UDP has no connections and no such setting");
    return true;
  }

  void read_sockets(const Node& list, Listener& listener, const std::string& shown) {
    if (list.getType() != Node::TypeList && !(list.getType() == Node::TypeArray && list.getLength() == 0))
      return mistake(place(list), shown, "expected a list ( { port = ...; }, ... ), found " + kind_of(list));
    if (list.getLength() > kMaxSocketRows) return mistake(place(list), shown, "expected at most " + std::to_string(kMaxSocketRows) + " sockets");
    for (int i = 0; i < list.getLength(); ++i) {
      const std::size_t rows = listener.sockets.size();
      read_socket(list[i], listener, shown + "[" + std::to_string(i) + "]");
      if (listener.sockets.size() > rows) listener.sockets.back().number = static_cast<unsigned>(i);
    }
  }

  void read_limits(const Node& list, Listener& listener, const std::string& shown) {
    if (list.getType() != Node::TypeList && !(list.getType() == Node::TypeArray && list.getLength() == 0))
      return mistake(place(list), shown, "expected a list ( { list = \"...\"; connections_per_address = ...; }, ... ), found " + kind_of(list));
    if (list.getLength() > kMaxLimitRows) return mistake(place(list), shown, "expected at most " + std::to_string(kMaxLimitRows) + " rows");
    for (int i = 0; i < list.getLength(); ++i) {
      const Node& group = list[i];
      const std::string row_shown = shown + "[" + std::to_string(i) + "]";
      if (!group.isGroup()) {
        mistake(place(group), row_shown, "expected a group { list = \"...\"; connections_per_address = ...; }, found " + kind_of(group));
        continue;
      }
      LimitRow row;
      row.place = place(group);
      scope_.limit = &row;
      const std::size_t before = loaded_.mistakes.size();
      for (int k = 0; k < group.getLength(); ++k) read_member(group[k], "listeners.*.limits[]", row_shown);
      scope_.limit = nullptr;
      if (!group.exists("list")) mistake(row.place, row_shown + ".list", "expected " + expected(*find_setting("listeners.*.limits[].list")) + ", found nothing");
      else if (loaded_.mistakes.size() == before && row.addresses.empty()) mistake(row.place, row_shown + ".list", "the list is empty: the row holds for nobody", true);
      if (loaded_.mistakes.size() == before && !row.connections_per_address && !row.connections_per_site && !row.connections_per_address_all)
        mistake(row.place, row_shown, "expected connections_per_address, connections_per_site or connections_per_address_all, found none of them");
      listener.limits.push_back(std::move(row));
    }
  }

  void read_socket(const Node& group, Listener& listener, const std::string& shown) {
    if (!group.isGroup()) return mistake(place(group), shown, "expected a group { port = ...; }, found " + kind_of(group));
    SocketRow row;
    row.place = place(group);
    scope_.row = &row;
    const std::size_t before = loaded_.mistakes.size();
    const Setting* const port = find_setting("listeners.*.sockets[].port");
    if (!group.exists("port")) {
      mistake(row.place, shown + ".port", "expected " + expected(*port) + ", found nothing");
    } else {
      read_member(group["port"], "listeners.*.sockets[]", shown);
      // A row with port 0 does not exist, whatever else it says (listeners.md W-3).
      if (loaded_.mistakes.size() == before && row.port == 0) {
        scope_.row = nullptr;
        return;
      }
    }
    const bool udp = transport(listener.module) == Transport::udp;
    for (int i = 0; i < group.getLength(); ++i) {
      if (name_of(group[i]) == "port") continue;
      if (!udp || !not_for_udp(group[i], "listeners.*.sockets[]", shown)) read_member(group[i], "listeners.*.sockets[]", shown);
    }
    scope_.row = nullptr;
    if (udp) {
      // Who answers datagrams of anybody helps to flood a third one: without another word only the site's own networks are answered (U-7).
      if (!group.exists("restriction")) row.restriction = Restriction::grant;
      row.client_list = row.restriction == Restriction::grant && !group.exists("list");
    }
    check_row(row, shown, before);
    if (loaded_.mistakes.size() > before && row.port == 0) return;
    listener.sockets.push_back(std::move(row));
  }

  // What a row's settings say together. `before`: how many mistakes there were before this row.
  void check_row(const SocketRow& row, const std::string& shown, std::size_t before) {
    const auto list_is_good = [&](const std::string& list) {
      return std::none_of(loaded_.mistakes.begin() + static_cast<std::ptrdiff_t>(before), loaded_.mistakes.end(),
                          [&](const Mistake& one) { return one.setting == list; });
    };
    // A list that is ignored may hold anything (L-13); it is said, though, while it can be seen.
    const auto only_warn = [&](const std::string& list) {
      for (std::size_t i = before; i < loaded_.mistakes.size(); ++i)
        if (loaded_.mistakes[i].setting == list) loaded_.mistakes[i].warning = true;
    };
    if (row.restriction == Restriction::none) only_warn(shown + ".list");
    if (!row.proxy) only_warn(shown + ".trusted_proxies");
    if (list_is_good(shown + ".list") && row.addresses.empty() && row.restriction == Restriction::grant && !row.client_list)
      mistake(row.place, shown + ".list", "restriction \"grant\" with an empty list: nobody will get in here", true);
    if (list_is_good(shown + ".list") && row.addresses.empty() && row.restriction == Restriction::deny)
      mistake(row.place, shown + ".list", "restriction \"deny\" with an empty list: nobody is kept out", true);
    // Listeners.md T-20: whoever may send a header may pretend to be anybody.
    if (row.proxy && list_is_good(shown + ".trusted_proxies") && row.trusted_proxies.empty())
      mistake(place_of(shown + ".proxy", row.place), shown + ".trusted_proxies", "expected the addresses of the proxies that may connect here, found an empty list");
    // T-11.
    if (row.init_tls == InitTls::ext && row.restriction != Restriction::grant && !row.proxy)
      mistake(place_of(shown + ".init_tls", row.place), shown + ".init_tls",
              "\"ext\" without restriction \"grant\" and without proxy: whoever can reach this socket may send passwords in clear text", true);
  }

  Place place_of(const std::string& shown, const Place& otherwise) const {
    const auto known = configuration_.places.find(shown);
    return known == configuration_.places.end() ? otherwise : known->second;
  }
  Place place_of(const std::string& shown) const { return place_of(shown, {source_.name(), 0}); }

  // What no setting can say alone.
  // Logins by bearer token: each mistake would let in whom it should not, or nobody.
  void check_tokens() {
    const Sasl& sasl = configuration_.sasl;
    if (sasl.token_keys.size() > kMostTokenKeys)
      mistake(place_of("sasl.token_keys"), "sasl.token_keys", "expected at most " + std::to_string(kMostTokenKeys) + " files, found " + std::to_string(sasl.token_keys.size()));
    for (const TextLine& key : sasl.token_keys)
      if (!key.text.starts_with('/')) mistake(key.place, "sasl.token_keys", "expected the absolute path of a file, found \"" + base::printable(key.text, 256) + "\"");
    const std::pair<const char*, const std::string*> needed[] = {{"sasl.token_issuer", &sasl.token_issuer}, {"sasl.token_audience", &sasl.token_audience}};
    for (const auto& [name, value] : needed)
      if (!sasl.token_keys.empty() && value->empty())
        mistake(place_of(name, place_of("sasl.token_keys")), name, "expected a text, since there are sasl.token_keys: tokens made for others would be good here too");
  }

  void check() {
    for (Listener& listener : configuration_.listeners)
      for (SocketRow& row : listener.sockets)
        if (row.client_list) row.addresses = configuration_.client_addresses;
    check_sockets();
    check_milters();
    check_tls();
    if (const Listener* const snmp = find_listener(configuration_, Module::snmp);
        snmp != nullptr && !snmp->sockets.empty() && configuration_.snmp.community.empty())
      mistake(snmp->place, "snmp.community", "expected a community (a password of 1 to 128 characters) for listeners.snmp, found none: nothing would ever be answered");
    check_texts();
    check_dns();
    check_authentication();
    check_ldap(configuration_, [this](const char* setting, const Place* line, std::string text, bool warning) {
      mistake(line == nullptr ? place_of(setting) : *line, setting, std::move(text), warning);
    });
    configuration_.users.network_place = place_of("users.network");
    configuration_.users.mail_place = place_of("users.mail");
    configuration_.users.directory_place = place_of("users.directory");
    std::uint64_t sum = 0;
    for (const Listener& listener : configuration_.listeners) sum += listener.maximum_connections;
    if (sum > configuration_.connection_table_sessions)
      mistake(place_of("connection_table_sessions"), "connection_table_sessions",
              "expected room for the sum of all maximum_connections, " + std::to_string(sum) + ", found " + std::to_string(configuration_.connection_table_sessions));
    // Unless they may be in a file that could not be read.
    if (configuration_.listeners.empty() && source_.mistakes().empty())
      mistake({source_.name(), 0}, "listeners", "no service is listed: nothing will listen", true);
    if (configuration_.spool.large_message_bytes > configuration_.spool.segment_bytes / 2)
      mistake(place_of("spool.large_message_bytes", place_of("spool.segment_bytes")), "spool.large_message_bytes",
              "expected at most half of spool.segment_bytes, " + std::to_string(configuration_.spool.segment_bytes / 2) + ", found " +
                  std::to_string(configuration_.spool.large_message_bytes));
    if (configuration_.delivery.retry_first > configuration_.delivery.retry_most)
      mistake(place_of("delivery.retry_first", place_of("delivery.retry_most")), "delivery.retry_first",
              "expected at most delivery.retry_most, " + std::to_string(configuration_.delivery.retry_most.count()) + " s, found " +
                  std::to_string(configuration_.delivery.retry_first.count()) + " s");
    if (configuration_.queue.retry_first > configuration_.queue.retry_most)
      mistake(place_of("queue.retry_first", place_of("queue.retry_most")), "queue.retry_first",
              "expected at most queue.retry_most, " + std::to_string(configuration_.queue.retry_most.count()) + " s, found " +
                  std::to_string(configuration_.queue.retry_first.count()) + " s");
    const std::string& language = configuration_.queue.notices_language;
    if (!std::all_of(language.begin(), language.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '_'; }))
      mistake(place_of("queue.notices_language"), "queue.notices_language", "expected the name of a language such as \"en\" or \"pt-BR\", found \"" + language + "\"");
    check_tokens();
    if (configuration_.relay.dead_time > configuration_.relay.dead_time_most)
      mistake(place_of("relay.dead_time", place_of("relay.dead_time_most")), "relay.dead_time",
              "expected at most relay.dead_time_most, " + std::to_string(configuration_.relay.dead_time_most.count()) + " s, found " +
                  std::to_string(configuration_.relay.dead_time.count()) + " s");
    if (!configuration_.log.file.empty() && configuration_.log.destination == base::Destination::syslog)
      mistake(place_of("log.file"), "log.file", "has no effect while log.destination is \"syslog\"", true);
  }

  // Whose certificate a connection to the row gets if its client names no domain that is served (listeners.md T-2, T-4): of a row for all
  // addresses, that of the main domain.
  [[nodiscard]] const TlsDomain* domain_of(const SocketRow& row) const {
    const std::vector<TlsDomain>& domains = configuration_.tls.domains;
    const auto has = [](const std::vector<TextLine>& lines, auto is_it) {
      return std::any_of(lines.begin(), lines.end(), [&](const TextLine& line) { return is_it(line.text); });
    };
    const auto is_address = [&](const std::string& text) {
      const auto address = net::Address::parse(base::trim(text));
      return address && *address == row.address.address;
    };
    if (row.address.kind == LocalAddress::Kind::one)
      for (const TlsDomain& domain : domains)
        if (has(domain.addresses, is_address)) return &domain;
    for (const TlsDomain& domain : domains)
      if (has(domain.names, [&](const std::string& text) { return base::equal_ignoring_case(text, configuration_.host_name); })) return &domain;
    return domains.empty() ? nullptr : &domains.front();
  }

  void check_tls() {
    for (const Listener& listener : configuration_.listeners) {
      const std::string shown = "listeners." + std::string(to_string(listener.module));
      for (const SocketRow& row : listener.sockets) {
        if (row.init_tls != InitTls::on) continue;
        const TlsDomain* const domain = domain_of(row);
        if (domain == nullptr)
          mistake(row.place, shown + ".sockets", "init_tls is \"on\" and tls.domains has no certificate: every connection will be closed", true);
        else if (domain->certificates.empty())
          mistake(row.place, shown + ".sockets",
                  "init_tls is \"on\" and the domain of this address, " + (domain->names.empty() ? std::string("without a name") : domain->names.front().text) +
                      ", has no certificate: a connection whose client names no other domain will be closed", true);
      }
      if (listener.client_certificates && configuration_.tls.client_authorities.empty())
        mistake(place_of(shown + ".client_certificates", listener.place), shown + ".client_certificates",
                "has no effect without tls.client_authorities", true);
    }
  }

  void check_dns() {
    if (configuration_.resolver.servers.size() > kMaxNameServers)
      mistake(place_of("resolver.servers"), "resolver.servers",
              "expected at most " + std::to_string(kMaxNameServers) + " name servers, found " + std::to_string(configuration_.resolver.servers.size()));
    for (const TextLine& line : configuration_.resolver.servers)
      if (const auto server = name_server(line.text); !server)
        mistake(line.place, "resolver.servers",
                "expected the address of a name server such as \"192.0.2.53\" or \"192.0.2.53:5353\", found \"" + base::printable(line.text, 64) + "\": " + server.error().what);
    for (Listener& listener : configuration_.listeners) {
      const std::string shown = "listeners." + std::string(to_string(listener.module)) + ".dns_verify_domain";
      if (listener.dns_verify_domain.size() > kMaxDnsLists)
        mistake(place_of(shown, listener.place), shown,
                "expected at most " + std::to_string(kMaxDnsLists) + " DNS lists, found " + std::to_string(listener.dns_verify_domain.size()));
      for (TextLine& line : listener.dns_verify_domain) {
        const auto name = net::canonical_dns_name(base::trim(line.text));
        // In front of it stands an address: 64 characters at most.
        if (name && *name != "." && name->size() <= 189) line.text = *name;
        else mistake(line.place, shown, "expected the name of a DNS list such as \"list.example.net\", found \"" + base::printable(line.text, 64) + "\"" +
                                            (name ? "" : ": " + name.error().what));
      }
    }
  }

  void check_authentication() {
    Authentication& authentication = configuration_.authentication;
    const auto is_domain = [&](const char* name, std::string& text, bool plain) {
      if (text.empty()) return;
      const auto canonical = net::canonical_dns_name(text);
      const bool good = canonical && std::all_of(text.begin(), text.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '.'; });
      if (!good) mistake(place_of(name), name, "expected a domain such as \"example.com\", found \"" + base::printable(text, 64) + "\"");
      else if (plain) text = *canonical;
    };
    is_domain("authentication.service", authentication.service, false);
    is_domain("authentication.arc_domain", authentication.arc_domain, true);
    is_domain("authentication.srs_domain", authentication.srs_domain, true);
    if (!authentication.srs_domain.empty() && authentication.srs_secret_file.empty())
      mistake(place_of("authentication.srs_domain"), "authentication.srs_domain", "expected authentication.srs_secret_file beside it, found none: senders could not be rewritten");
  }

  void check_filters() {
    Filters& filters = configuration_.filters;
    if (filters.global_directory.empty()) filters.global_directory = filters.directory + "/sieve-global";
    else if (!filters.global_directory.starts_with('/'))
      mistake(place_of("filters.global_directory"), "filters.global_directory", "expected a path that begins with \"/\", found \"" + base::printable(filters.global_directory, 64) + "\"");
    for (const auto& [name, field] : {std::pair{"filters.spam_field", &filters.spam_field}, {"filters.virus_field", &filters.virus_field}})
      if (!std::all_of(field->begin(), field->end(), [](char c) { return c > ' ' && c < 0x7f && c != ':'; }))
        mistake(place_of(name), name, "expected the name of a header field, found \"" + base::printable(*field, 64) + "\"");
      else if (belongs_to_the_sender(*field))
        mistake(place_of(name), name, "expected a field that filters alone write, since it is taken out of mail from outside, found \"" + base::printable(*field, 64) + "\"");
    for (const TextLine& line : filters.virus_values)
      if (const auto value = virus_value(line.text); !value) mistake(line.place, "filters.virus_values", value.error().what);
    if (const std::string& separators = filters.folder_separators; separators != "/" && separators != "." && separators != "/." && separators != "./")
      mistake(place_of("filters.folder_separators"), "filters.folder_separators", "expected \"/\", \".\" or both, found \"" + base::printable(separators, 8) + "\"");
    if (filters.lists.size() > kMaxFilterLists)
      mistake(place_of("filters.lists"), "filters.lists", "expected at most " + std::to_string(kMaxFilterLists) + " lists, found " + std::to_string(filters.lists.size()));
    std::set<std::string> lists;
    for (const TextLine& line : filters.lists) {
      const auto list = filter_list(configuration_, line.text);
      if (!list) mistake(line.place, "filters.lists", list.error().what);
      else if (!lists.insert(list->name).second) mistake(line.place, "filters.lists", "there are two lists of the name \"" + list->name + "\"");
    }
    const auto in_order = [&](const char* name, std::chrono::seconds less, const char* than, std::chrono::seconds more) {
      if (less > more) mistake(place_of(name), name, "expected at most " + std::string(than) + " (" + std::to_string(more.count()) + " s), found " + std::to_string(less.count()) + " s");
    };
    in_order("filters.vacation_least", filters.vacation_least, "filters.vacation_most", filters.vacation_most);
    in_order("filters.vacation_default", filters.vacation_default, "filters.vacation_most", filters.vacation_most);
    in_order("filters.duplicate_default", filters.duplicate_default, "filters.duplicate_most", filters.duplicate_most);
  }

  void check_texts() {
    const auto is_absolute = [&](const char* name, const std::string& path) {
      if (!path.starts_with('/')) mistake(place_of(name), name, "expected a path that begins with \"/\", found \"" + base::printable(path, 64) + "\"");
    };
    is_absolute("base_directory", configuration_.base_directory);
    is_absolute("tables_directory", configuration_.tables_directory);
    is_absolute("filters.directory", configuration_.filters.directory);
    is_absolute("queue.notices_directory", configuration_.queue.notices_directory);
    check_filters();
    if (!configuration_.log.file.empty()) is_absolute("log.file", configuration_.log.file);
    if (!is_host_name(configuration_.host_name))
      mistake(place_of("host_name"), "host_name", "expected a host name such as \"mail.example.com\", found \"" + base::printable(configuration_.host_name, 64) + "\"");
    const auto is_user = [&](const char* name, const std::string& user) {
      const bool good = std::all_of(user.begin(), user.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '_' || c == '-' || c == '.'; });
      if (!good) mistake(place_of(name), name, "expected a user's name, found \"" + base::printable(user, 64) + "\"");
    };
    is_user("users.network", configuration_.users.network);
    is_user("users.mail", configuration_.users.mail);
    is_user("users.directory", configuration_.users.directory);
    if (configuration_.access.probe_bar_char == '|')
      mistake(place_of("probe_bar_char"), "probe_bar_char", "expected another character than the one it stands for, found \"|\"");
    for (const char c : configuration_.recipient_delimiter)
      if (base::is_alpha(c) || base::is_digit(c) || c == '@' || c == '.' || c == ' ' || c == '"') {
        mistake(place_of("recipient_delimiter"), "recipient_delimiter", std::string("expected signs such as \"+\", found \"") + c + "\"");
        break;
      }
    for (const Listener& listener : configuration_.listeners)
      for (const SocketRow& row : listener.sockets)
        // access-control.md 3.1; `ims-ms` has a hyphen. That the channel exists is checked where channels are read.
        if (row.channel.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_$-") != std::string::npos)
          mistake(row.place, "listeners." + std::string(to_string(listener.module)) + ".sockets.channel",
                  "expected a channel's name (a-z, 0-9, _, $, -), found \"" + base::printable(row.channel, 64) + "\"");
  }

  // RFC 1123 section 2.1; an underscore is tolerated, since the machine may be called so.
  static bool is_host_name(std::string_view name) {
    if (name.empty() || name.size() > 253) return false;
    for (const std::string_view label : base::split(name, '.')) {
      if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
      if (!std::all_of(label.begin(), label.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '_'; })) return false;
    }
    return true;
  }

  // No two sockets of any modules may collide, those of TCP and those of UDP apart (listeners.md L-3 to L-6): the kernel would
  // not always say so.
  void check_sockets() {
    struct Known {
      const Listener* listener;
      const SocketRow* row;
    };
    std::map<std::pair<Transport, std::uint16_t>, std::vector<Known>> by_port;
    const auto name = [](const Known& one) {
      return std::string(to_string(one.listener->module)) + " " + one.row->address.to_string() + ":" + std::to_string(one.row->port) +
             (transport(one.listener->module) == Transport::udp ? "/udp" : "");
    };
    for (const Listener& listener : configuration_.listeners) {
      // Of a listener that is switched off no socket is open (L-8).
      if (!is_open(listener)) continue;
      for (const SocketRow& row : listener.sockets) {
        auto& others = by_port[{transport(listener.module), row.port}];
        const Known self{&listener, &row};
        for (const Known& other : others) {
          if (!overlap(other.row->address, row.address)) continue;
          std::string why = "both are the same address";
          for (const Known& one : {other, self})
            if (other.row->address != row.address && one.row->address.kind != LocalAddress::Kind::one)
              why = name(one) + " takes all" + (one.row->address.kind == LocalAddress::Kind::all ? "" : one.row->address.kind == LocalAddress::Kind::all_ipv4 ? " IPv4" : " IPv6") + " addresses";
          mistake(row.place, "listeners." + std::string(to_string(listener.module)) + ".sockets",
                  "socket " + name(self) + " collides with " + name(other) + " (" + other.row->place.file + ":" + std::to_string(other.row->place.line) + "): " + why);
        }
        others.push_back(self);
      }
    }
  }

  const Source& source_;
  Loaded& loaded_;
  Configuration& configuration_;
  Scope scope_;
  std::map<const void*, std::size_t> string_numbers_;
  std::map<std::string, std::string> lists_;
  std::map<std::string, std::string> handed_lists_;  // by path
  std::map<std::string, Place> tls_names_, tls_addresses_;
};

// Parses; a mistake of syntax is returned with the line in source.text().
std::optional<unsigned> parse(const Source& source, libconfig::Config& config, std::string& what) {
  try {
    // Includes are done already; should libconfig see one all the same, it finds nothing.
    config.setIncludeDir("/nonexistent");
    config.readString(source.text());
    return std::nullopt;
  } catch (const libconfig::ParseException& error) {
    what = error.getError() == nullptr ? "syntax error" : error.getError();
    return static_cast<unsigned>(std::max(error.getLine(), 1));
  } catch (const libconfig::ConfigException& error) {
    what = error.what();
    return 1;
  }
}

Mistake syntax_mistake(const Source& source, unsigned line, const std::string& what) {
  const std::string_view text = base::trim(source.line_text(line));
  // What may hold a secret is not shown.
  const bool secret = std::any_of(all_settings().begin(), all_settings().end(), [&](const Setting& setting) {
    return setting.secret && text.find(setting.name.substr(setting.name.rfind('.') + 1)) != std::string_view::npos;
  });
  std::string hint = secret ? ": at this line, or just before it" : text.empty() ? " (at the end of the text, or just before)" : ": \"" + base::printable(text, 60) + "\", or just before it";
  return {source.place(line), "", what + hint, false};
}

void append(std::vector<Mistake>& all, const std::vector<Mistake>& more) {
  for (const Mistake& one : more)
    if (std::none_of(all.begin(), all.end(), [&](const Mistake& known) { return known.to_string() == one.to_string(); })) all.push_back(one);
}

// libconfig stops at its first mistake. So that each included file gets its say, one with a mistake is left out and the rest
// read again; what stands behind a mistake in the main file is read file by file.
void find_all_syntax_mistakes(const std::string& path, const Source& first, Loaded& loaded) {
  std::set<std::string> without;
  Source source = first;
  for (;;) {
    libconfig::Config config;
    std::string what;
    const auto line = parse(source, config, what);
    if (!line) return;
    const Place place = source.place(*line);
    const bool elements_left_out = std::any_of(source.included().begin(), source.included().end(),
                                               [&](const Source::Included& one) { return one.in_list && without.contains(one.file); });
    // With an element of a list gone, the next complaint may be about the gap.
    if (!elements_left_out) append(loaded.mistakes, {syntax_mistake(source, *line, what)});
    if (place.file == path || !without.insert(place.file).second) break;
    source = Source::from_file(path, without);
  }
  for (const Source::Included& included : first.included()) {
    if (included.in_list || without.contains(included.file)) continue;
    const Source alone = Source::from_file(included.file, without);
    libconfig::Config config;
    std::string what;
    if (const auto line = parse(alone, config, what)) append(loaded.mistakes, {syntax_mistake(alone, *line, what)});
  }
}

Loaded load_source(const Source& source, const std::string& path) {
  Loaded loaded;
  loaded.mistakes = source.mistakes();
  for (const Source::Repeated& one : source.repeated())
    loaded.mistakes.push_back({one.place, one.setting, "stands twice, first in line " + std::to_string(one.first.line) + (one.first.file == one.place.file ? "" : " of " + one.first.file)});
  libconfig::Config config;
  std::string what;
  Reader reader(source, loaded);
  if (source.text().empty() && !source.mistakes().empty()) {
    reader.defaults_only();  // not read at all
  } else if (const auto line = parse(source, config, what)) {
    // A text that has no end was reported already, and what is left of it is no surprise.
    if (source.mistakes().empty()) {
      if (path.empty()) loaded.mistakes.push_back(syntax_mistake(source, *line, what));
      else find_all_syntax_mistakes(path, source, loaded);
    }
    reader.defaults_only();
  } else {
    try {
      reader.read(config.getRoot());
      loaded.readable = true;
    } catch (const libconfig::ConfigException& error) {
      // Types are asked before values, so this is ours; a reload must end in a refusal all the same, never in the master's end.
      loaded.mistakes.push_back({{source.name(), 0}, "", std::string("can't be read: ") + error.what(), false});
    }
  }
  // In the order in which one goes through the files.
  std::stable_sort(loaded.mistakes.begin(), loaded.mistakes.end(), [&](const Mistake& a, const Mistake& b) {
    const auto key = [&](const Mistake& one) { return std::tuple(one.place.file != source.name(), std::string_view(one.place.file), one.place.line); };
    return key(a) < key(b);
  });
  if (loaded.usable()) loaded.flattened = source.flattened();
  return loaded;
}

// Calls `add` with the path of each script that `include :global` may name.
void add_global_filters(Loaded& loaded, const std::function<void(std::string)>& add) {
  const std::string& directory = loaded.configuration.filters.global_directory;
  const auto wrong = [&](std::string why) {
    loaded.mistakes.push_back({loaded.configuration.place_of("filters.global_directory"), "filters.global_directory", directory + ": " + std::move(why)});
  };
  const base::Descriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened) {
    // The usual place need not be there; one that somebody names must.
    const int error = errno;
    if (error != ENOENT || !loaded.configuration.place_of("filters.global_directory").file.empty()) wrong(system_error(error, "open").what);
    return;
  }
  auto names = base::list_directory(opened.get(), 10 * kMaxGlobalFilters);
  if (!names) return wrong(names.error().what);
  std::erase_if(*names, [](const std::string& name) { return name.starts_with('.') || !name.ends_with(kGlobalFilterEnding); });
  std::sort(names->begin(), names->end());
  if (names->size() > kMaxGlobalFilters) return wrong("expected at most " + std::to_string(kMaxGlobalFilters) + " scripts, found " + std::to_string(names->size()));
  for (const std::string& name : *names) add(directory + "/" + name);
}

// Reads the filters' files into the configuration and its flattened text: children have no way to the files themselves.
void read_filters(Loaded& loaded) {
  Configuration& configuration = loaded.configuration;
  // Where they are is not known then.
  if (std::any_of(loaded.mistakes.begin(), loaded.mistakes.end(), [](const Mistake& one) { return !one.warning && one.setting == "filters.directory"; })) return;
  if (!configuration.filter_texts.empty()) {
    loaded.mistakes.push_back({configuration.filter_texts.front().place, "filter_texts", "is made by the server from the filters' files and has no place in a configuration"});
    return;
  }
  struct Wanted {
    std::string path;
    bool must_exist;
    Place place;
    std::string setting;
  };
  std::vector<Wanted> wanted{{filter_path(configuration, "before.filter"), false, {}, "filters.directory"},
                             {filter_path(configuration, "system.filter"), false, {}, "filters.directory"}};
  for (std::size_t i = 0; i < configuration.channels.size(); ++i) {
    const TextLine& line = configuration.channels[i];
    if (line.text.starts_with('!')) continue;
    std::istringstream words(line.text);
    for (std::string word; words >> word;) {
      word = base::lower(word);
      if (word != "sourcefilter" && word != "destinationfilter" && word != "channelfilter") continue;
      std::string name;
      if (words >> name) wanted.push_back({filter_path(configuration, name), true, line.place, "channels[" + std::to_string(i) + "]"});
    }
  }
  add_global_filters(loaded, [&](std::string path) { wanted.push_back({std::move(path), true, configuration.place_of("filters.global_directory"), "filters.global_directory"}); });
  std::set<std::string> list_files;
  for (const TextLine& line : configuration.filters.lists) {
    auto list = filter_list(configuration, line.text);
    if (list && list->source == FilterList::Source::file && list_files.insert(list->from).second) wanted.push_back({std::move(list->from), true, line.place, "filters.lists"});
  }
  std::string elements;
  for (const Wanted& one : wanted) {
    const base::Descriptor file(::open(one.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    const int open_error = errno;
    if (!file && open_error == ENOENT && !one.must_exist) continue;
    auto text = file ? base::read_all(file.get(), kMaxFilterFileBytes) : Result<std::string>(system_error(open_error, "open"));
    if (!text) {
      loaded.mistakes.push_back({one.place, one.setting, (one.setting == "filters.lists" ? "the list " : "the filter ") + one.path + " can't be read: " + text.error().what});
      continue;
    }
    std::string element = encode_file(one.path, *text);
    elements += (elements.empty() ? "\"" : ", \"") + element + "\"";
    configuration.filter_texts.push_back({std::move(element), one.place});
  }
  if (!loaded.usable()) loaded.flattened.clear();
  else if (!elements.empty()) loaded.flattened += "\nfilter_texts = (" + elements + ");\n";
}

// Reads the texts of notices, for the same reason. One that is missing, or out of reach, is made of our own words (mail/delivery_status.h), so
// only what the administrator has named must be there.
void read_notices(Loaded& loaded) {
  Configuration& configuration = loaded.configuration;
  if (!configuration.notice_texts.empty()) {
    loaded.mistakes.push_back({configuration.notice_texts.front().place, "notice_texts", "is made by the server from the files of notices and has no place in a configuration"});
    return;
  }
  const Queue& queue = configuration.queue;
  const Place place = configuration.place_of(configuration.place_of("queue.notices_directory").line > 0 ? "queue.notices_directory" : "queue.notices_language");
  const std::string directory = queue.notices_directory + "/" + queue.notices_language;
  std::string elements;
  for (const std::string_view name : kNotices) {
    const std::string path = directory + "/" + std::string(name);
    const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    const int open_error = errno;
    if (!file && (open_error == ENOENT || open_error == EACCES) && place.line == 0) continue;
    auto text = file ? base::read_all(file.get(), kMaxNoticeFileBytes) : Result<std::string>(system_error(open_error, "open"));
    if (!text) {
      loaded.mistakes.push_back({place, "queue.notices_directory", "the text of notices " + path + " can't be read: " + text.error().what});
      continue;
    }
    std::string element = encode_file(name, *text);
    elements += (elements.empty() ? "\"" : ", \"") + element + "\"";
    configuration.notice_texts.push_back({std::move(element), place});
  }
  if (!loaded.usable()) loaded.flattened.clear();
  else if (!elements.empty()) loaded.flattened += "\nnotice_texts = (" + elements + ");\n";
}

// Reads the file of conversions, for the same reason.
void read_conversions(Loaded& loaded) {
  Configuration& configuration = loaded.configuration;
  if (!configuration.conversion_texts.empty()) {
    loaded.mistakes.push_back({configuration.conversion_texts.front().place, "conversion_texts", "is made by the server from the file of conversions and has no place in a configuration"});
    return;
  }
  const Place place = configuration.place_of("conversion.file");
  std::string path = configuration.conversion.file.empty() ? "conversions" : configuration.conversion.file;
  if (!path.starts_with('/')) path = configuration.tables_directory + "/" + path;
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  const int open_error = errno;
  if (!file && open_error == ENOENT && configuration.conversion.file.empty()) return;
  auto text = file ? base::read_all(file.get(), kMaxConversionsBytes) : Result<std::string>(system_error(open_error, "open"));
  if (!text) {
    loaded.mistakes.push_back({place, "conversion.file", "the file of conversions " + path + " can't be read: " + text.error().what});
    loaded.flattened.clear();
    return;
  }
  std::string element = encode_file(path, *text);
  if (loaded.usable()) loaded.flattened += "\nconversion_texts = (\"" + element + "\");\n";
  configuration.conversion_texts.push_back({std::move(element), {path, 0}});
}

// The files of named lists, for those who have no way to them.
void add_list_texts(Loaded& loaded) {
  std::string elements;
  for (const TextLine& line : loaded.configuration.list_texts) elements += (elements.empty() ? "\"" : ",\n\"") + line.text + "\"";
  if (!elements.empty()) loaded.flattened += "\nlist_texts = (" + elements + ");\n";
  if (loaded.flattened.size() <= kMaxTextBytes) return;
  loaded.mistakes.push_back({{}, "lists", "the files of all lists together make the configuration longer than " + std::to_string(kMaxTextBytes) + " bytes"});
  loaded.flattened.clear();
}

}  // namespace

std::string filter_path(const Configuration& configuration, std::string_view name) {
  if (name.starts_with("file://")) name.remove_prefix(7);
  return name.starts_with('/') ? std::string(name) : configuration.filters.directory + "/" + std::string(name);
}

std::vector<std::pair<std::string, std::string>> filter_texts(const Configuration& configuration) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const TextLine& line : configuration.filter_texts) all.push_back(decode_file(line.text));
  return all;
}

std::vector<std::pair<std::string, std::string>> notice_texts(const Configuration& configuration) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const TextLine& line : configuration.notice_texts) all.push_back(decode_file(line.text));
  return all;
}

std::optional<std::pair<std::string, std::string>> conversions(const Configuration& configuration) {
  if (configuration.conversion_texts.empty()) return std::nullopt;
  return decode_file(configuration.conversion_texts.front().text);
}

std::map<std::string, std::string, std::less<>> global_filter_texts(const Configuration& configuration) {
  std::map<std::string, std::string, std::less<>> found;
  const std::string beginning = configuration.filters.global_directory + "/";
  for (auto& [path, text] : filter_texts(configuration)) {
    if (!path.starts_with(beginning) || !path.ends_with(kGlobalFilterEnding) || path.find('/', beginning.size()) != std::string::npos) continue;
    found.emplace(path.substr(beginning.size(), path.size() - beginning.size() - kGlobalFilterEnding.size()), std::move(text));
  }
  return found;
}

Result<VirusValue> virus_value(std::string_view line) {
  const auto blank = line.rfind(' ');
  const auto value = blank == std::string_view::npos ? std::nullopt : base::number_from<int>(line.substr(blank + 1));
  const std::string_view beginning = base::trim(line.substr(0, blank));
  if (!value || *value < 1 || *value > 5 || beginning.empty())
    return Error{Kind::invalid, "expected how the field begins, a blank, and a number from 1 to 5, such as \"Infected 5\", found \"" + base::printable(line, 64) + "\""};
  return VirusValue{std::string(beginning), *value};
}

Result<FilterList> filter_list(const Configuration& configuration, std::string_view line) {
  constexpr std::string_view kExpected = "expected a name, a kind (file, group, table) and a source, such as \"tag:example.com,2026:partners file partners.list\"";
  const auto wrong = [&](std::string_view why) { return Error{Kind::invalid, std::string(why) + ", found \"" + base::printable(line, 120) + "\""}; };
  std::istringstream words{std::string(line)};
  FilterList list;
  std::string kind, rest;
  if (!(words >> list.name >> kind >> list.from) || words >> rest) return wrong(kExpected);
  constexpr std::string_view kShort = ":addrbook:";
  if (base::starts_with_ignoring_case(list.name, kShort)) list.name = "urn:ietf:params:sieve:addrbook:" + list.name.substr(kShort.size());
  const auto colon = list.name.find(':');
  const std::string_view scheme = std::string_view(list.name).substr(0, colon);
  // RFC 3986 section 3.1, as far as names of lists go.
  if (colon == std::string::npos || scheme.empty() || !base::is_alpha(scheme.front()) || colon + 1 == list.name.size() ||
      !std::all_of(list.name.begin(), list.name.end(), [](char c) { return c > ' ' && c < 0x7f && c != '"'; }))
    return wrong("the name of a list is a URI such as \"tag:example.com,2026:partners\"");
  if (kind == "file") {
    list.source = FilterList::Source::file;
    list.from = filter_path(configuration, list.from);
  } else if (kind == "group") {
    list.source = FilterList::Source::group;
    if (const auto at = list.from.find('@'); at == std::string::npos || at == 0 || at + 1 == list.from.size()) return wrong("expected the address of an alias or a group");
    list.from = base::lower(list.from);
  } else if (kind == "table") {
    list.source = FilterList::Source::table;
  } else {
    return wrong(kExpected);
  }
  return list;
}

std::string filter_text(const Configuration& configuration, std::string_view path) {
  for (auto& [known, text] : filter_texts(configuration))
    if (known == path) return text;
  return {};
}

bool Loaded::usable() const {
  return std::all_of(mistakes.begin(), mistakes.end(), [](const Mistake& mistake) { return mistake.warning; });
}

Loaded load(const std::string& path) {
  Loaded loaded = load_source(Source::from_file(path), path);
  if (loaded.readable) read_filters(loaded);
  if (loaded.readable) read_notices(loaded);
  if (loaded.readable) read_conversions(loaded);
  if (loaded.usable()) add_list_texts(loaded);
  return loaded;
}

Loaded load_text(std::string_view text, const std::string& name) { return load_source(Source::from_text(text, name), ""); }

}  // namespace postern::conf
