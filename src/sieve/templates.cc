// SPDX-License-Identifier: Apache-2.0
#include "sieve/templates.h"

#include "base/text.h"
#include "mail/header.h"
#include "sieve/compiler.h"
#include "sieve/source_text.h"

#include <algorithm>
#include <chrono>
#include <set>

namespace postern::sieve {

namespace {

constexpr std::size_t kTemplateBytes = 64 * 1024, kMostFields = 50, kMostChoices = 100, kValueBytes = 2000;
constexpr std::string_view kInfoLine = "# $Rule Info:", kValueLine = "# $Rule Value:";

std::string in_quotes(std::string_view text) { return "\"" + base::printable(text, 80) + "\""; }

bool is_field_letter(char c) { return (c >= 'A' && c <= 'Z') || base::is_digit(c) || c == '_'; }
bool is_field_name(std::string_view name) {
  return !name.empty() && name.size() <= 32 && !base::is_digit(name.front()) && std::all_of(name.begin(), name.end(), is_field_letter);
}
bool is_template_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-'; });
}

// The first word of `text`, which is taken away with the blanks around it.
std::string_view take_word(std::string_view& text) {
  text = base::trim(text);
  const auto end = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view word = text.substr(0, end);
  text = base::trim(text.substr(end));
  return word;
}

// A string in quotes at the start of `text`, which is taken away; nothing if there is none, or it is not closed.
std::optional<std::string> take_quoted(std::string_view& text) {
  if (!text.starts_with('"')) return std::nullopt;
  std::string value;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      text = base::trim(text.substr(i + 1));
      return value;
    }
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    value += text[i];
  }
  return std::nullopt;
}

bool is_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  const auto year = base::number_from<int>(text.substr(0, 4));
  const auto month = base::number_from<unsigned>(text.substr(5, 2)), day = base::number_from<unsigned>(text.substr(8, 2));
  return year && *year >= 1 && month && day && std::chrono::year_month_day(std::chrono::year(*year), std::chrono::month(*month), std::chrono::day(*day)).ok();
}

// ---- the places of the script

// One %{NAME}: where it begins, and which.
struct Reference {
  std::size_t begin = 0;
  std::string_view name;
};

// A '%' is no character of Sieve outside strings and comments, so every one of them is a reference or a mistake.
class References {
 public:
  explicit References(std::string_view script) : script_(script), pieces_(pieces_of(script)) {
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      const Piece& piece = pieces_[i];
      if (piece.kind == Piece::Kind::string || piece.kind == Piece::Kind::multi_line_string) {
        for (auto at = piece.text.find("%{"); at != std::string_view::npos; at = piece.text.find("%{", at + 1)) inside_string_.push_back({piece.offset + at, name_at(piece.offset + at)});
        continue;
      }
      if (piece.text != "%") continue;
      const std::string_view name = name_at(piece.offset);
      if (name.empty()) wrong_.push_back(piece.offset);
      else found_.push_back({piece.offset, name});
    }
  }
  [[nodiscard]] const std::vector<Reference>& found() const { return found_; }
  [[nodiscard]] const std::vector<Reference>& inside_string() const { return inside_string_; }
  [[nodiscard]] const std::vector<std::size_t>& wrong() const { return wrong_; }

 private:
  // The NAME of "%{NAME}" at `at`; empty if what stands there is something else.
  [[nodiscard]] std::string_view name_at(std::size_t at) const {
    if (script_.substr(at, 2) != "%{") return {};
    const auto end = script_.find('}', at);
    if (end == std::string_view::npos) return {};
    const std::string_view name = script_.substr(at + 2, end - at - 2);
    return is_field_name(name) ? name : std::string_view();
  }
  std::string_view script_;
  std::vector<Piece> pieces_;
  std::vector<Reference> found_, inside_string_;
  std::vector<std::size_t> wrong_;
};

std::string filled(std::string_view script, const FieldValues& values) {
  std::string out;
  std::size_t done = 0;
  const References references(script);
  for (const Reference& reference : references.found()) {
    out.append(script, done, reference.begin - done);
    const auto value = values.find(reference.name);
    out += quoted_string(value != values.end() ? std::string_view(value->second) : std::string_view());
    done = reference.begin + reference.name.size() + 3;
  }
  return out.append(script, done);
}

