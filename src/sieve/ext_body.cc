// SPDX-License-Identifier: Apache-2.0
// body (RFC 5173). Parts are matched one at a time, never across; match variables are left alone.
#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/html_text.h"
#include "sieve/interpreter.h"

#include <algorithm>

namespace postern::sieve {

namespace {

enum class Transform { raw, content, text };

// RFC 5173 section 5.2: "text" is all of text/*, "text/html" just that, "" everything; a key that is no type matches nothing.
bool type_matches(std::string_view key, const mail::Part& part) {
  if (key.empty()) return true;
  const auto slash = key.find('/');
  if (slash == std::string_view::npos) return base::equal_ignoring_case(key, part.type);
  return slash > 0 && base::equal_ignoring_case(key.substr(0, slash), part.type) && base::equal_ignoring_case(key.substr(slash + 1), part.subtype);
}

class Body : public Step {
 public:
  Transform transform = Transform::text;
  std::vector<Text> types;
  Matcher matcher;

  bool perform(Run& run) const override {
    if (!run.whole_message().has_body()) return false;
    std::size_t count = 0;
    bool found = false;
    if (transform == Transform::raw) {
      found = look_at(run, run.whole_message().body(), count);
    } else {
      std::vector<std::string> keys;
      std::string scratch;
      for (const Text& type : types) keys.emplace_back(type.value(run, scratch));
      found = part(run, run.whole_message().structure(), keys, count);
    }
    if (found) return true;
    return matcher.type == MatchType::count && !run.failed() && matcher.matches_count(run, count);
  }
  void carry(Archive& archive) override {
    archive.choice(transform, Transform::text);
    archive(types, matcher);
  }

 private:
  bool look_at(Run& run, std::string_view value, std::size_t& count) const {
    ++count;
    if (matcher.type == MatchType::count) return false;
    // Decoded text stays where it is; of large ones no second copy is kept.
    constexpr std::size_t kMostRemembered = 64 * 1024;
    return value.size() <= kMostRemembered ? matcher.matches_stable(run, value) : matcher.matches(run, value);
  }

  // This part and those inside; their depth is bounded (mail/part.h).
  bool part(Run& run, const mail::Part& part, const std::vector<std::string>& keys, std::size_t& count) const {
    const bool wanted = transform == Transform::text ? part.type == "text"
                                                     : std::any_of(keys.begin(), keys.end(), [&](const std::string& key) { return type_matches(key, part); });
    if (wanted) {
      if (part.type == "multipart" && !part.children.empty()) {
        if (look_at(run, part.preamble, count) || look_at(run, part.epilogue, count)) return true;
      } else if (part.type == "message" && !part.children.empty()) {
        if (look_at(run, part.children.front().header_text, count)) return true;
      } else if (look_at(run, run.decoded_body(part, transform == Transform::text), count)) {
        return true;
      }
    }
    if (run.failed()) return false;
    return std::any_of(part.children.begin(), part.children.end(), [&](const mail::Part& child) { return this->part(run, child, keys, count); });
  }
};

std::unique_ptr<Step> compile_body(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Body>();
  if (arguments.has("raw")) step->transform = Transform::raw;
  if (const Argument* types = arguments.parameter("content")) {
    step->transform = Transform::content;
    step->types = compiler.texts(*types);
  }
  step->matcher = compiler.matcher(arguments, arguments.at(0));
  step->matcher.sets_match_values = false;
  return step;
}

}  // namespace

std::string_view Run::decoded_body(const mail::Part& part, bool as_text) {
  const auto key = std::make_pair(part.body.data(), as_text);
  if (const auto found = decoded_bodies_.find(key); found != decoded_bodies_.end()) return found->second;
  const std::size_t left = limits_.body_bytes > decoded_body_bytes_ ? limits_.body_bytes - decoded_body_bytes_ : 0;
  std::string decoded = mail::decoded_body(part, std::min(limits_.body_part_bytes, left));
  if (as_text && part.subtype == "html") decoded = html_text(decoded);
  decoded_body_bytes_ += decoded.size();
  spend_text(part.body.size());
  return decoded_bodies_.emplace(key, std::move(decoded)).first->second;
}

const Extension& body_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"body", "RFC 5173", "test the text of the message", false, {}, {{"body", {Form::strings}, kMatch, false, step<Body>(compile_body)}},
      {{Parameter::none, "body", "raw", "transform"}, {Parameter::strings, "body", "content", "transform"}, {Parameter::none, "body", "text", "transform"}}};
  return extension;
}

}  // namespace postern::sieve
