// SPDX-License-Identifier: Apache-2.0
#include "mapping/lint.h"

#include "base/text.h"
#include "mapping/access_result.h"
#include "mapping/code.h"
#include "mapping/effect.h"
#include "mapping/known_names.h"

#include <algorithm>
#include <array>

namespace postern::mapping {
namespace {

// Flags that a table knows, besides Y, N and F.
std::string_view known_flags(AccessTable table) {
  switch (table) {
    case AccessTable::port: return "<>TUW";
    case AccessTable::from: return "BHVZ!UJK<>DTAGSX,";
    case AccessTable::recipient: return "BHVZU<>DTAGX,";
    case AccessTable::login: return "<>D";
    case AccessTable::none: break;
  }
  return {};
}
// Flags that some access table knows; raising one of them in another table is a mistake, others are the site's own business.
constexpr std::string_view kAllAccessFlags = "BHVZ!UJKI<>DTAGSX,W";

bool raises(const Flags& flags, char flag) {
  if (flag == 'N') return flags.has_either_case('N') || flags.has_either_case('F');
  return flags.has(flag);
}

// Probes of an access table have this many bars: over SMTP, and where there is no connection.
struct Bars {
  int most = 0, least = 0;
  bool recipient_last = false;  // or, with access_orcpt, last but one
};
Bars bars_of(std::string_view table, std::optional<bool> access_orcpt) {
  const int original = access_orcpt.value_or(true) ? 1 : 0, always = access_orcpt.value_or(false) ? 1 : 0;
  if (table == "PORT_ACCESS") return {4, 4};
  if (table == "FROM_ACCESS") return {9, 5};
  if (table == "SEND_ACCESS" || table == "ORIG_SEND_ACCESS") return {3 + original, 3 + always, true};
  if (table == "MAIL_ACCESS" || table == "ORIG_MAIL_ACCESS") return {10 + original, 6 + always, true};
  if (table == "LOGIN_ACCESS") return {4, 4};
  if (table == "INTERNAL_IP") return {0, 0};
  return {-1, -1};
}

constexpr std::array<std::string_view, 11> kKnownTables = {"PORT_ACCESS", "INTERNAL_IP", "FROM_ACCESS",  "ORIG_SEND_ACCESS", "ORIG_MAIL_ACCESS", "SEND_ACCESS",
                                                           "MAIL_ACCESS", "FORWARD",     "REVERSE", "LOGIN_ACCESS",     "CONVERSIONS"};

std::string letters_of(std::string_view name) {
  std::string out;
  for (const char c : name)
    if (base::is_alpha(c)) out += base::ascii_upper(c);
  return out;
}

// Where in the text a network stands as administrators of other programs write it: 192.0.2.0/24, 2001:db8::/32. Empty: nowhere.
std::string_view plain_network(std::string_view text) {
  for (std::size_t slash = text.find('/'); slash != std::string_view::npos; slash = text.find('/', slash + 1)) {
    std::size_t start = slash, dots = 0, colons = 0;
    while (start > 0 && (base::is_digit(text[start - 1]) || std::string_view(".:abcdef").find(text[start - 1]) != std::string_view::npos)) {
      --start;
      dots += text[start] == '.';
      colons += text[start] == ':';
    }
    std::size_t end = slash + 1;
    while (end < text.size() && base::is_digit(text[end])) ++end;
    if (end > slash + 1 && ((dots == 3 && colons == 0) || colons >= 2)) return text.substr(start, end - start);
  }
  return {};
}

// What can be said of a pattern's code for the checks below.
struct PatternFacts {
  bool matches_all = false;     // nothing but any-wildcards, one of them `*`
  bool has_star = false;        // a `*` of any character, or a set with the bar in it
  int bars = 0;                 // in literals
  bool ends_in_star = false;    // the last thing can stand for further fields
  std::size_t literal_bytes = 0;
  bool simple = true;           // only literals and wildcards
};

PatternFacts facts_of(std::string_view code) {
  PatternFacts facts;
  bool only_stars = true;
  CodeReader in(code);
  while (!in.at_end()) {
    switch (static_cast<PatternOp>(in.u8())) {
      case PatternOp::literal: {
        const std::string_view text = in.text();
        facts.literal_bytes += text.size();
        facts.bars += static_cast<int>(std::count(text.begin(), text.end(), '|'));
        only_stars = facts.ends_in_star = false;
        break;
      }
      case PatternOp::wildcard: {
        const std::uint8_t bits = in.u8();
        const auto character_class = static_cast<CharacterClass>(in.u8());
        const bool many = (bits & WildcardBits::many) != 0;
        facts.ends_in_star = many && character_class == CharacterClass::any;
        if (character_class == CharacterClass::set) {
          const std::string_view set = in.raw(32);
          if (many && set.size() == 32 && (static_cast<unsigned char>(set['|' / 8]) >> '|' % 8 & 1) != 0) facts.ends_in_star = true;
        }
        if (facts.ends_in_star) facts.has_star = true;
        if (!many || character_class != CharacterClass::any) only_stars = false;
        break;
      }
      case PatternOp::block4:
        in.raw(9);
        facts.simple = only_stars = facts.ends_in_star = false;
        break;
      case PatternOp::block6:
        in.raw(18);
        facts.simple = only_stars = facts.ends_in_star = false;
        break;
      case PatternOp::back:
        in.raw(2);
        facts.simple = only_stars = false;
        // A back match can stand for text with bars in it.
        facts.has_star = facts.ends_in_star = true;
        break;
      default: return facts;
    }
  }
  facts.matches_all = only_stars && !code.empty();
  return facts;
}

// A probe by which a stranger asks to relay.
constexpr std::string_view kRelayProbe = "tcp_local|stranger@outside.invalid|tcp_local|somebody@elsewhere.invalid";

constexpr std::array<std::string_view, 8> kSpfResults = {"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror", "explanation"};

// OBSERVE_X is asked with the probes of X.
std::string_view without_observe(std::string_view table) {
  constexpr std::string_view kObserve = "OBSERVE_";
  return table.starts_with(kObserve) ? table.substr(kObserve.size()) : table;
}

// Input flags that a table may be asked with (2.2, 2.4, 2.5, 2.1 for REVERSE).
std::string_view input_flags(std::string_view table) {
  if (table == "PORT_ACCESS") return "AS";
  if (table == "FROM_ACCESS") return "AT";
  if (table == "REVERSE") return "EBI";
  return access_table(table) == AccessTable::recipient ? "ATELSFD" : "";
}

// Whether the asker of the table wants to know no more than $Y or $N.
bool answers_yes_or_no(std::string_view table) { return table == "INTERNAL_IP" || table == "FORWARD" || table == "REVERSE"; }

bool has_reply_code(std::string_view text) {
  if (text.starts_with("-ERR ") || text.starts_with("* BYE ") || text.starts_with("BYE ")) return true;
  return text.size() >= 4 && base::is_digit(text[0]) && base::is_digit(text[1]) && base::is_digit(text[2]) && text[3] == ' ';
}

bool is_integer(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && text.size() < 10 && std::all_of(text.begin(), text.end(), base::is_digit);
}

}  // namespace

void Lint::table(std::string_view name, std::uint16_t file, std::uint32_t line) {
  leave_table();
  name_ = base::upper(name);
  tables_.insert(name_);
  if (name_ == "ORIG_SEND_ACCESS") relaying_place_ = {file, line};
  const std::string_view plain = without_observe(name_);
  const bool observes = plain.size() < name_.size();
  if (std::find(kKnownTables.begin(), kKnownTables.end(), plain) != kKnownTables.end()) {
    if (observes && !asked_table(plain))
      emit_("W14", file, line, "table " + std::string(name) + " is never asked: nothing can be observed of " + std::string(plain));
    return;
  }
  for (const std::string_view known : kKnownTables)
    if (nearly_equal(letters_of(plain), letters_of(known))) {
      return emit_("W14", file, line, "table " + std::string(name) + " is not one that Postern asks; did you mean " + std::string(known) + "?");
    }
  // Other programs of this kind ask tables that Postern does not have.
  if (plain.ends_with("_ACCESS")) unasked_.emplace(name_, Place{file, line});
}

void Lint::leave_table() {
  catch_all_ = {};
  unreachable_reported_ = false;
  unguarded_ = {};
}

void Lint::entry(std::string_view pattern_text, const Pattern& pattern, const Template& expansion, std::uint16_t file, std::uint32_t line) {
  const Place place{file, line};
  const PatternFacts facts = facts_of(pattern.code);
  const TemplateFacts& said = expansion.facts;

  if (catch_all_.line != 0 && !unreachable_reported_) {
    warn("W01", place, "this and all further entries of the table are never reached: line " + std::to_string(catch_all_.line) + " matches everything and ends");
    unreachable_reported_ = true;
  }
  if (facts.matches_all && !said.any_continuing && catch_all_.line == 0) catch_all_ = place;
  if (unguarded_.line != 0) {
    warn("W05", unguarded_, "when this entry fails, the table ends here without an answer: put $C before what can fail, and $E after it");
    unguarded_ = {};
  }
  if (said.unguarded_failure) unguarded_ = place;
  if (said.control_after_failure) warn("W03", place, "$C, $L or $R to the right of a sequence that can fail is not read when it fails");
  const auto dropped = [&](char flag) {
    const bool yes_or_no = flag == 'Y' || flag == 'N' || flag == 'F';
    return yes_or_no ? said.raised_before_failure.has_either_case(flag) : said.raised_before_failure.has(flag);
  };
  const std::string access_flags = "YNF" + std::string(known_flags(access_table(name_)));
  if (const auto flag = std::find_if(access_flags.begin(), access_flags.end(), dropped); flag != access_flags.end())
    warn("W04", place, std::string("flag ") + *flag + " to the left of a sequence that can fail is dropped when it fails");
  const std::string_view plain = without_observe(name_);
  // access-control.md 8.1: PORT_ACCESS is asked again when a session offers AUTH, without flag A.
  if (plain == "PORT_ACCESS" && said.counts_every_probe)
    warn("W21", place, "the rate call-out counts the second probe of a session too: put $:A before it");
  for (const std::string& table : said.throttles)
    if (throttles_ && !throttles_->contains(base::lower(table)))
      warn("W22", place, "there is no table \"" + table + "\" in throttle of postern.conf: this never refuses anybody");
  for (const std::string& called : said.called_tables) calls_.emplace(base::upper(called), place);

  // Output at least as long as the input: as much literal text, and each field once or more.
  if (said.control == 'R' && facts.simple) {
    std::size_t literal = 0;
    std::set<int> used;
    for (const TemplateFacts::Piece& piece : said.output) {
      literal += piece.text.size();
      if (piece.field >= 0) used.insert(piece.field);
    }
    if (literal >= facts.literal_bytes && used.size() >= static_cast<std::size_t>(pattern.fields))
      warn("W12", place, "$R, but the output is not shorter than the input: this may go round in a loop");
  }
  check_flags(expansion, place);
  check_arguments(expansion, place);
  check_answer(expansion, place);
  check_lost_dollars(expansion, place);
  check_call_outs(said, place);
  check_tested(said, place);
  check_fields(pattern.code, pattern_text, place);
  if (name_ == "ORIG_SEND_ACCESS") check_relaying(pattern, expansion, place);
  // Success goes on just as failure does, and a later entry may say something else.
  const bool answers = said.raised.has_either_case('Y') || raises(said.raised, 'N');
  if (said.can_fail && said.control == 'C' && answers)
    warn("W18", place, "$C holds to the end of the template: with this answer, too, the table goes on; $E at the end makes it final");
}

// Whether it can match a probe at all. Of several reasons the plainest is told.
void Lint::check_fields(std::string_view code, std::string_view pattern_text, const Place& place) {
  const std::string_view plain = without_observe(name_);
  const bool literals_fit = check_literals(code, place);
  if (!check_bars(code, pattern_text, place) || !literals_fit) return;
  if ((plain == "FROM_ACCESS" || plain == "MAIL_ACCESS" || plain == "ORIG_MAIL_ACCESS") && base::upper(pattern_text).find("|SMTP|") != std::string::npos)
    return warn("W15", place, "the probe has SMTP/ and the client's name there: write SMTP*");
  if (const auto reason = fields_.impossible(plain, code)) warn("W25", place, *reason);
}

// An answer that nobody understands who asks the table.
void Lint::check_answer(const Template& expansion, const Place& place) {
  const TemplateFacts& said = expansion.facts;
  if (said.any_continuing) return;
  std::string text;
  bool constant = true;
  for (const TemplateFacts::Piece& piece : said.output) {
    constant &= piece.constant;
    text += piece.text;
  }
  const std::string letters = said.raised.letters();
  if (name_ == "CONVERSIONS") {
    const std::string answer = base::lower(text);
    if (constant && answer != "yes" && answer != "no") warn("W26", place, "the answer of CONVERSIONS is the text Yes or No, without $");
    return;
  }
  // The asker of the other tables sees flags.
  const bool one_letter = constant && letters.empty() && (text == "Y" || text == "N" || text == "y" || text == "n");
  if (one_letter) return warn("W26", place, text + " is a text here: the flag is $" + text);
  const bool answers = said.raised.has_either_case('Y') || said.raised.has_either_case('N') || said.raised.has_either_case('T') || said.raised.has_either_case('F');
  if (answers_yes_or_no(name_) && !answers) warn("W26", place, "raises neither $Y nor $N, so it says nothing to whoever asks " + name_);
}

// A call without its `$` is text.
void Lint::check_lost_dollars(const Template& expansion, const Place& place) {
  for (const TemplateFacts::Piece& piece : expansion.facts.output) {
    if (!piece.constant) continue;
    // Of `$postern:` the first letter is a flag.
    const bool no_bracket = (expansion.facts.raised.has('p') && piece.text.find("ostern:") != std::string::npos) ||
                            (expansion.facts.raised.has('s') && piece.text.find("ocket:/") != std::string::npos);
    if (no_bracket) return warn("W27", place, "a call-out begins with $[");
    for (const std::string_view sign : {"[postern:", "[socket:", "]ldap:", "]file:", "]data:"})
      if (piece.text.find(sign) != std::string::npos) return warn("W27", place, "\"" + std::string(sign) + "\" is a text here: the sequence begins with $[ or $]");
    for (std::size_t bar = piece.text.find('|'); bar != std::string::npos; bar = piece.text.find('|', bar + 1)) {
      const std::size_t end = piece.text.find_first_of(";| ", bar + 1);
      if (end != std::string::npos && piece.text[end] == ';') lost_calls_.emplace(base::upper(piece.text.substr(bar + 1, end - bar - 1)), place);
    }
  }
}

void Lint::check_call_outs(const TemplateFacts& said, const Place& place) {
  for (const TemplateFacts::CallOut& call : said.call_outs) {
    const bool constant = (call.name + call.routine).find('$') == std::string::npos;
    if (!constant || call.name == "socket") continue;
    const auto known = std::find_if(kCallOuts.begin(), kCallOuts.end(), [&](const CallOut& one) { return one.name == call.routine; });
    if (call.name != "postern" || known == kCallOuts.end()) {
      std::string names;
      for (const CallOut& one : kCallOuts) names += (names.empty() ? "" : ", ") + std::string(one.name);
      warn("W28", place, "there is no call-out " + call.name + ":" + call.routine + ": this always fails. There are postern: with " + names + ", and socket:/PATH");
      continue;
    }
    const auto arguments = base::split(call.arguments, ',');
    if (known->least > (call.arguments.empty() ? 0 : arguments.size()))
      warn("W28", place, "postern:" + call.routine + " wants " + std::string(known->arguments) + ": without them it always fails");
    if (call.routine == "spf" && !call.arguments.empty())
      for (const std::string_view result : arguments)
        if (result.find('$') == std::string_view::npos && std::find(kSpfResults.begin(), kSpfResults.end(), base::trim(result)) == kSpfResults.end())
          warn("W28", place, "SPF has no result \"" + std::string(result) + "\"");
  }
}

void Lint::check_tested(const TemplateFacts& said, const Place& place) {
  const std::string_view plain = without_observe(name_);
  const std::string tested = said.tested.letters();
  if (tested.empty()) return;
  if (std::find(kKnownTables.begin(), kKnownTables.end(), plain) == kKnownTables.end()) {
    flag_tests_.emplace(name_, place);
    return;
  }
  const std::string_view given = input_flags(plain);
  for (const char flag : tested)
    if (given.find(flag) == std::string_view::npos)
      warn("W29", place, std::string("input flag ") + flag + " is never set when " + std::string(plain) + " is asked" + (given.empty() ? "" : "; those are " + std::string(given)));
}

bool Lint::check_literals(std::string_view code, const Place& place) {
  CodeReader in(code);
  while (!in.at_end()) {
    switch (static_cast<PatternOp>(in.u8())) {
      case PatternOp::literal:
        if (const std::string_view network = plain_network(in.text()); !network.empty()) {
          const bool v6 = network.find(':') != std::string_view::npos;
          warn("W19", place, std::string(network) + " stands for itself here: a network is " + (v6 ? "${" : "$(") + std::string(network) + (v6 ? "}" : ")"));
          return false;
        }
        break;
      case PatternOp::wildcard:
        in.u8();
        if (static_cast<CharacterClass>(in.u8()) == CharacterClass::set) in.raw(32);
        break;
      case PatternOp::block4: in.raw(9); break;
      case PatternOp::block6: in.raw(18); break;
      case PatternOp::back: in.raw(2); break;
      default: return true;
    }
  }
  return true;
}

void Lint::check_relaying(const Pattern& pattern, const Template& expansion, const Place& place) {
  const TemplateFacts& said = expansion.facts;
  if (relaying_ != Relaying::undecided || !match(pattern.code, kRelayProbe, kMaxMatchSteps).matched) return;
  // An entry that can fail refuses some strangers only.
  if (raises(said.raised, 'N') && !said.can_fail_without_login) relaying_ = Relaying::refused;
  else if (!said.can_fail && !said.any_continuing) relaying_ = Relaying::granted;
  else return;
  relaying_place_ = place;
}

void Lint::check_flags(const Template& expansion, const Place& place) {
  const AccessTable table = access_table(name_);
  if (table == AccessTable::none) return;
  for (const char flag : expansion.facts.raised.letters()) {
    if (kAllAccessFlags.find(flag) == std::string_view::npos || known_flags(table).find(flag) != std::string_view::npos) continue;
    // $I is known to the original everywhere and supported nowhere.
    warn("E13", place, std::string("flag $") + flag + " has no meaning in " + name_);
  }
  for (const char flag : expansion.facts.raised.letters()) {
    if (flag < 'a' || flag > 'z' || flag == 'y' || flag == 'n' || flag == 'f') continue;
    warn("W20", place, std::string("$") + flag + " raises a flag that means nothing in " + name_ + ": letters after $ are upper case, and a dollar sign is $$");
  }
  // `$no` in the middle of a text: flags in both cases are a word that lost the blank behind its `$`.
  const Flags& raised = expansion.facts.raised;
  const bool answers = raised.has('Y') || raised.has('N') || raised.has('F');
  for (const char flag : {'y', 'n', 'f'})
    if (answers && raised.has(flag)) warn("W20", place, std::string("$") + flag + " raises a flag, as its upper case does: a blank is $ and the blank");
  for (const char flag : expansion.facts.raised.letters()) {
    if ((flag >= 'a' && flag <= 'z') || std::string_view("YNF").find(flag) != std::string_view::npos || kAllAccessFlags.find(flag) != std::string_view::npos) continue;
    warn("W23", place, std::string("no access table knows the flag $") + flag + ": it does nothing, and a dollar sign is $$");
  }
}

void Lint::check_arguments(const Template& expansion, const Place& place) {
  const AccessTable table = access_table(name_);
  const TemplateFacts& said = expansion.facts;
  // Where the scan goes on, the output is the next string and not yet the arguments.
  if (table == AccessTable::none || said.control == 'C' || said.control == 'L' || said.control == 'R') return;
  std::string flags;
  for (const char flag : reading_order(table))
    if (raises(said.raised, flag)) flags += flag;
  // What another table or a call-out gives is empty as a rule: `$C$|TABLE;$0|$Y$E` is the idiom.
  const bool some_output = std::any_of(said.output.begin(), said.output.end(), [](const TemplateFacts::Piece& piece) {
    return piece.constant ? !piece.text.empty() : piece.field >= 0;
  });
  if (flags.empty()) {
    const bool takes_text = table == AccessTable::port && said.raised.has_either_case('Y');
    if (some_output && !takes_text) warn("W07", place, "text that no flag takes: is $N missing?");
    return;
  }
  // Arguments as far as they are constant: up to the first substitution.
  std::string constant;
  bool all_constant = true;
  for (const TemplateFacts::Piece& piece : said.output) {
    // What a table or call-out gives in front is empty as a rule; a text that goes on with a letter shows that it is.
    const bool in_front = constant.empty() && piece.field < 0 && &piece != &said.output.back();
    if (!piece.constant && in_front && table == AccessTable::port) {
      const TemplateFacts::Piece& next = *(&piece + 1);
      if (next.constant && !next.text.empty() && base::is_alpha(next.text[0])) continue;
    }
    if (!piece.constant) {
      all_constant = false;
      break;
    }
    constant += piece.text;
  }
  std::string_view rest = constant;
  for (std::size_t i = 0; i < flags.size(); ++i) {
    const bool last = i + 1 == flags.size();
    const std::size_t bar = last ? std::string_view::npos : rest.find('|');
    if (bar == std::string_view::npos && !all_constant) {
      // The argument may go on with what is substituted. The start of a refusal text is enough to see its code.
      if (last && flags[i] == 'N' && table == AccessTable::port && rest.size() >= 4 && !has_reply_code(rest))
        warn("W06", place, "the refusal text must begin with the reply code (421 or 5xx, -ERR, * BYE): nothing is put in front of it");
      return;
    }
    const std::string_view argument = rest.substr(0, bar);
    rest = bar == std::string_view::npos ? std::string_view() : rest.substr(bar + 1);
    switch (flags[i]) {
      case 'D':
      case 'U':
        if (!argument.empty() && !is_integer(argument)) warn("E14", place, std::string("$") + flags[i] + " takes an integer, not \"" + std::string(argument) + "\"");
        if (argument.empty() && flags[i] == 'D') warn("E14", place, "$D without its integer");
        break;
      case 'X':
        if (!status_from(argument)) warn("E14", place, "$X takes a status code of class 4 or 5 (4.7.1), not \"" + std::string(argument) + "\"");
        break;
      case 'S': {
        const auto parts = base::split(argument, ',');
        const bool good = parts.size() <= 3 && std::all_of(parts.begin(), parts.end(), [](std::string_view part) { return base::number_from<std::uint64_t>(base::trim(part)).has_value(); });
        if (!good) warn("E14", place, "$S takes one to three integers, from 0 on, not \"" + std::string(argument) + "\"");
        break;
      }
      case 'N':
        if (table == AccessTable::port && !argument.empty() && !has_reply_code(argument))
          warn("W06", place, "the refusal text must begin with the reply code (421 or 5xx, -ERR, * BYE): nothing is put in front of it");
        if ((table == AccessTable::from || table == AccessTable::recipient) && has_reply_code(argument))
          warn("W31", place, "the reply code of a refusal is put in front of its text: leave \"" + std::string(argument.substr(0, 3)) + "\" out, and write a status as $X4.7.1|");
        break;
      default: break;
    }
  }
}

bool Lint::check_bars(std::string_view code, std::string_view pattern_text, const Place& place) {
  const std::string_view plain = without_observe(name_);
  const Bars bars = bars_of(plain, access_orcpt_);
  if (bars.most < 0) return true;
  const PatternFacts facts = facts_of(code);
  if (facts.bars > bars.most)
    warn("W13", place, "\"" + std::string(pattern_text) + "\" has " + std::to_string(facts.bars) + " bars, a probe of " + name_ + " at most " + std::to_string(bars.most));
  else if (facts.bars < bars.least && !facts.has_star)
    warn("W13", place, "\"" + std::string(pattern_text) + "\" has " + std::to_string(facts.bars) + " bars and no * to span the rest, a probe of " + name_ + " at least " +
                           std::to_string(bars.least));
  else if (bars.recipient_last && access_orcpt_.value_or(false) && facts.bars < bars.most && !facts.ends_in_star)
    warn("W13", place, "\"" + std::string(pattern_text) + "\" ends in the recipient, but with access_orcpt a probe of " + name_ +
                           " has the original recipient behind it: end the pattern in |*");
  else
    return true;
  return false;
}

void Lint::finish() {
  leave_table();
  for (const auto& [called, place] : calls_)
    if (!tables_.contains(called)) {
      const auto similar = std::find_if(tables_.begin(), tables_.end(), [&called = called](const std::string& name) { return nearly_equal(letters_of(name), letters_of(called)); });
      warn("W02", place, "table " + called + " is called but does not exist" + (similar == tables_.end() ? "" : "; did you mean " + *similar + "?"));
    }
  for (const auto& [table, place] : unasked_)
    if (!calls_.contains(table)) warn("W14", place, "table " + table + " is not one that Postern asks, and no table calls it");
  for (const auto& [called, place] : lost_calls_)
    if (tables_.contains(called)) warn("W27", place, "\"|" + called + ";\" is a text here: a call of a table begins with $|");
  for (const auto& [table, place] : flag_tests_)
    if (calls_.contains(table)) warn("W29", place, "a table that another one calls sees no input flags: test them in front of the call of " + table);
  if (!tables_.contains("ORIG_SEND_ACCESS")) {
    emit_("W09", 0, 0, "no table ORIG_SEND_ACCESS: Postern refuses to relay for strangers by itself");
  } else if (relaying_ == Relaying::granted) {
    warn("W09", relaying_place_, "this entry lets everybody relay from tcp_local to tcp_local before another one refuses: this is an open relay");
  } else if (relaying_ == Relaying::undecided) {
    warn("W09", relaying_place_, "no entry of ORIG_SEND_ACCESS refuses tcp_local|…|tcp_local|… in every case: this is an open relay");
  }
}

}  // namespace postern::mapping
