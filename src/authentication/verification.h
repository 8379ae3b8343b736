// SPDX-License-Identifier: Apache-2.0
#pragma once
// What can be known of a message's sender: its DKIM signatures and its ARC chain, over the text as it came in, and DMARC with them and SPF.
//
// A Verifier is given the text in pieces, while it comes over the wire or afterwards, and hashes the body then and there, so that a large message
// stops nobody; a message without signatures is not hashed at all. When all of it is there, report() asks the DNS.
//
// Failure: an answer. Limits: VerificationSettings; a header of more than kMostHeaderBytes is not looked at. Memory: the header.
#include "authentication/arc.h"
#include "authentication/dmarc.h"
#include "authentication/results.h"
#include "authentication/spf.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern::authentication {

inline constexpr std::size_t kMostHeaderBytes = 1024 * 1024;

struct VerificationSettings {
  std::string service;                 // how we call ourselves in Authentication-Results
  bool spf = true, dkim = true, dmarc = true, arc = true;
  unsigned signatures = 8;             // that are checked; the topmost ones
  std::uint64_t body_bytes = 100 * 1024 * 1024;  // of a larger body no signature is checked
  std::chrono::seconds time{20};       // for all questions of a message together
};

struct DkimAnswer {
  Checked checked;
  Signature signature;                 // empty if the field could not be read
};

struct Report {
  std::optional<SpfAnswer> spf;        // what was checked
  std::optional<SpfAnswer> spf_of_helo;  // of the name in HELO, besides a sender's (RFC 7208 section 2.3)
  std::vector<DkimAnswer> dkim;
  bool dkim_checked = false;
  std::optional<DmarcAnswer> dmarc;
  std::optional<ArcAnswer> arc;

  // Of all signatures: pass if one is good, else the first one's; none if there are none.
  [[nodiscard]] Outcome dkim_outcome() const;
  // The domains of good signatures, each once.
  [[nodiscard]] std::vector<std::string> signers() const;
};
// For Authentication-Results. `question`: what SPF was asked.
std::vector<MethodResult> method_results(const Report& report, const SpfQuestion& question);

class Verifier {
 public:
  explicit Verifier(VerificationSettings settings);
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // The message as it came in, with CRLF as line ends.
  void add(std::string_view piece);
  // The header is there, or too large: for whoever looks at nothing else.
  [[nodiscard]] bool header_ended() const { return has_header_ || too_large_; }
  // After all of it, or of the header, was added: its header; without fields if it is too large to be looked at.
  [[nodiscard]] const mail::Header& header();
  // After that: whether it is.
  [[nodiscard]] bool too_large() const { return too_large_; }
  // Once, when all of it was added. `resolver`, `suffixes` and this must outlive the call. `spf`: what was found before, with the same
  // question; nothing: it is asked now. `lot`: see check_dmarc(). `now`: for t= and x=.
  net::Awaitable<Report> report(net::Resolver& resolver, const PublicSuffixes& suffixes, SpfQuestion question, std::optional<SpfAnswer> spf, unsigned lot, base::WallTime now);

 private:
  struct Candidate;
  void end_header();
  void want_hash(const Signature& signature);
  // Empty: the body was too large.
  [[nodiscard]] std::string body_hash(const Signature& signature, bool& appended) const;
  net::Awaitable<DkimAnswer> check(const Candidate& candidate, Keys& keys, base::WallTime now);

  VerificationSettings settings_;
  std::string text_;            // the header, once its end has come
  mail::Header header_;
  bool has_header_ = false;
  bool too_large_ = false;      // the header
  std::uint64_t body_bytes_ = 0;
  std::vector<Candidate> candidates_;
  ArcChain chain_;
  struct Hash;
  std::vector<std::unique_ptr<Hash>> hashes_;
};

}  // namespace postern::authentication
