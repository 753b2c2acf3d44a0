#include "common/model/transfer/server.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/host_port.h"
#include "common/base/status_macros.h"
#include "common/model/files/manifest.h"
#include "common/model/transfer/chunk_delta.h"
#include "common/model/transfer/wire.h"
#include "common/net/channel.h"
#include "google/protobuf/io/coded_stream.h"

namespace reckon {

namespace {

// A WeightChunk in wire format whose data is a reference to memory that `owner` keeps.
grpc::ByteBuffer Message(uint64_t index, uint8_t tag, absl::Span<const char> data,
                         std::shared_ptr<const void> owner) {
  using google::protobuf::io::CodedOutputStream;
  uint8_t head[24];
  uint8_t* end = head;
  *end++ = kIndexTag;
  end = CodedOutputStream::WriteVarint64ToArray(index, end);
  *end++ = tag;
  end = CodedOutputStream::WriteVarint64ToArray(data.size(), end);
  const grpc::Slice slices[] = {
      grpc::Slice(head, static_cast<size_t>(end - head)),
      grpc::Slice(
          const_cast<char*>(data.data()), data.size(),
          [](void* held) { delete static_cast<std::shared_ptr<const void>*>(held); },
          new std::shared_ptr<const void>(std::move(owner)))};
  return grpc::ByteBuffer(slices, 2);
}

}  // namespace

// A version, and the differences of its chunks to one older version that were asked for.
class WeightServer::Held {
 public:
  Held(Weights weights, std::shared_ptr<ChunkArrivals> arrivals)
      : weights_(std::move(weights)), arrivals_(std::move(arrivals)) {}

  const WeightManifest& manifest() const { return weights_.manifest; }
  const std::shared_ptr<WeightBytes>& bytes() const { return weights_.bytes; }
  ChunkArrivals* arrivals() const { return arrivals_.get(); }  // null: all chunks are there
  absl::Span<const char> Chunk(uint64_t chunk) const {
    return bytes()->bytes().subspan(chunk * manifest().chunk_bytes(), ChunkSize(manifest(), chunk));
  }

  bool HasDeltasTo(const Held& older) const {
    return (older.arrivals() == nullptr || older.arrivals()->complete()) &&
           older.manifest().total_bytes() == manifest().total_bytes() &&
           older.manifest().chunk_bytes() == manifest().chunk_bytes();
  }
  // Empty: the chunk itself is shorter.
  std::shared_ptr<const std::string> Delta(const Held& older, uint64_t chunk) const {
    const uint64_t version = older.manifest().version();
    {
      absl::MutexLock lock(&mu_);
      const auto found = deltas_.find({version, chunk});
      if (found != deltas_.end()) return found->second;
    }
    auto delta = std::make_shared<const std::string>(ChunkDelta(older.Chunk(chunk), Chunk(chunk)));
    absl::MutexLock lock(&mu_);
    // Actors that keep up all have the same one.
    if (!deltas_.empty() && deltas_.begin()->first.first != version) deltas_.clear();
    deltas_[{version, chunk}] = delta;
    return delta;
  }

 private:
  const Weights weights_;
  const std::shared_ptr<ChunkArrivals> arrivals_;
  mutable absl::Mutex mu_;
  mutable std::map<std::pair<uint64_t, uint64_t>, std::shared_ptr<const std::string>> deltas_
      ABSL_GUARDED_BY(mu_);  // by older version and chunk
};

// One call. It deletes itself when gRPC is done with it. Two owners: gRPC, until OnDone, and a wait
// for a chunk that has not arrived, which may end after a cancelled call.
class WeightServer::Stream : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                             public std::enable_shared_from_this<Stream> {
 public:
  // `older`: what the caller has; null: nothing that is held here.
  static Stream* Begin(std::shared_ptr<const Held> held, std::shared_ptr<const Held> older,
                       const FetchChunksRequest& request, const absl::Status& status,
                       std::atomic<uint64_t>* bytes_sent) {
    std::shared_ptr<Stream> stream(
        new Stream(std::move(held), std::move(older), request, bytes_sent));
    stream->self_ = stream;
    if (status.ok()) {
      stream->Next();
    } else {
      stream->End(status);
    }
    return stream.get();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return End(absl::CancelledError("the caller has gone"));
    *bytes_sent_ += sending_;
    ++next_;
    Next();
  }
  void OnCancel() override { End(absl::CancelledError("cancelled")); }
  void OnDone() override { self_.reset(); }

 private:
  Stream(std::shared_ptr<const Held> held, std::shared_ptr<const Held> older,
         const FetchChunksRequest& request, std::atomic<uint64_t>* bytes_sent)
      : held_(std::move(held)),
        older_(std::move(older)),
        next_(request.first_chunk()),
        end_(request.first_chunk() + request.num_chunks()),
        bytes_sent_(bytes_sent) {}

