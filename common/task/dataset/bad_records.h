#ifndef RECKON_COMMON_TASK_DATASET_BAD_RECORDS_H_
#define RECKON_COMMON_TASK_DATASET_BAD_RECORDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace reckon {

// What is refused or left out of a data set, a record or a problem each: how many there are, and
// where the first kListed are and what is wrong with them. So one run of a command names all that
// has to be corrected, and a file without one good line has no endless error.
class BadRecords {
 public:
  static constexpr uint64_t kListed = 20;

  // `where`: "train.jsonl:17".
  void Add(absl::string_view where, absl::string_view what);
  void Append(const BadRecords& more);

  bool empty() const { return count_ == 0; }
  uint64_t count() const { return count_; }
  // "  train.jsonl:17: no key ...", a line each, and at the end "  and 12 more".
  std::vector<std::string> Lines() const;

  // OK if there is none. INVALID_ARGUMENT "train.jsonl:17: no key ...; REMEDY" of one; of several
  // "SUMMARY; REMEDY" and then the Lines, each on a line of its own.
  absl::Status Refuse(absl::string_view summary, absl::string_view remedy) const;

 private:
  uint64_t count_ = 0;
  std::vector<std::string> listed_;
};

// Both refusals in one, so that neither hides the other; if only one is an error, or both say the
// same, that one.
absl::Status BothRefusals(const absl::Status& first, const absl::Status& second);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_BAD_RECORDS_H_
