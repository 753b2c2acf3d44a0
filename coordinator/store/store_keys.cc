#include "coordinator/store/store_keys.h"

namespace reckon::store_keys {
namespace {

void AppendBigEndian(std::string& out, uint64_t value, int bytes) {
  // Big-endian, so that RocksDB's order of bytes is the order of numbers and a scan of a plan
  // yields its groups in order.
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>((value >> shift) & 0xff));
  }
}

std::string WithNumber(char kind, absl::string_view name, uint64_t number) {
  std::string key = Prefix(kind, name);
  AppendBigEndian(key, number, 8);
  return key;
}

std::string WithRollout(char kind, const RolloutKey& key) {
  std::string out = WithNumber(kind, key.plan(), key.group());
  AppendBigEndian(out, key.sample(), 4);
  return out;
}

}  // namespace

std::string Prefix(char kind, absl::string_view name) {
  std::string key(1, kind);
  key.append(name.data(), name.size());
  // Ends the name: without it a scan of plan "ppo_1" would also find the keys of "ppo_10".
  key.push_back('\0');
  return key;
}

std::string Plan(absl::string_view plan) { return Prefix('p', plan); }
std::string Item(absl::string_view plan, uint64_t group) { return WithNumber('i', plan, group); }
std::string Group(absl::string_view plan, uint64_t group) { return WithNumber('g', plan, group); }
std::string Rollout(const RolloutKey& key) { return WithRollout('r', key); }
std::string Batch(absl::string_view plan, uint64_t batch) { return WithNumber('b', plan, batch); }
std::string Evict(absl::string_view plan, uint64_t batch) { return WithNumber('v', plan, batch); }
std::string Selection(absl::string_view name) { return Prefix('s', name); }
std::string SelectionEntry(absl::string_view name, uint64_t index) {
  return WithNumber('k', name, index);
}
std::string Named(const RolloutKey& key) { return WithRollout('n', key); }
std::string Nonce(absl::string_view nonce) { return Prefix('e', nonce); }
std::string GroupRollouts(absl::string_view plan, uint64_t group) {
  return WithNumber('r', plan, group);
}
std::string GroupMarks(absl::string_view plan, uint64_t group) {
  return WithNumber('n', plan, group);
}

std::string Manifest(uint64_t version) {
  std::string key = "w";
  AppendBigEndian(key, version, 8);
  return key;
}

std::string Texts(absl::string_view digest) { return absl::StrCat("t", digest); }

std::string Rank(uint32_t rank) {
  std::string key = "l";
  AppendBigEndian(key, rank, 8);
  return key;
}

uint64_t LastNumber(absl::string_view key) {
  uint64_t value = 0;
  if (key.size() < 8) return value;
  for (unsigned char c : key.substr(key.size() - 8)) value = value << 8 | c;
  return value;
}

}  // namespace reckon::store_keys
