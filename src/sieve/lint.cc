// SPDX-License-Identifier: Apache-2.0
#include "sieve/lint.h"

#include "base/text.h"
#include "sieve/compiler.h"
#include "sieve/extensions.h"
#include "sieve/parser.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <span>

namespace postern::sieve {

namespace {

bool same(const Argument& a, const Argument& b) {
  return a.kind == b.kind && a.tag == b.tag && a.number == b.number &&
         std::equal(a.strings.begin(), a.strings.end(), b.strings.begin(), b.strings.end(), [](const auto& x, const auto& y) { return x.text == y.text; });
}

bool same(const Node& a, const Node& b) {
  return a.name == b.name && std::equal(a.arguments.begin(), a.arguments.end(), b.arguments.begin(), b.arguments.end(), [](const auto& x, const auto& y) { return same(x, y); }) &&
         std::equal(a.tests.begin(), a.tests.end(), b.tests.begin(), b.tests.end(), [](const auto& x, const auto& y) { return same(x, y); });
}

// A test with a reference may answer otherwise when it is asked again: the tests between may have set match values.
bool has_reference(const Node& test) {
  for (const Argument& argument : test.arguments)
    for (const StringItem& item : argument.strings)
      if (item.text.find("${") != std::string::npos) return true;
  return std::any_of(test.tests.begin(), test.tests.end(), has_reference);
}

// Tests that remember something, so that asking twice is not asking the same.
bool has_effect(const Node& test) { return test.name == "duplicate" || std::any_of(test.tests.begin(), test.tests.end(), has_effect); }

// Whether the test has the same answer for every message, and which.
std::optional<bool> constant_truth(const Node& test) {
  if (test.name == "true") return true;
  if (test.name == "false") return false;
  if (test.name == "not" && test.tests.size() == 1) {
    const auto inner = constant_truth(test.tests.front());
    return inner ? std::optional(!*inner) : std::nullopt;
  }
  if (test.name != "anyof" && test.name != "allof") return std::nullopt;
  const bool decides = test.name == "anyof";
  bool all_known = true;
  for (const Node& inner : test.tests) {
    const auto value = constant_truth(inner);
    if (value && *value == decides) return decides;
    all_known = all_known && value;
  }
  return all_known ? std::optional(!decides) : std::nullopt;
}

class Linter {
 public:
  Linter(Mistakes& mistakes, std::uint32_t abilities) : mistakes_(mistakes), abilities_(abilities) {}

  void script(const std::vector<Node>& commands) {
    for (const Node& node : commands) {
      if (node.name != "require" || node.arguments.size() != 1) continue;
      for (const StringItem& item : node.arguments.front().strings) {
        if (!required_.emplace(item.text, item.place).second) mistakes_.warning(item.place, "\"" + base::printable(item.text, 80) + "\" is required twice");
      }
    }
    block(commands);
    for (const auto& [name, place] : required_) {
      const Extension* extension = find(name);
      if (extension != nullptr && (extension->needs & ~abilities_) != 0) mistakes_.warning(place, "the delivery of this version does not offer \"" + base::printable(name, 80) + "\"");
      if (!used(name)) mistakes_.warning(place, "\"" + base::printable(name, 80) + "\" is required but not used");
    }
  }

 private:
  // Says whether the end of the block can be reached.
  bool block(std::span<const Node> commands) {
    bool reachable = true, told = false;
    for (std::size_t i = 0; i < commands.size();) {
      const Node& node = commands[i];
      if (!reachable && !told) {
        mistakes_.warning(node.place, "\"" + node.name + "\" is never reached");
        told = true;
      }
      if (node.name == "if") {
        if (!chain(commands, i)) reachable = false;
        continue;
      }
      ++i;
      look(node, true);
      for (const Node& test : node.tests) look_at_test(test);
      if (node.has_block) block(node.block);   // a loop, which may run no round at all
      if (node.name == "stop" || node.name == "return" || node.name == "error" || node.name == "break") reachable = false;
    }
    return reachable;
  }

