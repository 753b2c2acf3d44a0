#ifndef RECKON_COORDINATOR_LEDGER_H_
#define RECKON_COORDINATOR_LEDGER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// Counts what became of every leased and every received sample. Each method is one transition that
// keeps both equations of `Ledger` true. Part of the core; not thread-safe.
class LedgerBook {
 public:
  LedgerBook() = default;
  // A restart holds no leases: those outstanding have expired.
  static LedgerBook Restored(const Ledger& stored);

  void Leased(uint64_t samples);
  void Expired(uint64_t samples) { Settle(samples, &Ledger::expired, &Ledger::set_expired); }
  void Returned(uint64_t samples) { Settle(samples, &Ledger::returned, &Ledger::set_returned); }
  void SetAside(uint64_t samples) { Settle(samples, &Ledger::set_aside, &Ledger::set_set_aside); }

  // A sample was accepted. Without a holder (it came after its lease ended, still wanted) it counts
  // as leased once more.
  void Accepted(bool held);
  void Duplicate(bool equal);
  void Late();
  void Rejected();

  const Ledger& counts() const { return counts_; }

 private:
  void Settle(uint64_t samples, uint64_t (Ledger::*get)() const, void (Ledger::*set)(uint64_t));

  Ledger counts_;
};

// INTERNAL naming the broken equation.
absl::Status CheckLedger(const Ledger& counts);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_LEDGER_H_
