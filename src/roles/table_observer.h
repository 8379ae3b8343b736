// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a child of sessions does with the probes that its access tables are asked, beside obeying the answers: it keeps them for
// rehearsals (rehearsal/probe_ring.h), and asks the tables OBSERVE_X (access-control.md 2.9).
//
// OBSERVE_X is asked after X, apart from the session: its reply waits for nothing here. What a template of OBSERVE_X asks outside gets
// the answer that X got to the same question; the client list and the DNS are asked anew. Everything else (counters, sequence files,
// daemons, URLs) is not asked for it, since that could change something outside: such a probe counts as open. Of tables that another
// file has replaced meanwhile nothing is asked.
//
// Differences are logged as `observed`, the first of each pair of lines at once, further ones once a minute with their number.
// Limits: kObservedAtOnce probes wait for answers at once, more count as open; kPairsLogged pairs of lines.
#include "net/asio.h"
#include "policy/probe_observer.h"
#include "policy/questions.h"
#include "policy/site.h"
#include "rehearsal/observation_counts.h"
#include "rehearsal/probe_ring.h"
#include "service/child.h"

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

namespace postern::roles {

inline constexpr std::size_t kObservedAtOnce = 100;
inline constexpr std::size_t kPairsLogged = 1000;

class TableObserver final : public policy::ProbeObserver {
 public:
  // Whose directory the probes go to, and which part of rehearsal.bytes that is.
  enum class Share { network, mail };
  // `io` and `questions` must outlive it, and so must it what runs on `io`.
  TableObserver(net::asio::io_context& io, service::Start& start, policy::Questions& questions, Share share);
  ~TableObserver() override;

  void take_configuration(const conf::Configuration& configuration, std::shared_ptr<const policy::Site> site);
  void take_tables(const mapping::Tables& tables);

  void asked(std::string_view table, mapping::Flags input, std::string_view probe, const mapping::Mapped& result, std::uint64_t generation) override;
  [[nodiscard]] bool wants_missing(std::string_view table) const override;

 private:
  static constexpr std::size_t kTables = 8;
  struct Pair {
    std::chrono::steady_clock::time_point logged;
    std::uint64_t more = 0;
    base::Fields last;
  };
  net::Awaitable<void> observe(std::size_t table, mapping::Flags input, std::string probe, mapping::Mapped result);
  void compare(std::size_t table, const std::string& probe, const mapping::Mapped& in_force, const mapping::Mapped& observed, bool open,
               std::uint64_t generation);
  void log_sums(std::chrono::steady_clock::time_point now);

  net::asio::io_context& io_;
  policy::Questions& questions_;
  Share share_;
  std::optional<rehearsal::ObservationCounts> counts_;
  std::unique_ptr<rehearsal::ProbeRing> ring_;  // null: there is no directory
  std::string no_ring_;                         // why
  std::shared_ptr<const policy::Site> site_;
  mapping::Tables tables_;
  std::array<bool, kTables> observed_{};
  bool any_observed_ = false;
  std::size_t running_ = 0;
  // By table, line that is observed, line in force.
  std::map<std::tuple<std::size_t, int, int>, Pair> pairs_;
  std::chrono::steady_clock::time_point sums_logged_{};
};

}  // namespace postern::roles
