#include "actor/lease/open_leases.h"

namespace reckon {

void OpenLeases::Open(uint64_t lease, int64_t samples) {
  leases_[lease] = {.unacknowledged = samples};
}

bool OpenLeases::Acknowledge(uint64_t lease) {
  const auto open = leases_.find(lease);
  if (--open->second.unacknowledged > 0) return false;
  leases_.erase(open);
  return true;
}

std::vector<uint64_t> OpenLeases::all() const {
  std::vector<uint64_t> out;
  for (const auto& [lease, progress] : leases_) out.push_back(lease);
  return out;
}

std::vector<uint64_t> OpenLeases::admitted() const {
  std::vector<uint64_t> out;
  for (const auto& [lease, progress] : leases_) {
    if (progress.admitted) out.push_back(lease);
  }
  return out;
}

}  // namespace reckon
