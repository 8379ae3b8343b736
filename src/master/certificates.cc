// SPDX-License-Identifier: Apache-2.0
#include "master/certificates.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "net/server_name.h"

#include <boost/json/object.hpp>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

namespace postern::master {
namespace {

using base::Severity;
using boost::json::array;
using boost::json::object;

// A chain of ten certificates has 20 KB; a file with all public authorities 250 KB.
constexpr std::size_t kCertificateBytes = 1024 * 1024;
constexpr std::size_t kAuthoritiesBytes = 16 * 1024 * 1024;
constexpr std::size_t kFileBytes = std::size_t{256} << 20;
// Certificates of one domain in a file that is adopted; a configuration has fewer.
constexpr std::size_t kMostPlaces = 1000;
constexpr auto kSecretLife = std::chrono::hours(24);
constexpr std::time_t kDay = 86400;

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  // Whatever stands there, opening it must not wait.
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return system_error(errno, "open " + path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return Error{Kind::invalid, path + " is no regular file"};
  auto text = base::read_all(file.get(), limit);
  if (!text) return text.error().in(path);
  return text;
}

std::string new_secret() {
  std::string secret(net::kTicketSecretBytes, '\0');
  POSTERN_ASSERT(RAND_bytes(reinterpret_cast<unsigned char*>(secret.data()), static_cast<int>(secret.size())) == 1);
  return secret;
}

const std::string& key_path(const conf::TlsCertificate& paths) { return paths.key.empty() ? paths.certificate : paths.key; }

// A pair from its files, checked; the OCSP response is not yet there.
Result<CheckedPair> read_pair(const conf::TlsCertificate& paths) {
  auto chain = read_file(paths.certificate, kCertificateBytes);
  if (!chain) return chain.error();
  auto key = read_file(key_path(paths), kCertificateBytes);
  if (!key) return key.error();
  if (auto checked = net::check_certificate_pair(*chain, *key); !checked) return checked.error().in(paths.certificate);
  auto facts = net::describe_certificate(*chain);
  if (!facts) return facts.error().in(paths.certificate);
  return CheckedPair{std::move(*chain), std::move(*key), {}, 0, std::move(*facts)};
}

std::string days_text(std::time_t seconds) { return std::to_string(seconds / kDay) + (seconds / kDay == 1 ? " day" : " days"); }

}  // namespace

bool Certificates::Stamp::same_as(const Stamp& other) const {
  if (!there || !other.there) return there == other.there;
  const struct stat &x = status, &y = other.status;
  return x.st_dev == y.st_dev && x.st_ino == y.st_ino && x.st_size == y.st_size && x.st_mtim.tv_sec == y.st_mtim.tv_sec &&
         x.st_mtim.tv_nsec == y.st_mtim.tv_nsec && x.st_ctim.tv_sec == y.st_ctim.tv_sec && x.st_ctim.tv_nsec == y.st_ctim.tv_nsec;
}

Certificates::Stamp Certificates::stamp_of(const std::string& path) {
  Stamp stamp;
  stamp.there = ::stat(path.c_str(), &stamp.status) == 0;
  return stamp;
}

Certificates::Certificates() : secret_(new_secret()), secret_made_(base::steady_now()), looked_(secret_made_) {}

void Certificates::adopt(base::Descriptor sealed_file) {
  auto text = base::read_all(sealed_file.get(), kFileBytes);
  auto material = text ? net::TlsMaterial::parse(*text) : Result<net::TlsMaterial>(text.error());
  // Another format: everything is read anew, and clients make a full handshake once more.
  if (!material || material->ticket_secret.size() != net::kTicketSecretBytes) return;
  secret_ = std::move(material->ticket_secret);
  earlier_secret_ = std::move(material->earlier_ticket_secret);
  // A program that did not say when it was made: from now on, as the text has it then.
  if (const auto made = material->ticket_secret_made; made.time_since_epoch().count() != 0 && made < secret_made_) secret_made_ = made;
  for (auto& domain : material->domains) {
    std::size_t place = 0;
    for (auto& pair : domain.pairs) {
      auto facts = net::describe_certificate(pair.chain);
      if (!facts || domain.names.empty() || pair.place > kMostPlaces) continue;
      // Places of certificates that are not in use stay empty: their rows must not keep another one's, which would outlive its renewal.
      for (; place <= pair.place; ++place) rows_.emplace_back().domain_name = domain.names.front();
      rows_.back().good = CheckedPair{std::move(pair.chain), std::move(pair.key), {}, 0, std::move(*facts)};
    }
  }
  text_ = std::move(*text);
  file_ = std::move(sealed_file);
}

bool Certificates::read(const conf::Configuration& configuration) {
  const std::time_t now = std::time(nullptr);
  std::vector<Row> rows;
  stamps_.clear();
  looked_ = base::steady_now();
  for (std::size_t i = 0; i < configuration.tls.domains.size(); ++i) {
    const conf::TlsDomain& domain = configuration.tls.domains[i];
    const std::string name = domain.names.empty() ? std::string() : domain.names.front().text;
    std::size_t place = 0;
    for (const auto& paths : domain.certificates) {
      Row row;
      // The same place of the same domain, before.
      std::size_t count = 0;
      for (auto& earlier : rows_)
        if (earlier.domain_name == name && count++ == place) {
          row.good = std::move(earlier.good);
          row.warned = earlier.warned;
        }
      ++place;
      row.domain = i;
      row.domain_name = name;
      row.paths = paths;
      read_row(row, now);
      rows.push_back(std::move(row));
    }
  }
  rows_ = std::move(rows);
  read_authorities(configuration.tls.client_authorities);
  const bool changed = make_file(configuration, now);
  warn(configuration, now);
  return changed;
}

void Certificates::read_row(Row& row, std::time_t now) {
  for (const std::string_view path : {std::string_view(row.paths.certificate), std::string_view(key_path(row.paths)), std::string_view(row.paths.ocsp)})
    if (!path.empty()) stamps_[std::string(path)] = stamp_of(std::string(path));
  row.error.clear();
  row.ocsp_error.clear();
  row.begins = 0;
  auto pair = read_pair(row.paths);
  if (!pair) {
    row.error = pair.error().what;
  } else {
    const net::CertificateFacts& facts = pair->facts;
    if (facts.not_before > now) {
      row.error = row.paths.certificate + ": it is not valid before " + net::utc_text(facts.not_before);
      row.begins = facts.not_before;
    }
    if (facts.expired(now)) row.error = row.paths.certificate + ": it has expired at " + net::utc_text(facts.not_after);
    // Of two that no client takes the one whose time is to come is the better.
    const bool stays = row.good && row.good->facts.fingerprint != facts.fingerprint && !facts.valid(now) && (row.good->facts.valid(now) || facts.expired(now));
    if (!stays) row.good = std::move(*pair);
  }
  if (!row.error.empty())
    base::log_event(Severity::error, "certificate-refused",
                    {{"domain", row.domain_name}, {"error", row.error},
                     {"in-force", !row.good ? "none" : "the one of serial number " + row.good->facts.serial}});
  if (!row.good) return;
  // A response of before may fit no more; nothing is better than one that clients refuse.
  row.good->ocsp_response.clear();
  if (row.paths.ocsp.empty()) return;
  auto response = read_file(row.paths.ocsp, kCertificateBytes);
  auto end = response ? net::check_ocsp_response(*response, row.good->chain) : Result<std::time_t>(response.error());
  if (end) {
    row.good->ocsp_response = std::move(*response);
    row.good->ocsp_end = *end;
    return;
  }
  row.ocsp_error = row.paths.ocsp + ": " + end.error().what;
  base::log_event(Severity::warning, "ocsp-response-refused", {{"domain", row.domain_name}, {"error", row.ocsp_error}});
}

void Certificates::read_authorities(const std::string& path) {
  if (path.empty()) {
    authorities_.clear();
    authorities_path_.clear();
    return;
  }
  stamps_[path] = stamp_of(path);
  auto text = read_file(path, kAuthoritiesBytes);
  Result<void> checked = text ? net::check_authorities(*text) : Result<void>(text.error());
  if (checked) {
    authorities_ = std::move(*text);
    authorities_path_ = path;
    return;
  }
  // Those of another file vouch for nobody here.
  if (authorities_path_ != path) authorities_.clear();
  base::log_event(Severity::error, "client-authorities-refused",
                  {{"file", path}, {"error", checked.error().what}, {"in-force", authorities_.empty() ? "none" : "those read before"}});
}

bool Certificates::make_file(const conf::Configuration& configuration, std::time_t now) {
  net::TlsMaterial material;
  const std::string host = net::normal_server_name(configuration.host_name);
  next_turn_ = 0;
  const auto turns_at = [&](std::time_t time) {
    if (time >= now && (next_turn_ == 0 || time < next_turn_)) next_turn_ = time;
  };
  bool main_found = false;
  for (std::size_t i = 0; i < configuration.tls.domains.size(); ++i) {
    const conf::TlsDomain& from = configuration.tls.domains[i];
    net::TlsMaterial::Domain domain;
    for (const auto& name : from.names) domain.names.push_back(name.text);
    if (!main_found && std::find(domain.names.begin(), domain.names.end(), host) != domain.names.end()) {
      material.main_domain = i;
      main_found = true;
    }
    for (const auto& line : from.addresses)
      if (auto address = net::Address::parse(base::trim(line.text)); address) domain.addresses.push_back(*address);
    // One that is not valid is used only where there is no other.
    const bool any_valid = std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) { return row.domain == i && row.good && row.good->facts.valid(now); });
    std::set<std::string> kinds;
    std::size_t place = 0;
    for (Row& row : rows_) {
      if (row.domain != i) continue;
      const std::size_t own_place = place++;
      turns_at(row.begins);
      const bool valid = row.good && row.good->facts.valid(now);
      row.in_use = row.good && (valid || !any_valid) && kinds.insert(row.good->facts.key_kind()).second;
      if (!row.in_use) continue;
      domain.pairs.push_back({row.good->chain, row.good->key, row.good->ocsp_response, row.good->ocsp_end, valid, own_place});
      turns_at(row.good->facts.not_after);
      if (!row.good->ocsp_response.empty()) turns_at(row.good->ocsp_end);
    }
    material.domains.push_back(std::move(domain));
  }
  for (std::size_t i = 0; i < conf::kModules; ++i) {
    const auto module = static_cast<conf::Module>(i);
    if (conf::transport(module) != conf::Transport::tcp) continue;
    const conf::Listener* const listener = conf::find_listener(configuration, module);
    material.listeners.push_back({std::string(conf::to_string(module)), listener != nullptr && listener->client_certificates});
  }
  material.tls13_only = configuration.tls.least_version == conf::Tls::Version::tls13;
  material.ciphers = configuration.tls.ciphers;
  material.client_authorities = authorities_;
  material.ticket_secret = secret_;
  material.earlier_ticket_secret = earlier_secret_;
  material.ticket_secret_made = secret_made_;
  std::string text = material.to_text();
  if (text == text_) return false;
  auto file = base::sealed_memory_file("certificates", text);
  if (!file) {
    // Without memory: what the children have goes on; the next look tries again.
    base::log_event(Severity::error, "certificates-not-handed-over", {{"error", file.error().what}});
    return false;
  }
  OPENSSL_cleanse(text_.data(), text_.size());
  text_ = std::move(text);
  file_ = std::move(*file);
  const auto used = std::count_if(rows_.begin(), rows_.end(), [](const Row& row) { return row.in_use; });
  base::log_event(Severity::info, "certificates-handed-over", {{"domains", material.domains.size()}, {"certificates", used}});
  return true;
}

