#include "coordinator/core/lease_table.h"

namespace reckon {

void LeaseTable::Add(HeldLease lease) {
  actors_[lease.actor].outstanding += lease.samples.size();
  by_expiry_.emplace(lease.expires, lease.id);
  const uint64_t id = lease.id;
  leases_.emplace(id, std::move(lease));
}

const HeldLease* LeaseTable::Find(uint64_t id) const {
  auto it = leases_.find(id);
  return it == leases_.end() ? nullptr : &it->second;
}

std::optional<HeldLease> LeaseTable::Remove(uint64_t id) {
  auto it = leases_.find(id);
  if (it == leases_.end()) return std::nullopt;
  HeldLease lease = std::move(it->second);
  leases_.erase(it);
  by_expiry_.erase({lease.expires, id});
  actors_[lease.actor].outstanding -= lease.samples.size();
  return lease;
}

void LeaseTable::Renew(uint64_t id, absl::Time expires) {
  auto it = leases_.find(id);
  if (it == leases_.end()) return;
  by_expiry_.erase({it->second.expires, id});
  it->second.expires = expires;
  by_expiry_.emplace(expires, id);
}

void LeaseTable::Fulfil(uint64_t id, uint32_t sample) {
  auto it = leases_.find(id);
  if (it == leases_.end() || it->second.samples.erase(sample) == 0) return;
  actors_[it->second.actor].outstanding -= 1;
  if (!it->second.samples.empty()) return;
  by_expiry_.erase({it->second.expires, id});
  leases_.erase(it);
}

std::vector<uint64_t> LeaseTable::Expired(absl::Time now) const {
  std::vector<uint64_t> expired;
  for (const auto& [expires, id] : by_expiry_) {
    // The set is in order of expiry, so a tick of the clock costs no more than the leases that end.
    if (expires > now) break;
    expired.push_back(id);
  }
  return expired;
}

// Scans all leases: it is called once for a plan, when that is closed.
std::vector<uint64_t> LeaseTable::OfPlan(const std::string& plan) const {
  std::vector<uint64_t> ids;
  for (const auto& [expires, id] : by_expiry_) {
    if (leases_.at(id).plan == plan) ids.push_back(id);
  }
  return ids;
}

void LeaseTable::ActorSeen(const std::string& actor, absl::Time now) {
  actors_[actor].last_seen = now;
  // Every call of an actor comes through here; the scan of all actors is worth it once a minute.
  if (now < next_forget_) return;
  next_forget_ = now + absl::Minutes(1);
  for (auto it = actors_.begin(); it != actors_.end();) {
    const bool gone = it->second.outstanding == 0 && now - it->second.last_seen > absl::Minutes(10);
    it = gone ? actors_.erase(it) : std::next(it);
  }
}

void LeaseTable::KeepReport(const std::string& actor, const ActorReport& report) {
  actors_[actor].report = report;
}

void LeaseTable::CountAccepted(const std::string& actor) {
  auto it = actors_.find(actor);
  if (it != actors_.end()) ++it->second.accepted;
}

}  // namespace reckon
