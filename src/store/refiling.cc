// SPDX-License-Identifier: Apache-2.0
#include "store/refiling.h"

#include "store/keywords.h"
#include "store/maildir.h"
#include "store/mailbox.h"
#include "store/names.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace postern::store {
namespace {

constexpr std::size_t kMostNames = 10'000'000;

}  // namespace

Result<RefiledFolder> RefiledFolder::open(base::Files& files, int mail_directory, const std::string& account_directory, const std::string& folder, bool create) {
  if (!is_account_directory(account_directory)) return Error{Kind::invalid, "bad mailbox directory"};
  auto directory = folder_directory(folder);
  if (!directory) return directory.error();
  auto opened = base::open_directory(mail_directory, account_directory + (directory->empty() ? "" : "/" + *directory));
  if (!opened && opened.error().kind == Kind::not_found && create) opened = make_folder(files, mail_directory, account_directory, *directory);
  if (!opened) return opened.error();
  RefiledFolder made;
  made.files_ = &files;
  for (const auto& [name, descriptor] : {std::pair{"tmp", static_cast<base::Descriptor*>(nullptr)}, {"new", &made.new_}, {"cur", &made.cur_}}) {
    auto part = base::make_and_open_directory(files, opened->get(), name, 0700);
    if (!part) return part.error();
    if (descriptor != nullptr) *descriptor = std::move(*part);
  }
  made.folder_ = std::move(*opened);
  return made;
}

Result<std::vector<RefiledFolder::Message>> RefiledFolder::list() const {
  std::vector<Message> messages;
  for (const bool in_new : {true, false}) {
    auto names = base::list_directory((in_new ? new_ : cur_).get(), kMostNames);
    if (!names) return names.error();
    for (std::string& name : *names)
      if (!name.starts_with('.')) messages.push_back({std::move(name), in_new});
  }
  std::sort(messages.begin(), messages.end(), [](const Message& a, const Message& b) {
    return std::pair(name_seconds(a.name), std::string_view(a.name)) < std::pair(name_seconds(b.name), std::string_view(b.name));
  });
  return messages;
}

Result<std::string> RefiledFolder::read(const Message& message, std::size_t limit_bytes) const {
  auto file = files_->open((message.in_new ? new_ : cur_).get(), message.name, O_RDONLY | O_NONBLOCK);
  if (!file) return file.error();
  struct stat status {};
  if (::fstat(file->get(), &status) != 0 || !S_ISREG(status.st_mode)) return Error{Kind::not_found, "not a message"};
  return MessageReader(std::move(*file)).whole(limit_bytes);
}

std::string RefiledFolder::name_in(const Message& message, RefiledFolder& to, const Flags& flags) const {
  std::vector<std::string> keywords = flags.keywords;
  std::string name = message.name;
  // A letter from 'a' on is a number in this folder's list, and another keyword in another folder's.
  if (const std::string letters = &to == this ? std::string() : take_keyword_letters(name); !letters.empty()) {
    const std::vector<std::string> known = known_keywords(folder_.get());
    for (const char letter : letters)
      if (const auto number = static_cast<std::size_t>(letter - 'a'); number < known.size() && !known[number].empty()) keywords.push_back(known[number]);
  }
  return with_flags(name, flags.letters + (keywords.empty() ? "" : keyword_letters(*files_, to.folder_.get(), keywords)));
}

Result<bool> RefiledFolder::put(const Message& message, RefiledFolder& to, const Flags& flags, bool keep) {
  const int from = (message.in_new ? new_ : cur_).get();
  const std::string name = name_in(message, to, flags);
  // A message with flags is not a new one.
  const int target = (message.in_new && name == message.name ? to.new_ : to.cur_).get();
  if (from == target && name == message.name) return false;
  auto done = keep ? files_->link(from, message.name, target, name) : files_->rename_new(from, message.name, target, name);
  if (!done && done.error().kind == Kind::invalid) {
    // It is there already: an earlier run was ended in between.
    done = keep ? Result<void>() : files_->unlink(from, message.name);
  }
  if (!done) return done.error();
  to.changed_ = true;
  if (!keep) changed_ = true;
  return true;
}

Result<void> RefiledFolder::sync() {
  if (!std::exchange(changed_, false)) return {};
  for (const base::Descriptor* directory : {&new_, &cur_})
    if (auto synced = files_->sync_directory(directory->get()); !synced) return synced;
  return {};
}

}  // namespace postern::store