void Certificates::warn(const conf::Configuration& configuration, std::time_t now) {
  for (Row& row : rows_) {
    if (!row.in_use) continue;
    const net::CertificateFacts& facts = row.good->facts;
    const std::time_t left = facts.not_after - now;
    const bool begun = facts.not_before <= now;
    if ((begun && left > configuration.tls.expiry_warning.count()) || (row.warned != 0 && now - row.warned < kDay)) continue;
    row.warned = now;
    const auto warn_of = [&](Severity severity, std::string_view event, std::string_view what, std::time_t when) {
      base::log_event(severity, event, {{"domain", row.domain_name}, {"file", row.paths.certificate}, {what, net::utc_text(when)}});
    };
    if (!begun) warn_of(Severity::error, "certificate-not-yet-valid", "begins", facts.not_before);
    else if (left < 0) warn_of(Severity::error, "certificate-expired", "expires", facts.not_after);
    else warn_of(Severity::warning, "certificate-expires", "expires", facts.not_after);
  }
}

bool Certificates::look(const conf::Configuration& configuration) {
  const auto steady = base::steady_now();
  if (!file_.valid() || steady - looked_ < configuration.tls.watch) return false;
  looked_ = steady;
  const std::time_t now = std::time(nullptr);
  bool anew = false;
  if (steady - secret_made_ >= kSecretLife) {
    earlier_secret_ = std::move(secret_);
    secret_ = new_secret();
    secret_made_ = steady;
    anew = true;
  }
  if (std::any_of(stamps_.begin(), stamps_.end(), [](const auto& known) { return !stamp_of(known.first).same_as(known.second); })) return read(configuration);
  const bool turned = next_turn_ != 0 && next_turn_ < now;
  // A certificate that waited for its time stands in its file only; and that a response has ended is to be said.
  const bool from_files = turned && std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) {
    return (row.begins != 0 && row.begins <= now) || (row.good && !row.good->ocsp_response.empty() && row.good->ocsp_end < now);
  });
  if (from_files) return read(configuration);
  anew = anew || turned;
  const bool changed = anew && make_file(configuration, now);
  warn(configuration, now);
  return changed;
}

