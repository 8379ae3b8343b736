// SPDX-License-Identifier: Apache-2.0
#pragma once
// A decision step by step: what was asked, by which rule it was answered, what the client hears. Listens to policy::Access and prints
// for people or programs (posternctl access, rewrite).
#include "policy/access.h"
#include "policy/probe_observer.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace postern::tools {

class DecisionReport final : public policy::ProbeObserver, public policy::Explanation {
 public:
  // `trace`: with every entry that was tried.
  explicit DecisionReport(bool trace) : trace_(trace) {}

  // A new step; what follows belongs to it. `number` as in access-control.md 2.8: "1", "5-7".
  void begin(std::string_view number, std::string_view title);
  // A line of the step, and a member of its object under the same name.
  void fact(std::string_view name, std::string_view value);
  void effects(const policy::Effects& effects);
  // What the client hears.
  void reply(std::string_view line, bool accepted);

  // Whether some member of an alias leads nowhere.
  [[nodiscard]] bool dead_end() const { return dead_end_; }
  // Whether a table refused the address, or a member of it, in the present step.
  [[nodiscard]] bool refused_in_step() const { return refused_in_step_; }

  // The whole, to standard output. As JSON: {"accepted": …, "steps": […]}.
  void print(bool json, bool accepted) const;

  void asked(std::string_view table, mapping::Flags input, std::string_view probe, const mapping::Mapped& result, std::uint64_t generation) override;
  policy::Explanation* explanation() override { return this; }
  void rewriting(const policy::RewriteStep& step) override;
  void expansion(const policy::AliasStep& step) override;

 private:
  void line(unsigned indent, std::string_view name, std::string_view value);
  void event(boost::json::object event);

  bool trace_, dead_end_ = false, refused_in_step_ = false;
  std::string text_;
  boost::json::array steps_;
};

// "550 5.7.1 Relaying not permitted: x@example.net".
std::string shown_reply(const policy::Reply& reply);

}  // namespace postern::tools
