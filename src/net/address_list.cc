// SPDX-License-Identifier: Apache-2.0
#include "net/address_list.h"

#include "base/text.h"

#include <algorithm>
#include <map>

namespace postern::net {
namespace {

constexpr std::size_t kMaxTextBytes = 1024 * 1024;
constexpr int kMaxLines = 100'000;
// More mistakes than anybody reads in one go; the rest is only counted.
constexpr std::size_t kMaxMistakes = 1000;
// Name patterns are compared one by one.
constexpr std::size_t kMaxPatterns = 1000;

__extension__ using Number = unsigned __int128;

Number number_of(const Address& address) {
  Number value = 0;
  for (const char byte : address.bytes()) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

// Disjoint intervals, both ends included, by their first address.
class Intervals {
 public:
  void add(Number first, Number last) {
    // Everything that overlaps becomes part of the new one; each interval is swallowed once, so a long list stays cheap.
    auto at = starting_at_or_over(first);
    while (at != map_.end() && at->first <= last) {
      first = std::min(first, at->first);
      last = std::max(last, at->second);
      at = map_.erase(at);
    }
    map_.emplace_hint(at, first, last);
  }
  void remove(Number first, Number last) {
    auto at = starting_at_or_over(first);
    while (at != map_.end() && at->first <= last) {
      const auto [begin, end] = *at;
      at = map_.erase(at);
      if (begin < first) map_.emplace_hint(at, begin, first - 1);
      if (end > last) {
        map_.emplace_hint(at, last + 1, end);
        return;
      }
    }
  }
  [[nodiscard]] const std::map<Number, Number>& map() const { return map_; }

 private:
  // The first interval that reaches `value` or begins behind it.
  std::map<Number, Number>::iterator starting_at_or_over(Number value) {
    auto at = map_.upper_bound(value);
    if (at != map_.begin() && std::prev(at)->second >= value) --at;
    return at;
  }
  std::map<Number, Number> map_;
};

struct Families {
  Intervals ipv4, ipv6;
  bool adds = false;  // some line adds something
  Intervals& of(bool is_ipv4) { return is_ipv4 ? ipv4 : ipv6; }
};

// Intervals as they are searched: rising, disjoint, both ends included.
template <class Value>
bool in_intervals(const std::vector<std::pair<Value, Value>>& intervals, Value value) {
  auto behind = std::upper_bound(intervals.begin(), intervals.end(), value, [](Value v, const auto& interval) { return v < interval.first; });
  return behind != intervals.begin() && std::prev(behind)->second >= value;
}

struct Ranges {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ipv4;
  std::vector<std::pair<Number, Number>> ipv6;

  Ranges() = default;
  explicit Ranges(const Families& families) {
    for (const auto& [first, last] : families.ipv4.map()) ipv4.emplace_back(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last));
    for (const auto& interval : families.ipv6.map()) ipv6.emplace_back(interval);
  }
  [[nodiscard]] bool contains(const Address& address) const {
    return address.is_ipv4() ? in_intervals(ipv4, static_cast<std::uint32_t>(number_of(address))) : in_intervals(ipv6, number_of(address));
  }
  friend bool operator==(const Ranges&, const Ranges&) = default;
};

// A list with name patterns in it, from its first line to its last: what stands between two patterns is taken together. Of the layers that
// have an address, the last one decides, like the last of the lines (A-8).
struct Layer {
  Ranges put, taken;                               // what its lines put in and take out; disjoint
  std::string pattern;                             // not empty: a pattern, lower case
  std::shared_ptr<const std::vector<Layer>> list;  // not empty: another list that has patterns itself
  bool takes_out = false;                          // of a pattern or list
};
using Layers = std::vector<Layer>;

// What a list comes to. `layers` is empty if no pattern stands in it.
struct Composed {
  Families families;
  std::shared_ptr<const Layers> layers;
};

bool has_name(const std::string& pattern, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return matches_name(pattern, name); });
}