array Certificates::status() const {
  array all;
  const std::time_t now = std::time(nullptr);
  for (const Row& row : rows_) {
    object entry{{"domain", row.domain_name}, {"file", row.paths.certificate}, {"in_use", row.in_use}};
    if (row.good) {
      const auto& facts = row.good->facts;
      array names;
      for (const auto& name : facts.names) names.emplace_back(name);
      entry["subject"] = facts.subject;
      entry["issuer"] = facts.issuer;
      entry["names"] = std::move(names);
      entry["serial"] = facts.serial;
      entry["not_before"] = net::utc_text(facts.not_before);
      entry["not_after"] = net::utc_text(facts.not_after);
      entry["days_left"] = std::int64_t{(facts.not_after - now) / kDay};
      entry["key_type"] = facts.key_type;
      entry["fingerprint"] = facts.fingerprint;
      entry["tlsa"] = facts.tlsa;
      entry["self_signed"] = facts.self_signed;
      entry["chain_length"] = facts.chain_length;
      entry["ocsp"] = !row.good->ocsp_response.empty() && row.good->ocsp_end > now;
    }
    if (!row.error.empty()) entry["error"] = row.error;
    if (!row.ocsp_error.empty()) entry["ocsp_error"] = row.ocsp_error;
    all.push_back(std::move(entry));
  }
  return all;
}

