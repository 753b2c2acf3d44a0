#include "coordinator/core/request_check.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "common/base/host_port.h"
#include "common/base/status_macros.h"
#include "common/config/ranges.h"

namespace reckon {
namespace {

constexpr size_t kMaxName = 128;              // characters
constexpr uint64_t kMaxBatchSamples = 65536;  // a batch's header stays below the message limit
constexpr int kMaxStopTokens = 1024;
constexpr int kMaxStopStrings = 256;
constexpr uint32_t kMaxOpenBatches = 1024;
constexpr int kMaxLabelTokens = 16;
constexpr size_t kMaxItemBytes = 1 << 20;
constexpr size_t kMaxReportBytes = 4096;
constexpr size_t kMaxSource = 300;        // characters
constexpr uint64_t kMaxChunks = 1 << 18;  // their digests are 8 MiB

}  // namespace

absl::Status CheckName(absl::string_view what, absl::string_view name) {
  if (name.empty()) return BadRequest(what, " is empty");
  if (name.size() > kMaxName) return BadRequest(what, " is longer than ", kMaxName, " characters");
  for (char c : name) {
    if (!absl::ascii_isprint(c))
      return BadRequest(what, " has a character that is not printable ASCII");
  }
  return absl::OkStatus();
}

absl::Status CheckPlanSpec(const PlanSpec& spec) {
  RETURN_IF_ERROR(CheckName("spec.name", spec.name()));
  RETURN_IF_ERROR(CheckRanges(spec.sampling(), "spec.sampling"));
  if (spec.stop_token_ids_size() > kMaxStopTokens || spec.stop_strings_size() > kMaxStopStrings) {
    return BadRequest("spec has too many stops; at most ", kMaxStopTokens, " tokens and ",
                      kMaxStopStrings, " strings");
  }
  if (spec.samples_per_group() == 0) return BadRequest("spec.samples_per_group is 0");
  if (spec.groups_per_batch() == 0) return BadRequest("spec.groups_per_batch is 0");
  if (spec.max_open_batches() == 0 || spec.max_open_batches() > kMaxOpenBatches) {
    return BadRequest("spec.max_open_batches must be 1 to ", kMaxOpenBatches);
  }
  const uint64_t samples =
      static_cast<uint64_t>(spec.samples_per_group()) * spec.groups_per_batch();
  if (samples > kMaxBatchSamples) {
    return BadRequest("samples_per_group * groups_per_batch is ", samples, ", above ",
                      kMaxBatchSamples);
  }
  if (spec.step_label_tokens_size() > kMaxLabelTokens) {
    return BadRequest("spec.step_label_tokens has ", spec.step_label_tokens_size(),
                      " tokens, above ", kMaxLabelTokens);
  }
  std::set<std::string> names;
  for (const RewardSpec& reward : spec.rewards()) {
    RETURN_IF_ERROR(CheckName("reward.name", reward.name()));
    if (!names.insert(reward.name()).second)
      return BadRequest("two rewards are named ", reward.name());
    // A kind that this program does not know is among the unknown fields.
    if (reward.kind() == RewardSpec::ORM || !reward.unknown_fields().empty()) {
      return BadRequest("reward ", reward.name(), " is of a kind that no actor computes");
    }
    RETURN_IF_ERROR(CheckRanges(reward, "reward"));
    if (!std::isfinite(reward.weight()))
      return BadRequest("reward ", reward.name(), " has weight ", reward.weight(),
                        ", which is not finite");
  }
  return absl::OkStatus();
}

absl::Status CheckWorkItem(const WorkItem& item) {
  if (item.prompt_tokens_size() == 0)
    return BadRequest("group ", item.group(), " has no prompt tokens");
  if (item.ByteSizeLong() > kMaxItemBytes) {
    return BadRequest("group ", item.group(), " is above ", kMaxItemBytes, " bytes");
  }
  return absl::OkStatus();
}

absl::Status CheckLeaseRequest(const LeaseRequest& request) {
  RETURN_IF_ERROR(CheckName("actor", request.actor()));
  const ActorReport& report = request.report();
  if (std::max({report.waiting_for().size(), report.refused_because().size(),
                report.failing_because().size()}) > kMaxReportBytes) {
    return BadRequest("report has a text above ", kMaxReportBytes, " bytes");
  }
  return absl::OkStatus();
}

absl::Status CheckHeartbeat(const HeartbeatRequest& request, uint32_t world_size) {
  RETURN_IF_ERROR(CheckName("host", request.host()));
  if (request.rank() >= world_size) {
    return BadRequest("rank is ", request.rank(), ", but the term has ", world_size, " ranks");
  }
  if (request.failure().size() > kMaxReportBytes) {
    return BadRequest("failure is above ", kMaxReportBytes, " bytes");
  }
  return absl::OkStatus();
}

absl::Status CheckSource(const std::string& address) {
  if (address.size() > kMaxSource || !ParseHostPort(address).ok()) {
    return BadRequest("source must be HOST:PORT, of at most ", kMaxSource, " characters");
  }
  return absl::OkStatus();
}

absl::Status CheckPublishedManifest(const WeightManifest& manifest) {
  if (manifest.total_bytes() == 0) return BadRequest("manifest.total_bytes is 0");
  if (manifest.chunk_bytes() == 0) return BadRequest("manifest.chunk_bytes is 0");
  // Not (total + size - 1) / size, whose sum a hostile manifest could make overflow.
  const uint64_t chunks = (manifest.total_bytes() - 1) / manifest.chunk_bytes() + 1;
  if (chunks > kMaxChunks) return BadRequest("manifest has more than ", kMaxChunks, " chunks");
  const int digests = manifest.chunk_sha256_size() + manifest.chunk_xxh3_size();
  if (static_cast<uint64_t>(digests) != chunks ||
      (manifest.chunk_sha256_size() > 0 && manifest.chunk_xxh3_size() > 0)) {
    return BadRequest("manifest has ", digests, " digests for ", chunks, " chunks");
  }
  if (manifest.texts_sha256().size() != 32 &&
      (manifest.has_texts() || !manifest.texts_sha256().empty())) {
    return BadRequest("manifest.texts_sha256 has ", manifest.texts_sha256().size(),
                      " bytes, not 32");
  }
  for (const std::string& digest : manifest.chunk_sha256()) {
    if (digest.size() != 32) return BadRequest("a digest has ", digest.size(), " bytes, not 32");
  }
  // Tensors must follow each other without a gap, so that every byte that is served belongs to a
  // tensor and is covered by a digest.
  uint64_t offset = 0;
  for (const TensorEntry& tensor : manifest.tensors()) {
    uint64_t bytes = tensor.dtype() == "BF16" || tensor.dtype() == "F16" ? 2
                     : tensor.dtype() == "F32"                           ? 4
                                                                         : 0;
    if (bytes == 0)
      return BadRequest("tensor ", tensor.name(), " has dtype '", tensor.dtype(), "'");
    for (int64_t dim : tensor.shape()) {
      // By division, because the product of hostile dimensions overflows.
      if (dim <= 0 || static_cast<uint64_t>(dim) > manifest.total_bytes() / bytes) {
        return BadRequest("tensor ", tensor.name(), " has a dimension out of range");
      }
      bytes *= dim;
    }
    if (tensor.offset() != offset || bytes > manifest.total_bytes() - offset) {
      return BadRequest("tensor ", tensor.name(), " is not contiguous or runs past total_bytes");
    }
    offset += bytes;
  }
  if (offset != manifest.total_bytes()) {
    return BadRequest("tensors cover ", offset, " of ", manifest.total_bytes(), " bytes");
  }
  if (manifest.sources_size() == 0)
    return BadRequest("manifest.sources is empty: nobody serves the weights");
  return absl::OkStatus();
}

}  // namespace reckon