// ---- reading a template

// Something that fits the field, to try the script with.
std::string harmless_value(const TemplateField& field) {
  if (field.preset && !field.preset->empty()) return *field.preset;
  switch (field.type) {
    case TemplateField::Type::address: return "somebody@example.com";
    case TemplateField::Type::header: return "Subject";
    case TemplateField::Type::folder: return "Folder";
    case TemplateField::Type::choice: return field.choices.empty() ? std::string() : field.choices.front();
    case TemplateField::Type::yesno: return "yes";
    case TemplateField::Type::date: return "2026-01-01";
    case TemplateField::Type::text: break;
  }
  return "text";
}

CompileOptions options_for(const Template& made_of) {
  CompileOptions options;
  options.run_limits.mailbox_separators = made_of.folder_separators;
  return options;
}

class TemplateReader {
 public:
  TemplateReader(std::string_view text, std::string_view folder_separators) : text_(text) { made_.folder_separators = std::string(folder_separators); }

  ParsedTemplate read() {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
    if (text_.size() > kTemplateBytes) error(1, 1, "template is longer than " + std::to_string(kTemplateBytes) + " bytes");
    else if (text_.find('\0') != std::string_view::npos || !base::is_utf8(text_)) error(1, 1, "template is not UTF-8 text");
    else lines();
    ParsedTemplate done;
    std::stable_sort(mistakes_.begin(), mistakes_.end(), [](const Mistake& a, const Mistake& b) { return a.line < b.line; });
    if (std::all_of(mistakes_.begin(), mistakes_.end(), [](const Mistake& mistake) { return mistake.warning; })) done.made = std::move(made_);
    done.mistakes = std::move(mistakes_);
    return done;
  }

 private:
  void error(int line, int column, std::string text) { mistakes_.push_back({line, column, std::move(text), false}); }

