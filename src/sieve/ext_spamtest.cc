// SPDX-License-Identifier: Apache-2.0
// spamtest, spamtestplus and virustest (RFC 5235). The scores are the host's, from what our own scanners said.
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

#include <algorithm>

namespace postern::sieve {

namespace {

enum class What { spam, viruses };

class ScoreTest : public Step {
 public:
  What what = What::spam;
  bool percent = false;
  Matcher matcher;
  bool perform(Run& run) const override {
    auto score = what == What::spam ? run.host().spam_score() : run.host().virus_score();
    if (const int adjustment = run.spam_adjustment(); what == What::spam && adjustment != 0) {
      // spamadjust: the scale of spamtest, 10 percent a step; a message that was not tested begins with the lowest score.
      Score adjusted = score.value_or(Score{1, 0});
      if (adjusted.value == 0) adjusted = {1, 0};
      adjusted.value = std::clamp(adjusted.value + adjustment, 1, 10);
      adjusted.percent = std::clamp(adjusted.percent + 10 * adjustment, 0, 100);
      score = adjusted;
    }
    const bool tested = score && score->value > 0;
    if (matcher.type == MatchType::count) return matcher.matches_count(run, tested ? 1 : 0);
    return matcher.matches(run, std::to_string(!tested ? 0 : percent ? score->percent : score->value));
  }
  void carry(Archive& archive) override {
    archive.choice(what, What::viruses);
    archive(percent, matcher);
  }
};

template <What what>
std::unique_ptr<Step> compile_score(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<ScoreTest>();
  step->what = what;
  step->percent = arguments.has("percent");
  step->matcher = compiler.matcher(arguments, arguments.at(0));
  return step;
}

}  // namespace

const Extension& spamtest_extension() {
  static const Extension extension = {"spamtest", "RFC 5235", "test how likely the message is spam", false, {}, {{"spamtest", {Form::string}, kMatch, false, step<ScoreTest>(compile_score<What::spam>)}}, {}, kScoresSpam};
  return extension;
}

const Extension& spamtestplus_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"spamtestplus", "RFC 5235", "spamtest with :percent", false, {}, {}, {{Parameter::none, "spamtest", "percent"}}, kScoresSpam, "spamtest"};
  return extension;
}

const Extension& virustest_extension() {
  static const Extension extension = {"virustest", "RFC 5235", "test how likely the message has a virus", false, {}, {{"virustest", {Form::string}, kMatch, false, step<ScoreTest>(compile_score<What::viruses>)}}, {}, kScoresViruses};
  return extension;
}

}  // namespace postern::sieve
