// SPDX-License-Identifier: Apache-2.0
// posternctl probe: what one table answers to a string, and why (doc/man/posternctl-probe.8).
#include "base/log.h"
#include "net/run_coroutine.h"
#include "tools/outside_answers.h"
#include "tools/posternctl.h"
#include "tools/show_answer.h"
#include "tools/tables_source.h"

#include <boost/json/serialize.hpp>

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <memory>
#include <optional>

namespace postern::tools {
namespace {

constexpr std::size_t kOutputBytes = 64 * 1024;

// Standard output in large pieces: as many probes as possible for each system call.
class Output {
 public:
  ~Output() { flush(); }
  std::string& text() { return text_; }
  void piece_done() {
    if (text_.size() >= kOutputBytes) flush();
  }
  void flush() {
    for (std::size_t at = 0; at < text_.size();) {
      const ssize_t written = ::write(STDOUT_FILENO, text_.data() + at, text_.size() - at);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        failed_ = true;
        break;
      }
      at += static_cast<std::size_t>(written);
    }
    text_.clear();
  }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  std::string text_;
  bool failed_ = false;
};

// Lines of standard input. Before it has to wait for more, what was answered so far goes out: whoever asks through a pipe and waits
// for each answer gets it.
class Lines {
 public:
  explicit Lines(Output& output) : output_(output), buffer_(kOutputBytes, '\0') {}

  // The next line without its end, valid until the next call; nothing at the end.
  std::optional<std::string_view> next() {
    for (std::size_t looked = at_;;) {
      if (const void* const found = std::memchr(buffer_.data() + looked, '\n', end_ - looked)) {
        const std::size_t newline = static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data());
        const std::string_view line(buffer_.data() + at_, newline - at_);
        at_ = newline + 1;
        return line;
      }
      if (at_end_) {
        if (at_ == end_) return std::nullopt;
        const std::string_view line(buffer_.data() + at_, end_ - at_);
        at_ = end_;
        return line;
      }
      std::memmove(buffer_.data(), buffer_.data() + at_, end_ - at_);
      end_ -= at_;
      at_ = 0;
      looked = end_;
      if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
      output_.flush();
      const ssize_t got = ::read(STDIN_FILENO, buffer_.data() + end_, buffer_.size() - end_);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) at_end_ = true;
      else end_ += static_cast<std::size_t>(got);
    }
  }

 private:
  Output& output_;
  std::string buffer_;
  std::size_t at_ = 0, end_ = 0;
  bool at_end_ = false;
};

class Prober {
 public:
  Prober(mapping::Tables tables, std::string table, std::string_view flags, net::AddressList clients, policy::Questions& questions, bool trace, bool json)
      : tables_(std::move(tables)), table_(std::move(table)), flags_(flags), clients_(std::move(clients)), questions_(questions), trace_(trace), json_(json) {
    facts_.clients = &clients_;
  }

  // Appends the answer to `out`; whether an entry matched.
  bool ask(std::string_view probe, std::string& out) {
    mapping::Evaluation evaluation(tables_, table_, std::string(probe), flags_, trace_);
    while (evaluation.run() == mapping::Evaluation::State::asks) {
      const mapping::Question& question = evaluation.question();
      const bool known = questions_.knows(question);
      evaluation.answer(known ? net::run_coroutine(questions_.answer(question, facts_)) : std::nullopt,
                        known ? "nothing found outside" : std::string_view(questions_.unknown()));
    }
    const mapping::Mapped& mapped = evaluation.result();
    if (json_) {
      out += boost::json::serialize(answer_as_json(mapped, probe, tables_.generation(), trace_));
      out += '\n';
      return mapped.matched;
    }
    if (trace_) append_trace(out, mapped);
    out += mapped.matched ? "matched: yes\noutput: " : "matched: no\noutput: ";
    out += mapped.output;
    out += "\nflags:";
    if (!mapped.flags.empty()) out.append(" ").append(shown_flags(mapped.flags));
    out += "\nentry: ";
    out += shown_entry(mapped);
    if (mapped.matched && tables_.generation() != 0) out.append(" of tables ").append(std::to_string(tables_.generation()));
    out += '\n';
    if (mapped.step_limit_exceeded)
      std::cerr << "posternctl: a limit was exceeded (steps, or bytes of the probe): an access table answers this with 451 4.7.1\n";
    return mapped.matched;
  }

 private:
  mapping::Tables tables_;
  std::string table_;
  mapping::Flags flags_;
  net::AddressList clients_;
  policy::Questions& questions_;
  policy::QuestionFacts facts_;
  bool trace_, json_;
};

}  // namespace

const std::string& probe_details() {
  static const std::string text = std::string("  --flags LETTERS    input flags\n") + kTablesSourceDetails + kAskDetails +
                                  "  --trace            every entry that was tried\n"
                                  "Without STRING, each line of standard input is a probe. Exit status: 0 matched (all of them), 1 not, 2 error.\n";
  return text;
}

int run_probe(const Context& context, const std::vector<std::string>& arguments) {
  const auto wrong = [&](const std::string& text) {
    print_error(context, text);
    return kUsage;
  };
  std::string table, flags;
  bool trace = false, ask = false;
  TablesSource source;
  std::vector<Option> options = source.options();
  options.insert(options.end(), {{"--table", &table}, {"--flags", &flags}, {"--ask", &ask}, {"--trace", &trace}});
  const auto strings = read_options("probe", options, arguments);
  if (!strings) return wrong(strings.error().what);
  if (strings->size() > 1) return wrong("probe takes one string (quote it)");
  if (table.empty()) return wrong("probe needs --table NAME");

  auto tables = open_tables(context, source, false);
  if (!tables) return wrong(tables.error().what);
  if (!tables->has(table)) return wrong("there is no table " + table);
  // Where no configuration is needed, the client list is as shipped.
  std::vector<net::AddressList::Mistake> mistakes;
  net::AddressList clients = source.needs_configuration() ? context.configuration().client_addresses : net::AddressList::compile("127.0.0.0/8\n::1\n", mistakes);
  // What templates ask of the server is answered in the trace.
  base::configure_log(base::Destination::standard_error, "posternctl", base::Severity::error);

  OutsideAnswers outside(context, ask);
  Prober prober(std::move(*tables), table, flags, std::move(clients), outside.questions(), trace, context.json);
  Output output;
  bool all_matched = true;
  if (!strings->empty()) {
    all_matched = prober.ask(strings->front(), output.text());
  } else {
    Lines lines(output);
    while (const auto line = lines.next()) {
      all_matched = prober.ask(*line, output.text()) && all_matched;
      output.piece_done();
      if (output.failed()) break;
    }
  }
  output.flush();
  if (output.failed()) {
    std::cerr << "posternctl: standard output: " << std::strerror(errno) << "\n";
    return kUsage;
  }
  return all_matched ? kDone : kFailed;
}

}  // namespace postern::tools
