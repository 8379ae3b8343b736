// SPDX-License-Identifier: Apache-2.0
#pragma once
// What templates ask of the world outside the tables, and who answers (access-control.md 1.5.3, 8; mappings(5), CALL-OUTS).
//
// Questions is the registry of a process: each built-in call-out and each other kind of question has a handler, added at the start
// by whoever can answer it. A question without a handler fails, as does one whose handler throws; the log says so once for each name.
//
// A handler may take its time, but ends by itself: each has a time limit of its own, and ask_table() gives all questions of one probe
// together kQuestionsTime. It suspends its own session and nobody else.
#include "mapping/tables.h"
#include "net/address_list.h"
#include "net/asio.h"
#include "net/resolver.h"

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace postern::policy {

// A probe that has waited for answers as long as this asks no more: its further questions fail.
inline constexpr std::chrono::seconds kQuestionsTime(20);

// What is known of the session that asks.
struct QuestionFacts {
  const net::AddressList* clients = nullptr;  // the listener's client list (listeners.md L-48); outlives the question. Null: empty
  std::string certificate;                    // subject of the client's verified certificate (RFC 2253); empty: none
  std::string session;                        // for the log; may be empty
  // Of a mail transaction; without an address nothing of it is known.
  std::optional<net::Address> remote;
  std::string helo, sender, host_name;        // as the client gave it; reverse-path, empty if there is none (yet); ours
};

class Questions {
 public:
  // Text found, or nothing: the template fails there. Both references stay good until the handler ends.
  using Handler = std::function<net::Awaitable<std::optional<std::string>>(const mapping::Question&, const QuestionFacts&)>;

  // Knows `client`, which succeeds with an empty text if its argument is an address on the client list, and `certificate`, which
  // gives the subject of the client's certificate, or with an argument compares it with that one (A-Z like a-z) and gives nothing.
  // `unknown`: why a template fails whose question nobody here knows; for traces.
  explicit Questions(std::string unknown = "there is no such call-out");
  Questions(const Questions&) = delete;
  Questions& operator=(const Questions&) = delete;

  // All handlers are added before the first question.
  // $[postern:ROUTINE,argument]; the routine in lower case.
  void add(std::string routine, Handler handler);
  // $[socket:/path,argument].
  void add_daemons(Handler handler);
  // $]url[, $#file#, $}domain,attribute{.
  void add(mapping::Question::Kind kind, Handler handler);

  // For whoever asks the DNS beside templates (policy/dns_questions.h); null: there is none. Must outlive this.
  void set_resolver(net::Resolver& resolver) { resolver_ = &resolver; }
  [[nodiscard]] net::Resolver* resolver() const { return resolver_; }

  // The routines of $[postern:…] that were added.
  [[nodiscard]] std::set<std::string> routines() const;
  [[nodiscard]] bool knows(const mapping::Question& question) const { return find(question) != nullptr; }
  [[nodiscard]] const std::string& unknown() const { return unknown_; }
  // The answer, or nothing. Must be awaited in the process's one thread.
  net::Awaitable<std::optional<std::string>> answer(mapping::Question question, QuestionFacts facts);

 private:
  [[nodiscard]] const Handler* find(const mapping::Question& question) const;
  void log_once(const char* event, const mapping::Question& question, const std::string& reason);

  std::string unknown_;
  net::Resolver* resolver_ = nullptr;
  std::map<std::string, Handler, std::less<>> routines_;
  std::map<mapping::Question::Kind, Handler> kinds_;
  Handler daemons_;
  std::set<std::string> logged_;
};

// One probe against one table, its questions answered. `tables`, `questions` and `facts` must outlive the call. A table that does not
// exist: matched == false. `trace`: what each entry did.
net::Awaitable<mapping::Mapped> ask_table(const mapping::Tables& tables, std::string table, std::string probe, mapping::Flags flags,
                                          Questions& questions, const QuestionFacts& facts, bool trace = false);

}  // namespace postern::policy