  void lines() {
    int line_number = 0;
    std::string_view rest = text_;
    while (!rest.empty()) {
      const auto end = rest.find('\n');
      std::string_view line = rest.substr(0, end);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.starts_with("#@")) {
        // Other comments and empty lines may stand between the header's lines.
        if (!base::trim(line).empty() && !line.starts_with('#')) break;
      } else {
        header_line(line.substr(2), line_number + 1);
      }
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
      ++line_number;
    }
    script(rest, line_number);
  }

  void header_line(std::string_view line, int number) {
    const std::string_view word = take_word(line);
    if (word == "field") return field(line, number);
    for (const auto& [name, target] : {std::pair{"title:", &made_.title}, {"id:", &made_.id}, {"description:", &made_.description}}) {
      if (word != name) continue;
      if (!target->empty()) error(number, 1, "\"" + std::string(name) + "\" stands twice");
      else if (line.empty()) error(number, 1, "\"" + std::string(name) + "\" needs a text behind it");
      else *target = std::string(line);
      if (target == &made_.id && !line.empty() && !is_template_id(line)) error(number, 1, in_quotes(line) + " is no id: letters, digits and '-', at most 64");
      return;
    }
    error(number, 1, "unknown header line " + in_quotes(word) + "; expected title:, id:, description: or field");
  }

  void field(std::string_view line, int number) {
    if (made_.fields.size() == kMostFields) return error(number, 1, "template has more than " + std::to_string(kMostFields) + " fields");
    TemplateField field;
    field.line = number;
    field.name = std::string(take_word(line));
    if (!is_field_name(field.name)) return error(number, 1, in_quotes(field.name) + " is no name for a field: capitals, digits and '_', at most 32");
    if (made_.field(field.name) != nullptr) error(number, 1, "field " + field.name + " stands twice");
    if (!type(line, field, number)) return;
    const auto prompt = take_quoted(line);
    if (!prompt || base::trim(*prompt).empty()) return error(number, 1, "field " + field.name + " needs a prompt in quotes behind its type");
    field.prompt = *prompt;
    if (!line.empty()) {
      auto preset = take_quoted(line);
      if (!preset) preset = std::string(line);
      else if (!line.empty()) return error(number, 1, "text behind the default of field " + field.name);
      field.preset = std::move(preset);
      if (const auto value = checked_value(field, *field.preset, made_.folder_separators); !value) error(number, 1, "the default of field " + field.name + ": " + value.error().what);
      else field.preset = *value;
    }
    made_.fields.push_back(std::move(field));
  }

  bool type(std::string_view& line, TemplateField& field, int number) {
    using Type = TemplateField::Type;
    if (line.starts_with("choice(")) {
      field.type = Type::choice;
      const auto end = line.find(')');
      if (end == std::string_view::npos) {
        error(number, 1, "the choices of field " + field.name + " are not closed by ')'");
        return false;
      }
      for (const std::string_view choice : base::split(line.substr(7, end - 7), ',')) {
        field.choices.emplace_back(base::trim(choice));
        if (field.choices.back().empty()) error(number, 1, "field " + field.name + " has an empty choice");
        if (std::count(field.choices.begin(), field.choices.end(), field.choices.back()) > 1) error(number, 1, "field " + field.name + " has the choice " + in_quotes(field.choices.back()) + " twice");
      }
      if (field.choices.size() > kMostChoices) error(number, 1, "field " + field.name + " has more than " + std::to_string(kMostChoices) + " choices");
      line = base::trim(line.substr(end + 1));
      return true;
    }
    const std::string_view word = take_word(line);
    for (const Type type : {Type::text, Type::address, Type::header, Type::folder, Type::yesno, Type::date})
      if (to_string(type) == word) {
        field.type = type;
        return true;
      }
    error(number, 1, "unknown type " + in_quotes(word) + " of field " + field.name + "; expected text, address, header, folder, choice(a,b,…), yesno or date");
    return false;
  }

  void script(std::string_view text, int lines_above) {
    if (made_.title.empty()) error(1, 1, "template has no line \"#@ title: …\"");
    if (made_.id.empty()) error(1, 1, "template has no line \"#@ id: …\"");
    if (base::trim(text).empty()) return error(lines_above + 1, 1, "template has no script");
    // At the start of a file the compiler skips it; in a stored rule comment lines would stand in front of it.
    if (text.starts_with("\xef\xbb\xbf")) return error(lines_above + 1, 1, "a byte order mark may stand at the start of the file only");
    made_.script = std::string(text);
    const auto place = [&](std::size_t offset) {
      const std::string_view before = text.substr(0, offset);
      const auto line_begin = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
      return std::pair(lines_above + 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n')), static_cast<int>(offset - line_begin) + 1);
    };
    const References references(text);
    std::set<std::string_view> used;
    for (const Reference& reference : references.found()) {
      used.insert(reference.name);
      const auto [line, column] = place(reference.begin);
      if (made_.field(reference.name) == nullptr) error(line, column, "there is no field " + std::string(reference.name));
    }
    for (const Reference& reference : references.inside_string()) {
      if (reference.name.empty() || made_.field(reference.name) == nullptr) continue;
      const auto [line, column] = place(reference.begin);
      error(line, column, "%{" + std::string(reference.name) + "} stands inside a string; the value brings its own quotes");
    }
    for (const std::size_t offset : references.wrong()) {
      const auto [line, column] = place(offset);
      error(line, column, "'%' without a field in braces behind it");
    }
    for (const TemplateField& field : made_.fields)
      if (used.find(field.name) == used.end()) mistakes_.push_back({field.line, 1, "field " + field.name + " is not used in the script", true});
    if (std::any_of(mistakes_.begin(), mistakes_.end(), [](const Mistake& mistake) { return !mistake.warning; })) return;

    FieldValues values;
    for (const TemplateField& field : made_.fields) values[field.name] = harmless_value(field);
    for (Mistake mistake : compile(filled(text, values), options_for(made_)).mistakes) {
      if (mistake.warning) continue;
      mistake.line += lines_above;   // the values have no line ends
      mistake.text = "with harmless values: " + mistake.text;
      mistakes_.push_back(std::move(mistake));
    }
  }

  std::string_view text_;
  Template made_;
  std::vector<Mistake> mistakes_;
};

