// SPDX-License-Identifier: Apache-2.0
// imap4flags (RFC 5232): setflag, addflag, removeflag, the test hasflag, and :flags on keep and fileinto. Without the name of a
// variable they work on an internal one, whose content goes to every later action that stores the message.
#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/flags.h"

#include <algorithm>

namespace postern::sieve {

namespace {

// Of a list of flags; what is behind them is not looked at.
constexpr std::size_t kMostFlags = 100;

// RFC 9051 flag-keyword, or a backslash and an atom.
bool is_flag(std::string_view name) {
  if (name.starts_with("\\")) name.remove_prefix(1);
  if (name.empty() || name.size() > 255 || base::equal_ignoring_case(name, "recent")) return false;
  return std::none_of(name.begin(), name.end(), [](char c) { return c <= ' ' || c >= 0x7f || std::string_view("(){%*\"\\]").find(c) != std::string_view::npos; });
}

// Words between blanks; line ends count as blanks.
template <class Callback>
void for_each_word(std::string_view text, Callback callback) {
  constexpr std::string_view kBlanks = " \t\r\n";
  for (std::size_t at = text.find_first_not_of(kBlanks); at != std::string_view::npos; at = text.find_first_not_of(kBlanks, at)) {
    const std::size_t end = std::min(text.find_first_of(kBlanks, at), text.size());
    callback(text.substr(at, end - at));
    at = end;
  }
}

std::string joined(const std::vector<std::string>& flags) {
  std::string out;
  for (const auto& flag : flags) out.append(out.empty() ? "" : " ").append(flag);
  return out;
}

enum class Change { set, add, remove };

class ChangeFlags : public Step {
 public:
  Change change = Change::set;
  std::optional<std::uint32_t> variable;
  std::vector<Text> texts;
  bool perform(Run& run) const override {
    std::vector<std::string> flags;
    if (change != Change::set) {
      if (variable) add_flags(run.variable(*variable), flags);
      else flags = run.flags();
    }
    std::string scratch;
    for (const Text& text : texts) {
      const std::string_view value = text.value(run, scratch);
      if (!run.spend_text(value.size() * (1 + flags.size()))) return false;
      if (change != Change::remove) {
        add_flags(value, flags);
        continue;
      }
      for_each_word(value, [&](std::string_view word) { std::erase_if(flags, [&](const std::string& flag) { return base::equal_ignoring_case(flag, word); }); });
    }
    if (variable) run.set_variable(*variable, joined(flags));
    else run.set_flags(std::move(flags));
    return true;
  }
  void carry(Archive& archive) override {
    archive.choice(change, Change::remove);
    bool named = variable.has_value();
    archive(named);
    if (named && !variable) variable = 0;
    if (named) archive.variable(*variable);
    archive(texts);
  }
};

template <Change change>
std::unique_ptr<Step> compile_change(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<ChangeFlags>();
  step->change = change;
  if (arguments.count() == 2) step->variable = compiler.variable_of(arguments.at(0).strings.front());
  step->texts = compiler.texts(arguments.last());
  return step;
}

// Flags are words, so a key with blanks could match none: it stands for each of its words. A regular expression may have blanks, and the
// name of a list is one word.
bool keys_are_flags(MatchType type) { return type != MatchType::regex && type != MatchType::list; }

class HasFlag : public Step {
 public:
  std::vector<std::uint32_t> variables;
  bool internal = true;
  Matcher matcher;
  bool perform(Run& run) const override {
    std::vector<std::string> flags;
    if (internal) flags = run.flags();
    std::size_t count = flags.size();
    for (const auto number : variables) {
      std::vector<std::string> own;
      add_flags(run.variable(number), own);
      count += own.size();
      flags.insert(flags.end(), own.begin(), own.end());
    }
    const auto looked_for = [&](const Matcher& keys) {
      if (keys.type == MatchType::count) return keys.matches_count(run, count);
      return std::any_of(flags.begin(), flags.end(), [&](const std::string& flag) { return keys.matches(run, flag); });
    };
    const bool known = std::all_of(matcher.keys.begin(), matcher.keys.end(), [](const Matcher::Key& key) { return key.text.is_constant(); });
    return looked_for(known || !keys_are_flags(matcher.type) ? matcher : with_words(run));
  }
  void carry(Archive& archive) override {
    std::size_t number = variables.size();
    archive.count(number);
    variables.resize(number);
    for (std::uint32_t& variable : variables) archive.variable(variable);
    archive(internal, matcher);
  }

