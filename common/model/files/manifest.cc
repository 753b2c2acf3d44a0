#include "common/model/files/manifest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/machine_limits.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/model/files/safetensors.h"
// Last.
#include "common/base/log.h"

namespace reckon {

std::string Sha256(absl::string_view bytes) {
  std::string digest(32, '\0');
  unsigned int size = 0;
  int ok = EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()),
                      &size, EVP_sha256(), nullptr);
  CHECK(ok == 1 && size == 32) << "OpenSSL has no SHA-256";
  return digest;
}

absl::Status LayOut(WeightManifest* manifest) {
  absl::flat_hash_set<absl::string_view> names;
  uint64_t offset = 0;
  for (TensorEntry& tensor : *manifest->mutable_tensors()) {
    if (tensor.name().empty() || !names.insert(tensor.name()).second) {
      return absl::InvalidArgumentError(absl::StrCat("tensor '", Printable(tensor.name()),
                                                     "': names must be distinct and not empty"));
    }
    ASSIGN_OR_RETURN(uint64_t bytes, TensorBytes(tensor));
    tensor.set_offset(offset);
    if (__builtin_add_overflow(offset, bytes, &offset)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", Printable(tensor.name()), ": total overflows"));
    }
  }
  manifest->set_total_bytes(offset);
  return absl::OkStatus();
}

void Digest(absl::Span<const char> bytes, WeightManifest* manifest) {
  manifest->set_chunk_bytes(kChunkBytes);
  size_t chunks = (bytes.size() + kChunkBytes - 1) / kChunkBytes;
  std::vector<std::string> digests(chunks);
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i = next++; i < chunks; i = next++) {
      auto chunk = bytes.subspan(i * kChunkBytes, kChunkBytes);
      digests[i] = Sha256({chunk.data(), chunk.size()});
    }
  };
  std::vector<std::thread> threads;
  const auto cores = static_cast<size_t>(UsableCores());
  for (size_t i = 1; i < std::min(cores, chunks); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  manifest->clear_chunk_sha256();
  for (std::string& digest : digests) manifest->add_chunk_sha256(std::move(digest));
}

absl::Status CheckManifest(const WeightManifest& manifest) {
  auto invalid = [&](auto... what) {
    return absl::InvalidArgumentError(
        absl::StrCat("weight manifest of version ", manifest.version(), ": ", what...));
  };
  WeightManifest again;
  *again.mutable_tensors() = manifest.tensors();
  if (absl::Status status = LayOut(&again); !status.ok()) return invalid(status.message());
  for (int i = 0; i < manifest.tensors_size(); ++i) {
    if (manifest.tensors(i).offset() != again.tensors(i).offset()) {
      return invalid("tensor ", Printable(manifest.tensors(i).name()),
                     " has another offset than its place in the list gives");
    }
  }
  if (manifest.total_bytes() == 0 || manifest.total_bytes() != again.total_bytes()) {
    return invalid("total_bytes is ", manifest.total_bytes(), " but the tensors have ",
                   again.total_bytes());
  }
  // Twice kChunkBytes still fits into a message.
  if (manifest.chunk_bytes() == 0 || manifest.chunk_bytes() > 2 * kChunkBytes) {
    return invalid("chunk_bytes ", manifest.chunk_bytes(), " is out of range");
  }
  uint64_t chunks = manifest.total_bytes() / manifest.chunk_bytes() +
                    (manifest.total_bytes() % manifest.chunk_bytes() != 0 ? 1 : 0);
  if (static_cast<uint64_t>(manifest.chunk_sha256_size()) != chunks) {
    return invalid(manifest.chunk_sha256_size(), " digests for ", chunks, " chunks");
  }
  for (const std::string& digest : manifest.chunk_sha256()) {
    if (digest.size() != 32) return invalid("a digest has ", digest.size(), " bytes");
  }
  return absl::OkStatus();
}

absl::Status CheckChunk(const WeightManifest& manifest, uint64_t index, const WeightChunk& chunk) {
  const uint64_t offset = index * manifest.chunk_bytes();
  if (chunk.index() != index ||
      chunk.data().size() != std::min(manifest.chunk_bytes(), manifest.total_bytes() - offset)) {
    return absl::DataLossError(absl::StrCat("chunk ", index, " has the wrong index or size"));
  }
  if (Sha256(chunk.data()) != manifest.chunk_sha256(static_cast<int>(index))) {
    return absl::DataLossError(absl::StrCat("chunk ", index, " does not match its digest"));
  }
  return absl::OkStatus();
}

bool SameTokens(const WeightManifest& a, const WeightManifest& b) {
  return a.tokenizer_json() == b.tokenizer_json() && a.tokenizer_model() == b.tokenizer_model();
}

}  // namespace reckon
