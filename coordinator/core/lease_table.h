#ifndef RECKON_COORDINATOR_CORE_LEASE_TABLE_H_
#define RECKON_COORDINATOR_CORE_LEASE_TABLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// An actor's time-limited claim on some samples of a group, at one weight version.
struct HeldLease {
  uint64_t id = 0;
  std::string actor;
  std::string plan;
  uint64_t group = 0;
  std::set<uint32_t> samples;  // not accepted yet; never empty while in the table
  uint64_t version = 0;
  absl::Time expires;
};

// The leases in force by id and by expiry, and what each actor holds. Part of CoreState; not
// thread-safe. Memory: leased samples, and actors that called in the last ten minutes.
class LeaseTable {
 public:
  struct Actor {
    uint64_t outstanding = 0;
    uint64_t accepted = 0;
    absl::Time last_seen;
    ActorReport report;  // the latest
  };

  void Add(HeldLease lease);
  // Null when the lease has ended.
  const HeldLease* Find(uint64_t id) const;
  // Ends a lease and returns it with the samples not accepted yet; nothing if it had ended.
  std::optional<HeldLease> Remove(uint64_t id);
  void Renew(uint64_t id, absl::Time expires);
  // One of the lease's samples was accepted; the lease ends with its last one.
  void Fulfil(uint64_t id, uint32_t sample);

  // Ids of leases that expire at or before `now`, in order of expiry.
  std::vector<uint64_t> Expired(absl::Time now) const;
  std::vector<uint64_t> OfPlan(const std::string& plan) const;

  // The actor called. Forgets actors that hold nothing and have not called for ten minutes.
  void ActorSeen(const std::string& actor, absl::Time now);
  // Keeps what an actor that was seen says of itself until it says otherwise.
  void KeepReport(const std::string& actor, const ActorReport& report);
  void CountAccepted(const std::string& actor);
  const std::map<std::string, Actor>& actors() const { return actors_; }
  size_t size() const { return leases_.size(); }

 private:
  absl::flat_hash_map<uint64_t, HeldLease> leases_;
  std::set<std::pair<absl::Time, uint64_t>> by_expiry_;
  std::map<std::string, Actor> actors_;
  absl::Time next_forget_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_LEASE_TABLE_H_
