#include "common/model/transfer/server.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/host_port.h"
#include "common/base/status_macros.h"
#include "common/net/channel.h"

namespace reckon {

absl::StatusOr<std::unique_ptr<WeightServer>> WeightServer::Start(
    const std::string& listen, const std::shared_ptr<const Security>& security,
    const std::string& announce) {
  std::unique_ptr<WeightServer> server(new WeightServer);
  RETURN_IF_ERROR(server->Listen(listen, security, announce));
  return server;
}

WeightServer::~WeightServer() {
  if (server_) server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
}

absl::Status WeightServer::Listen(const std::string& listen,
                                  const std::shared_ptr<const Security>& security,
                                  const std::string& announce) {
  ASSIGN_OR_RETURN(HostPort address, ParseHostPort(listen));
  // Before the port is open, so that a bad name opens none.
  RETURN_IF_ERROR(AnnouncedAddress(address, announce).status());
  int port = 0;
  grpc::ServerBuilder builder;
  RETURN_IF_ERROR(ListenOn(address, security, &builder, &port));
  builder.RegisterService(static_cast<WeightSource::Service*>(this));
  server_ = builder.BuildAndStart();
  if (!server_ || port == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", listen));
  }
  address.port = static_cast<uint16_t>(port);
  ASSIGN_OR_RETURN(const HostPort announced, AnnouncedAddress(address, announce));
  address_ = announced.ToString();
  return absl::OkStatus();
}

void WeightServer::Add(uint64_t version, Weights weights) {
  absl::MutexLock lock(&mu_);
  versions_[version] = std::make_shared<const Weights>(std::move(weights));
}

void WeightServer::Drop(uint64_t version) {
  std::shared_ptr<const Weights> last;  // before the lock: freeing gigabytes takes time
  absl::MutexLock lock(&mu_);
  auto found = versions_.find(version);
  if (found == versions_.end()) return;
  last = std::move(found->second);
  versions_.erase(found);
}

grpc::Status WeightServer::FetchChunks(grpc::ServerContext* context,
                                       const FetchChunksRequest* request,
                                       grpc::ServerWriter<WeightChunk>* writer) {
  // Shared, so that a version which is dropped during the transfer stays in memory until its last
  // reader is done.
  const std::shared_ptr<const Weights> weights = Find(request->version());
  if (!weights) {
    return ToGrpc(absl::NotFoundError(
        absl::StrCat("weight version ", request->version(), " is not held here")));
  }
  const absl::Span<const char> bytes = weights->bytes->bytes();
  const uint64_t size = weights->manifest.chunk_bytes();
  const uint64_t chunks = weights->manifest.chunk_sha256_size();
  // By subtraction, because the sum of two numbers from the network may overflow.
  if (request->first_chunk() >= chunks || request->num_chunks() > chunks - request->first_chunk()) {
    return ToGrpc(absl::InvalidArgumentError(absl::StrCat(
        "version ", request->version(), " has ", chunks, " chunks; the request is for ",
        request->num_chunks(), " from ", request->first_chunk())));
  }
  WeightChunk chunk;
  for (uint64_t i = 0; i < request->num_chunks(); ++i) {
    const uint64_t index = request->first_chunk() + i;
    const absl::Span<const char> part = bytes.subspan(index * size, size);
    chunk.set_index(index);
    chunk.set_data(part.data(), part.size());
    if (context->IsCancelled() || !writer->Write(chunk)) break;
    bytes_sent_ += part.size();
  }
  return grpc::Status::OK;
}

std::shared_ptr<const Weights> WeightServer::Find(uint64_t version) {
  absl::MutexLock lock(&mu_);
  auto found = versions_.find(version);
  return found == versions_.end() ? nullptr : found->second;
}

}  // namespace reckon