// ---- stored rules

// The next line of `text`, which is taken away with its line end.
std::string_view take_line(std::string_view& text) {
  const auto end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// "Order=3 Template=from-folder Name=my-rule"; a value with blanks stands in quotes. False if it is not of that form.
bool read_info(std::string_view text, RuleInfo& info) {
  bool order = false;
  for (text = base::trim(text); !text.empty();) {
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view key = text.substr(0, equals);
    text.remove_prefix(equals + 1);
    std::string value;
    if (text.starts_with('"')) {
      auto quoted = take_quoted(text);
      if (!quoted) return false;
      value = std::move(*quoted);
    } else {
      const auto end = std::min(text.find_first_of(" \t"), text.size());
      value = std::string(text.substr(0, end));
      text = base::trim(text.substr(end));
    }
    if (key == "Order") {
      const auto number = base::number_from<unsigned>(value);
      if (!number) return false;
      info.order = *number;
      order = true;
    } else if (key == "Template") {
      info.template_id = std::move(value);
    } else if (key == "Name") {
      info.name = std::move(value);
    }   // others may come with a later version
  }
  return order;
}

std::string shown_info_value(std::string_view value) {
  const bool plain = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '_' || c == '.'; });
  return plain ? std::string(value) : quoted_string(value);
}

// Takes the requires from the front of a script; false, and nothing is taken, if one of them is not as it should be. Comments in front
// of and between them stay.
bool take_requires(std::string& script, std::vector<std::string>& names) {
  const auto pieces = pieces_of(script);
  std::vector<std::string> found;
  std::vector<std::pair<std::size_t, std::size_t>> cuts;   // begin and end
  const auto is = [&](std::size_t i, std::string_view text) { return i < pieces.size() && pieces[i].kind == Piece::Kind::punctuation && pieces[i].text == text; };
  const auto name = [&](std::size_t i) {
    if (i >= pieces.size() || pieces[i].kind != Piece::Kind::string) return false;
    std::string_view text = pieces[i].text;
    const auto value = take_quoted(text);
    if (!value) return false;
    found.push_back(*value);
    return true;
  };
  for (std::size_t i = 0; i < pieces.size();) {
    if (pieces[i].kind == Piece::Kind::line_comment || pieces[i].kind == Piece::Kind::comment) {
      ++i;
      continue;
    }
    if (pieces[i].kind != Piece::Kind::word || !base::equal_ignoring_case(pieces[i].text, "require")) break;
    const std::size_t begin = i++;
    if (is(i, "[")) {
      do {
        if (!name(i + 1)) return false;
        i += 2;
      } while (is(i, ","));
      if (!is(i, "]")) return false;
    } else if (!name(i)) {
      return false;
    }
    if (!is(++i, ";")) return false;
    cuts.emplace_back(pieces[begin].offset, pieces[i].offset + 1);
    ++i;
  }
  for (auto cut = cuts.rbegin(); cut != cuts.rend(); ++cut) {
    // Their line ends stay, so that what follows keeps its line (sieve/rule_place.h).
    const std::size_t begin = cut->first;
    std::size_t end = cut->second;
    while (end < script.size() && (script[end] == ' ' || script[end] == '\t' || script[end] == '\r')) ++end;
    const auto lines = static_cast<std::size_t>(std::count(script.begin() + static_cast<std::ptrdiff_t>(begin), script.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    script.replace(begin, end - begin, std::string(lines, '\n'));
  }
  names.insert(names.end(), found.begin(), found.end());
  return true;
}

}  // namespace

std::string_view to_string(TemplateField::Type type) {
  switch (type) {
    case TemplateField::Type::text: return "text";
    case TemplateField::Type::address: return "address";
    case TemplateField::Type::header: return "header";
    case TemplateField::Type::folder: return "folder";
    case TemplateField::Type::choice: return "choice";
    case TemplateField::Type::yesno: return "yesno";
    case TemplateField::Type::date: return "date";
  }
  return "";
}

const TemplateField* Template::field(std::string_view name) const {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const TemplateField& field) { return field.name == name; });
  return found != fields.end() ? &*found : nullptr;
}