// Whether the list has the address, if patterns match these names; nothing if no line speaks of it. Without names: nothing is said either where
// a pattern would have to be asked before anything else.
struct Said {
  bool decided = false, on_list = false, unsure = false;
};
Said says(const Layers& layers, const Address& address, const std::vector<std::string>* names) {
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
    if (!layer->pattern.empty()) {
      if (names == nullptr) return {.unsure = true};
      if (has_name(layer->pattern, *names)) return {true, !layer->takes_out, false};
    } else if (layer->list != nullptr) {
      const Said inner = says(*layer->list, address, names);
      if (inner.unsure) return inner;
      if (inner.on_list) return {true, !layer->takes_out, false};
    } else if (layer->put.contains(address) || layer->taken.contains(address)) {
      return {true, layer->put.contains(address), false};
    }
  }
  return {};
}

// One element, understood: a range of addresses, another list, or a name pattern.
struct Element {
  enum class What { range, list, pattern } what = What::range;
  bool is_ipv4 = true;
  Number first = 0, last = 0;
  std::string name;
};

bool is_list_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return base::is_alpha(c) || base::is_digit(c) || c == '.' || c == '_' || c == '-';
  });
}

bool looks_like_host_name(std::string_view text) {
  const bool has_letter = std::any_of(text.begin(), text.end(), [](char c) { return base::is_alpha(c); });
  return has_letter && text.find(':') == std::string_view::npos && is_list_name(text);
}

Result<Address> parse_address(std::string_view text) {
  if (text.empty()) return Error{Kind::invalid, "an address is missing"};
  if (text.find('%') != std::string_view::npos) return Error{Kind::invalid, "a scope (%...) has no meaning in a list"};
  if (looks_like_host_name(text)) return Error{Kind::invalid, "host names are not allowed; write the address"};
  return Address::parse(text);
}

