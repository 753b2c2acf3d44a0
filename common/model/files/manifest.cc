#include "common/model/files/manifest.h"

#include <openssl/evp.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
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

namespace {

absl::string_view ChunkOf(const WeightManifest& manifest, uint64_t index,
                          absl::Span<const char> bytes) {
  const auto chunk = bytes.subspan(index * manifest.chunk_bytes(), manifest.chunk_bytes());
  return {chunk.data(), chunk.size()};
}

void OnAllCores(uint64_t chunks, absl::FunctionRef<void(uint64_t)> work_on) {
  std::atomic<uint64_t> next = 0;
  auto work = [&] {
    for (uint64_t i = next++; i < chunks; i = next++) work_on(i);
  };
  std::vector<std::thread> threads;
  const auto cores = static_cast<uint64_t>(UsableCores());
  for (uint64_t i = 1; i < std::min(cores, chunks); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

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

uint64_t Chunks(const WeightManifest& manifest) {
  return static_cast<uint64_t>(manifest.chunk_sha256_size() + manifest.chunk_xxh3_size());
}

std::string Digests(const WeightManifest& manifest) {
  std::string out;
  for (const std::string& digest : manifest.chunk_sha256()) out += digest;
  for (const uint64_t digest : manifest.chunk_xxh3()) absl::StrAppend(&out, digest, " ");
  return out;
}

void BeginDigests(DigestKind kind, WeightManifest* manifest) {
  manifest->set_chunk_bytes(kChunkBytes);
  manifest->clear_chunk_sha256();
  manifest->clear_chunk_xxh3();
  const uint64_t chunks = (manifest->total_bytes() + kChunkBytes - 1) / kChunkBytes;
  for (uint64_t i = 0; i < chunks; ++i) {
    if (kind == DigestKind::kXxh3) {
      manifest->add_chunk_xxh3(0);
    } else {
      manifest->add_chunk_sha256();
    }
  }
}

void SetDigest(uint64_t chunk, absl::Span<const char> bytes, WeightManifest* manifest) {
  const auto index = static_cast<int>(chunk);
  const absl::string_view data = ChunkOf(*manifest, chunk, bytes);
  if (manifest->chunk_xxh3_size() > 0) {
    manifest->set_chunk_xxh3(index, XXH3_64bits(data.data(), data.size()));
  } else {
    manifest->set_chunk_sha256(index, Sha256(data));
  }
}

void Digest(absl::Span<const char> bytes, WeightManifest* manifest, DigestKind kind) {
  BeginDigests(kind, manifest);
  OnAllCores(Chunks(*manifest), [&](uint64_t i) { SetDigest(i, bytes, manifest); });
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
  if (Chunks(manifest) != chunks ||
      (manifest.chunk_sha256_size() > 0 && manifest.chunk_xxh3_size() > 0)) {
    return invalid(Chunks(manifest), " digests for ", chunks, " chunks");
  }
  for (const std::string& digest : manifest.chunk_sha256()) {
    if (digest.size() != 32) return invalid("a digest has ", digest.size(), " bytes");
  }
  return absl::OkStatus();
}

uint64_t ChunkSize(const WeightManifest& manifest, uint64_t index) {
  return std::min(manifest.chunk_bytes(), manifest.total_bytes() - index * manifest.chunk_bytes());
}

absl::Status CheckChunk(const WeightManifest& manifest, uint64_t index, absl::string_view data) {
  if (data.size() != ChunkSize(manifest, index)) {
    return absl::DataLossError(absl::StrCat("chunk ", index, " has the wrong size"));
  }
  const auto i = static_cast<int>(index);
  const bool same = manifest.chunk_xxh3_size() > 0
                        ? XXH3_64bits(data.data(), data.size()) == manifest.chunk_xxh3(i)
                        : Sha256(data) == manifest.chunk_sha256(i);
  if (same) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("chunk ", index, " does not match its digest"));
}

absl::Status CheckChunks(const WeightManifest& manifest, absl::Span<const char> bytes) {
  constexpr uint64_t kNone = ~uint64_t{0};
  std::atomic<uint64_t> bad = kNone;
  OnAllCores(Chunks(manifest), [&](uint64_t i) {
    if (!CheckChunk(manifest, i, ChunkOf(manifest, i, bytes)).ok()) bad = i;
  });
  return bad == kNone ? absl::OkStatus() : CheckChunk(manifest, bad, ChunkOf(manifest, bad, bytes));
}

std::string TextsDigest(const FolderTexts& texts) {
  std::string all;
  for (const std::string* text :
       {&texts.config_json(), &texts.generation_config_json(), &texts.tokenizer_json(),
        &texts.tokenizer_config_json(), &texts.tokenizer_model()}) {
    absl::StrAppend(&all, text->size(), "\n", *text);
  }
  return Sha256(all);
}

bool SameTokens(const FolderTexts& a, const FolderTexts& b) {
  return a.tokenizer_json() == b.tokenizer_json() && a.tokenizer_model() == b.tokenizer_model();
}

}  // namespace reckon
