// SPDX-License-Identifier: Apache-2.0
#include "snmp/tree.h"

#include <algorithm>

namespace postern::snmp {

void Tree::add_type(Oid type) { types_.push_back(std::move(type)); }

void Tree::add(const Oid& type, const Oid& instance, Value value) {
  if (types_.empty() || types_.back() != type) types_.push_back(type);
  objects_.push_back({type + instance, std::move(value)});
}

void Tree::finish() {
  std::sort(objects_.begin(), objects_.end(), [](const Object& a, const Object& b) { return a.name < b.name; });
  std::sort(types_.begin(), types_.end());
  types_.erase(std::unique(types_.begin(), types_.end()), types_.end());
}

const Tree::Object* Tree::find(const Oid& name) const {
  const auto found = std::lower_bound(objects_.begin(), objects_.end(), name, [](const Object& object, const Oid& wanted) { return object.name < wanted; });
  return found == objects_.end() || found->name != name ? nullptr : &*found;
}

const Tree::Object* Tree::after(const Oid& name) const {
  const auto found = std::upper_bound(objects_.begin(), objects_.end(), name, [](const Oid& wanted, const Object& object) { return wanted < object.name; });
  return found == objects_.end() ? nullptr : &*found;
}

// Types do not contain each other, so only the last one that is not behind `name` can be its type.
bool Tree::has_type_of(const Oid& name) const {
  const auto behind = std::upper_bound(types_.begin(), types_.end(), name);
  return behind != types_.begin() && starts_with(name, *std::prev(behind));
}

}  // namespace postern::snmp