Result<Element> parse_prefix(std::string_view address_text, std::string_view length_text) {
  auto address = parse_address(address_text);
  if (!address) return address.error();
  // Written as IPv6 and come out as IPv4: ::ffff:192.0.2.0/120 means 192.0.2.0/24 (A-9).
  const bool mapped = address->is_ipv4() && address_text.find(':') != std::string_view::npos;
  const bool leading_zero = length_text.size() > 1 && length_text.front() == '0';
  const auto length = leading_zero ? std::nullopt : base::number_from<unsigned>(length_text);
  const unsigned bits = mapped ? 128 : address->bits();
  if (!length || *length < 1 || *length > bits)
    return Error{Kind::invalid, "the mask of an " + std::string(bits == 32 ? "IPv4" : "IPv6") + " address is 1 to " + std::to_string(bits) +
                                    (length == 0U ? (bits == 32 ? "; for all addresses write 0.0.0.0-255.255.255.255"
                                                                : "; for all addresses write ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
                                                  : "")};
  if (mapped && *length < 96) return Error{Kind::invalid, "the mask of an IPv4 address written as IPv6 is 96 to 128"};
  const unsigned kept = mapped ? *length - 96 : *length;
  const Address base = address->prefix(kept);
  if (base != *address)
    return Error{Kind::invalid, "bits behind the mask are not 0; did you mean " + base.to_string() + "/" + std::to_string(kept) + "?"};
  const unsigned free_bits = address->bits() - kept;
  Element element;
  element.is_ipv4 = address->is_ipv4();
  element.first = number_of(*address);
  element.last = element.first | ((Number{1} << free_bits) - 1);
  return element;
}

Result<Element> parse_element(std::string_view text) {
  Element element;
  if (text.starts_with("#@")) {
    element.what = Element::What::pattern;
    element.name = base::lower(base::trim(text.substr(2)));
    if (element.name.ends_with('.')) element.name.pop_back();
    if (element.name.empty()) return Error{Kind::invalid, "a name pattern is missing behind #@"};
    const bool good = std::all_of(element.name.begin(), element.name.end(), [](char c) {
      return base::is_alpha(c) || base::is_digit(c) || c == '.' || c == '_' || c == '-' || c == '*';
    });
    if (!good || element.name.size() > 253) return Error{Kind::invalid, "a name pattern has letters, digits and . _ - * only, 253 at most"};
    return element;
  }
  if (text.starts_with('#')) {
    element.what = Element::What::list;
    element.name = base::lower(base::trim(text.substr(1)));
    if (!is_list_name(element.name)) return Error{Kind::invalid, "the name of a list has letters, digits and . _ - only"};
    return element;
  }
  if (const auto slash = text.find('/'); slash != std::string_view::npos)
    return parse_prefix(base::trim(text.substr(0, slash)), base::trim(text.substr(slash + 1)));
  // A hyphen stands in ranges and in host names; what is no name is a range.
  if (const auto hyphen = text.find('-'); hyphen != std::string_view::npos && !looks_like_host_name(text)) {
    auto first = parse_address(base::trim(text.substr(0, hyphen)));
    if (!first) return first.error();
    auto last = parse_address(base::trim(text.substr(hyphen + 1)));
    if (!last) return last.error();
    if (first->family() != last->family()) return Error{Kind::invalid, "both ends of a range are of one family, IPv4 or IPv6"};
    if (*last < *first) return Error{Kind::invalid, "the ends of a range stand in rising order"};
    element.is_ipv4 = first->is_ipv4();
    element.first = number_of(*first);
    element.last = number_of(*last);
    return element;
  }
  auto address = parse_address(text);
  if (!address) return address.error();
  element.is_ipv4 = address->is_ipv4();
  element.first = element.last = number_of(*address);
  return element;
}

// The first line, which is taken off. Lines end in LF, CRLF or CR.
std::string_view take_line(std::string_view& text) {
  const auto end = text.find_first_of("\r\n");
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : text.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
  return line;
}

class Compiler {
 public:
  Compiler(std::vector<AddressList::Mistake>& mistakes, bool allow_names, const AddressList::Resolver& resolver)
      : mistakes_(mistakes), allow_names_(allow_names), resolver_(resolver) {}

  Composed compile(std::string_view text) {
    Composed composed;
    Between between;
    if (text.size() > kMaxTextBytes) {
      mistake(0, "", "the list is longer than " + std::to_string(kMaxTextBytes) + " bytes");
      return composed;
    }
    int line = 0;
    while (!text.empty()) {
      if (++line > kMaxLines) {
        mistake(line, "", "the list has more than " + std::to_string(kMaxLines) + " lines");
        return composed;
      }
      compile_line(line, take_line(text), composed.families, between);
    }
    if (between.layers.empty()) return composed;
    between.close();
    composed.layers = std::make_shared<const Layers>(std::move(between.layers));
    return composed;
  }
  [[nodiscard]] std::size_t found() const { return found_; }
  // The texts of the lists that were named, by name.
  [[nodiscard]] std::map<std::string, std::string>& texts() { return texts_; }

 private:
  // What the lines since the last pattern have put in and taken out, and the layers before.
  struct Between {
    Families put, taken;
    bool any = false;
    Layers layers;

    void add(bool is_ipv4, Number first, Number last, bool takes_out) {
      (takes_out ? taken : put).of(is_ipv4).add(first, last);
      (takes_out ? put : taken).of(is_ipv4).remove(first, last);
      any = true;
    }
    void close() {
      if (any) layers.push_back({Ranges(put), Ranges(taken), {}, nullptr, false});
      put = taken = {};
      any = false;
    }
  };

  void mistake(int line, std::string_view element, std::string text) {
    if (++found_ > kMaxMistakes) return;
    if (in_list_.empty()) mistakes_.push_back({line, base::printable(element, 128), std::move(text)});
    else mistakes_.push_back({outer_line_, "#" + in_list_.back(), "in line " + std::to_string(line) + " of that list: " + text});
  }

  void compile_line(int number, std::string_view line, Families& families, Between& between) {
    line = base::trim(line.substr(0, line.find(';')));
    if (line.empty()) return;
    const std::string_view whole = line;
    const bool takes_out = line.front() == '!';
    if (takes_out) line = base::trim(line.substr(1));
    if (line.empty()) return mistake(number, whole, "an element is missing behind !");
    auto element = parse_element(line);
    if (!element) return mistake(number, whole, element.error().what);
    if (in_list_.empty()) outer_line_ = number;
    switch (element->what) {
      case Element::What::pattern:
        // Asking DNS would hold up the listener, so such a line is wrong there (A-12) and of no effect to contains(address) (L-24).
        if (!allow_names_) return mistake(number, whole, "names are not looked up at a listener; write addresses");
        if (++patterns_ > kMaxPatterns) return mistake(number, whole, "the list has more than " + std::to_string(kMaxPatterns) + " name patterns");
        between.close();
        between.layers.push_back({{}, {}, element->name, nullptr, takes_out});
        return;
      case Element::What::list:
        if (const Composed* const other = other_list(number, whole, element->name)) apply(*other, takes_out, families, between);
        return;
      case Element::What::range:
        if (allow_names_) between.add(element->is_ipv4, element->first, element->last, takes_out);
        if (takes_out) {
          families.of(element->is_ipv4).remove(element->first, element->last);
        } else {
          families.of(element->is_ipv4).add(element->first, element->last);
          families.adds = true;
        }
        return;
    }
  }

  void apply(const Composed& other, bool takes_out, Families& families, Between& between) const {
    for (const bool is_ipv4 : {true, false})
      for (const auto& [first, last] : (is_ipv4 ? other.families.ipv4 : other.families.ipv6).map()) {
        if (takes_out) families.of(is_ipv4).remove(first, last);
        else families.of(is_ipv4).add(first, last);
        if (allow_names_ && other.layers == nullptr) between.add(is_ipv4, first, last, takes_out);
      }
    if (!takes_out) families.adds = families.adds || other.families.adds;
    if (other.layers == nullptr) return;
    between.close();
    between.layers.push_back({{}, {}, {}, other.layers, takes_out});
  }

  // The compiled form of another list; each is compiled once, however often it is named.
  const Composed* other_list(int line, std::string_view whole, const std::string& name) {
    if (const auto known = lists_.find(name); known != lists_.end()) return &known->second;
    if (std::find(in_list_.begin(), in_list_.end(), name) != in_list_.end()) {
      mistake(line, whole, "the lists refer to each other in a circle");
      return nullptr;
    }
    const auto text = resolver_ ? resolver_(name) : std::nullopt;
    if (!text) {
      mistake(line, whole, "there is no list of this name");
      return nullptr;
    }
    texts_.emplace(name, *text);
    in_list_.push_back(name);
    Composed composed = compile(*text);
    in_list_.pop_back();
    return &lists_.emplace(name, std::move(composed)).first->second;
  }

  std::vector<AddressList::Mistake>& mistakes_;
  const bool allow_names_;
  const AddressList::Resolver& resolver_;
  std::vector<std::string> in_list_;  // names of the lists that are being compiled, the innermost last
  std::map<std::string, Composed> lists_;
  std::map<std::string, std::string> texts_;
  int outer_line_ = 0;
  std::size_t found_ = 0, patterns_ = 0;
};

}  // namespace