ParsedTemplate parse_template(std::string_view text, std::string_view folder_separators) { return TemplateReader(text, folder_separators).read(); }

Result<std::string> checked_value(const TemplateField& field, std::string_view value, std::string_view folder_separators) {
  const auto refuse = [](std::string why) { return Error{Kind::invalid, std::move(why)}; };
  if (value.size() > kValueBytes) return refuse("is longer than " + std::to_string(kValueBytes) + " bytes");
  if (!base::is_utf8(value)) return refuse("is not UTF-8 text");
  if (std::any_of(value.begin(), value.end(), [](char c) { return base::is_control(c) && c != '\t'; })) return refuse("must not have line ends or other control characters");
  if (value.find("${") != std::string_view::npos) return refuse("must not have \"${\" in it");
  const std::string_view text = base::trim(value);
  if (text.empty()) {
    if (field.preset && field.preset->empty()) return std::string();
    return refuse("must not be empty");
  }
  switch (field.type) {
    case TemplateField::Type::text: break;
    case TemplateField::Type::address: {
      auto address = redirect_address(text);
      if (!address) return refuse(in_quotes(text) + " is not one mail address");
      return std::move(*address);
    }
    case TemplateField::Type::header:
      if (!mail::is_field_name(text)) return refuse(in_quotes(text) + " is no name of a header field");
      break;
    case TemplateField::Type::folder: {
      std::string problem;
      auto name = mailbox_name(text, folder_separators, problem);
      if (!name) return refuse(problem);
      // Where only one of them may stand in scripts it is that one.
      if (folder_separators.find('/') == std::string_view::npos) std::replace(name->begin(), name->end(), '/', '.');
      return std::move(*name);
    }
    case TemplateField::Type::choice:
      if (std::find(field.choices.begin(), field.choices.end(), text) == field.choices.end()) return refuse(in_quotes(text) + " is none of the choices");
      break;
    case TemplateField::Type::yesno:
      if (text != "yes" && text != "no") return refuse("must be yes or no");
      break;
    case TemplateField::Type::date:
      if (!is_date(text)) return refuse(in_quotes(text) + " is no date like 2026-12-24");
      break;
  }
  return std::string(text);
}

namespace {

// Checked values for all fields.
Result<FieldValues> complete(const Template& made_of, const FieldValues& values) {
  for (const auto& [name, value] : values)
    if (made_of.field(name) == nullptr) return Error{Kind::invalid, "template " + made_of.id + " has no field " + base::printable(name, 80)};
  FieldValues all;
  for (const TemplateField& field : made_of.fields) {
    const auto given = values.find(field.name);
    if (given == values.end() && !field.preset) return Error{Kind::invalid, "field " + field.name + " (" + field.prompt + ") needs a value"};
    auto value = checked_value(field, given != values.end() ? std::string_view(given->second) : std::string_view(*field.preset), made_of.folder_separators);
    if (!value) return value.error().in("field " + field.name + " (" + field.prompt + ")");
    all[field.name] = std::move(*value);
  }
  return all;
}

// The script with checked values; what does not compile with them is refused here, not when mail arrives.
Result<std::string> script_with(const Template& made_of, const FieldValues& all) {
  std::string script = filled(made_of.script, all);
  const Compiled compiled = compile(script, options_for(made_of));
  for (const Mistake& mistake : compiled.mistakes)
    if (!mistake.warning) return Error{Kind::invalid, "template " + made_of.id + " can't take these values: " + mistake.text};
  return script;
}

}  // namespace

Result<std::string> render(const Template& made_of, const FieldValues& values) {
  const auto all = complete(made_of, values);
  if (!all) return all.error();
  return script_with(made_of, *all);
}

std::optional<RuleInfo> rule_info(std::string_view line) {
  RuleInfo info;
  if (!line.starts_with(kInfoLine) || !read_info(line.substr(kInfoLine.size()), info)) return std::nullopt;
  return info;
}