  // One if with its elsif and else, `at` is moved behind it. Says whether what follows can be reached.
  bool chain(std::span<const Node> commands, std::size_t& at) {
    const std::size_t first = at;
    bool open = true;        // some message may still get this far
    bool goes_on = false;
    std::vector<const Node*> asked;
    for (; at < commands.size(); ++at) {
      const Node& node = commands[at];
      if (at > first && node.name != "elsif" && node.name != "else") break;
      if (!open) mistakes_.warning(node.place, "\"" + node.name + "\" is never reached: a test in front of it is always true");
      std::optional<bool> truth;
      if (node.name != "else" && !node.tests.empty()) {
        const Node& test = node.tests.front();
        look_at_test(test);
        truth = constant_truth(test);
        if (truth == false) mistakes_.warning(test.place, "the test is always false, so its block is never run");
        if (!has_reference(test) && !has_effect(test)) {
          if (std::any_of(asked.begin(), asked.end(), [&](const Node* earlier) { return same(*earlier, test); }))
            mistakes_.warning(test.place, "the same test was asked before in this chain, so its block is never run");
          asked.push_back(&test);
        }
      }
      const bool end_reached = block(node.block);
      if (open && truth != false && end_reached) goes_on = true;
      if (node.name == "else" || truth == true) open = false;
      if (node.name == "else") {
        ++at;
        break;
      }
    }
    return goes_on || open;
  }

  void look_at_test(const Node& test) {
    look(test, false);
    for (const Node& inner : test.tests) look_at_test(inner);
  }

  // Remembers which capabilities a command or test needs.
  void look(const Node& node, bool command) {
    if (node.name == "require") return;
    // Commands outside of `variables` that take the name of a variable.
    const auto positional = std::count_if(node.arguments.begin(), node.arguments.end(), [](const Argument& argument) { return argument.kind != Argument::Kind::tag; });
    if (node.name == "extracttext" || node.name == "global" || (node.name.ends_with("flag") && positional == 2)) variable_named_ = true;
    const Definition* definition = nullptr;
    for (const Extension* extension : extensions())
      for (const Definition& candidate : command ? extension->commands : extension->tests)
        if (candidate.name == node.name) {
          used_.insert(extension->name);
          definition = &candidate;
        }
    for (std::size_t i = 0; i < node.arguments.size(); ++i) {
      const Argument& argument = node.arguments[i];
      if (argument.kind == Argument::Kind::tag) {
        for (const Extension* extension : extensions())
          for (const TagDefinition& candidate : extension->tags)
            if (candidate.tag == argument.tag &&
                (candidate.where == node.name || (definition != nullptr && ((candidate.where == "match" && (definition->takes & kMatch) != 0) ||
                                                                             (candidate.where == "address-part" && (definition->takes & kAddressPart) != 0)))))
              used_.insert(extension->name);
        if (argument.tag == "comparator" && i + 1 < node.arguments.size() && !node.arguments[i + 1].strings.empty())
          comparators_.insert("comparator-" + node.arguments[i + 1].strings.front().text);
      }
      for (const StringItem& item : argument.strings) {
        const auto reference = item.text.find("${");
        if (reference == std::string::npos) continue;
        references_ = true;
        encoded_ = encoded_ || base::lower(item.text).find("${hex:") != std::string::npos || base::lower(item.text).find("${unicode:") != std::string::npos;
      }
    }
  }

  [[nodiscard]] bool used(std::string_view name) const {
    if (name.starts_with("comparator-")) return comparators_.count(std::string(name)) > 0;
    if (name == "variables") return references_ || variable_named_ || used_.count(name) > 0;
    if (name == "encoded-character") return encoded_;
    if (used_.count(name) > 0) return true;
    // One that only widens another, by values instead of words of its own, or that nothing is known about: no word about it.
    const Extension* extension = find(name);
    return extension == nullptr || (extension->commands.empty() && extension->tests.empty() && extension->tags.empty());
  }

  static const Extension* find(std::string_view name) {
    for (const Extension* extension : extensions())
      if (extension->name == name) return extension;
    return nullptr;
  }

  Mistakes& mistakes_;
  std::uint32_t abilities_;
  std::map<std::string, Place> required_;
  std::set<std::string_view> used_;
  std::set<std::string> comparators_;
  bool references_ = false, encoded_ = false, variable_named_ = false;
};

}  // namespace

std::vector<Mistake> lint(std::string_view source, const CompileOptions& options) {
  if (source.starts_with("\xef\xbb\xbf")) source.remove_prefix(3);
  Mistakes mistakes(options.limits.mistakes);
  if (source.size() > options.limits.script_bytes || source.find('\0') != std::string_view::npos || !base::is_utf8(source)) return {};
  const std::vector<Node> commands = parse(source, options.limits, mistakes);
  if (mistakes.any_error()) return {};
  Linter(mistakes, options.abilities).script(commands);
  return mistakes.take();
}

}  // namespace postern::sieve
