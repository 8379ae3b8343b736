// SPDX-License-Identifier: Apache-2.0
// posternctl certificate make|show (posternctl-certificate(8)).
#include "base/files.h"
#include "base/random.h"
#include "base/text.h"
#include "net/certificate.h"
#include "tools/ctl_ask.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <iostream>

namespace postern::tools {

using boost::json::array;
using boost::json::object;
using boost::json::value;
using Arguments = std::vector<std::string>;

const char* const kCertificateDetails =
    "  make --output PREFIX [--days N] [--rsa] [--csr] [--reuse-key] [--force] [--address ADDRESS]… NAME…\n"
    "      a self-signed certificate in PREFIX.pem, or a request for an authority in PREFIX.csr, and its key in PREFIX.key\n"
    "  show [FILE]\n"
    "      what the running server serves, or what is in FILE: names, dates, key, fingerprint, TLSA record\n";

namespace {

constexpr std::size_t kFileBytes = 1024 * 1024;
constexpr unsigned kMostDays = 36'500;

int usage_error(const Context& context, const std::string& what) {
  print_error(context, what);
  std::cerr << "usage: posternctl certificate\n" << kCertificateDetails;
  return kUsage;
}

int complain(const Context& context, const std::string& what) {
  print_error(context, what);
  return kFailed;
}

// A file by its directory, so that it can be written beside and renamed into place.
struct Place {
  base::Descriptor directory;
  std::string name;
};
Result<Place> place_of(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  Place place;
  place.name = slash == std::string::npos ? path : path.substr(slash + 1);
  place.directory = base::Descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!place.directory) return system_error(errno, "open " + folder);
  if (place.name.empty()) return Error{Kind::invalid, "expected the beginning of a file's name behind " + folder + "/"};
  return place;
}

// Kind::invalid if the file is there already and must not be replaced.
Result<void> write_file(const std::string& path, const std::string& text, mode_t mode, bool replace) {
  auto place = place_of(path);
  if (!place) return place.error();
  base::Files& files = base::system_files();
  if (replace) return base::replace_file(files, place->directory.get(), place->name, text, mode);
  const std::string fresh = "." + place->name + "." + base::random_name();
  auto file = files.open(place->directory.get(), fresh, O_WRONLY | O_CREAT | O_EXCL, mode);
  if (!file) return file.error();
  Result<void> written = files.write_at(file->get(), text, 0);
  if (written) written = files.sync(file->get());
  if (written) written = files.rename_new(place->directory.get(), fresh, place->directory.get(), place->name);
  if (!written) {
    [[maybe_unused]] const auto removed = files.unlink(place->directory.get(), fresh);
    return written.error();
  }
  return files.sync_directory(place->directory.get());
}

Result<std::string> read_path(const std::string& path) {
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return system_error(errno, "open " + path);
  auto text = base::read_all(file.get(), kFileBytes);
  if (!text) return text.error().in(path);
  return text;
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

object object_of(const net::CertificateFacts& facts) {
  array names;
  for (const auto& name : facts.names) names.emplace_back(name);
  return {{"subject", facts.subject},
          {"issuer", facts.issuer},
          {"names", std::move(names)},
          {"serial", facts.serial},
          {"not_before", net::utc_text(facts.not_before)},
          {"not_after", net::utc_text(facts.not_after)},
          {"days_left", std::int64_t{(facts.not_after - std::time(nullptr)) / 86400}},
          {"key_type", facts.key_type},
          {"fingerprint", facts.fingerprint},
          {"tlsa", facts.tlsa},
          {"self_signed", facts.self_signed},
          {"chain_length", facts.chain_length}};
}

void print_certificate(const object& from) {
  const auto line = [](const char* what, const std::string& text) { std::printf("  %-12s %s\n", what, text.c_str()); };
  if (from.contains("error")) line("REFUSED", text(from, "error"));
  if (from.contains("ocsp_error")) line("no OCSP", text(from, "ocsp_error"));
  if (!from.contains("subject")) return;
  line("subject", text(from, "subject"));
  line("issuer", text(from, "issuer") + (truth(from, "self_signed") ? " (self-signed)" : ""));
  std::string names;
  for (const auto& name : texts(from, "names")) names += (names.empty() ? "" : ", ") + name;
  line("names", names.empty() ? "none" : names);
  line("serial", text(from, "serial"));
  line("valid", text(from, "not_before") + " to " + text(from, "not_after") + ", " + text(from, "days_left") + " days left");
  line("key", text(from, "key_type"));
  line("chain", text(from, "chain_length") + (text(from, "chain_length") == "1" ? " certificate" : " certificates"));
  if (truth(from, "ocsp")) line("OCSP", "a response is stapled");
  line("SHA-256", text(from, "fingerprint"));
  line("TLSA", text(from, "tlsa"));
}

int show_file(const Context& context, const std::string& path) {
  auto text = read_path(path);
  if (!text) return complain(context, text.error().what);
  auto facts = net::describe_certificate(*text);
  if (!facts) return complain(context, path + ": " + facts.error().what);
  object about = object_of(*facts);
  if (context.json) {
    print_json(about);
    return kDone;
  }
  std::puts(path.c_str());
  print_certificate(about);
  return kDone;
}

int show_served(const Context& context) {
  auto answer = ask(context, "status");
  if (!answer) return fail(context, answer.error());
  const value* const found = answer->if_contains("certificates");
  const array all = found != nullptr && found->is_array() ? found->get_array() : array();
  if (context.json) {
    print_json(object{{"certificates", all}});
    return kDone;
  }
  if (all.empty()) std::puts("no certificates; see tls.domains in postern.conf(5)");
  each(*answer, "certificates", [](const object& about) {
    std::printf("%s: %s%s\n", text(about, "domain").c_str(), text(about, "file").c_str(), truth(about, "in_use") ? "" : " (not in use)");
    print_certificate(about);
  });
  return kDone;
}

int make(const Context& context, const Arguments& arguments) {
  net::CertificateRequest request;
  std::string output;
  bool to_be_signed = false, reuse = false, force = false;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const auto has_value = [&] { return i + 1 < arguments.size(); };
    if (argument == "--rsa") request.rsa = true;
    else if (argument == "--csr") to_be_signed = true;
    else if (argument == "--reuse-key") reuse = true;
    else if (argument == "--force") force = true;
    else if (argument == "--output" && has_value()) output = arguments[++i];
    else if (argument == "--address" && has_value()) request.addresses.push_back(arguments[++i]);
    else if (argument == "--days" && has_value()) {
      const auto days = base::number_from<unsigned>(arguments[++i]);
      if (!days || *days == 0 || *days > kMostDays) return usage_error(context, "--days: expected a number from 1 to " + std::to_string(kMostDays) + ", found " + arguments[i]);
      request.days = *days;
    } else if (argument.starts_with("-")) {
      return usage_error(context, has_value() || argument.size() < 3 ? "there is no option " + argument : argument + ": no such option, or it wants a value");
    } else {
      request.names.push_back(argument);
    }
  }
  if (output.empty()) return usage_error(context, "--output is missing");
  if (request.names.empty() && request.addresses.empty()) return usage_error(context, "no name to make a certificate for");
  const std::string key_path = output + ".key", path = output + (to_be_signed ? ".csr" : ".pem");
  // A key that is lost can't be got back, and certificates that others have signed are worth nothing without it.
  for (const auto& one : {key_path, path})
    if (!force && !reuse && exists(one)) return complain(context, one + " exists; --force replaces it, --reuse-key keeps the key and makes a new certificate for it");
  std::string key;
  if (reuse) {
    auto read = read_path(key_path);
    if (!read) return complain(context, read.error().what);
    key = std::move(*read);
  }
  auto made = net::make_certificate(request, to_be_signed, key);
  if (!made) return complain(context, made.error().what);
  if (!reuse)
    if (auto written = write_file(key_path, made->key, 0600, force); !written) return complain(context, written.error().in(key_path).what);
  if (auto written = write_file(path, made->certificate, 0644, force || reuse); !written) return complain(context, written.error().in(path).what);
  object about = to_be_signed ? object() : object_of(*net::describe_certificate(made->certificate));
  if (context.json) {
    about[to_be_signed ? "request" : "certificate"] = path;
    about["key"] = key_path;
    print_json(about);
    return kDone;
  }
  std::printf("%s\n%s\n", path.c_str(), key_path.c_str());
  if (to_be_signed) {
    std::puts("Send the first to your authority; what comes back goes into a .pem, its chain behind it.");
    return kDone;
  }
  print_certificate(about);
  std::printf("In postern.conf:\n  tls = { domains = ( { names = ( \"%s\" ); certificates = ( { certificate = \"%s\"; key = \"%s\"; } ); } ); };\n",
              (request.names.empty() ? request.addresses : request.names).front().c_str(), path.c_str(), key_path.c_str());
  return kDone;
}

}  // namespace

int run_certificate(const Context& context, const Arguments& arguments) {
  if (arguments.empty()) return usage_error(context, "make or show?");
  if (arguments[0] == "make") return make(context, arguments);
  if (arguments[0] != "show") return usage_error(context, "there is no \"certificate " + arguments[0] + "\"");
  if (arguments.size() > 2) return usage_error(context, "show takes one file");
  return arguments.size() == 2 ? show_file(context, arguments[1]) : show_served(context);
}

}  // namespace postern::tools