Result<std::string> render_rule(const Template& made_of, const RuleInfo& info, const FieldValues& values) {
  const auto all = complete(made_of, values);
  if (!all) return all.error();
  auto script = script_with(made_of, *all);
  if (!script) return script.error();
  if (info.name.size() > kValueBytes || !base::is_utf8(info.name) || std::any_of(info.name.begin(), info.name.end(), base::is_control))
    return Error{Kind::invalid, "the name of a rule is one line of UTF-8 text"};
  std::string out = std::string(kInfoLine) + " Order=" + std::to_string(info.order) + " Template=" + made_of.id + " Name=" + shown_info_value(info.name.empty() ? made_of.id : info.name) + "\n";
  for (const TemplateField& field : made_of.fields) out += std::string(kValueLine) + " " + field.name + "=" + quoted_string(all->find(field.name)->second) + "\n";
  return out + *script;
}

StoredRule read_rule(std::string_view stored, std::span<const Template> templates) {
  StoredRule rule;
  const auto by_hand = [&] {
    rule.origin = StoredRule::Origin::hand_written;
    rule.info.template_id.clear();
    rule.values.clear();
    rule.script = std::string(stored);
    return rule;
  };
  std::string_view rest = stored;
  const std::string_view first = take_line(rest);
  auto known = rule_info(first);
  if (!known) return by_hand();
  rule.info = std::move(*known);
  if (rule.info.template_id.empty()) {
    by_hand();
    rule.script = std::string(rest);
    return rule;
  }
  while (rest.starts_with(kValueLine)) {
    std::string_view line = take_line(rest);
    line = base::trim(line.substr(kValueLine.size()));
    const auto equals = line.find('=');
    const std::string_view name = line.substr(0, equals);
    if (equals == std::string_view::npos || !is_field_name(name) || rule.values.size() > kMostFields) return by_hand();
    line.remove_prefix(equals + 1);
    auto value = take_quoted(line);
    if (!value || !line.empty()) return by_hand();
    rule.values[std::string(name)] = std::move(*value);
  }
  rule.script = std::string(rest);
  rule.origin = StoredRule::Origin::edited;
  const auto made_of = std::find_if(templates.begin(), templates.end(), [&](const Template& candidate) { return candidate.id == rule.info.template_id; });
  if (made_of == templates.end()) return rule;
  // A directory may store either line end.
  std::string script;
  for (const char c : rule.script)
    if (c != '\r') script += c;
  std::string expected;
  if (const auto again = render(*made_of, rule.values))
    for (const char c : *again)
      if (c != '\r') expected += c;
  if (!expected.empty() && expected == script) rule.origin = StoredRule::Origin::from_template;
  return rule;
}

std::string join_rules(std::span<const std::string> stored) {
  struct Rule {
    unsigned order;
    std::string script;
  };
  std::vector<Rule> rules;
  for (const std::string& text : stored) {
    std::string_view rest = text;
    const std::string_view first = take_line(rest);
    const auto info = rule_info(first);
    if (!info && stored.size() == 1) return text;
    if (info && info->order == 0) continue;
    rules.push_back({info.value_or(RuleInfo{}).order, text});
  }
  std::stable_sort(rules.begin(), rules.end(), [](const Rule& a, const Rule& b) { return a.order < b.order; });
  std::vector<std::string> names;
  std::string body;
  for (Rule& rule : rules) {
    take_requires(rule.script, names);
    body += rule.script;
    if (!body.empty() && body.back() != '\n') body += '\n';
  }
  std::vector<std::string> unique;
  for (const std::string& name : names)
    if (std::find(unique.begin(), unique.end(), name) == unique.end()) unique.push_back(name);
  std::string front;
  for (const std::string& name : unique) front += (front.empty() ? "require [" : ", ") + quoted_string(name);
  return (front.empty() ? front : front + "];\n") + body;
}

std::string joined_rules(std::string_view stored) {
  constexpr std::string_view kMark = "# $Rule Info:";
  if (!stored.starts_with(kMark)) return std::string(stored);
  std::vector<std::string> rules;
  while (!stored.empty()) {
    auto next = stored.find("\n" + std::string(kMark), 1);
    next = next == std::string_view::npos ? stored.size() : next + 1;
    rules.emplace_back(stored.substr(0, next));
    stored.remove_prefix(next);
  }
  return join_rules(rules);
}

}  // namespace postern::sieve