  void Next() {
    if (next_ == end_) return End(absl::OkStatus());
    if (held_->arrivals() != nullptr) {
      switch (held_->arrivals()->Ask(next_, [stream = shared_from_this()] { stream->Next(); })) {
        case ChunkArrivals::State::kAwaited:
          return;
        case ChunkArrivals::State::kLost:
          return End(absl::UnavailableError("the chunk has not arrived here"));
        case ChunkArrivals::State::kHere:
          break;
      }
    }
    std::shared_ptr<const std::string> delta;
    if (older_ != nullptr) delta = held_->Delta(*older_, next_);
    if (delta != nullptr && !delta->empty()) {
      message_ = Message(next_, kDeltaTag, {delta->data(), delta->size()}, delta);
      sending_ = delta->size();
    } else {
      message_ = Message(next_, kDataTag, held_->Chunk(next_), held_->bytes());
      sending_ = held_->Chunk(next_).size();
    }
    absl::MutexLock lock(&mu_);
    if (!ended_) StartWrite(&message_);
  }

  void End(const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    if (std::exchange(ended_, true)) return;
    Finish(ToGrpc(status));
  }

  const std::shared_ptr<const Held> held_, older_;  // in memory until the last reader is done
  uint64_t next_;
  const uint64_t end_;
  std::atomic<uint64_t>* const bytes_sent_;
  grpc::ByteBuffer message_;  // the write in progress
  uint64_t sending_ = 0;      // bytes of it
  absl::Mutex mu_;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  std::shared_ptr<Stream> self_;
};

absl::StatusOr<std::unique_ptr<WeightServer>> WeightServer::Start(
    const std::string& listen, const std::shared_ptr<const Security>& security,
    const std::string& announce, grpc::Service* also) {
  std::unique_ptr<WeightServer> server(new WeightServer);
  RETURN_IF_ERROR(server->Listen(listen, security, announce, also));
  return server;
}

WeightServer::~WeightServer() {
  if (server_) server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
}

absl::Status WeightServer::Listen(const std::string& listen,
                                  const std::shared_ptr<const Security>& security,
                                  const std::string& announce, grpc::Service* also) {
  ASSIGN_OR_RETURN(HostPort address, ParseHostPort(listen));
  // Before the port is open, so that a bad name opens none.
  RETURN_IF_ERROR(AnnouncedAddress(address, announce).status());
  int port = 0;
  grpc::ServerBuilder builder;
  RETURN_IF_ERROR(ListenOn(address, security, &builder, &port));
  builder.RegisterService(static_cast<WeightSource::Service*>(this));
  if (also != nullptr) builder.RegisterService(also);
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
  AddArriving(version, std::move(weights), nullptr);
}

void WeightServer::AddArriving(uint64_t version, Weights weights,
                               std::shared_ptr<ChunkArrivals> arrivals) {
  auto held = std::make_shared<const Held>(std::move(weights), std::move(arrivals));
  absl::MutexLock lock(&mu_);
  versions_[version].swap(held);
}

void WeightServer::Drop(uint64_t version) {
  std::shared_ptr<const Held> last;  // before the lock: freeing gigabytes takes time
  absl::MutexLock lock(&mu_);
  auto found = versions_.find(version);
  if (found == versions_.end()) return;
  last = std::move(found->second);
  versions_.erase(found);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* WeightServer::FetchChunks(
    grpc::CallbackServerContext*, const grpc::ByteBuffer* request) {
  FetchChunksRequest wanted;
  grpc::ProtoBufferReader reader(const_cast<grpc::ByteBuffer*>(request));
  absl::Status status;
  std::shared_ptr<const Held> held;
  if (!wanted.ParseFromZeroCopyStream(&reader)) {
    status = absl::InvalidArgumentError("the request is malformed");
  } else if (held = Find(wanted.version()); held == nullptr) {
    status =
        absl::NotFoundError(absl::StrCat("weight version ", wanted.version(), " is not held here"));
  } else if (const uint64_t chunks = Chunks(held->manifest());
             // By subtraction, because the sum of two numbers from the network may overflow.
             wanted.first_chunk() >= chunks ||
             wanted.num_chunks() > chunks - wanted.first_chunk()) {
    status = absl::InvalidArgumentError(
        absl::StrCat("version ", wanted.version(), " has ", chunks, " chunks; the request is for ",
                     wanted.num_chunks(), " from ", wanted.first_chunk()));
  }
  std::shared_ptr<const Held> older;
  if (status.ok() && wanted.has_held_version()) older = Find(wanted.held_version());
  if (older != nullptr && !held->HasDeltasTo(*older)) older = nullptr;
  return Stream::Begin(std::move(held), std::move(older), wanted, status, &bytes_sent_);
}

std::shared_ptr<const WeightServer::Held> WeightServer::Find(uint64_t version) {
  absl::MutexLock lock(&mu_);
  auto found = versions_.find(version);
  return found == versions_.end() ? nullptr : found->second;
}

}  // namespace reckon
