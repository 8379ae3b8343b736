// SPDX-License-Identifier: Apache-2.0
// mboxmetadata and servermetadata (RFC 5490 sections 3.3 to 4): annotations of mailboxes and of the server, as the user may read them.
#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

#include <algorithm>

namespace postern::sieve {

namespace {

constexpr std::uint64_t kQuestion = 16;   // steps: the host may have to look at a disk

// RFC 5464 section 3: "/private/…" or "/shared/…", no empty component, no wildcard.
bool is_entry(std::string_view name) {
  if (!base::starts_with_ignoring_case(name, "/private/") && !base::starts_with_ignoring_case(name, "/shared/")) return false;
  return name.size() <= 1000 && name.find("//") == std::string_view::npos && name.back() != '/' &&
         std::none_of(name.begin(), name.end(), [](char c) { return base::is_control(c) || c == '*' || c == '%' || static_cast<unsigned char>(c) >= 0x80; });
}

// The mailbox that a text names; nothing if it can't be one's name.
std::optional<std::string> mailbox(const Run& run, std::string_view text) {
  std::string problem;
  return mailbox_name(text, run.limits().mailbox_separators, problem);
}

void warn_about_entries(Compiler& compiler, const Argument& names, const std::vector<Text>& texts) {
  for (std::size_t i = 0; i < texts.size(); ++i)
    if (texts[i].is_constant() && !is_entry(texts[i].constant()))
      compiler.warning(names.strings[i].place, "\"" + base::printable(texts[i].constant(), 80) + "\" is no name of an annotation, so there never is one");
}

class Metadata : public Step {
 public:
  std::optional<Text> box;             // nothing: the server
  Text entry;
  Matcher matcher;
  bool perform(Run& run) const override {
    std::string scratch;
    std::optional<std::string> name;
    bool askable = true;
    if (box) {
      name = mailbox(run, box->value(run, scratch));
      askable = name.has_value();
    }
    const std::string wanted = entry.value(run);
    if (!run.spend(kQuestion)) return false;
    const auto value = askable && is_entry(wanted) ? run.host().metadata(name, wanted) : std::nullopt;
    if (matcher.type == MatchType::count) return matcher.matches_count(run, value ? 1 : 0);
    return value && matcher.matches(run, *value);
  }
  void carry(Archive& archive) override { archive(box, entry, matcher); }
};

template <bool of_mailbox>
std::unique_ptr<Step> compile_metadata(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Metadata>();
  if (of_mailbox) step->box = compiler.text(arguments.at(0).strings.front());
  const Argument& entry = arguments.at(of_mailbox ? 1 : 0);
  step->entry = compiler.text(entry.strings.front());
  warn_about_entries(compiler, entry, {step->entry});
  step->matcher = compiler.matcher(arguments, arguments.last());
  return step;
}

class MetadataExists : public Step {
 public:
  std::optional<Text> box;
  std::vector<Text> entries;
  bool perform(Run& run) const override {
    std::string scratch;
    std::optional<std::string> name;
    if (box) {
      name = mailbox(run, box->value(run, scratch));
      if (!name) return false;
    }
    return std::all_of(entries.begin(), entries.end(), [&](const Text& text) {
      const std::string entry = text.value(run);
      return run.spend(kQuestion) && is_entry(entry) && run.host().metadata(name, entry).has_value();
    });
  }
  void carry(Archive& archive) override { archive(box, entries); }
};

template <bool of_mailbox>
std::unique_ptr<Step> compile_exists(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<MetadataExists>();
  if (of_mailbox) step->box = compiler.text(arguments.at(0).strings.front());
  step->entries = compiler.texts(arguments.last());
  warn_about_entries(compiler, arguments.last(), step->entries);
  return step;
}

}  // namespace

const Extension& mboxmetadata_extension() {
  static const Extension extension = {"mboxmetadata", "RFC 5490", "test annotations of mailboxes", false, {},
      {{"metadata", {Form::string, Form::string, Form::strings}, kMatch, false, step<Metadata>(compile_metadata<true>)},
       {"metadataexists", {Form::string, Form::strings}, kNoTags, false, step<MetadataExists>(compile_exists<true>)}}, {}, kReadsMetadata};
  return extension;
}

const Extension& servermetadata_extension() {
  static const Extension extension = {"servermetadata", "RFC 5490", "test annotations of the server", false, {},
      {{"servermetadata", {Form::string, Form::strings}, kMatch, false, step<Metadata>(compile_metadata<false>)},
       {"servermetadataexists", {Form::strings}, kNoTags, false, step<MetadataExists>(compile_exists<false>)}}, {}, kReadsMetadata};
  return extension;
}

}  // namespace postern::sieve
