// SPDX-License-Identifier: Apache-2.0
#pragma once
// A milter in memory: remembers what it is told and answers by its script, or with "go on".
#include "milter/chain.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace postern::test {

struct MilterScript {
  std::uint32_t version = 6, actions = milter::action::kAll, steps = milter::step::kLeadingSpace;
  std::string macros;  // behind the offer
  // By letter: whole packets that are the answer; none: 'c' where one is due. One that is empty: silence, until the time is over.
  std::map<char, std::string> answers;
  std::function<std::string(char, const std::string&)> answer;  // asked first; empty: the map
  bool refuses_connection = false;
  char closes_at = 0;  // instead of answering this
  // Of all connections.
  std::vector<std::string> told;  // "C…": letter, and the data with "|" for NUL
  unsigned connections = 0;

  [[nodiscard]] std::string letters() const {
    std::string all;
    for (const std::string& one : told) all += one[0];
    return all;
  }
  // Without macros.
  [[nodiscard]] std::string commands() const {
    std::string all = letters();
    std::erase(all, 'D');
    return all;
  }
  [[nodiscard]] bool was_told(const std::string& what) const { return std::find(told.begin(), told.end(), what) != told.end(); }
};

class ScriptedMilter final : public net::Stream {
 public:
  explicit ScriptedMilter(std::shared_ptr<MilterScript> script) : script_(std::move(script)) {}
  Result<std::optional<std::size_t>> try_read(std::span<char> into) override {
    if (out_.empty()) return closed_ ? std::optional<std::size_t>(0) : std::optional<std::size_t>();
    const std::size_t count = std::min(into.size(), out_.size());
    std::memcpy(into.data(), out_.data(), count);
    out_.erase(0, count);
    return std::optional<std::size_t>(count);
  }
  net::Awaitable<Result<void>> wait_readable() override {
    if (!out_.empty() || closed_) co_return Result<void>();
    expired_ = true;
    co_return Error{Kind::temporary, "time limit is over"};
  }
  net::Awaitable<Result<void>> write(std::string_view bytes) override {
    if (closed_) co_return Error{Kind::permanent, "broken pipe"};
    in_ += bytes;
    while (in_.size() >= 4) {
      std::size_t size = 0;
      for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(in_[static_cast<std::size_t>(i)]);
      if (in_.size() < size + 4) break;
      const char letter = in_[4];
      std::string data = in_.substr(5, size - 1);
      in_.erase(0, size + 4);
      hear(letter, data);
    }
    co_return Result<void>();
  }
  void set_time_limit(std::chrono::milliseconds) override {}
  [[nodiscard]] bool expired() const override { return expired_; }
  void abort() override { closed_ = true; }

 private:
  void hear(char letter, std::string data) {
    using namespace milter;
    if (letter == script_->closes_at) {
      closed_ = true;
      return;
    }
    std::string shown = data;
    std::replace(shown.begin(), shown.end(), '\0', '|');
    if (letter != 'O') script_->told.push_back(letter + shown);
    if (letter == 'O') {
      out_ += packet('O', number(script_->version) + number(script_->actions) + number(script_->steps) + script_->macros);
      return;
    }
    if (letter == 'D' || letter == 'A' || letter == 'Q') return;
    if (script_->answer)
      if (std::string answer = script_->answer(letter, data); !answer.empty()) {
        out_ += answer;
        return;
      }
    const std::map<char, std::uint32_t> silent{{'C', step::kSilentConnect}, {'H', step::kSilentHello}, {'M', step::kSilentMail}, {'R', step::kSilentRecipient},
                                               {'T', step::kSilentData}, {'U', step::kSilentUnknown}, {'L', step::kSilentHeader}, {'N', step::kSilentEndOfHeader}, {'B', step::kSilentBody}};
    if (const auto bit = silent.find(letter); bit != silent.end() && (script_->steps & bit->second) != 0) return;
    const auto found = script_->answers.find(letter);
    out_ += found == script_->answers.end() ? packet('c', "") : found->second;
  }
  std::shared_ptr<MilterScript> script_;
  std::string in_, out_;
  bool closed_ = false, expired_ = false;
};

// Milters by their names.
class ScriptedMilters final : public milter::Opener {
 public:
  net::Awaitable<Result<std::unique_ptr<net::Stream>>> open(conf::Milter milter) override {
    const auto script = scripts[milter.name];
    ++script->connections;
    if (script->refuses_connection) co_return Error{Kind::temporary, "connection refused"};
    co_return std::unique_ptr<net::Stream>(std::make_unique<ScriptedMilter>(script));
  }
  // Adds one, and its settings to those that a session is given.
  std::shared_ptr<MilterScript> add(const std::string& name) {
    auto& script = scripts[name] = std::make_shared<MilterScript>();
    conf::Milter& milter = settings.emplace_back();
    milter.name = name;
    milter.address = "unix:/" + name;
    return script;
  }
  std::map<std::string, std::shared_ptr<MilterScript>> scripts;
  std::vector<conf::Milter> settings;
};

}  // namespace postern::test
