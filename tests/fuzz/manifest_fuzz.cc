// A manifest from the network that is accepted has chunks that make its bytes, and of two chunks
// only the one with the right digest is taken. Input: a WeightManifest in wire format.
#include "common/model/files/manifest.h"
#include "common/model/files/safetensors.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  WeightManifest manifest;
  if (!manifest.ParseFromArray(data, static_cast<int>(size))) return 0;
  if (absl::Status status = CheckManifest(manifest); !status.ok()) return CheckRefusal(status), 0;
  uint64_t bytes = 0;
  for (const TensorEntry& tensor : manifest.tensors()) bytes += *TensorBytes(tensor);
  CHECK(bytes == manifest.total_bytes());

  const uint64_t last = Chunks(manifest) - 1;
  const uint64_t last_bytes = bytes - last * manifest.chunk_bytes();
  CHECK(last_bytes >= 1 && last_bytes <= manifest.chunk_bytes());
  std::string chunk(last_bytes, 'x');
  if (manifest.chunk_sha256_size() == 0) BeginDigests(DigestKind::kSha256, &manifest);
  manifest.set_chunk_sha256(static_cast<int>(last), Sha256(chunk));
  CHECK(CheckChunk(manifest, last, chunk).ok());
  chunk.back() = 'y';
  CheckRefusal(CheckChunk(manifest, last, chunk));
  chunk.push_back('x');
  CheckRefusal(CheckChunk(manifest, last, chunk));
  return 0;
}
