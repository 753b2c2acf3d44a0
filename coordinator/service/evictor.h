#ifndef RECKON_COORDINATOR_SERVICE_EVICTOR_H_
#define RECKON_COORDINATOR_SERVICE_EVICTOR_H_

#include <cstdint>
#include <stop_token>
#include <thread>

#include "coordinator/service/committer.h"
#include "coordinator/store/store.h"

namespace reckon {

// The thread that evicts what nothing names any more, one batch at a time (core/evictions.h): it
// reads the store beside commits, without the core's lock. When it has deleted as many rollouts as
// are left it has the store compacted, so that the disk gets its room back. Idle with retention
// ALL.
//
// Owned by CoordinatorServer, which calls Committer::EndWaits before it destroys this; `committer`
// and `store` outlive it. When a batch's record is damaged or the store cannot be read, it says so
// in the log and evicts no more: nothing is lost by that but room on the disk.
class Evictor {
 public:
  Evictor(Committer* committer, Store* store);
  ~Evictor();

 private:
  void Run(const std::stop_token& stop);
  // Adds to freed_. False: it stops.
  bool Evict(EvictedBatch batch);

  Committer* const committer_;
  Store* const store_;
  uint64_t freed_ = 0;  // rollouts, since the store was compacted
  std::jthread thread_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_SERVICE_EVICTOR_H_
