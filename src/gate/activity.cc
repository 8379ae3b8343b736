// SPDX-License-Identifier: Apache-2.0
#include "gate/activity.h"

#include <array>
#include <atomic>
#include <new>

namespace postern::gate {
namespace {
constexpr std::uint64_t kMagic = 0x31'79'74'69'76'69'74'63;  // "ctivity1"
// Further counts do not change the layout.
constexpr std::size_t kCountRoom = 16;
static_assert(kActivityCounts <= kCountRoom);
}

struct Activity::Layout {
  struct Child {
    std::atomic<std::uint64_t> incarnation;
    std::atomic<std::uint32_t> outbound;
  };
  std::uint64_t magic;
  std::array<std::atomic<std::uint64_t>, kCountRoom> counts;
  std::array<std::atomic<std::int64_t>, conf::kModuleRoom> last_inbound;
  std::atomic<std::int64_t> last_outbound, last_outbound_attempt;
  std::array<Child, kMaxChildren> children;
};

Activity::Layout& Activity::layout() const { return *std::launder(reinterpret_cast<Layout*>(memory_.data())); }

Result<Activity> Activity::create() {
  auto memory = base::SharedMemory::create("activity", sizeof(Layout));
  if (!memory) return memory.error().in("activity");
  auto* const layout = new (memory->data()) Layout{};
  layout->magic = kMagic;
  return Activity(std::move(*memory));
}

Result<Activity> Activity::attach(base::SharedMemory memory) {
  if (memory.size() != sizeof(Layout)) return Error{Kind::corrupt, "activity of another size"};
  Activity activity(std::move(memory));
  if (activity.layout().magic != kMagic) return Error{Kind::corrupt, "shared memory holds no activity"};
  return activity;
}

void Activity::add(ActivityCount what) { layout().counts[static_cast<std::size_t>(what)].fetch_add(1, std::memory_order_relaxed); }

std::uint64_t Activity::count(ActivityCount what) const { return layout().counts[static_cast<std::size_t>(what)].load(std::memory_order_relaxed); }

void Activity::note_inbound(conf::Module module, std::int64_t now_microseconds) {
  layout().last_inbound[static_cast<std::size_t>(module)].store(now_microseconds, std::memory_order_relaxed);
}

std::int64_t Activity::last_inbound(conf::Module module) const {
  return layout().last_inbound[static_cast<std::size_t>(module)].load(std::memory_order_relaxed);
}

void Activity::note_outbound_attempt(std::int64_t now_microseconds) {
  layout().last_outbound_attempt.store(now_microseconds, std::memory_order_relaxed);
}

std::int64_t Activity::last_outbound_attempt() const { return layout().last_outbound_attempt.load(std::memory_order_relaxed); }

// A child has one thread that makes connections: nobody else writes to its place.
void Activity::outbound_began(Owner owner, std::int64_t now_microseconds) {
  if (owner.child >= kMaxChildren) return;
  layout().last_outbound.store(now_microseconds, std::memory_order_relaxed);
  Layout::Child& child = layout().children[owner.child];
  if (child.incarnation.load(std::memory_order_relaxed) != owner.incarnation) {
    child.outbound.store(0, std::memory_order_relaxed);
    child.incarnation.store(owner.incarnation, std::memory_order_release);
  }
  child.outbound.fetch_add(1, std::memory_order_relaxed);
}

void Activity::outbound_ended(Owner owner, std::int64_t now_microseconds) {
  if (owner.child >= kMaxChildren) return;
  layout().last_outbound.store(now_microseconds, std::memory_order_relaxed);
  Layout::Child& child = layout().children[owner.child];
  if (child.incarnation.load(std::memory_order_relaxed) == owner.incarnation && child.outbound.load(std::memory_order_relaxed) > 0)
    child.outbound.fetch_sub(1, std::memory_order_relaxed);
}

std::int64_t Activity::last_outbound() const { return layout().last_outbound.load(std::memory_order_relaxed); }

unsigned Activity::outbound(Owner owner) const {
  if (owner.child >= kMaxChildren) return 0;
  const Layout::Child& child = layout().children[owner.child];
  if (child.incarnation.load(std::memory_order_acquire) != owner.incarnation) return 0;
  return child.outbound.load(std::memory_order_relaxed);
}

}  // namespace postern::gate