std::vector<conf::Mistake> Certificates::check(const conf::Configuration& configuration) {
  std::vector<conf::Mistake> mistakes;
  const std::time_t now = std::time(nullptr);
  for (std::size_t i = 0; i < configuration.tls.domains.size(); ++i) {
    const auto& domain = configuration.tls.domains[i];
    std::set<std::string> kinds;
    std::vector<std::size_t> to_come;  // of the mistakes
    for (std::size_t k = 0; k < domain.certificates.size(); ++k) {
      const auto& paths = domain.certificates[k];
      const std::string shown = "tls.domains[" + std::to_string(i) + "].certificates[" + std::to_string(k) + "]";
      auto pair = read_pair(paths);
      if (!pair) {
        mistakes.push_back({paths.place, shown, pair.error().what});
        continue;
      }
      const auto& facts = pair->facts;
      const std::time_t left = facts.not_after - now;
      if (left < 0) mistakes.push_back({paths.place, shown, paths.certificate + " has expired at " + net::utc_text(facts.not_after)});
      else if (left < configuration.tls.expiry_warning.count())
        mistakes.push_back({paths.place, shown, paths.certificate + " expires in " + days_text(left) + ", at " + net::utc_text(facts.not_after), true});
      if (facts.not_before > now) {
        to_come.push_back(mistakes.size());
        mistakes.push_back({paths.place, shown, paths.certificate + " is not valid before " + net::utc_text(facts.not_before)});
      }
      if (facts.valid(now) && !kinds.insert(facts.key_kind()).second)
        mistakes.push_back({paths.place, shown, "another certificate of this domain has the same kind of key (" + facts.key_kind() + "): this one is not used", true});
      struct stat status {};
      if (::stat(key_path(paths).c_str(), &status) == 0 && (status.st_mode & 0007) != 0)
        mistakes.push_back({paths.place, shown, "the key in " + key_path(paths) + " is within reach of every user of this machine (expected mode 0600 or 0640)", true});
      if (paths.ocsp.empty()) continue;
      auto response = read_file(paths.ocsp, kCertificateBytes);
      auto end = response ? net::check_ocsp_response(*response, pair->chain) : Result<std::time_t>(response.error());
      if (!end) mistakes.push_back({paths.place, shown, paths.ocsp + ": " + end.error().what, true});
    }
    // Beside one that is valid it waits for its time.
    for (const std::size_t index : to_come) mistakes[index].warning = !kinds.empty();
  }
  if (const auto& path = configuration.tls.client_authorities; !path.empty()) {
    auto text = read_file(path, kAuthoritiesBytes);
    Result<void> checked = text ? net::check_authorities(*text) : Result<void>(text.error());
    if (!checked) mistakes.push_back({{}, "tls.client_authorities", path + ": " + checked.error().what});
  }
  return mistakes;
}

}  // namespace postern::master
