#include "coordinator/core/ledger.h"

#include "absl/strings/str_cat.h"

namespace reckon {

LedgerBook LedgerBook::Restored(const Ledger& stored) {
  LedgerBook book;
  book.counts_ = stored;
  book.Expired(stored.outstanding());
  return book;
}

void LedgerBook::Leased(uint64_t samples) {
  counts_.set_leased(counts_.leased() + samples);
  counts_.set_outstanding(counts_.outstanding() + samples);
}

void LedgerBook::Settle(uint64_t samples, uint64_t (Ledger::*get)() const,
                        void (Ledger::*set)(uint64_t)) {
  (counts_.*set)((counts_.*get)() + samples);
  counts_.set_outstanding(counts_.outstanding() - samples);
}

void LedgerBook::Accepted(bool leased) {
  if (!leased) Leased(1);
  Settle(1, &Ledger::accepted, &Ledger::set_accepted);
  counts_.set_received(counts_.received() + 1);
}

void LedgerBook::Duplicate(bool equal) {
  counts_.set_received(counts_.received() + 1);
  counts_.set_duplicate(counts_.duplicate() + 1);
  if (!equal) counts_.set_mismatched(counts_.mismatched() + 1);
}

void LedgerBook::Late() {
  counts_.set_received(counts_.received() + 1);
  counts_.set_late(counts_.late() + 1);
}

void LedgerBook::Rejected() {
  counts_.set_received(counts_.received() + 1);
  counts_.set_rejected(counts_.rejected() + 1);
}

absl::Status CheckLedger(const Ledger& c) {
  const uint64_t leased =
      c.accepted() + c.expired() + c.returned() + c.set_aside() + c.outstanding();
  if (c.leased() != leased) {
    return absl::InternalError(absl::StrCat("leased ", c.leased(),
                                            " != accepted + expired + returned + set_aside + ",
                                            "outstanding = ", leased));
  }
  const uint64_t received = c.accepted() + c.duplicate() + c.late() + c.rejected();
  if (c.received() != received) {
    return absl::InternalError(absl::StrCat(
        "received ", c.received(), " != accepted + duplicate + late + rejected = ", received));
  }
  if (c.mismatched() > c.duplicate()) return absl::InternalError("mismatched > duplicate");
  return absl::OkStatus();
}

}  // namespace reckon
