// SPDX-License-Identifier: Apache-2.0
// postern-sieve template: shipped templates, their forms, and rules made from them and read back.
#include "base/files.h"
#include "install_directories.h"
#include "sieve/templates.h"
#include "tools/sieve_tool.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <iostream>

namespace postern::tools {

namespace {

constexpr std::string_view kEnding = ".template";
constexpr std::size_t kMostTemplates = 1000;

std::string folder(const SieveOptions& options) { return options.templates.value_or(POSTERN_TEMPLATES); }

// The template in a file; nothing, and its mistakes on standard error, if there is none. `status`: for the exit.
std::optional<sieve::Template> read_template(const SieveOptions& options, const std::string& path, int& status) {
  const auto text = read_input(path);
  if (!text) {
    status = kUsage;
    return std::nullopt;
  }
  sieve::ParsedTemplate parsed = sieve::parse_template(*text, options.limits.mailbox_separators);
  print_mistakes(path, *text, parsed.mistakes);
  if (!parsed.made) status = kBad;
  return std::move(parsed.made);
}

// All of the folder, by their file names.
std::vector<sieve::Template> all_templates(const SieveOptions& options, int& status) {
  std::vector<sieve::Template> found;
  const auto directory = base::open_directory(AT_FDCWD, folder(options));
  auto names = directory ? base::list_directory(directory->get(), kMostTemplates) : Result<std::vector<std::string>>(directory.error());
  if (!names) {
    std::cerr << "postern-sieve: " << names.error().what << '\n';
    status = kUsage;
    return found;
  }
  std::sort(names->begin(), names->end());
  for (const std::string& name : *names)
    if (name.ends_with(kEnding))
      if (auto made = read_template(options, folder(options) + "/" + name, status)) found.push_back(std::move(*made));
  return found;
}

// A template by its id or its file.
std::optional<sieve::Template> find_template(const SieveOptions& options, const std::string& word, int& status) {
  if (word.find('/') == std::string::npos && !word.ends_with(kEnding)) {
    for (sieve::Template& candidate : all_templates(options, status))
      if (candidate.id == word) return std::move(candidate);
    std::cerr << "postern-sieve: there is no template " << word << " in " << folder(options) << '\n';
    if (status == kGood) status = kUsage;
    return std::nullopt;
  }
  return read_template(options, word, status);
}

// What a web page needs to show the form.
boost::json::object form(const sieve::Template& made) {
  boost::json::array fields;
  for (const sieve::TemplateField& field : made.fields) {
    boost::json::object entry{{"name", field.name}, {"type", sieve::to_string(field.type)}, {"prompt", field.prompt}};
    if (field.type == sieve::TemplateField::Type::choice) entry["choices"] = boost::json::value_from(field.choices);
    if (field.preset) entry["default"] = *field.preset;
    entry["required"] = !field.preset || !field.preset->empty();
    fields.push_back(std::move(entry));
  }
  boost::json::object object{{"id", made.id}, {"title", made.title}, {"fields", std::move(fields)}};
  if (!made.description.empty()) object["description"] = made.description;
  return object;
}

int list(const SieveOptions& options) {
  int status = kGood;
  boost::json::array forms;
  for (const sieve::Template& made : all_templates(options, status)) {
    if (options.json) forms.push_back(form(made));
    else std::printf("%-20s %s\n", made.id.c_str(), made.title.c_str());
  }
  if (options.json) std::cout << boost::json::serialize(forms) << '\n';
  return status;
}

int show(const SieveOptions& options) {
  if (options.files.size() != 2) wrong_usage("template show needs a template");
  int status = kGood;
  const auto made = find_template(options, options.files[1], status);
  if (!made) return status;
  if (options.json) {
    std::cout << boost::json::serialize(form(*made)) << '\n';
    return status;
  }
  std::cout << made->title << '\n';
  if (!made->description.empty()) std::cout << made->description << '\n';
  for (const sieve::TemplateField& field : made->fields) {
    std::cout << "  " << field.name << " (" << sieve::to_string(field.type);
    for (std::size_t i = 0; i < field.choices.size(); ++i) std::cout << (i == 0 ? ": " : ", ") << field.choices[i];
    std::cout << "): " << field.prompt;
    if (field.preset) std::cout << (field.preset->empty() ? " [may be left empty]" : " [" + *field.preset + "]");
    std::cout << '\n';
  }
  std::cout << '\n' << made->script;
  return status;
}

int fill(const SieveOptions& options) {
  if (options.files.size() < 2) wrong_usage("template fill needs a template");
  int status = kGood;
  const auto made = find_template(options, options.files[1], status);
  if (!made) return status;
  sieve::FieldValues values;
  for (std::size_t i = 2; i < options.files.size(); ++i) {
    const auto equals = options.files[i].find('=');
    if (equals == std::string::npos) wrong_usage("expected NAME=VALUE, found \"" + options.files[i] + "\"");
    values[options.files[i].substr(0, equals)] = options.files[i].substr(equals + 1);
  }
  const auto rule = sieve::render_rule(*made, {options.order, made->id, options.name.value_or("")}, values);
  if (!rule) {
    std::cerr << "postern-sieve: " << rule.error().what << '\n';
    return kBad;
  }
  std::cout << *rule;
  return status;
}

int read(const SieveOptions& options) {
  if (options.files.size() != 2) wrong_usage("template read needs a stored rule");
  int status = kGood;
  const auto text = read_input(options.files[1]);
  if (!text) return kUsage;
  const auto templates = all_templates(options, status);
  const sieve::StoredRule rule = sieve::read_rule(*text, templates);
  using Origin = sieve::StoredRule::Origin;
  const std::string_view origin = rule.origin == Origin::from_template ? "template" : rule.origin == Origin::edited ? "edited" : "hand-written";
  if (options.json) {
    boost::json::object object{{"origin", origin}, {"order", rule.info.order}, {"name", rule.info.name}, {"template", rule.info.template_id}};
    boost::json::object values;
    for (const auto& [name, value] : rule.values) values[name] = value;
    object["values"] = std::move(values);
    std::cout << boost::json::serialize(object) << '\n';
    return status;
  }
  std::cout << "origin: " << origin << "\norder: " << rule.info.order << '\n';
  if (!rule.info.name.empty()) std::cout << "name: " << rule.info.name << '\n';
  if (!rule.info.template_id.empty()) std::cout << "template: " << rule.info.template_id << '\n';
  for (const auto& [name, value] : rule.values) std::cout << "  " << name << "=" << value << '\n';
  return status;
}

}  // namespace

int sieve_template(const SieveOptions& options) {
  const std::string command = options.files.empty() ? std::string() : options.files.front();
  if (command == "list") return list(options);
  if (command == "show") return show(options);
  if (command == "fill") return fill(options);
  if (command == "read") return read(options);
  wrong_usage("expected template list, show, fill or read");
}

}  // namespace postern::tools