struct AddressList::Compiled {
  std::string text;
  bool adds = false;
  Ranges ranges;                         // by addresses alone
  std::shared_ptr<const Layers> layers;  // with name patterns; empty: there are none
  std::map<std::string, std::string> named;  // texts of the lists that it names, themselves and through others
};

namespace {

// Each named list is gone through once. There are no circles: the list was compiled.
using DecidedLists = std::map<std::string, std::optional<AddressList::Deciding>>;
std::optional<AddressList::Deciding> last_line_with(std::string_view text, const Address& address, const std::map<std::string, std::string>& named,
                                                    DecidedLists& decided) {
  std::optional<AddressList::Deciding> last;
  for (int number = 1; !text.empty(); ++number) {
    std::string_view line = take_line(text);
    line = base::trim(line.substr(0, line.find(';')));
    const bool takes_out = line.starts_with('!');
    if (takes_out) line = base::trim(line.substr(1));
    if (line.empty()) continue;
    const auto element = parse_element(line);
    if (!element || element->what == Element::What::pattern) continue;
    AddressList::Deciding found{number, std::string(line), {}, !takes_out};
    if (element->what == Element::What::list) {
      auto known = decided.find(element->name);
      if (known == decided.end()) {
        const auto other = named.find(element->name);
        known = decided.emplace(element->name, other == named.end() ? std::nullopt : last_line_with(other->second, address, named, decided)).first;
      }
      const auto& inner = known->second;
      if (!inner || !inner->on_list) continue;
      found.via = "line " + std::to_string(inner->line) + ", " + inner->element + (inner->via.empty() ? "" : " (" + inner->via + ")");
    } else if (element->is_ipv4 != address.is_ipv4() || number_of(address) < element->first || element->last < number_of(address)) {
      continue;
    }
    last = std::move(found);
  }
  return last;
}

}  // namespace

