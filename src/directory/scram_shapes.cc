// SPDX-License-Identifier: Apache-2.0
#include "directory/scram_shapes.h"

#include <cmath>
#include <cstdint>

namespace postern::directory {
namespace {

ScramShape shape_of(ScramDigest digest, const std::string& text) {
  const auto secret = read_scram_secret(digest, text);
  return secret ? ScramShape{secret->iterations, secret->salt.size()} : ScramShape{};
}

// From 0 to 1, neither of them.
double fraction(const std::string& digest) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < 6 && i < digest.size(); ++i) bits = bits << 8 | static_cast<unsigned char>(digest[i]);
  return (static_cast<double>(bits) + 0.5) / static_cast<double>(std::uint64_t{1} << 48);
}

}  // namespace

ShapeTally::Shapes ShapeTally::shapes_of(const AccountRecord& record) {
  return {shape_of(ScramDigest::sha1, record.scram_sha1), shape_of(ScramDigest::sha256, record.scram_sha256)};
}

void ShapeTally::count(const AccountRecord& record) {
  const Shapes shapes = shapes_of(record);
  if (shapes == Shapes{}) return;
  if (const auto known = counts_.find(shapes); known != counts_.end()) ++known->second;
  else if (counts_.size() < kMostShapes) counts_.emplace(shapes, 1);
}

void ShapeTally::count_if_new(const AccountRecord& record) {
  if (!counts_.contains(shapes_of(record))) count(record);
}

ScramShape ShapeTally::choose(ScramDigest digest, std::string_view name, std::string_view key, const ScramShape& usual) const {
  const Shapes* chosen = nullptr;
  double least = 0;
  for (const auto& [shapes, count] : counts_) {
    std::string text = "shape";
    for (const ScramShape& one : {shapes.first, shapes.second}) text += '\0' + std::to_string(one.iterations) + '\0' + std::to_string(one.salt_bytes);
    const double score = -std::log(fraction(hmac_sha256(key, text + '\0' + std::string(name)))) / static_cast<double>(count);
    if (chosen != nullptr && score >= least) continue;
    chosen = &shapes;
    least = score;
  }
  if (chosen == nullptr) return usual;
  const ScramShape& shape = digest == ScramDigest::sha1 ? chosen->first : chosen->second;
  return shape.iterations == 0 ? usual : shape;
}

}  // namespace postern::directory
