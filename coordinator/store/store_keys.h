#ifndef RECKON_COORDINATOR_STORE_STORE_KEYS_H_
#define RECKON_COORDINATOR_STORE_STORE_KEYS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "proto/rollout.pb.h"

namespace reckon {

// The store's layout. A key is one letter, a name with a zero byte after it (names contain none),
// and big-endian numbers, so that the order of bytes is the order of (name, group, sample).
//
//   m                          StoredMeta: run, term, ledger
//   p <plan>                   StoredPlan
//   i <plan> <group>           WorkItem, until its batch is applied
//   g <plan> <group>           StoredGroup, from the first lease until its batch is applied
//   r <plan> <group> <sample>  Rollout, the very bytes that an actor submitted
//   b <plan> <batch>           BatchHeader, until the batch is evicted
//   v <plan> <batch>           requests an eviction (core/evictions.h): empty for a durable batch,
//                              and under the number after the last batch a BatchHeader of what was
//                              in none
//   s <selection>              StoredSelection
//   k <selection> <index>      RolloutKey
//   n <plan> <group> <sample>  marks a rollout that a selection names: it is never evicted
//   w <version>                WeightManifest without texts
//   t <digest>                 FolderTexts of some of these versions
//   e <nonce>                  the term that this nonce began, in decimal; of the newest 1,024
//   l <rank>                   StoredRank: a rank of the term that has called
namespace store_keys {

inline constexpr char kMeta[] = "m";
std::string Plan(absl::string_view plan);
std::string Item(absl::string_view plan, uint64_t group);
std::string Group(absl::string_view plan, uint64_t group);
std::string Rollout(const RolloutKey& key);
std::string Batch(absl::string_view plan, uint64_t batch);
std::string Evict(absl::string_view plan, uint64_t batch);
std::string Selection(absl::string_view name);
std::string SelectionEntry(absl::string_view name, uint64_t index);
std::string Named(const RolloutKey& key);
std::string Manifest(uint64_t version);
std::string Texts(absl::string_view digest);
std::string Nonce(absl::string_view nonce);
std::string Rank(uint32_t rank);

// Prefixes for scans: everything of a kind under a name, and a group's rollouts and marks.
std::string Prefix(char kind, absl::string_view name);
std::string GroupRollouts(absl::string_view plan, uint64_t group);
std::string GroupMarks(absl::string_view plan, uint64_t group);

// The big-endian number in a key's last eight bytes. Of a rollout's key the lower half is the
// sample.
uint64_t LastNumber(absl::string_view key);

}  // namespace store_keys
}  // namespace reckon

#endif  // RECKON_COORDINATOR_STORE_STORE_KEYS_H_
