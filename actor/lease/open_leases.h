#ifndef RECKON_ACTOR_LEASE_OPEN_LEASES_H_
#define RECKON_ACTOR_LEASE_OPEN_LEASES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace reckon {

// The leases that an actor works on: from the grant until all samples are acknowledged, the lease
// is revoked, or the actor returns it.
//
//   queued --Admit--> admitted, to the engine --Acknowledge, once a sample--> complete
//
// Owned by an Actor. One thread.
class OpenLeases {
 public:
  // A lease that is queued, with this many samples; one that is open begins again.
  void Open(uint64_t lease, int64_t samples);
  // False: it is not open.
  bool Close(uint64_t lease) { return leases_.erase(lease) > 0; }
  bool Has(uint64_t lease) const { return leases_.contains(lease); }
  void Admit(uint64_t lease) { leases_[lease].admitted = true; }
  // Of an open one. True: all its samples are acknowledged, and it is closed.
  bool Acknowledge(uint64_t lease);

  size_t size() const { return leases_.size(); }
  std::vector<uint64_t> all() const;
  std::vector<uint64_t> admitted() const;

 private:
  struct Progress {
    int64_t unacknowledged = 0;  // samples
    bool admitted = false;
  };
  std::map<uint64_t, Progress> leases_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_LEASE_OPEN_LEASES_H_
