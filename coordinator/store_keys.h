#ifndef RECKON_COORDINATOR_STORE_KEYS_H_
#define RECKON_COORDINATOR_STORE_KEYS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "proto/rollout.pb.h"

namespace reckon {

// The store's layout. A key is one letter, a name ended by a zero byte (names have none), and
// big-endian numbers, so that byte order is the order of (name, group, sample).
//
//   m                          StoredMeta: run, epoch, ledger
//   p <plan>                   StoredPlan
//   i <plan> <group>           WorkItem, until its batch is applied
//   g <plan> <group>           StoredGroup, from the first lease until its batch is applied
//   r <plan> <group> <sample>  Rollout
//   b <plan> <batch>           BatchHeader
//   v <plan> <batch>           batch whose rollouts are to be deleted
//   s <selection>              StoredSelection
//   k <selection> <index>      RolloutKey
//   n <plan> <group> <sample>  marks a rollout that a selection names
//   w <version>                WeightManifest
//   e <nonce>                  epoch that this nonce began, in decimal
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
std::string Nonce(absl::string_view nonce);

// Prefixes for scans: `kind` and the name with its end mark, and a group's rollouts.
std::string Prefix(char kind, absl::string_view name);
std::string GroupRollouts(absl::string_view plan, uint64_t group);

// The big-endian number that a key ends with.
uint64_t LastNumber(absl::string_view key);

}  // namespace store_keys
}  // namespace reckon

#endif  // RECKON_COORDINATOR_STORE_KEYS_H_