 private:
  // With the words that the keys with references hold in this run.
  [[nodiscard]] Matcher with_words(Run& run) const {
    Matcher all = matcher;
    all.keys.clear();
    std::string scratch;
    for (const Matcher::Key& key : matcher.keys) {
      if (key.text.is_constant()) {
        all.keys.push_back(key);
        continue;
      }
      const std::string_view value = key.text.value(run, scratch);
      if (!run.spend_text(value.size())) return all;
      std::size_t words = 0;
      for_each_word(value, [&](std::string_view word) {
        if (words++ == kMostFlags) return;
        // As a piece, since constants are prepared when a script is compiled.
        all.keys.emplace_back().text = Text(std::vector<Text::Piece>{{Text::Piece::Kind::literal, std::string(word), 0}});
      });
    }
    return all;
  }
};

std::unique_ptr<Step> compile_hasflag(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<HasFlag>();
  if (arguments.count() == 2) {
    step->internal = false;
    for (const StringItem& item : arguments.at(0).strings)
      if (const auto number = compiler.variable_of(item)) step->variables.push_back(*number);
  }
  step->matcher = compiler.matcher(arguments, arguments.last(), [](const Text& key, MatchType type) {
    std::vector<Text> keys;
    if (!key.is_constant() || !keys_are_flags(type)) keys.push_back(key);
    else for_each_word(key.constant(), [&](std::string_view word) { keys.emplace_back(std::string(word)); });
    return keys;
  });
  return step;
}

}  // namespace

void add_flags(std::string_view text, std::vector<std::string>& flags) {
  for_each_word(text, [&](std::string_view word) {
    if (!is_flag(word) || flags.size() >= kMostFlags) return;
    if (std::none_of(flags.begin(), flags.end(), [&](const std::string& flag) { return base::equal_ignoring_case(flag, word); })) flags.emplace_back(word);
  });
}

FlagsArgument::FlagsArgument(Compiler& compiler, const Arguments& arguments) {
  if (const Argument* given = arguments.parameter("flags")) {
    given_ = true;
    texts_ = compiler.texts(*given);
  }
}

void FlagsArgument::carry(Archive& archive) { archive(given_, texts_); }

std::vector<std::string> FlagsArgument::value(const Run& run) const {
  if (!given_) return run.flags_to_store();
  std::vector<std::string> flags;
  std::string scratch;
  for (const Text& text : texts_) add_flags(text.value(run, scratch), flags);
  return flags;
}

const Extension& imap4flags_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"imap4flags", "RFC 5232", "set the flags of the stored message", false,
      {{"setflag", {Form::string, Form::strings}, kNoTags, true, step<ChangeFlags>(compile_change<Change::set>)},
       {"addflag", {Form::string, Form::strings}, kNoTags, true, step<ChangeFlags>(compile_change<Change::add>)},
       {"removeflag", {Form::string, Form::strings}, kNoTags, true, step<ChangeFlags>(compile_change<Change::remove>)}},
      {{"hasflag", {Form::strings, Form::strings}, kMatch, true, step<HasFlag>(compile_hasflag)}},
      {{Parameter::strings, "keep", "flags", ""}, {Parameter::strings, "fileinto", "flags", ""},
       {Parameter::strings, "vacation", "flags", "", "fcc"}, {Parameter::strings, "notify", "flags", "", "fcc"}}};
  return extension;
}

}  // namespace postern::sieve
