#ifndef RECKON_COORDINATOR_CORE_LEDGER_H_
#define RECKON_COORDINATOR_CORE_LEDGER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "proto/coordinator.pb.h"

namespace reckon {

// Counts what became of every leased and every received sample. Two equations hold after each call:
//
//   leased   = accepted + expired + returned + set_aside + outstanding        (1)
//   received = accepted + duplicate + late + rejected                         (2)
//
// A leased sample is `outstanding` until exactly one of the other four happens to it; a received
// one gets exactly one acknowledgement. CheckLedger verifies both, after every event in tests.
// Part of CoreState; not thread-safe.
class LedgerBook {
 public:
  LedgerBook() = default;
  // After a restart no lease is in force: the outstanding samples have expired.
  static LedgerBook Restored(const Ledger& stored);

  // (1): outstanding grows, or moves to one of the others.
  void Leased(uint64_t samples);
  void Expired(uint64_t samples) { Settle(samples, &Ledger::expired, &Ledger::set_expired); }
  void Returned(uint64_t samples) { Settle(samples, &Ledger::returned, &Ledger::set_returned); }
  void SetAside(uint64_t samples) { Settle(samples, &Ledger::set_aside, &Ledger::set_set_aside); }

  // (1) and (2): a sample was accepted. One whose lease had ended (`leased` is false) counts as
  // leased once more, because its first lease was already counted as expired or returned.
  void Accepted(bool leased);

  // (2): `equal` is false for a duplicate that should be equal to the accepted one and is not.
  void Duplicate(bool equal);
  void Late();
  void Rejected();

  const Ledger& counts() const { return counts_; }

 private:
  // Moves samples from outstanding to the count of `get` and `set`.
  void Settle(uint64_t samples, uint64_t (Ledger::*get)() const, void (Ledger::*set)(uint64_t));

  Ledger counts_;
};

// INTERNAL names the equation that does not hold.
absl::Status CheckLedger(const Ledger& counts);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_LEDGER_H_
