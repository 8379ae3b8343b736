// SPDX-License-Identifier: Apache-2.0
// What clients send in SASL exchanges: the first byte chooses mechanism and channel binding, lines are messages. There is one account, whose
// password is not in any seed: nobody may prove to be it.
#include "conf/configuration.h"
#include "directory/sasl.h"

#include <cstddef>
#include <cstdint>
#include <iterator>

using namespace postern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view messages(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string_view mechanism = conf::kSaslMechanisms[(data[0] & 0x1f) % std::size(conf::kSaslMechanisms)];
  directory::SaslFacts facts;
  if ((data[0] & 0x20) != 0) facts.tls_exporter = "exporter";
  if ((data[0] & 0x40) != 0) facts.tls_unique = "unique";
  static const std::string key = directory::random_bytes(32).value();
  auto session = directory::SaslSession::begin_bearer(mechanism, [](std::string_view) { return Result<std::string>(Error{Kind::denied, "token"}); });
  if (!session)
    session = directory::SaslSession::begin(mechanism, facts, [](const std::string& name, directory::ScramDigest digest) {
      return Result<directory::ScramSecret>(directory::made_up_scram_secret(digest, name, key, 4096));
    });
  POSTERN_ASSERT(session != nullptr);
  using Kind = directory::SaslSession::Outcome::Kind;
  if ((data[0] & 0x80) != 0 && session->step({}).kind != Kind::challenge) return 0;
  for (int steps = 0; steps < 20; ++steps) {
    const auto end = messages.find('\n');
    const auto outcome = session->step(messages.substr(0, end));
    POSTERN_ASSERT(outcome.kind != Kind::proved || mechanism == "EXTERNAL");
    POSTERN_ASSERT(outcome.kind != Kind::check_password || mechanism == "PLAIN" || mechanism == "LOGIN");
    if (outcome.kind != Kind::challenge) return 0;
    messages.remove_prefix(end == std::string_view::npos ? messages.size() : end + 1);
  }
  POSTERN_ASSERT(!"an exchange has an end");
  return 0;
}
