// SPDX-License-Identifier: Apache-2.0
// The commands and tests of "vnd.dovecot.testsuite" (sieve-testsuite.md sections 4 and 5).
#include "base/text.h"
#include "sieve/compiler.h"
#include "sieve/extensions.h"
#include "sieve_test/session.h"

#include <algorithm>
#include <array>

namespace postern::sieve_test {

using namespace postern::sieve;

namespace {

Session& session_of(const Run& run) { return static_cast<Session&>(run.host()); }

// Ends the test that is open, or the inner script that is running.
void fail(Run& run, std::string reason) {
  Session& session = session_of(run);
  if (session.inside_script()) {
    session.fail_inner();
    run.stop();
  } else if (!session.in_test()) {
    run.fail("failed outside of a test: " + base::printable(reason, 200));
  } else {
    session.fail_test(std::move(reason));
    if (!run.leave_block_of("test")) run.return_from_script();
  }
}

// ---- test "name" { … }, test_fail

class TestBlock : public BlockStep {
 public:
  void carry(Archive& /*archive*/) override {}   // programs of tests are not kept
  Text title;
  bool enter(Run& run, std::unique_ptr<BlockState>&) const override {
    if (!session_of(run).inside_script()) session_of(run).begin_test(title.value(run));
    return true;
  }
  void leave(Run& run, BlockState*) const override {
    if (!session_of(run).inside_script()) session_of(run).end_test();
  }
};

std::unique_ptr<Step> compile_test(Compiler& compiler, const Arguments& arguments) {
  if (compiler.depth() > 0) {
    compiler.error(arguments.node().place, "\"test\" must stand at the top level");
    return nullptr;
  }
  auto step = std::make_unique<TestBlock>();
  step->title = compiler.text(arguments.at(0).strings.front());
  return step;
}

// A command with a string or two, and what it does with their values.
class Command : public Step {
 public:
  void carry(Archive& /*archive*/) override {}   // programs of tests are not kept
  using Action = void (*)(Run&, const std::vector<std::string>&);
  Action action = nullptr;
  std::vector<Text> texts;
  bool perform(Run& run) const override {
    std::vector<std::string> values;
    values.reserve(texts.size());
    for (const Text& text : texts) values.push_back(text.value(run));
    action(run, values);
    return true;
  }
};

template <Command::Action action>
std::unique_ptr<Step> compile_command(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Command>();
  step->action = action;
  for (std::size_t i = 0; i < arguments.count(); ++i) step->texts.push_back(compiler.text(arguments.at(i).strings.front()));
  return step;
}

void test_fail(Run& run, const std::vector<std::string>& values) { fail(run, values[0]); }

// ---- settings

void config_set(Run& run, const std::vector<std::string>& values) {
  if (const auto done = session_of(run).settings.set(values[0], values[1]); !done) run.fail(done.error().what);
}
void config_unset(Run& run, const std::vector<std::string>& values) {
  if (const auto done = session_of(run).settings.unset(values[0]); !done) run.fail(done.error().what);
}

std::unique_ptr<Step> compile_config_reload(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Command>();
  if (const Argument* extension = arguments.parameter("extension")) step->texts.push_back(compiler.text(extension->strings.front()));
  step->action = [](Run& run, const std::vector<std::string>& values) {
    const auto& known = capabilities();
    // Names that only the peer has are no mistake either: there is nothing to read again.
    if (!values.empty() && !values[0].starts_with("vnd.dovecot.") &&
        std::none_of(known.begin(), known.end(), [&](const Capability& capability) { return capability.name == values[0]; }))
      return run.fail("unknown extension \"" + base::printable(values[0], 80) + "\"");
    session_of(run).reload();
  };
  return step;
}

// ---- message and envelope

constexpr std::array<std::string_view, 5> kObjects = {"message", "envelope.from", "envelope.to", "envelope.orig_to", "envelope.auth"};

class TestSet : public Step {
 public:
  void carry(Archive& /*archive*/) override {}   // programs of tests are not kept
  std::string object;
  Text value;
  bool perform(Run& run) const override {
    const std::string text = value.value(run);
    if (object == "message") session_of(run).set_message(run, text);
    else session_of(run).set_envelope(std::string_view(object).substr(9), text);
    return true;
  }
};

std::unique_ptr<Step> compile_test_set(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<TestSet>();
  const StringItem& item = arguments.at(0).strings.front();
  step->object = base::lower(compiler.constant(item, "the object of test_set"));
  if (std::find(kObjects.begin(), kObjects.end(), step->object) == kObjects.end())
    compiler.error(item.place, "unknown object \"" + base::printable(step->object, 80) + "\" for test_set; expected message, or envelope with .from, .to, .orig_to or .auth");
  step->value = compiler.text(arguments.at(1).strings.front());
  return step;
}

class TestMessage : public Step {
 public:
  void carry(Archive& /*archive*/) override {}   // programs of tests are not kept
  std::optional<Text> folder;
  std::size_t number = 0;
  bool command = false;
  bool perform(Run& run) const override {
    Session& session = session_of(run);
    const bool there = folder ? session.select_stored(run, folder->value(run), number) : session.select_sent(run, number);
    if (!there && command) fail(run, "there is no message " + std::to_string(number) + (folder ? " in \"" + base::printable(folder->value(run), 80) + "\"" : std::string(" in the outbox")));
    return there;
  }
};

template <bool command>
std::unique_ptr<Step> compile_test_message(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<TestMessage>();
  step->command = command;
  step->number = arguments.at(0).number;
  if (const Argument* folder = arguments.parameter("folder")) step->folder = compiler.text(folder->strings.front());
  else if (!arguments.has("smtp")) compiler.error(arguments.node().place, "\"test_message\" needs :smtp or :folder");
  return step;
}

void message_print(Run& run, const std::vector<std::string>&) { session_of(run).complain(std::string(run.whole_message().text())); }

// ---- mailboxes

void mailbox_create(Run& run, const std::vector<std::string>& values) {
  if (const auto done = session_of(run).store.create(values[0]); !done) fail(run, done.error().what);
}
void mailbox_delete(Run& run, const std::vector<std::string>&) { fail(run, "test_mailbox_delete is not implemented"); }

class MetadataSet : public Step {
 public:
  void carry(Archive& /*archive*/) override {}   // programs of tests are not kept
  std::optional<Text> mailbox;
  Text entry, text;
  bool perform(Run& run) const override {
    const std::string name = entry.value(run), box = mailbox ? mailbox->value(run) : std::string();
    const std::string lower = base::lower(name);
    // RFC 5464 section 4.1: begins with /private/ or /shared/, no empty part, nothing that IMAP would not take.
    const bool good = (lower.starts_with("/private/") || lower.starts_with("/shared/")) && !lower.ends_with('/') && lower.find("//") == std::string::npos &&
                      std::none_of(lower.begin(), lower.end(), [](char c) { return base::is_control(c) || c == '*' || c == '%' || static_cast<unsigned char>(c) >= 0x80; });
    if (!good) {
      run.fail("invalid metadata entry name \"" + base::printable(name, 80) + "\"");
    } else if (mailbox && !session_of(run).store.exists(box)) {
      run.fail("mailbox \"" + base::printable(box, 80) + "\" doesn't exist");
    } else {
      session_of(run).store.set_metadata(box, name, text.value(run));
    }
    return true;
  }
};

std::unique_ptr<Step> compile_metadata_set(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<MetadataSet>();
  if (const Argument* mailbox = arguments.parameter("mailbox")) step->mailbox = compiler.text(mailbox->strings.front());
  step->entry = compiler.text(arguments.at(0).strings.front());
  step->text = compiler.text(arguments.at(1).strings.front());
  return step;
}

// ---- scripts and results

void binary_save(Run& run, const std::vector<std::string>& values) {
  if (!session_of(run).save_script(values[0])) fail(run, "there is no compiled script to save");
}
void binary_load(Run& run, const std::vector<std::string>& values) {
  if (!session_of(run).load_script(values[0])) fail(run, "no compiled script was saved as \"" + base::printable(values[0], 80) + "\"");
}
void result_reset(Run& run, const std::vector<std::string>&) {
  session_of(run).reset_result(run);
  session_of(run).store.outbox.clear();
}
void result_print(Run& run, const std::vector<std::string>&) {
  for (const Action& action : run.outcome().actions) session_of(run).complain(to_string(action));
  if (run.outcome().implicit_keep) session_of(run).complain("keep (implicit)");
}

// A test with strings, and what it asks.
class Question : public Step {
 public:
  void carry(Archive& /*archive*/) override {}   // programs of tests are not kept
  using Answer = bool (*)(Run&, const std::vector<std::string>&);
  Answer answer = nullptr;
  std::vector<Text> texts;
  bool perform(Run& run) const override {
    std::vector<std::string> values;
    values.reserve(texts.size());
    for (const Text& text : texts) values.push_back(text.value(run));
    return answer(run, values);
  }
};

template <Question::Answer answer>
std::unique_ptr<Step> compile_question(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Question>();
  step->answer = answer;
  if (arguments.count() > 0) step->texts = compiler.texts(arguments.at(0));
  return step;
}

bool script_compile(Run& run, const std::vector<std::string>& values) { return session_of(run).compile_script(values[0]); }
bool result_execute(Run& run, const std::vector<std::string>&) { return session_of(run).execute(run); }
bool multiscript(Run& run, const std::vector<std::string>& values) { return session_of(run).run_chain(run, values); }

std::unique_ptr<Step> compile_script_run(Compiler&, const Arguments& arguments) {
  auto step = std::make_unique<Question>();
  if (arguments.has("append_result")) step->answer = [](Run& run, const std::vector<std::string>&) { return session_of(run).run_script(run, true); };
  else step->answer = [](Run& run, const std::vector<std::string>&) { return session_of(run).run_script(run, false); };
  return step;
}

// The texts of errors, or the names of actions.
class Listed : public Step {
 public:
  void carry(Archive& /*archive*/) override {}   // programs of tests are not kept
  using List = std::vector<std::string> (*)(Run&);
  List list = nullptr;
  std::size_t index = 0;     // from 1; 0: any
  Matcher matcher;
  bool perform(Run& run) const override {
    std::vector<std::string> values = list(run);
    if (index > 0) values = index <= values.size() ? std::vector<std::string>{values[index - 1]} : std::vector<std::string>{};
    if (matcher.type == MatchType::count) return matcher.matches_count(run, values.size());
    return std::any_of(values.begin(), values.end(), [&](const std::string& value) { return matcher.matches(run, value); });
  }
};

template <Listed::List list>
std::unique_ptr<Step> compile_listed(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Listed>();
  step->list = list;
  step->matcher = compiler.matcher(arguments, arguments.at(0));
  if (!arguments.has("comparator")) {
    step->matcher.comparator = Comparator::octet;
    step->matcher.prepare(compiler.options().run_limits);
  }
  if (const Argument* index = arguments.parameter("index")) {
    step->index = index->number;
    if (step->index == 0) compiler.error(index->place, "\":index\" counts from 1");
  }
  return step;
}

std::vector<std::string> errors(Run& run) { return session_of(run).errors; }

std::vector<std::string> action_names(Run& run) {
  std::vector<std::string> names;
  for (const Action& action : run.outcome().actions) {
    switch (action.kind) {
      case Action::Kind::fileinto: names.emplace_back("store"); break;
      case Action::Kind::ereject:
      case Action::Kind::refuse: names.emplace_back("reject"); break;
      default: names.emplace_back(to_string(action.kind)); break;
    }
  }
  return names;
}

}  // namespace

const Extension& testsuite_extension() {
  using Parameter = TagDefinition::Parameter;
  const auto command = [](std::string_view name, std::vector<Form> forms, auto compile) { return Definition{name, std::move(forms), kNoTags, false, compile}; };
  static const Extension extension = [&] {
    Extension made;
    made.name = "vnd.dovecot.testsuite";
    made.standard = "vendor";
    made.summary = "tests of scripts, in the tool only";
    Definition test = command("test", {Form::string}, compile_test);
    test.has_block = true;
    made.commands = {test,
                     command("test_fail", {Form::string}, compile_command<test_fail>),
                     command("test_set", {Form::string, Form::string}, compile_test_set),
                     command("test_config_set", {Form::string, Form::string}, compile_command<config_set>),
                     command("test_config_unset", {Form::string}, compile_command<config_unset>),
                     command("test_config_reload", {}, compile_config_reload),
                     command("test_result_reset", {}, compile_command<result_reset>),
                     command("test_result_print", {}, compile_command<result_print>),
                     command("test_message", {Form::number}, compile_test_message<true>),
                     command("test_message_print", {}, compile_command<message_print>),
                     command("test_mailbox_create", {Form::string}, compile_command<mailbox_create>),
                     command("test_mailbox_delete", {Form::string}, compile_command<mailbox_delete>),
                     command("test_imap_metadata_set", {Form::string, Form::string}, compile_metadata_set),
                     command("test_binary_save", {Form::string}, compile_command<binary_save>),
                     command("test_binary_load", {Form::string}, compile_command<binary_load>)};
    Definition error = command("test_error", {Form::strings}, compile_listed<errors>);
    Definition action = command("test_result_action", {Form::strings}, compile_listed<action_names>);
    error.takes = action.takes = kMatch;
    made.tests = {command("test_script_compile", {Form::string}, compile_question<script_compile>),
                  command("test_script_run", {}, compile_script_run),
                  command("test_result_execute", {}, compile_question<result_execute>),
                  command("test_multiscript", {Form::strings}, compile_question<multiscript>),
                  command("test_message", {Form::number}, compile_test_message<false>),
                  error,
                  action};
    made.tags = {{Parameter::string, "test_config_reload", "extension", "", ""},
                 {Parameter::none, "test_message", "smtp", "source", ""},
                 {Parameter::string, "test_message", "folder", "source", ""},
                 {Parameter::string, "test_imap_metadata_set", "mailbox", "", ""},
                 {Parameter::none, "test_script_run", "append_result", "", ""},
                 {Parameter::number, "test_error", "index", "", ""},
                 {Parameter::number, "test_result_action", "index", "", ""}};
    made.constants = "tst";
    return made;
  }();
  return extension;
}

}  // namespace postern::sieve_test
