// SPDX-License-Identifier: Apache-2.0
#pragma once
// Checks who sent the messages that come from outside (settings group `authentication`): SPF, DKIM, DMARC and ARC, over the text as it came in.
// The results stand in Authentication-Results and travel with the envelope; what DMARC wants is done if the settings say so.
//
// Fields that only our own checks and filters may write are taken out of such messages: results in our name (RFC 8601 section 5), and the scores
// that spamtest and virustest believe (filters.spam_field, filters.virus_field; RFC 5235 section 4).
//
// Failure: an answer; nobody is refused because a name server was silent, or because a file could not be read.
#include "authentication/verification.h"
#include "conf/configuration.h"
#include "smtp/session.h"

#include <memory>
#include <string>

namespace postern::roles {

// The name by which we call ourselves in Authentication-Results.
std::string authentication_service(const conf::Configuration& configuration);
// Whether `names`, with blanks between, has `name`.
bool has_word(std::string_view names, std::string_view name);

class SenderChecks {
 public:
  // `resolver` must outlive this.
  explicit SenderChecks(net::Resolver& resolver) : resolver_(resolver) {}
  // Whether messages of this client are looked at: it is not one of ours, and came by a channel that the settings name.
  [[nodiscard]] static bool applies(const conf::Configuration& configuration, const policy::SessionFacts& session);
  net::Awaitable<smtp::CheckResult> check(std::shared_ptr<const conf::Configuration> configuration, smtp::MessageUnderCheck message);

 private:
  // Made when it is first needed.
  const authentication::PublicSuffixes& suffixes();
  net::Resolver& resolver_;
  std::unique_ptr<authentication::PublicSuffixes> suffixes_;
};

}  // namespace postern::roles
