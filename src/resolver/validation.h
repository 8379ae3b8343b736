// SPDX-License-Identifier: Apache-2.0
#pragma once
// Finds out whether the name servers let answers be validated (DNSSEC), and has them validated if so. Servers that hand no signatures on make every
// answer of a validating resolver look forged: all mail would wait. Then answers are taken as they come, none counts as secure, and the log says so.
//
// A trial asks for the key of the zone that the trust anchor is for. It is made at the start; again, by a resolver that remembers nothing, when an answer
// looks forged (`suspicion` apart at least), and every `retry` while nothing can be validated. Until the first one has ended, at most `patience`, questions
// wait. One forged answer among good ones changes nothing: it stays refused.
//
// Failure: that of the sources. Whoever stands between this machine and its name servers could strip signatures as well as forge answers; a site that
// would rather have no mail go out says resolver.dnssec = "required" and does without this class.
#include "net/asio.h"
#include "resolver/source.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace postern::resolver {

struct ValidationSettings {
  std::string anchor = ".";                     // the zone that the trust anchor is for
  std::chrono::milliseconds patience{2000};
  std::chrono::milliseconds undecided{5000};    // between trials that say nothing
  std::chrono::milliseconds retry{300'000}, suspicion{60'000};
};

// The zone of the first record in a trust anchor file; nothing: there is none that can be read.
std::optional<std::string> anchor_in(std::string_view file);

class Validation final : public Source {
 public:
  // A new source, that validates or does not. Both kinds say Kind::corrupt of an answer that is forged.
  using Make = std::function<Result<std::unique_ptr<Source>>(bool validating)>;
  // `validating`: the first one. `io` must outlive this.
  Validation(net::asio::io_context& io, std::unique_ptr<Source> validating, Make make, ValidationSettings settings);
  // Questions under way are forgotten.
  ~Validation() override;
  Validation(const Validation&) = delete;
  Validation& operator=(const Validation&) = delete;

  void ask(const net::DnsQuestion& question, Done done) override;
  // Whether answers are validated now; true also while nobody knows yet.
  [[nodiscard]] bool validates() const;

  class State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace postern::resolver
