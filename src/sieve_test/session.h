// SPDX-License-Identifier: Apache-2.0
#pragma once
// What one test file works on (sieve-testsuite.md section 3): message and envelope, mailboxes and sent mail, settings, the compiled
// script, the errors of the last step, and the tests and how they ended. It is also the host that the engine asks, both for the file,
// which is a script itself, and for the scripts that the file runs.
//
// The pending result is not here but in the run of the file, so that the file's own actions land in it (Run::outcome()).
#include "sieve/compile.h"
#include "sieve/interpreter.h"
#include "sieve/replies.h"
#include "sieve_test/mail_store.h"
#include "sieve_test/settings.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve_test {

struct Test {
  std::string name;
  std::optional<std::string> failure;     // why it failed
};

class Session : public sieve::Host {
 public:
  // `folder`: of the file that is run; scripts are looked for there. `complain` takes lines for a person.
  Session(std::string folder, std::function<void(const std::string&)> complain);

  // ---- the file's tests
  void begin_test(std::string name);
  // Does nothing if no test is open.
  void end_test();
  [[nodiscard]] bool in_test() const { return open_test_; }
  void fail_test(std::string reason);
  [[nodiscard]] const std::vector<Test>& tests() const { return tests_; }

  // ---- message and envelope
  [[nodiscard]] sieve::Message& message() { return message_; }
  [[nodiscard]] const sieve::EnvelopeView& envelope() const { return envelope_; }
  // The envelope is derived from the message; `flags`: those it has in a mailbox.
  void set_message(sieve::Run& run, const std::string& text, std::vector<std::string> flags = {});
  // "from", "to", "orig_to", "auth"; what does not parse is complained of, and the part matches nothing.
  void set_envelope(std::string_view part, std::string_view value);
  // False: there is no such message, and nothing has changed.
  bool select_sent(sieve::Run& run, std::size_t number);
  bool select_stored(sieve::Run& run, const std::string& mailbox, std::size_t number);

  // ---- scripts
  bool compile_script(const std::string& path);
  // Runs the compiled script and puts its result in place of, or behind, the pending one.
  bool run_script(sieve::Run& run, bool append);
  bool run_chain(sieve::Run& run, const std::vector<std::string>& paths);
  bool save_script(const std::string& name);
  bool load_script(const std::string& name);
  // An inner script reached a test_fail.
  void fail_inner() { inner_failed_ = true; }
  [[nodiscard]] bool inside_script() const { return depth_ > 0; }

  // ---- results
  // Carries out what is pending in the run, and was not carried out before.
  bool execute(sieve::Run& run);
  void reset_result(sieve::Run& run);

  MailStore store;
  Settings settings;
  std::vector<std::string> errors;
  // Options for the file itself, which may use everything.
  [[nodiscard]] sieve::CompileOptions compile_options() const;
  [[nodiscard]] const sieve::Limits& file_limits() const { return file_limits_; }
  void complain(const std::string& text) const { complain_(text); }

  // ---- sieve::Host
  bool mailbox_exists(const std::string& name) override { return store.exists(name); }
  std::optional<std::string> mailbox_with_id(const std::string& id) override { return store.with_id(id); }
  std::optional<std::string> mailbox_with_use(const std::string& use, const std::optional<std::string>& among) override { return store.with_use(use, among); }
  std::optional<std::string> metadata(const std::optional<std::string>& mailbox, const std::string& entry) override { return store.metadata(mailbox.value_or(""), entry); }
  std::optional<sieve::Score> spam_score() override { return score_of(settings, "spamtest", message_.header()); }
  std::optional<sieve::Score> virus_score() override { return score_of(settings, "virustest", message_.header()); }
  std::optional<std::string> environment(std::string_view item) override;
  bool list_exists(const std::string& list) override;
  bool list_contains(const std::string& list, const std::string& value) override;
  std::vector<std::string> list_members(const std::string& list, std::size_t most) override;
  std::string_view sub_address_delimiters() override { return delimiters_; }
  std::vector<std::string> message_flags() override { return flags_; }
  void note(int line, int column, const std::string& text) override;

  // After settings changed.
  void reload();

 private:
  struct Done {
    sieve::Action::Kind kind;
    std::string target;
  };
  // Runs a program on the current message; errors go to the list.
  sieve::Outcome run_inside(const sieve::Program& program, const sieve::Outcome& before);
  static sieve::Outcome without_error(sieve::Outcome outcome);
  void derive_envelope();
  void view_envelope();
  [[nodiscard]] std::optional<std::string> included(sieve::ScriptPlace place, const std::string& name) const;
  std::shared_ptr<const sieve::Program> compile_file(const std::string& path);
  // All actions that were not carried out yet, and the implicit keep.
  bool carry_out(const sieve::Outcome& outcome);
  Result<void> carry_out(const sieve::Action& action);
  Result<void> store_copy(const std::string& mailbox, bool create, const std::string& special_use, const std::vector<std::string>& flags, const std::string& text);
  void send(const std::string& from, const std::string& to, const std::string& text) { store.outbox.push_back({from, to, text}); }
  // Mail that an action makes, if it makes any, and its copy in a mailbox (RFC 8580).
  Result<void> send_generated(const sieve::GeneratedMail& mail, const std::optional<sieve::FileCopy>& copy);
  [[nodiscard]] sieve::ReplySettings reply_settings() const;
  sieve::Moment moment();
  [[nodiscard]] std::string redirect_sender() const;
  [[nodiscard]] std::string sender_by(const std::string& setting) const;
  [[nodiscard]] std::optional<std::string> dictionary_of(const std::string& list) const;

  std::string folder_;
  std::function<void(const std::string&)> complain_;
  std::vector<Test> tests_;
  bool open_test_ = false;

  sieve::Message message_;
  std::vector<std::string> flags_;
  std::string from_, to_, original_to_, authenticated_;
  sieve::EnvelopeView envelope_;
  std::string delimiters_ = "+";

  std::shared_ptr<const sieve::Program> script_;
  std::map<std::string, std::shared_ptr<const sieve::Program>> saved_;
  std::vector<Done> done_;             // carried out since the result was begun
  sieve::Limits file_limits_;
  int messages_set_ = 0, generated_ = 0;
  int depth_ = 0;                      // programs running inside the file
  bool inner_failed_ = false;
};

// The extension "vnd.dovecot.testsuite", whose steps expect a Session as host.
const sieve::Extension& testsuite_extension();

}  // namespace postern::sieve_test
