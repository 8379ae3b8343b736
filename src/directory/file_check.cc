// SPDX-License-Identifier: Apache-2.0
#include "directory/file_check.h"

#include "base/descriptor.h"
#include "base/files.h"
#include "directory/password.h"
#include "directory/token.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <cerrno>
#include <memory>

namespace postern::directory {
namespace {

constexpr std::size_t kMaxPasswordFileBytes = 4096;

Result<void> check_authorities(const std::string& path) {
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return system_error(errno, path);
  struct Free {
    void operator()(X509_STORE* store) const { X509_STORE_free(store); }
  };
  const std::unique_ptr<X509_STORE, Free> store(X509_STORE_new());
  const bool good = store && X509_STORE_load_file(store.get(), path.c_str()) == 1;
  ERR_clear_error();
  if (!good) return Error{Kind::invalid, path + ": expected certificates in PEM, found none that can be read"};
  return {};
}

}  // namespace

Result<std::string> read_ldap_password(const std::string& path) {
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return system_error(errno, path);
  auto text = base::read_all(file.get(), kMaxPasswordFileBytes);
  if (!text) return text.error().in(path);
  std::string password = text->substr(0, text->find_first_of("\r\n"));
  wipe(*text);
  if (password.empty()) return Error{Kind::temporary, path + ": its first line is empty"};
  return password;
}

std::vector<conf::Mistake> check_files(const conf::Configuration& configuration) {
  std::vector<conf::Mistake> mistakes;
  const auto check = [&](const conf::Place& place, const char* setting, const Error& error) {
    mistakes.push_back({place, setting, error.what + (error.kind == Kind::denied ? "; it is read as user " + configuration.users.directory : ""), false});
  };
  const conf::Ldap& ldap = configuration.ldap;
  if (!ldap.servers.empty() && !ldap.password_file.empty()) {
    auto password = read_ldap_password(ldap.password_file);
    if (password) wipe(*password);
    else check(configuration.place_of("ldap.password_file"), "ldap.password_file", password.error());
  }
  if (!ldap.servers.empty() && !ldap.authorities.empty())
    if (const auto good = check_authorities(ldap.authorities); !good) check(configuration.place_of("ldap.authorities"), "ldap.authorities", good.error());
  for (const conf::TextLine& key : configuration.sasl.token_keys)
    if (const auto read = read_token_key(key.text); !read) check(key.place, "sasl.token_keys", read.error().in(key.text));
  return mistakes;
}

}  // namespace postern::directory
