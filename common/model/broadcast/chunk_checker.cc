#include "common/model/broadcast/chunk_checker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/string_view.h"
#include "common/base/machine_limits.h"
#include "common/model/files/manifest.h"

namespace reckon {
namespace {

constexpr int kMostThreads = 4;

}  // namespace

ChunkChecker::ChunkChecker(const WeightManifest& manifest, const char* bytes,
                           std::function<void(uint64_t)> good)
    : manifest_(manifest), bytes_(bytes), good_(std::move(good)) {
  const int threads = std::min<int>(kMostThreads, UsableCores());
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Check(); });
}

void ChunkChecker::Have(uint64_t bytes) {
  absl::MutexLock lock(&mu_);
  here_ = bytes == manifest_.total_bytes() ? Chunks(manifest_) : bytes / manifest_.chunk_bytes();
}

uint64_t ChunkChecker::Finish() {
  {
    absl::MutexLock lock(&mu_);
    ended_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  absl::MutexLock lock(&mu_);
  return bad_;
}

void ChunkChecker::Check() {
  while (true) {
    uint64_t chunk;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(this, &ChunkChecker::Ready));
      if (next_ == here_) return;
      chunk = next_++;
    }
    const absl::string_view data(bytes_ + chunk * manifest_.chunk_bytes(),
                                 ChunkSize(manifest_, chunk));
    if (CheckChunk(manifest_, chunk, data).ok()) {
      good_(chunk);
    } else {
      absl::MutexLock lock(&mu_);
      ++bad_;
    }
  }
}

}  // namespace reckon