AddressList::AddressList() = default;

AddressList AddressList::compile(std::string_view text, std::vector<Mistake>& mistakes, bool allow_names, const Resolver& resolver) {
  Compiler compiler(mistakes, allow_names, resolver);
  const Composed composed = compiler.compile(text);
  AddressList list;
  if (compiler.found() > kMaxMistakes)
    mistakes.push_back({0, "", "and " + std::to_string(compiler.found() - kMaxMistakes) + " more mistakes in this list"});
  if (compiler.found() > 0) return list;
  auto compiled = std::make_shared<Compiled>();
  compiled->text = text;
  compiled->adds = composed.families.adds;
  compiled->ranges = Ranges(composed.families);
  compiled->layers = composed.layers;
  compiled->named = std::move(compiler.texts());
  list.compiled_ = std::move(compiled);
  return list;
}

bool AddressList::contains(const Address& address) const { return compiled_ && compiled_->ranges.contains(address); }

bool AddressList::asks_names(const Address& address) const {
  return compiled_ && compiled_->layers != nullptr && says(*compiled_->layers, address, nullptr).unsure;
}

bool AddressList::contains(const Address& address, const std::vector<std::string>& names) const {
  if (!compiled_ || compiled_->layers == nullptr) return contains(address);
  return says(*compiled_->layers, address, &names).on_list;
}

const std::string& AddressList::text() const {
  static const std::string nothing;
  return compiled_ ? compiled_->text : nothing;
}

bool operator==(const AddressList& a, const AddressList& b) {
  if (a.compiled_ == b.compiled_) return true;
  if (!a.compiled_ || !b.compiled_) return a.text() == b.text() && a.empty() == b.empty();
  if (a.compiled_->text != b.compiled_->text || a.compiled_->ranges != b.compiled_->ranges) return false;
  // Patterns in lists that it names may have changed.
  const bool patterns = a.compiled_->layers != nullptr || b.compiled_->layers != nullptr;
  return !patterns || a.compiled_->named == b.compiled_->named;
}

bool matches_name(std::string_view pattern, std::string_view name) {
  // Only the last `*` ever needs another try: each one takes as little as it can.
  std::size_t p = 0, n = 0, star = std::string_view::npos, taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && base::ascii_lower(pattern[p]) == base::ascii_lower(name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

std::optional<AddressList::Deciding> AddressList::deciding(const Address& address) const {
  if (!compiled_) return std::nullopt;
  DecidedLists decided;
  return last_line_with(compiled_->text, address, compiled_->named, decided);
}

bool AddressList::empty() const { return !compiled_ || !compiled_->adds; }

}  // namespace postern::net
